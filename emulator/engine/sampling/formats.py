"""Values of the keyword `format`: texts of a format, and whether a text is of one.

Checks are ours, as those of validators differ from platform to platform and know no `byte` or `datetime`.
"""

import base64
import ipaddress
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from uuid import UUID

from emulator.budget import Budget
from emulator.engine.sampling.patterns import parse

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_FIRST = datetime(2024, 1, 1, tzinfo=UTC)
_DAYS = 1000
_FORMAT = 4
"""Units of work to look at a text, beside those for its length."""
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
_PATTERNS = {
    "email": rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_HOST}",
    "hostname": rf"(?=.{{1,253}}$){_HOST}",
    "uri": r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+",
    "uri-reference": r"[^\s<>\"{}|\\^`]*",
    "uuid": r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "duration": r"P(?!$)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?!$)(\d+H)?(\d+M)?(\d+S)?)?)",
    "json-pointer": r"(/([^~/]|~[01])*)*",
    "relative-json-pointer": r"(0|[1-9]\d*)(#|(/([^~/]|~[01])*)*)",
    "byte": r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?",
    "time": _TIME,
    "date-time": rf"\d{{4}}-\d\d-\d\d[Tt ]{_TIME}",
    "date": r"\d{4}-\d\d-\d\d",
}
_ALIASES = {
    "url": "uri",
    "iri": "uri",
    "iri-reference": "uri-reference",
    "idn-email": "email",
    "idn-hostname": "hostname",
    "datetime": "date-time",
    "guid": "uuid",
    "base64": "byte",
    "ip": "ipv4",
}


def _word(random: Random, length: int) -> str:
    return "".join(random.choice(_LETTERS) for _ in range(length))


def _moment(random: Random) -> datetime:
    return _FIRST + timedelta(days=random.randrange(_DAYS), seconds=random.randrange(86_400))


def _uri(random: Random) -> str:
    return f"https://www.example.com/{_word(random, 6)}"


def _bytes(random: Random) -> str:
    return base64.b64encode(random.randbytes(12)).decode()


_WRITERS: dict[str, Callable[[Random], str]] = {
    "date": lambda random: _moment(random).date().isoformat(),
    "time": lambda random: f"{_moment(random):%H:%M:%S}Z",
    "date-time": lambda random: f"{_moment(random):%Y-%m-%dT%H:%M:%S}Z",
    "duration": lambda random: f"PT{random.randint(1, 59)}M",
    "email": lambda random: f"{_word(random, 6)}@example.com",
    "hostname": lambda random: f"{_word(random, 6)}.example.com",
    "ipv4": lambda random: f"192.0.2.{random.randint(1, 254)}",
    "ipv6": lambda random: f"2001:db8::{random.randint(1, 0xFFFF):x}",
    "uri": _uri,
    "uri-reference": lambda random: f"/{_word(random, 6)}",
    "uri-template": lambda random: f"/{_word(random, 6)}/{{id}}",
    "uuid": lambda random: str(UUID(int=random.getrandbits(128), version=4)),
    "byte": _bytes,
    "json-pointer": lambda random: f"/{_word(random, 6)}",
    "relative-json-pointer": lambda random: f"0/{_word(random, 6)}",
    "regex": lambda random: f"^{_word(random, 4)}$",
}
_SHORTER: dict[str, Callable[[Random], str]] = {
    "email": lambda random: f"{_word(random, 1)}@{_word(random, 1)}.co",
    "hostname": lambda random: _word(random, 1),
    "uri": lambda random: f"{_word(random, 1)}:{_word(random, 1)}",
    "uri-reference": lambda random: _word(random, 1),
    "uri-template": lambda random: _word(random, 1),
    "duration": lambda random: f"P{random.randint(1, 9)}D",
    "ipv4": lambda random: f"1.1.1.{random.randint(1, 9)}",
    "ipv6": lambda _random: "::1",
    "json-pointer": lambda random: f"/{_word(random, 1)}",
    "relative-json-pointer": lambda random: str(random.randint(0, 9)),
    "regex": lambda random: _word(random, 1),
}


def is_known(name: str) -> bool:
    """Whether texts of that format can be written."""
    return _ALIASES.get(name, name) in _WRITERS


def write_format(name: str, random: Random, budget: Budget, least: int, most: int) -> Iterator[str]:
    """Texts of a known format, those that look best first; all have `least` to `most` characters."""
    name = _ALIASES.get(name, name)
    writers = [_WRITERS[name], _SHORTER.get(name, _WRITERS[name])]
    for text in [writer(random) for writer in writers for _ in range(3)]:
        budget.spend(_FORMAT + 2 * max(least - len(text), 0))
        for fitted in (text, _lengthen(name, text, random, least - len(text))):
            if least <= len(fitted) <= most and has_format(fitted, name, budget):
                yield fitted


def _lengthen(name: str, text: str, random: Random, missing: int) -> str:
    """The text made longer by that many characters, where its format allows."""
    match name:
        case _ if missing <= 0:
            return text
        case "uri" | "uri-reference" | "uri-template" | "json-pointer" | "regex":
            tail = "$" if text.endswith("$") else ""
            return text.removesuffix(tail) + _word(random, missing) + tail
        case "relative-json-pointer":
            return f"0/{_word(random, missing + len(text) - 2)}"
        case "email" | "hostname":
            return _long_name(name, random, missing + len(text))
        case "byte":
            return base64.b64encode(random.randbytes(-(-(missing + len(text)) // 4) * 3)).decode()
        case "time" | "date-time":
            return text[:-1] + "." + "0" * max(missing - 1, 1) + "Z"
        case _:
            return text


def _long_name(name: str, random: Random, length: int) -> str:
    """An address or host of that length, made of labels of at most 50 characters."""
    head = f"{_word(random, 6)}@" if name == "email" else ""
    labels = []
    missing = length - len(head)
    while missing > 0:
        # A label and its dot; what is left must not be a lone dot.
        size = missing if missing <= 50 else min(50, missing - 2)  # noqa: PLR2004  # a label of a host name may have 63
        labels.append(_word(random, size))
        missing -= size + 1
    return head + ".".join(labels)


def has_format(text: str, name: str, budget: Budget) -> bool:
    """Whether a text is of the named format; a format that is not known here holds for every text. Raises BudgetError."""
    budget.spend(_FORMAT + len(text))
    name = _ALIASES.get(name, name)
    pattern = _PATTERNS.get(name)
    if pattern is not None and not re.fullmatch(pattern, text, re.ASCII if name != "uri" else 0):
        return False
    try:
        match name:
            case "date" | "date-time":
                date.fromisoformat(text[:10])
            case "ipv4":
                ipaddress.IPv4Address(text)
            case "ipv6":
                ipaddress.IPv6Address(text)
            case "regex":
                parse(text, budget)
    except (ValueError, RecursionError):
        return False
    return True
