"""Recordings on disk: a folder with a manifest and one readable YAML file for each exchange with the real service.

Bodies come back byte for byte. JSON stands in the file with indentation, together with the `layout` that it had; other text stands as
it was, in a block; what is neither is base64.
"""

import base64
import binascii
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, cast, get_args

import yaml

from emulator.errors import StartError
from emulator.suggestions import quote, suggest
from emulator.wire.sse import EVENT_STREAM_TYPE

MANIFEST = "recording.yaml"
"""The name of a recording's manifest; the folder that has it is a recording."""
FORMAT = 1
"""The version of the files' format."""

_MANIFEST_KEYS = ("recording", "written_by", "started", "upstream", "placeholders", "ignore", "compare", "repeats")
"""The keys that a manifest may have; `recording` has the format."""

Headers = tuple[tuple[str, str], ...]
End = Literal["complete", "cut", "left", "unreachable"]
"""How an exchange ended: complete, broken off by the upstream, left by the client, or without any answer (status 0)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes of an answer's body as they came."""

    at: float
    """Seconds since the request had been sent upstream."""
    data: bytes


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request to the real service, without credentials."""

    method: str
    host: str
    path: str
    """As it was sent: percent-encoded, without the query."""
    query: str
    headers: Headers
    """The headers that matter, their names in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """What came back for a request, and when; times are seconds since the request had been sent."""

    status: int
    """0 if no answer came."""
    headers: Headers
    head_at: float
    frames: tuple[Frame, ...]
    end: End
    ended_at: float

    @property
    def body(self) -> bytes:
        """All bytes of the body that came."""
        return b"".join([frame.data for frame in self.frames])

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream of events."""
        return self.header("content-type").startswith(EVENT_STREAM_TYPE)

    def header(self, name: str) -> str:
        """The first value of a header, its name in lower case; empty if there is none."""
        return next((value for each, value in self.headers if each == name), "")


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """A request to the real service and its answer."""

    number: int
    started: datetime
    request: RecordedRequest
    answer: RecordedAnswer


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of a recording as a whole."""

    written_by: str
    """The program and its version."""
    started: datetime
    upstream: str = ""
    """Where requests were sent; empty for Google's own hosts."""
    placeholders: Mapping[str, int] = field(default_factory=dict)
    """How many secrets of each kind have been replaced: the numbers that placeholders have used."""
    format: int = FORMAT
    ignore: tuple[str, ...] = ()
    """Further differences between requests that do not matter when it is replayed, written by hand."""
    compare: tuple[str, ...] = ()
    """Differences that matter when it is replayed, although by default they do not, written by hand."""
    repeats: str = ""
    """What answers a request that is sent more often than it was recorded, written by hand; empty for the default."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as it was read."""

    folder: Path
    manifest: Manifest
    exchanges: tuple[RecordedExchange, ...]
    """In the order of their numbers, which is that of their requests."""

    @classmethod
    def read(cls, folder: Path) -> "Recording":
        """Read a recording. Raises StartError with file and line for what cannot be read."""
        manifest = read_manifest(folder)
        exchanges: dict[int, RecordedExchange] = {}
        for path in exchange_files(folder):
            exchange = read_exchange(path)
            if exchange.number in exchanges:
                raise StartError(
                    f"{path}: exchange {exchange.number} is in another file of the recording too; give it another number"
                )
            exchanges[exchange.number] = exchange
        return cls(folder, manifest, tuple(exchanges[number] for number in sorted(exchanges)))


def is_recording(folder: Path) -> bool:
    """Whether a folder is a recording: it has a manifest."""
    return (folder / MANIFEST).is_file()


def exchange_files(folder: Path) -> list[Path]:
    """The files of a recording's exchanges, sorted by name."""
    return sorted(path for path in folder.glob("*.yaml") if path.name != MANIFEST and not path.name.startswith("."))


