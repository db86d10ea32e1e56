"""Flags: what a session remembers from one rule to the next, by names that a scenario gives."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, Tag
from pydantic_core import PydanticCustomError

from emulator.scenario.types import by_shape

_FLAG = re.compile(r"(not +)?(?!not$)[A-Za-z_][A-Za-z0-9_-]*")


def _check_flag(value: Any) -> Any:
    if not isinstance(value, str) or not _FLAG.fullmatch(value):
        raise PydanticCustomError("bad_flag", "a flag is a name")
    return value


Flag = Annotated[str, BeforeValidator(_check_flag)]
Flags = Annotated[
    Annotated[Flag, Tag("<text>")] | Annotated[list[Flag], Field(min_length=1), Tag("<list>")],
    by_shape("a flag or a list of flags"),
]
"""One flag or several, each a name or, with `not` before it, the name of one that is not set."""


def list_flags(written: Any) -> list[str]:
    """The flags of a key, one by one; what is no flag is left out."""
    items = written if isinstance(written, list) else [written]
    return [one for one in items if isinstance(one, str) and _FLAG.fullmatch(one)]


def split_flags(written: Any) -> tuple[frozenset[str], frozenset[str]]:
    """The names without and with a `not` before them."""
    names = [(one.startswith("not "), one.rpartition(" ")[2]) for one in list_flags(written)]
    return frozenset(name for is_not, name in names if not is_not), frozenset(name for is_not, name in names if is_not)
