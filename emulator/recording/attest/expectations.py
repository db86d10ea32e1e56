"""What a probe expects of an answer, and the smallest difference where it is otherwise."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from emulator.catalogue.errors import CatalogueError, entry
from emulator.recording.answers import Answer
from emulator.recording.texts import Difference, fill, fits_template, shorten, show_difference

_OK = 200
_MISSING: Any = object()


class StrictModel(BaseModel):
    """A part of a file of probes; keys that it does not have are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Shape = Literal["array of one", "object"]
"""How an error stands in the body: in an array, laid out as observed, or by itself."""


class Expectation(StrictModel):
    """What holds for an answer; `{NAME}` in texts stands for a value of the request, or for anything."""

    status: int = _OK
    error: str | None = None
    """The entry of the error catalogue that the answer is; its array is not looked at."""
    values: dict[str, str] = Field(default_factory=dict)
    """Values of placeholders in the texts of `error`, besides those that follow from the request."""
    refusal: str | None = None
    """The google.rpc status of an error whose text is not known; the HTTP status is 400 unless `status` says otherwise."""
    shape: Shape | None = None
    headers: dict[str, JsonValue] = Field(default_factory=dict)
    """By name a check of the value, or the list of values of all lines."""
    body: dict[str, JsonValue] = Field(default_factory=dict)
    """By path a check of the values there, see `check_value`."""
    keys: dict[str, list[str]] = Field(default_factory=dict)
    """By path all keys of the objects there, in order; those that end in `?` may be absent."""
    sums: dict[str, list[str]] = Field(default_factory=dict)
    """By path the paths whose numbers add up to the one there; a path that leads to nothing counts 0."""
    order: Literal["alphabetical"] | None = None
    """The order of the keys of all objects."""
    time_id: bool = False
    """Whether the id is base64 that begins with the seconds in `created`."""
    complete: bool = False
    """Whether it is a stream in the documented framing that comes to its end."""
    error_in_stream: Literal["bare"] | None = None
    """How an error in a stream is written, if there is one; other rows are silent where a stream breaks off."""
    text: str | None = None
    """A regular expression for the whole body."""

    @property
    def statuses(self) -> frozenset[int]:
        """The HTTP statuses that do not make the answer a refusal to be judged."""
        if self.error is not None:
            return frozenset({entry(self.error).http_status})
        return frozenset({400 if self.refusal and self.status == _OK else self.status})


def find_differences(expected: Expectation, answer: Answer, values: Mapping[str, str]) -> list[Difference]:
    """All differences of an answer from what is expected of it, the most telling one first; an answer of another status has no other."""
    status = next(iter(expected.statuses))
    if answer.status != status:
        return [Difference("status", str(status), answer.describe_error())]
    found: list[Difference] = []
    if expected.error is not None:
        found += _compare_error(entry(expected.error), answer, values)
    if expected.refusal is not None and answer.error.get("status") != expected.refusal:
        found.append(Difference("error.status", expected.refusal, answer.describe_error()))
    if expected.shape is not None:
        found += _compare_shape(expected.shape, answer)
    for name, check in expected.headers.items():
        found += _check_header(name, check, answer)
    if expected.complete:
        found += _check_framing(answer)
    if expected.error_in_stream is not None and answer.stream.error is not None:
        if not answer.stream.is_bare_error:
            found.append(Difference("error in the stream", "bare JSON without data:", "a data: event"))
        if answer.stream.done:
            found.append(Difference("end of the stream", "no [DONE] behind an error", "[DONE]"))
    needs_document = status == _OK and expected.text is None
    needs_document |= bool(expected.body or expected.keys)
    if needs_document and not isinstance(answer.document, dict):
        found.append(Difference("body", "a JSON object", shorten(answer.text) or "nothing"))
        return found
    for path, keys in expected.keys.items():
        found += _compare_keys(path, keys, answer.document)
    for path, check in expected.body.items():
        found += check_path(path, check, answer.document, values)
    for path, parts in expected.sums.items():
        found += _check_sum(path, parts, answer.document)
    if expected.order == "alphabetical":
        bodies = answer.stream.chunks if answer.is_stream else (answer.document,)
        found += [
            one
            for at, body in enumerate(bodies)
            for one in _check_order(body, f"chunks.{at}" if answer.is_stream else "body")
        ]
    if expected.time_id:
        found += _check_time_id(answer)
    if expected.text is not None and not re.fullmatch(expected.text, answer.text, re.DOTALL):
        found.append(Difference("body", f"like {expected.text}", shorten(answer.text) or "nothing"))
    return sorted(found, key=lambda one: len(str(one)))


