"""Requests compared by meaning: the canonical form of a request, its digests, and the differences between two requests.

What never matters: whitespace and key order of JSON, `null` fields, the order of parallel tool results, how a data URL is encoded, and the
values of what a recording does not keep, such as tokens. `Differences` says which further kinds matter.
"""

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, unquote_to_bytes

from emulator.errors import StartError
from emulator.recording.recording import RecordedRequest
from emulator.suggestions import list_accepted, quote, suggest_one

KINDS = ("project", "location", "api_version", "query", "call_ids", "signatures", "timestamps", "whitespace")
"""The kinds of differences that a recording can name, beside `header NAME` and `body.PATH`."""
IGNORED = frozenset(KINDS) - {"query"}
"""Those that do not matter unless a recording says so."""

_HEADER = "header "
_BODY = "body."
CREDENTIALS = frozenset({"key", "access_token", "oauth_token"})
"""Query parameters that carry credentials."""
_RESOURCE = re.compile(r"\b(projects|locations)/([^/\s\"']+)")
_VERSION = re.compile(r"^/v1(beta1|alpha)?/")
# A date alone may be what is asked about; with a time to the second it is the moment at which a program asked.
_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?"
    r"|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? (?:\d{1,2} [A-Z][a-z]{2}|[A-Z][a-z]{2} +\d{1,2})[a-z]*,? (?:\d{4} )?\d\d:\d\d:\d\d"
    r"(?: \d{4})?(?: (?:UTC|GMT|[+-]\d{4}))?"
)
_CLOCK = re.compile(r":\d\d:\d\d")
"""What every such time has, and what is found many times as quickly."""
_SIGNATURES = frozenset({"thought_signature", "thoughtSignature"})
_CALL_IDS = frozenset({"tool_call_id", "call_id"})
_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*?)(;base64)?,(.*)", re.DOTALL | re.IGNORECASE)
_INLINE = frozenset({"data", "b64_json"})
# What `emulator.recording.secrets` writes.
_PLACEHOLDER = re.compile(
    r"redacted-(?:token|key|account|project|custom)-\d+(?:@redacted\.invalid)?|(?<!\d)9000000\d{5}(?!\d)"
)
_LONG = 1_024
"""Characters from which text in a field of inline data is taken for base64."""


@dataclass(frozen=True, slots=True)
class Differences:
    """Which differences between two requests do not matter."""

    ignored: frozenset[str] = IGNORED
    """Of `KINDS`."""
    fields: tuple[tuple[str, ...], ...] = ()
    """Fields of the body, each as its keys; `[]` stands for every item of a list, `*` for every key."""
    headers: tuple[str, ...] = ()
    """Headers that are compared, in lower case; others are not."""

    @classmethod
    def read(cls, ignore: Sequence[str], compare: Sequence[str], where: str) -> "Differences":
        """Read the lists `ignore` and `compare` of a recording. Raises StartError, which begins with `where`."""
        ignored, fields, headers = set(IGNORED), list[tuple[str, ...]](), list[str]()
        for name in ignore:
            if name.startswith(_BODY) and name.removeprefix(_BODY).strip("."):
                fields.append(tuple(key for key in re.split(r"\.|(?=\[\])", name.removeprefix(_BODY)) if key))
            elif name in KINDS:
                ignored.add(name)
            else:
                raise StartError(f"{where}: {_expected('ignore', name, 'body.temperature')}")
        for name in compare:
            if name.startswith(_HEADER):
                headers.append(name.removeprefix(_HEADER).strip().lower())
            elif name in KINDS:
                ignored.discard(name)
            else:
                raise StartError(f"{where}: {_expected('compare', name, 'header x-team')}")
        return cls(frozenset(ignored), tuple(fields), tuple(headers))


def _expected(key: str, name: str, other: str) -> str:
    expected = f"`{key}` must be a list of {list_accepted(name, KINDS)} or names such as `{other}`, not {quote(name)}"
    return expected + suggest_one(name, KINDS)


class Meaning(NamedTuple):
    """What a request means: equal ones mean the same."""

    exact: bytes
    """A digest with times and whitespace inside texts told apart, so that a prompt is not taken for one that it resembles."""
    loose: bytes
    """A digest of only what matters."""
    text: str
    """What matters, as JSON."""