def write_exchange(folder: Path, exchange: RecordedExchange) -> Path:
    """Write an exchange into its file, atomically: the file is whole or not there. Raises OSError."""
    path = folder / f"{exchange.number:04}.yaml"
    _write_atomically(path, "\n".join(_exchange_lines(exchange)))
    return path


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a recording's manifest, atomically. Raises OSError."""
    lines = [
        f"recording: {manifest.format}",
        f"written_by: {_scalar(manifest.written_by)}",
        f"started: {_time_text(manifest.started)}",
        f"upstream: {_scalar(manifest.upstream)}",
    ]
    if manifest.placeholders:
        lines += ["placeholders:", *(f"  {kind}: {count}" for kind, count in sorted(manifest.placeholders.items()))]
    for key, names in (("ignore", manifest.ignore), ("compare", manifest.compare)):
        if names:
            lines += [f"{key}:", *(f"- {_scalar(name)}" for name in names)]
    if manifest.repeats:
        lines.append(f"repeats: {_scalar(manifest.repeats)}")
    _write_atomically(folder / MANIFEST, "\n".join([*lines, ""]))


def read_manifest(folder: Path) -> Manifest:
    """Read a recording's manifest. Raises StartError."""
    path = folder / MANIFEST
    root = _parse(path)
    if (version := root.number("recording")) != FORMAT:
        root.fail("recording", f"the recording has format {version:g}, and this version reads format {FORMAT}")
    for key in root.entries:
        if key not in _MANIFEST_KEYS:
            root.fail(key, f"a recording has no {quote(key)}{suggest(key, _MANIFEST_KEYS)}")
    placeholders = root.mapping("placeholders") if root.has("placeholders") else None
    return Manifest(
        written_by=root.text("written_by"),
        started=root.time("started"),
        upstream=root.text("upstream"),
        placeholders={kind: int(placeholders.number(kind)) for kind in placeholders.entries} if placeholders else {},
        ignore=root.texts("ignore"),
        compare=root.texts("compare"),
        repeats=root.text("repeats") if root.has("repeats") else "",
    )


def read_exchange(path: Path) -> RecordedExchange:
    """Read an exchange from its file. Raises StartError with file and line for what cannot be read."""
    root = _parse(path)
    request, answer = root.mapping("request"), root.mapping("answer")
    end = answer.text("end")
    if end not in get_args(End):
        answer.fail("end", f'"end" is one of {", ".join(get_args(End))}, not "{end}"')
    return RecordedExchange(
        number=int(root.number("number")),
        started=root.time("started"),
        request=RecordedRequest(
            method=request.text("method"),
            host=request.text("host"),
            path=request.text("path"),
            query=request.text("query"),
            headers=request.headers(),
            body=request.body(),
        ),
        answer=RecordedAnswer(
            status=int(answer.number("status")),
            headers=answer.headers(),
            head_at=answer.number("head_at_ms") / 1000,
            frames=tuple(Frame(each.number("at_ms") / 1000, each.body()) for each in answer.mappings("frames")),
            end=cast("End", end),
            ended_at=answer.number("ended_at_ms") / 1000,
        ),
    )


# Writing


def _exchange_lines(exchange: RecordedExchange) -> Iterator[str]:
    request, answer = exchange.request, exchange.answer
    yield f"number: {exchange.number}"
    yield f"started: {_time_text(exchange.started)}"
    yield "request:"
    yield f"  method: {_scalar(request.method)}"
    yield f"  host: {_scalar(request.host)}"
    yield f"  path: {_scalar(request.path)}"
    yield f"  query: {_scalar(request.query)}"
    yield from _header_lines(request.headers)
    if request.body:
        yield from _body_lines(request.body, "  ")
    yield "answer:"
    yield f"  status: {answer.status}"
    yield from _header_lines(answer.headers)
    yield f"  head_at_ms: {_milliseconds(answer.head_at)}"
    yield "  frames:" if answer.frames else "  frames: []"
    for frame in answer.frames:
        yield f"  - at_ms: {_milliseconds(frame.at)}"
        yield from _body_lines(frame.data, "    ")
    yield f"  end: {answer.end}"
    yield f"  ended_at_ms: {_milliseconds(answer.ended_at)}"
    yield ""


def _header_lines(headers: Headers) -> Iterator[str]:
    yield "  headers:" if headers else "  headers: []"
    for name, value in headers:
        yield f"  - {_scalar(name)}: {_scalar(value)}"