# Paths: `choices.0.message.content`; `*` stands for every item or value, `-1` for the last item, `:-1` for all items but the last.


def walk(path: str, document: Any) -> Iterator[tuple[str, Any]]:
    """Each place that a path leads to, with its value; `_MISSING` where an object lacks the last key."""
    yield from _walk([part for part in path.split(".") if part], document, "")


def _walk(parts: list[str], value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if not parts:
        yield place or "body", value
        return
    first, rest = parts[0], parts[1:]
    inner = f"{place}." if place else ""
    if first == "*" and isinstance(value, list | dict):
        pairs = enumerate(value) if isinstance(value, list) else value.items()
        for key, one in pairs:
            yield from _walk(rest, one, f"{inner}{key}")
    elif first == ":-1" and isinstance(value, list):
        for key, one in enumerate(value[:-1]):
            yield from _walk(rest, one, f"{inner}{key}")
    elif isinstance(value, list) and re.fullmatch(r"-?\d+", first):
        at = int(first)
        if -len(value) <= at < len(value):
            yield from _walk(rest, value[at], f"{inner}{first}")
        else:
            yield f"{inner}{first}", _MISSING
    elif isinstance(value, dict) and first in value:
        yield from _walk(rest, value[first], f"{inner}{first}")
    elif not {"*", ":-1"} & set(rest):
        yield f"{inner}{first}", _MISSING


def check_path(path: str, check: JsonValue, document: Any, values: Mapping[str, str]) -> Iterator[Difference]:
    """The places of a path whose values do not pass a check, at most one; a path with wildcards may lead to none."""
    for place, value in walk(path, document):
        problem = check_value(check, value, values)
        if problem is not None:
            yield Difference(place, *problem)
            return


def check_value(check: JsonValue, value: Any, values: Mapping[str, str]) -> tuple[str, str] | None:
    """What a check wants and what there is instead; None if the value passes.

    A check is a word of `_WORDS`, `present`, `absent`, a number, true, false or null that is equal, or one of `is`, `like` and `unlike`
    (regular expressions for all of a text), `one_of` (checks), `at_least`, `at_most`, `length` and `min_length`.
    """
    if check == "absent":
        return None if value is _MISSING else ("no such key", _show(value))
    if value is _MISSING:
        return _describe_check(check), "nothing"
    if check == "present":
        return None
    is_fine = _check_with(check, value, values) if isinstance(check, dict) else _check_plain(check, value)
    return None if is_fine else (_describe_check(check), _show(value))


def _check_plain(check: JsonValue, value: Any) -> bool:
    if isinstance(check, str):
        return _WORDS[check](value)
    return type(value) is type(check) and bool(value == check)


def _check_with(check: dict[str, JsonValue], value: Any, values: Mapping[str, str]) -> bool:
    ((kind, wanted),) = check.items()
    match kind:
        case "is":
            return bool(value == (fill(wanted, values) if isinstance(wanted, str) else wanted))
        case "like":
            return isinstance(value, str) and re.fullmatch(fill(str(wanted), values), value, re.DOTALL) is not None
        case "unlike":
            return isinstance(value, str) and re.fullmatch(fill(str(wanted), values), value, re.DOTALL) is None
        case "one_of" if isinstance(wanted, list):
            return any(check_value(one, value, values) is None for one in wanted)
        case "at_least" if isinstance(wanted, int):
            return _is_number(value) and value >= wanted
        case "at_most" if isinstance(wanted, int):
            return _is_number(value) and value <= wanted
        case "length":
            return isinstance(value, str | list | dict) and len(value) == wanted
        case "min_length" if isinstance(wanted, int):
            return isinstance(value, str | list | dict) and len(value) >= wanted
    raise ValueError(f"there is no check {kind!r}: {wanted!r}")


def _describe_check(check: JsonValue) -> str:
    if isinstance(check, dict):
        ((kind, wanted),) = check.items()
        if kind == "one_of" and isinstance(wanted, list):
            return " or ".join(map(_describe_check, wanted))
        text = json.dumps(wanted, ensure_ascii=False)
        return {"is": text, "at_least": f"{text} or more", "at_most": f"{text} or less"}.get(
            kind, f"{kind.replace('_', ' ')} {text}"
        )
    if isinstance(check, str):
        return {"json": "JSON as text", "text": "a text", "present": "such a key"}.get(check, f"{check}")
    return json.dumps(check)


def _show(value: Any) -> str:
    return "nothing" if value is _MISSING else shorten(json.dumps(value, ensure_ascii=False, default=str))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_json(value: Any) -> bool:
    try:
        json.loads(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _is_base64(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        return False


def _is_uuid4(value: Any) -> bool:
    try:
        return isinstance(value, str) and UUID(value).version == 4 and str(UUID(value)) == value  # noqa: PLR2004  # the version of the UUID
    except ValueError:
        return False


_WORDS: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "string": lambda value: isinstance(value, str),
    "text": lambda value: isinstance(value, str) and bool(value.strip()),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
    "json": _is_json,
    "base64": _is_base64,
    "uuid4": _is_uuid4,
}
CHECK_WORDS = frozenset({*_WORDS, "present", "absent"})
CHECK_KINDS = frozenset({"is", "like", "unlike", "one_of", "at_least", "at_most", "length", "min_length"})
"""The keys of checks that have a value."""


def _check_time_id(answer: Answer) -> Iterator[Difference]:
    """The layout that ids of the documentation have: 4 bytes of seconds, then three varints of which the first is microseconds."""
    bodies = answer.stream.chunks[:1] if answer.is_stream else (answer.document,)
    for body in bodies:
        value, created = body.get("id"), body.get("created")
        try:
            data = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)) if isinstance(value, str) else b""
        except (binascii.Error, ValueError):
            data = b""
        if len(data) < _LEAST_ID or len([byte for byte in data[4:] if byte < _CONTINUED]) != _ID_NUMBERS:
            yield Difference("id", "base64 of seconds and three varints", _show(value))
        elif (seconds := int.from_bytes(data[:4], "little")) != created:
            yield Difference("id", f"the seconds of created, {created}", f"{seconds}")