def read_meaning(request: RecordedRequest, differences: Differences) -> Meaning:
    """The meaning of a request."""
    narrow = Differences(differences.ignored - {"timestamps", "whitespace"}, differences.fields, differences.headers)
    text = _dump(canonical(request, differences))
    return Meaning(_digest(_dump(canonical(request, narrow))), _digest(text), text)


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def compile_placeholders(text: str) -> re.Pattern[str] | None:
    """A pattern of `Meaning.text` for requests that mean the same but for the secrets that a recording does not keep; None for one without any."""
    pieces: list[str] = []
    numbers: dict[str, int] = {}
    at = 0
    for found in _PLACEHOLDER.finditer(text):
        pieces.append(re.escape(text[at : found.start()]))
        at = found.end()
        # The same secret stands everywhere where the same placeholder does.
        if found[0] in numbers:
            pieces.append(f"(?:\\{numbers[found[0]]})")
            continue
        numbers[found[0]] = len(numbers) + 1
        # Not what stands between two of them, or the ways to divide a text would grow with each.
        pieces.append(r'([^"\s\\,;()<>\[\]{}]{1,4000}?)')
    return re.compile("".join([*pieces, re.escape(text[at:])])) if pieces else None


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def canonical(request: RecordedRequest, differences: Differences) -> dict[str, Any]:
    """What matters of a request, as JSON: method, path, query, headers and body."""
    reader = _Reader(differences)
    found: dict[str, Any] = {"method": request.method.upper(), "path": reader.read_path(request.path)}
    if request.query and "query" not in differences.ignored:
        pairs = parse_qsl(request.query, keep_blank_values=True)
        if query := sorted([name, reader.read_text(value)] for name, value in pairs if name not in CREDENTIALS):
            found["query"] = query
    if differences.headers:
        values = {name.lower(): value for name, value in request.headers}
        found["headers"] = {name: values.get(name) for name in differences.headers}
    if request.body:
        found["body"] = reader.read_body(request.body)
    return found


@dataclass(slots=True)
class _Reader:
    """Reads one request."""

    differences: Differences
    calls: dict[str, str] = field(default_factory=dict)
    """The ids of tool calls in order of appearance, and what stands for them."""

    def ignores(self, kind: str) -> bool:
        return kind in self.differences.ignored

    def read_path(self, path: str) -> str:
        path = unquote(path).rstrip("/")
        return self._read_resources(_VERSION.sub("/v*/", path) if self.ignores("api_version") else path)

    def _read_resources(self, text: str) -> str:
        return _RESOURCE.sub(lambda found: f"{found[1]}/*" if self.ignores(found[1][:-1]) else found[0], text)

    def read_body(self, body: bytes) -> Any:
        text = body.decode("utf-8", "replace")
        value = _parse(text)
        if value is text:
            return self.read_text(text)
        value = self._read(_without(value, self.differences.fields))
        if isinstance(value, dict) and isinstance(messages := value.get("messages"), list):
            value["messages"] = _sort_results(messages)
        return value

    def _read(self, value: Any, key: str = "") -> Any:
        match value:
            case dict():
                is_call = key in {"tool_calls", "tool_calls[]"} or value.get("type") == "function_call"
                return {
                    name: self._read_call_id(one)
                    if isinstance(one, str) and (name in _CALL_IDS or (is_call and name == "id"))
                    else "<signature>"
                    if name in _SIGNATURES and self.ignores("signatures")
                    else self._read(one, name)
                    for name, one in value.items()
                    if one is not None
                }
            case list():
                if key == "content" and len(value) == 1 and (text := _text_of(value[0])) is not None:
                    return self._read(text, key)
                return [self._read(one, f"{key}[]") for one in value]
            case str():
                if key in {"arguments", "content"} and (parsed := _parse(value)) is not value:
                    return {"json": self._read(parsed)}
                if key in _INLINE and len(value) >= _LONG:
                    return _digest_of(_decode(value.encode()))
                return self.read_text(value)
            case float() if value.is_integer():
                return int(value)
            case _:
                return value

    def _read_call_id(self, id_: str) -> str:
        if not self.ignores("call_ids"):
            return id_
        return self.calls.setdefault(id_, f"call {len(self.calls) + 1}")

    def read_text(self, text: str) -> str:
        if text[:5].lower() == "data:" and (found := _DATA_URL.match(text)):
            raw = unquote_to_bytes(found[4])
            return f"data:{found[1].lower()}{found[2]} {_digest_of(_decode(raw) if found[3] else raw)}"
        if "projects/" in text or "locations/" in text:
            text = self._read_resources(text)
        if self.ignores("timestamps") and _CLOCK.search(text):
            text = _TIMESTAMP.sub("<time>", text)
        return " ".join(text.split()) if self.ignores("whitespace") else text


