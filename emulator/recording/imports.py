"""Imports of recordings that other programs have made: cassettes of VCR.py (YAML or JSON) and HAR files."""

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import yaml

from emulator.errors import StartError
from emulator.recording.recorder import is_google_host, is_recorded
from emulator.recording.recording import Frame, Headers, RecordedAnswer, RecordedExchange, RecordedRequest
from emulator.redaction import clean_line
from emulator.wire.sse import EVENT_STREAM_TYPE
from emulator.wire.urls import host_for

_GZIP = b"\x1f\x8b"
_EVENT_END = b"\n\n"


def read_exchanges(file: Path) -> tuple[list[RecordedExchange], Counter[str]]:
    """The exchanges of a file that were with Vertex AI, all with number 0, and how many others it has, by `to HOST`.

    Raises StartError for a file that cannot be read, is neither a cassette nor a HAR file, or has no such exchange.
    """
    reader = _Reader(file)
    exchanges, others = [], Counter[str]()
    for exchange in reader.exchanges():
        request = exchange.request
        if is_recorded(request.host, request.path):
            exchanges.append(exchange)
        else:
            others[f"to {clean_line(request.host, 80)}"] += 1
    if not exchanges:
        found = ", ".join(f"{number} {what}" for what, number in others.most_common(5)) or "none at all"
        raise StartError(f"{file} has no exchange with Vertex AI, only {found}; nothing was imported")
    return exchanges, others