_LEAST_ID, _CONTINUED, _ID_NUMBERS = 7, 0x80, 3


def _compare_error(error: CatalogueError, answer: Answer, values: Mapping[str, str]) -> Iterator[Difference]:
    if error.framing == "html":
        if not fits_template(error.message, answer.text, values):
            yield Difference("body", "the HTML page of the catalogue", shorten(answer.text) or "nothing")
        return
    if error.framing == "oauth":
        yield from _compare_flat({**error.extra, "error_description": error.message}, answer, values)
        return
    if error.framing == "vllm":
        yield from _compare_flat({**error.extra, "message": error.message}, answer, values)
        return
    sent = answer.error
    if not sent:
        yield Difference("body", "an error object", shorten(answer.text) or "nothing")
        return
    wanted: dict[str, Any] = {"code": error.code, "message": error.message, "status": error.status}
    for key, value in wanted.items():
        yield from _compare_template(f"error.{key}", value, sent.get(key, _MISSING), values)
    yield from _compare_template("error.details", error.details or _MISSING, sent.get("details", _MISSING), values)


def _compare_flat(wanted: dict[str, Any], answer: Answer, values: Mapping[str, str]) -> Iterator[Difference]:
    document = answer.document
    if not isinstance(document, dict):
        yield Difference("body", "a JSON object", shorten(answer.text) or "nothing")
        return
    for key, value in wanted.items():
        if value == "":
            continue
        yield from _compare_template(key, value, document.get(key, _MISSING), values)


def _compare_template(place: str, wanted: Any, found: Any, values: Mapping[str, str]) -> Iterator[Difference]:
    """The differences of a value from one whose texts have placeholders."""
    if wanted is _MISSING or found is _MISSING or type(wanted) is not type(found):
        if wanted is not found:
            yield Difference(place, "no such key" if wanted is _MISSING else _show(wanted), _show(found))
    elif isinstance(wanted, str):
        if not fits_template(wanted, found, values):
            yield Difference(place, *map(json.dumps, show_difference(fill(wanted, values), found)))
    elif isinstance(wanted, list):
        if len(wanted) != len(found):
            yield Difference(place, f"a list of {len(wanted)}", f"one of {len(found)}")
        for at, (one, other) in enumerate(zip(wanted, found, strict=False)):
            yield from _compare_template(f"{place}.{at}", one, other, values)
    elif isinstance(wanted, dict):
        for key in dict.fromkeys((*wanted, *found)):
            inner = wanted.get(key, _MISSING), found.get(key, _MISSING)
            yield from _compare_template(f"{place}.{key}", *inner, values)
    elif wanted != found:
        yield Difference(place, _show(wanted), _show(found))