def _text_of(part: Any) -> str | None:
    """The text of a part of a message that has nothing else."""
    return (
        part["text"] if isinstance(part, dict) and part.keys() == {"type", "text"} and part["type"] == "text" else None
    )


def _parse(text: str) -> Any:
    """The JSON object or list that a text is; the text itself if it is none."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict | list) else text


def _digest_of(data: bytes) -> str:
    return f"sha256 {sha256(data).hexdigest()[:16]}, {len(data)} bytes"


def _decode(data: bytes) -> bytes:
    plain = b"".join(data.split()).rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        return b64decode(plain + b"=" * (-len(plain) % 4))
    except ValueError:
        return data


def _without(value: Any, fields: Sequence[tuple[str, ...]]) -> Any:
    """A JSON value without some fields."""
    if not fields:
        return value
    if isinstance(value, list):
        below = [field[1:] for field in fields if field[0] == "[]"]
        return [_without(one, below) for one in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for key, one in value.items():
        below = [field[1:] for field in fields if field[0] in {key, "*"}]
        if () not in below:
            found[key] = _without(one, below)
    return found


def _sort_results(messages: list[Any]) -> list[Any]:
    """The messages with tool results that stand next to each other in the order of their calls."""
    found: list[Any] = []
    results: list[Any] = []
    for message in (*messages, None):
        if isinstance(message, dict) and "tool_call_id" in message:
            results.append(message)
            continue
        found += sorted(results, key=lambda one: _natural(str(one["tool_call_id"])))
        results = []
        if message is not None:
            found.append(message)
    return found


def _natural(id_: str) -> tuple[int, str]:
    number = id_.rpartition(" ")[2]
    return (int(number) if number.isdecimal() else 0, id_)


class Difference(NamedTuple):
    """One difference between a recorded request and another."""

    where: str
    """`messages[1].content`, `path`, `header x-team`."""
    recorded: str
    got: str


_ABSENT = object()
_WIDTH = 60
"""Characters of a value in a difference."""
_LEAD = 20
"""Characters before the first that differs."""


def find_differences(recorded: Mapping[str, Any], got: Mapping[str, Any]) -> Iterator[Difference]:
    """The differences between two canonical requests, in the order of their fields."""
    for name in ("method", "path", "query"):
        yield from compare_json(recorded.get(name, _ABSENT), got.get(name, _ABSENT), name)
    for name in recorded.get("headers", {}):
        yield from compare_json(recorded["headers"][name], got["headers"][name], f"header {name}")
    yield from compare_json(recorded.get("body", _ABSENT), got.get("body", _ABSENT), "")


def compare_json(recorded: Any, got: Any, where: str = "") -> Iterator[Difference]:
    """The differences between two JSON values."""
    if isinstance(recorded, dict) and isinstance(got, dict):
        for key in {**recorded, **got}:
            yield from compare_json(
                recorded.get(key, _ABSENT), got.get(key, _ABSENT), f"{where}.{key}" if where else key
            )
    elif isinstance(recorded, list) and isinstance(got, list):
        for at in range(max(len(recorded), len(got))):
            ours, others = (one[at] if at < len(one) else _ABSENT for one in (recorded, got))
            yield from compare_json(ours, others, f"{where}[{at}]")
    elif recorded != got or type(recorded) is not type(got):
        start = 0
        if isinstance(recorded, str) and isinstance(got, str):
            same = next((at for at, (one, other) in enumerate(zip(recorded, got, strict=False)) if one != other), None)
            start = max((min(len(recorded), len(got)) if same is None else same) - _LEAD, 0)
        yield Difference(where or "body", _show(recorded, start), _show(got, start))


def _show(value: Any, start: int) -> str:
    """A value on one short line, a text from some character on."""
    if value is _ABSENT:
        return "nothing"
    text = value[start:] if isinstance(value, str) else _dump(value)
    shown = text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
    if not isinstance(value, str):
        return shown
    return json.dumps(f"{'…' if start else ''}{shown}", ensure_ascii=False)


def list_leaves(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """The values in a canonical request with their places, to tell how alike two are."""
    match value:
        case dict():
            for key, one in value.items():
                yield from list_leaves(one, f"{where}.{key}")
        case list():
            for at, one in enumerate(value):
                yield from list_leaves(one, f"{where}[{at}]")
        case str():
            # Texts that share words are more alike than others.
            yield where, value
            yield from ((where, word) for word in value.split()[:200])
        case _:
            yield where, repr(value)