def _body_lines(data: bytes, indentation: str) -> Iterator[str]:
    """The lines of some bytes: as JSON with its layout, as text, or as base64."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        yield f"{indentation}base64: {base64.b64encode(data).decode()}"
        return
    if (found := _find_layout(text)) is not None:
        layout, value = found
        yield f"{indentation}layout: {layout}"
        yield from _text_lines("json", json.dumps(value, ensure_ascii=False, indent=2), indentation)
    else:
        yield from _text_lines("text", text, indentation)


_LAYOUTS: Mapping[str, Mapping[str, Any]] = {
    f"{name}{suffix}": {"separators": separators, "ensure_ascii": is_ascii}
    for name, separators in (("compact", (",", ":")), ("spaced", (", ", ": ")))
    for suffix, is_ascii in (("", False), ("-ascii", True))
}
"""How JSON can be laid out on one line, as arguments of `json.dumps`."""


def _find_layout(text: str) -> tuple[str, Any] | None:
    """The layout and the value of JSON text that can be written with indentation and restored exactly; None for any other text."""
    if not text.startswith(("{", "[")) or len(text) <= len("[{}]"):
        return None
    try:
        value = json.loads(text)
        for name, settings in _LAYOUTS.items():
            if json.dumps(value, **settings) == text:
                json.dumps(value, ensure_ascii=False).encode()  # raises for halves of surrogate pairs
                return name, value
    except (ValueError, RecursionError):
        pass
    return None


# What YAML readers take for a line break or do not take at all.
_NOT_IN_BLOCK = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def _text_lines(key: str, text: str, indentation: str) -> Iterator[str]:
    """The lines of a text below a key: a literal block, or a quoted text where YAML has no block for it."""
    if not text.strip("\n") or _NOT_IN_BLOCK.search(text):
        yield f"{indentation}{key}: {_quote(text)}"
        return
    body = text.rstrip("\n")
    breaks = len(text) - len(body)
    # Spaces or line breaks at the start would be taken for indentation; tabs are not, but some readers stumble over them.
    indicator = "2" if text[0] in " \n\t" else ""
    yield f"{indentation}{key}: |{indicator}{('-', '')[breaks] if breaks <= 1 else '+'}"
    for line in body.split("\n"):
        yield f"{indentation}  {line}" if line else ""
    yield from [""] * (breaks - 1)


_PLAIN = re.compile(r"[A-Za-z0-9/][\w./@%+=()-]*(?:[ ;,][\w./@%+=()-]+)*", re.ASCII)


def _scalar(text: str) -> str:
    """A text as it stands behind a key: plain where that cannot be misread, else quoted."""
    return text if _PLAIN.fullmatch(text) and not text.endswith(":") else _quote(text)


def _quote(text: str) -> str:
    """A text between double quotes, with YAML's escapes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    escaped = escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    escaped = _NOT_IN_BLOCK.sub(lambda found: f"\\u{ord(found[0]):04x}", escaped)
    return f'"{escaped}"'


def _time_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3f}".rstrip("0").rstrip(".")