def _compare_shape(shape: Shape, answer: Answer) -> Iterator[Difference]:
    body = answer.json
    found = (
        "an array of one"
        if isinstance(body, list) and len(body) == 1
        else "an object"
        if isinstance(body, dict)
        else ""
    )
    if shape == "object":
        if found != "an object":
            yield Difference("shape of the error", "a bare object", found or shorten(answer.text))
    elif found != "an array of one":
        yield Difference("shape of the error", "an array of one", found or shorten(answer.text))
    elif not re.fullmatch(r'\[\{\n  "error": \{\n.*\n  \}\n\}\n\]\n', answer.text, re.DOTALL):
        yield Difference("layout of the error", r'"[{\n  \"error\": {\n … }\n}\n]\n"', json.dumps(answer.text[:24]))


def _check_header(name: str, check: JsonValue, answer: Answer) -> Iterator[Difference]:
    lines = answer.header(name)
    if isinstance(check, list):
        if lines != check:
            yield Difference(f"header {name}", json.dumps(check), json.dumps(lines))
        return
    value: Any = ", ".join(lines) if lines else _MISSING
    if isinstance(check, str) and check not in CHECK_WORDS:
        check = {"is": check}
    problem = check_value(check, value, {})
    if problem is not None:
        yield Difference(f"header {name}", *problem)


def _check_framing(answer: Answer) -> Iterator[Difference]:
    if not answer.is_stream:
        yield Difference(
            "header content-type", '"text/event-stream"', json.dumps(", ".join(answer.header("content-type")))
        )
        return
    stream = answer.stream
    if stream.error is not None:
        yield Difference("end of the stream", "[DONE]", shorten(f"an error: {json.dumps(stream.error)}"))
    elif not stream.done:
        yield Difference("end of the stream", "[DONE]", shorten(answer.text[-80:]) or "nothing")
    elif stream.strays:
        yield Difference("line of the stream", "data: and a chunk, or nothing", shorten(stream.strays[0]))
    elif not re.fullmatch(r"(?:data: [^\r\n]*\n\n)+", answer.text):
        yield Difference("events of the stream", r'"data: …\n\n" each', json.dumps(answer.text[:80]))
    elif not all(isinstance(chunk, dict) for chunk in stream.chunks) or not stream.chunks:
        yield Difference("chunks of the stream", "JSON objects", shorten(answer.text))


def _compare_keys(path: str, keys: list[str], document: Any) -> Iterator[Difference]:
    for place, value in walk(path, document):
        if not isinstance(value, dict):
            yield Difference(place, f"an object with {', '.join(keys)}", _show(value))
            return
        wanted = [key.rstrip("?") for key in keys if not key.endswith("?") or key[:-1] in value]
        if list(value) != wanted:
            more, less = [key for key in value if key not in wanted], [key for key in wanted if key not in value]
            if more or less:
                found = [*(f"{key} too" for key in more), *(f"no {key}" for key in less)]
                yield Difference(f"keys of {place}", ", ".join(wanted), ", ".join(found))
            else:
                yield Difference(f"order of {place}", ", ".join(wanted), ", ".join(value))
            return


def _check_sum(path: str, parts: list[str], document: Any) -> Iterator[Difference]:
    for place, value in walk(path, document):
        found = [number for part in parts for _, number in walk(part, document)]
        numbers = [number for number in found if _is_number(number)]
        if not _is_number(value) or sum(numbers) != value:
            yield Difference(place, f"the sum of {', '.join(parts)} ({sum(numbers)})", _show(value))


def _check_order(document: Any, place: str) -> Iterator[Difference]:
    for inner, value in _objects(document, place):
        if list(value) != sorted(value):
            pair = next(pair for pair in zip(value, list(value)[1:], strict=False) if pair[0] > pair[1])
            yield Difference(f"order of {inner}", "alphabetical keys", f"{pair[0]} before {pair[1]}")
            return


def _objects(value: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield place, value
        for key, one in value.items():
            yield from _objects(one, f"{place}.{key}")
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from _objects(one, f"{place}.{at}")