@dataclass(slots=True)
class _Reader:
    """Reads one file."""

    file: Path
    _where: str = ""

    def exchanges(self) -> Iterator[RecordedExchange]:
        """All exchanges of the file, in its order. Raises StartError."""
        data = self._load()
        if isinstance(data, dict) and "interactions" in data:
            modified = datetime.fromtimestamp(self.file.stat().st_mtime, UTC)
            for interaction in self._entries(data["interactions"], "interaction"):
                yield self._read_interaction(interaction, modified)
        elif isinstance(data, dict) and isinstance(data.get("log"), dict):
            for entry in self._entries(data["log"].get("entries"), "entry"):
                yield self._read_entry(entry)
        else:
            raise StartError(
                f'{self.file} is neither a cassette of VCR.py, which has "interactions", nor a HAR file, which has a "log"'
            )

    def _load(self) -> Any:
        try:
            content = self.file.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else "it is not UTF-8"
            raise StartError(f"cannot read {self.file}: {reason}") from None
        try:
            # YAML would read JSON too, but slowly, and not all of its escapes.
            return json.loads(content) if content.lstrip().startswith("{") else yaml.load(content, yaml.CSafeLoader)
        except json.JSONDecodeError as error:
            raise StartError(
                f"{self.file}:{error.lineno}:{error.colno}: the JSON cannot be read: {error.msg}"
            ) from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
            raise StartError(f"{self.file}{place}: the YAML cannot be read: {error.problem or error.context}") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise StartError(f"{self.file}: the YAML cannot be read: {' '.join(str(error).split())}") from None

    def _entries(self, entries: Any, noun: str) -> Iterator[Mapping[str, Any]]:
        if not isinstance(entries, list):
            raise StartError(f"{self.file}: its {noun} list is {_kind(entries)}, and should be a list")
        for number, entry in enumerate(entries, start=1):
            self._where = f"{noun} {number}"
            yield self._mapping(entry, "it")

    def _fail(self, message: str) -> NoReturn:
        raise StartError(f"{self.file}: {self._where} cannot be imported: {message}")

    def _mapping(self, value: Any, name: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self._fail(f"{name} should be a mapping, and is {_kind(value)}")
        return value

    def _bytes(self, value: Any, name: str) -> bytes:
        if isinstance(value, str | None):
            return (value or "").encode("utf-8", "surrogateescape")
        if not isinstance(value, bytes):
            self._fail(f"{name} should be a text, and is {_kind(value)}")
        return value

    def _decode(self, value: Any, name: str) -> bytes:
        try:
            return base64.b64decode(self._bytes(value, name), validate=True)
        except binascii.Error:
            self._fail(f"{name} is not base64")

    def _number(self, value: Any, name: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._fail(f"{name} should be a number, and is {_kind(value)}")
        return max(0.0, float(value))

    def _request(self, method: Any, url: Any, headers: Headers, body: bytes) -> RecordedRequest:
        if not isinstance(method, str) or not isinstance(url, str):
            self._fail("its request has no method or no URL")
        try:
            split = urlsplit(url)
            host = split.hostname or ""
        except ValueError:
            self._fail(f'"{clean_line(url, 200)}" is no URL')
        if not is_google_host(host):
            host = host_for(split.path) or host
        return RecordedRequest(method.upper(), host, split.path or "/", split.query, headers, body)

    # VCR.py

    def _read_interaction(self, interaction: Mapping[str, Any], started: datetime) -> RecordedExchange:
        """An interaction; cassettes have no times, so that all is there at once."""
        request = self._mapping(interaction.get("request"), "its request")
        response = self._mapping(interaction.get("response"), "its response")
        status = response.get("status", response.get("status_code"))
        if isinstance(status, dict):
            status = status.get("code")
        # Older versions wrote what came through httpx in another form.
        body = response["body"] if "body" in response else response.get("content")
        if isinstance(body, dict):
            body = (
                body["string"]
                if "string" in body
                else self._decode(body.get("base64_string"), "the body of its response")
            )
        data = self._bytes(body, "the body of its response")
        headers = self._vcr_headers(response.get("headers"))
        if not data.startswith(_GZIP):
            headers = tuple(pair for pair in headers if pair[0] != "content-encoding")
        asked = request.get("body")
        if isinstance(asked, dict):
            asked = asked.get("string")
        return RecordedExchange(
            0,
            started,
            self._request(
                request.get("method"),
                request.get("uri"),
                self._vcr_headers(request.get("headers")),
                self._bytes(asked, "the body of its request"),
            ),
            _answer(int(self._number(status, "its status")), headers, data, 0.0, 0.0),
        )

    def _vcr_headers(self, headers: Any) -> Headers:
        pairs = []
        for name, values in self._mapping(headers or {}, "its headers").items():
            for value in values if isinstance(values, list) else [values]:
                text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
                pairs.append((str(name).lower(), text))
        return tuple(pairs)

    # HAR

    def _read_entry(self, entry: Mapping[str, Any]) -> RecordedExchange:
        """An entry; a HAR file has the times of head and end, and what came between is spread evenly."""
        request = self._mapping(entry.get("request"), "its request")
        response = self._mapping(entry.get("response"), "its response")
        timings = self._mapping(entry.get("timings") or {}, "its timings")
        wait, receive = (self._number(timings.get(name, 0), f"its {name}") / 1000 for name in ("wait", "receive"))
        content = self._mapping(response.get("content") or {}, "the content of its response")
        if "_file" in content:
            self._fail("the body of its response is in another file; save the HAR file with its content embedded")
        read = self._decode if content.get("encoding") == "base64" else self._bytes
        data = read(content.get("text"), "the text of its response")
        # Tools decompress bodies, but keep the header.
        headers = tuple(pair for pair in self._har_headers(response.get("headers")) if pair[0] != "content-encoding")
        posted = self._mapping(request.get("postData") or {}, "its postData")
        asked = tuple(pair for pair in self._har_headers(request.get("headers")) if pair[0] != "content-encoding")
        try:
            started = datetime.fromisoformat(str(entry.get("startedDateTime")))
        except ValueError:
            self._fail('it has no "startedDateTime"')
        return RecordedExchange(
            0,
            started if started.tzinfo else started.replace(tzinfo=UTC),
            self._request(
                request.get("method"),
                request.get("url"),
                asked,
                self._bytes(posted.get("text"), "the text of its postData"),
            ),
            _answer(int(self._number(response.get("status"), "its status")), headers, data, wait, receive),
        )

    def _har_headers(self, headers: Any) -> Headers:
        if not isinstance(headers or [], list):
            self._fail(f"its headers should be a list, and are {_kind(headers)}")
        pairs = [self._mapping(header, "a header") for header in headers or []]
        named = [(str(pair.get("name", "")).lower(), str(pair.get("value", ""))) for pair in pairs]
        # Those of HTTP/2 that begin with a colon say what the URL says.
        return tuple(pair for pair in named if pair[0] and not pair[0].startswith(":"))


def _answer(status: int, headers: Headers, body: bytes, head_at: float, duration: float) -> RecordedAnswer:
    """An answer of which only the whole body is known: a stream is split into its events, which are spread over the time."""
    is_stream = any(name == "content-type" and value.startswith(EVENT_STREAM_TYPE) for name, value in headers)
    parts = [part + _EVENT_END for part in body.split(_EVENT_END)] if is_stream else [body]
    if is_stream:
        parts[-1] = parts[-1].removesuffix(_EVENT_END)
    parts = [part for part in parts if part]
    step = duration / max(1, len(parts) - 1)
    frames = tuple(Frame(head_at + number * step, part) for number, part in enumerate(parts))
    return RecordedAnswer(status, headers, head_at, frames, "complete" if status else "unreachable", head_at + duration)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "missing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str() | bytes():
            return "a text"
    return f"{value!r}"[:40]