def _write_atomically(path: Path, text: str) -> None:
    """Write a file beside its place and move it there, so that who is killed meanwhile leaves no half of one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(text.encode())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


# Reading

_MAX_DEPTH = 8


class _Value(NamedTuple):
    """A value of a YAML file and its line; scalars are texts as they are written."""

    line: int
    content: "str | list[_Value] | dict[str, _Value]"


_KINDS: Mapping[type, str] = {str: "a text", list: "a list", dict: "a mapping"}


class _Mapping:
    """A mapping of a YAML file, whose fields are read by what they have to be; everything raises StartError."""

    def __init__(self, path: Path, value: _Value, name: str) -> None:
        self._path = path
        self._line = value.line
        self._name = name
        if not isinstance(value.content, dict):
            raise StartError(f"{path}:{value.line}: {name} is a mapping, not {_KINDS[type(value.content)]}")
        self.entries = value.content

    def fail(self, key: str, message: str) -> NoReturn:
        """Raise StartError with the place of a field."""
        raise StartError(f"{self._path}:{self.entries[key].line if key in self.entries else self._line}: {message}")

    def has(self, key: str) -> bool:
        """Whether it has a field."""
        return key in self.entries

    def _get(self, key: str, kind: type) -> Any:
        if key not in self.entries:
            self.fail(key, f'{self._name} has no "{key}"; if it was edited by hand, restore it or record again')
        found = self.entries[key].content
        if not isinstance(found, kind):
            self.fail(key, f'"{key}" is {_KINDS[kind]}, not {_KINDS[type(found)]}')
        return found

    def text(self, key: str) -> str:
        """A text."""
        text: str = self._get(key, str)
        return text

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; none if there is no such field."""
        found: list[_Value] = self._get(key, list) if self.has(key) else []
        for each in found:
            if not isinstance(each.content, str):
                raise StartError(
                    f'{self._path}:{each.line}: each of "{key}" is a text, not {_KINDS[type(each.content)]}'
                )
        return tuple(cast("str", each.content) for each in found)

    def number(self, key: str) -> float:
        """A number that is not negative."""
        text = self.text(key)
        if not re.fullmatch(r"\d{1,15}(\.\d{1,9})?", text, re.ASCII):
            self.fail(key, f'"{key}" is a number, not "{text[:80]}"')
        return float(text)

    def time(self, key: str) -> datetime:
        """A moment."""
        try:
            moment = datetime.fromisoformat(self.text(key))
        except ValueError:
            self.fail(key, f'"{key}" is a time such as 2026-01-31T12:00:00Z, not "{self.text(key)[:80]}"')
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def mapping(self, key: str) -> "_Mapping":
        """A mapping."""
        self._get(key, dict)
        return _Mapping(self._path, self.entries[key], f'"{key}"')

    def mappings(self, key: str) -> "list[_Mapping]":
        """A list of mappings."""
        return [_Mapping(self._path, each, f'each of "{key}"') for each in self._get(key, list)]

    def headers(self) -> Headers:
        """The field `headers`: a list of names with their values."""
        return tuple((name, each.text(name)) for each in self.mappings("headers") for name in each.entries)

    def body(self) -> bytes:
        """The bytes that stand in one of the fields `json`, `text` and `base64`; none if there is no such field."""
        if self.has("json"):
            layout = self.text("layout")
            if layout not in _LAYOUTS:
                self.fail("layout", f'"layout" is one of {", ".join(_LAYOUTS)}, not "{layout[:80]}"')
            try:
                return json.dumps(json.loads(self.text("json")), **_LAYOUTS[layout]).encode()
            except (ValueError, RecursionError) as error:
                self.fail("json", f'"json" is not JSON: {error}')
        if self.has("base64"):
            try:
                return base64.b64decode(self.text("base64"), validate=True)
            except (binascii.Error, ValueError):
                self.fail("base64", '"base64" is not base64')
        return self.text("text").encode() if self.has("text") else b""


def _parse(path: Path) -> _Mapping:
    """The mapping that a YAML file holds. Raises StartError."""
    try:
        content = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else "it is not UTF-8"
        raise StartError(f"cannot read {path}: {reason}") from None
    try:
        events = yaml.parse(content, Loader=yaml.CSafeLoader)
        next(events)  # the stream's start
        if isinstance(next(events), yaml.StreamEndEvent):
            raise StartError(f"{path}: the file is empty; restore it or record again")
        root = _compose(path, next(events), events, 1)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise StartError(f"{path}:{line}: the YAML cannot be read: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise StartError(f"{path}: the YAML cannot be read: {' '.join(str(error).split())}") from None
    return _Mapping(path, root, "the file")


def _compose(path: Path, event: Any, events: Iterator[Any], depth: int) -> _Value:
    """The value that begins with an event. Raises StartError for what no recording has."""
    line = event.start_mark.line + 1
    if isinstance(event, yaml.ScalarEvent):
        return _Value(line, event.value)
    if isinstance(event, yaml.AliasEvent) or depth > _MAX_DEPTH:
        raise StartError(f"{path}:{line}: no recording has aliases, or lists and mappings nested so deep")
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_compose(path, event, events, depth + 1))
        return _Value(line, items)
    entries: dict[str, _Value] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key, value = _compose(path, event, events, depth + 1), _compose(path, next(events), events, depth + 1)
        if not isinstance(key.content, str):
            raise StartError(f"{path}:{key.line}: a key is a text")
        entries[key.content] = _Value(key.line, value.content)
    return _Value(line, entries)
