"""How a `when` looks at one value: short forms (a string, a number) and the long form with named operators."""

import re
from typing import Annotated, Any, Literal

from pydantic_core import PydanticCustomError

from emulator.scenario.model import Text, by_shape
from emulator.validation.annotations import After, Before, Tag, field
from emulator.validation.models import Model


def _regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise PydanticCustomError(
            "bad_regex", "this is not a regular expression: {reason}", {"reason": str(error)}
        ) from None
    return pattern


def _turns(value: Any) -> Any:
    is_written = isinstance(value, str | int) and not isinstance(value, bool)
    if not is_written or not re.fullmatch(r"[0-9]{1,9}(-[0-9]{1,9}|\+)?", str(value)):
        raise PydanticCustomError("bad_turn", 'a turn is a number or a range such as "2-4" or "3+"', {})
    return value


Regex = Annotated[str, After(_regex)]


class Test(Model):
    """The long form of a test. All operators that are given must hold; letter case is ignored except by `equals` and `regex`."""

    equals: str | None = None
    """The whole value, letter case included."""
    contains: str | None = None
    """A part of the value, ignoring letter case."""
    starts_with: str | None = None
    """The beginning of the value, ignoring letter case."""
    ends_with: str | None = None
    """The end of the value, ignoring letter case."""
    regex: Regex | None = None
    """A Python regular expression found anywhere in the value; named groups become template variables."""
    glob: str | None = None
    """A pattern for the whole value with `*`, `?` and `[...]`, ignoring letter case."""
    any_of: "list[Prose] | None" = field(default=None, min_length=1)
    """At least one of these tests holds; a string has the meaning it has in place of the whole test."""
    not_: "Prose | None" = field(default=None, alias="not")
    """This test does not hold."""


_Container = Annotated[
    Annotated[dict[str, Any], Tag("<mapping>")] | Annotated[list[Any], Tag("<list>")], by_shape("a mapping or a list")
]


class ResultTest(Test):
    """A test of a tool result: of its text, or of its parts when it is JSON."""

    json_: _Container | None = field(default=None, alias="json")
    """JSON that the result must contain: keys not named here may have any value."""


_A_TEST = "a text, or a test such as {regex: ...}"

Prose = Annotated[Text | Annotated[Test, Tag("<mapping>")], by_shape(_A_TEST)]
"""A test of running text: a string means *contains, ignoring case*."""
Identifier = Prose
"""A test of a name: written like `Prose`, but a string means *glob, ignoring case*."""
Result = Annotated[Text | Annotated[ResultTest, Tag("<mapping>")], by_shape(_A_TEST)]
"""A test of a tool result: a string means *contains, ignoring case*."""
Turns = Annotated[str, Before(_turns)]
Role = Literal["system", "developer", "user", "assistant", "model", "tool", "function"]
Medium = Literal["image", "audio", "video", "document", "gs_uri"]
Modality = Literal["text", "image", "audio"]

Json = dict[str, Any]
"""JSON that must be contained: keys not named may have any value."""
