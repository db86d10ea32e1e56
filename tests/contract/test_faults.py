"""Faults as real clients meet them, each over a real socket; and the table of what official clients make of them."""

import asyncio
import json
import os
import re
import socket
import subprocess
from base64 import b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from openai import APIError, OpenAI

from emulator.api.emulator import Emulator
from emulator.catalogue.faults import FAULT_NAMES, FAULTS
from emulator.server.settings import Settings

PROGRAM = Path(__file__).with_name("node") / "faults.mjs"
GUIDE = Path(__file__).parents[2] / "docs" / "faults.md"
BEGIN, END = "tests/contract/test_faults.py -->\n", "<!-- end -->"
REFRESH = "UPDATE_EXPECTED=1 pytest tests/contract/test_faults.py writes docs/faults.md anew; read the difference"

PIECES = ["Eins.", " Zwei süß.", " Drei.", " Vier."]
TEXT = "".join(PIECES)
REQUEST: dict[str, Any] = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "hi"}]}
NONE = "none"
"""The name under which the answer comes without a fault."""
EVENT = "fail_mid_stream_as_event"
"""The name under which the error inside a stream comes as an event, as some proxies write it."""
ALL = (NONE, EVENT, *FAULT_NAMES)
WRITTEN: dict[str, dict[str, Any]] = {name: fault.written for name, fault in FAULTS.items()}
STALL_LIMIT, LIMIT = 1.0, 30.0
"""Seconds of patience with what stalls, and with what does not."""


def project_of(fault: str) -> str:
    """The project whose answers have a fault."""
    return fault.replace("_", "-")


def limit_of(fault: str) -> float:
    """How long an answer with a fault is waited for."""
    return STALL_LIMIT if fault.startswith("stall") else LIMIT


def rule_with(fault: str) -> dict[str, Any]:
    """A rule whose answers have a fault."""
    if fault in {NONE, EVENT}:
        return {
            "reply": {"say": PIECES},
            **({"fault": "fail_mid_stream", "quirks": ["data_errors"]} if fault == EVENT else {}),
        }
    # Before a connection is dropped, there is time to read what came: some clients throw away what an error overtakes.
    late = [{"stall": 200, "fraction": 1}] if WRITTEN[fault].get("cut") in {"reset", "close"} else []
    return {"reply": {"say": PIECES}, "fault": [fault, *late]}


@pytest.fixture(scope="module")
def vertex() -> Iterator[Emulator]:
    """One emulator in which each fault has a project of its own."""
    with Emulator(settings=Settings(auth="off", seed="faults")) as running:
        for fault in ALL:
            text = json.dumps({"rules": [rule_with(fault)]}, ensure_ascii=False)
            running.session(project_of(fault)).push(f"{text}\n")
        yield running


# What is on the wire


@dataclass
class Heard:
    """What came over a socket."""

    raw: bytes
    error: type[OSError] | None

    @property
    def head(self) -> bytes:
        """Status line and headers."""
        return self.raw.partition(b"\r\n\r\n")[0]

    @property
    def pieces(self) -> list[bytes]:
        """The pieces of the chunked body, the last one empty if it is finished."""
        rest, pieces = self.raw.partition(b"\r\n\r\n")[2], []
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            pieces.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        return pieces

    @property
    def body(self) -> bytes:
        """What came of the body."""
        return b"".join(self.pieces)

    @property
    def is_finished(self) -> bool:
        """Whether HTTP is in order to the end."""
        return self.error is None and self.raw.endswith(b"\r\n0\r\n\r\n")


def hear(vertex: Emulator, fault: str, *, stream: bool) -> Heard:
    """Send a request over a bare socket and hear what comes until the connection ends, or does not."""
    host, _, port = vertex.url.removeprefix("http://").partition(":")
    body = json.dumps({**REQUEST, "stream": stream}).encode()
    path = vertex.session(project_of(fault)).base_url.removeprefix(vertex.url) + "/chat/completions"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    heard = Heard(b"", None)
    with socket.create_connection((host, int(port)), STALL_LIMIT / 2 if fault.startswith("stall") else LIMIT) as line:
        line.sendall(head.encode() + body)
        try:
            while more := line.recv(65536):
                heard.raw += more
        except OSError as error:
            heard.error = type(error)
    return heard


@pytest.fixture(params=[True, False], ids=["stream", "plain"])
def listen(vertex: Emulator, request: pytest.FixtureRequest) -> Callable[..., tuple[Heard, Heard, bool]]:
    """Hear an answer with a fault and the one without, streamed or plain."""
    stream: bool = request.param
    return lambda fault: (hear(vertex, fault, stream=stream), hear(vertex, NONE, stream=stream), stream)


Listen = Callable[[str], tuple[Heard, Heard, bool]]


@pytest.mark.parametrize(
    ("fault", "error"), [("reset", ConnectionResetError), ("close", None), ("stall", TimeoutError)]
)
def test_before_the_headers(listen: Listen, fault: str, error: type[OSError] | None) -> None:
    """Not a byte, then a reset, an orderly close, or nothing at all."""
    heard, _, _ = listen(f"{fault}_before_headers")
    assert (heard.raw, heard.error) == (b"", error)


@pytest.mark.parametrize(
    ("fault", "error"),
    [("reset", ConnectionResetError), ("close", None), ("end", None), ("stall", TimeoutError)],
)
def test_in_the_middle(listen: Listen, fault: str, error: type[OSError] | None) -> None:
    """Headers and a part of the body, whole chunks of it; only `end` is in order as far as HTTP can tell."""
    heard, whole, stream = listen(f"{fault}_mid_stream")
    assert heard.head.startswith(b"HTTP/1.1 200")
    assert heard.error is error
    assert heard.is_finished is (fault == "end")
    assert 0 < len(heard.body) < len(whole.body)
    assert whole.body.startswith(heard.body)
    assert heard.body.endswith(b"\n\n") is stream


def test_cuts_to_the_byte(listen: Listen) -> None:
    """Behind the JSON, inside the JSON, inside a character; HTTP is unfinished each time."""
    for fault in ("cut_inside_frame", "cut_inside_json", "cut_inside_character"):
        heard, whole, stream = listen(fault)
        assert (heard.error, heard.is_finished) == (None, False)
        assert whole.body.startswith(heard.body)
        last = heard.body.rpartition(b"\n\n")[2].removeprefix(b"data: ")
        match fault:
            case "cut_inside_frame" if stream:
                assert json.loads(last)["choices"]
                assert whole.body[len(heard.body) :].startswith(b"\n\n")
            case "cut_inside_frame":
                assert json.loads(last + b"}")["choices"]
            case "cut_inside_json":
                with pytest.raises(ValueError, match="line 1"):
                    json.loads(last)
            case _:
                with pytest.raises(UnicodeDecodeError, match="unexpected end of data"):
                    heard.body.decode()


def test_a_failure_in_the_middle(listen: Listen) -> None:
    """Two chunks, then the bare object and the end; the plain answer is the 503 itself."""
    heard, whole, stream = listen("fail_mid_stream")
    assert heard.is_finished
    if stream:
        first, second, error = heard.body.split(b"\n\n", 2)
        assert whole.body.startswith(first + b"\n\n" + second + b"\n\n")
        assert json.loads(error)["error"]["status"] == "UNAVAILABLE"
    else:
        assert heard.head.startswith(b"HTTP/1.1 503")
        assert json.loads(heard.body)[0]["error"]["status"] == "UNAVAILABLE"


def stream_httpx(vertex: Emulator, fault: str) -> AbstractContextManager[httpx.Response]:
    """Ask for a stream with httpx."""
    url = f"{vertex.session(project_of(fault)).base_url}/chat/completions"
    return httpx.stream("POST", url, json={**REQUEST, "stream": True}, timeout=limit_of(fault))


def test_small_writes(listen: Listen) -> None:
    """Each piece of the transfer encoding has seven bytes, and they are those of the answer."""
    heard, whole, _ = listen("small_writes")
    assert heard.is_finished
    assert heard.body == whole.body
    assert {len(piece) for piece in heard.pieces[:-2]} == {7}
    assert len(whole.pieces) == 2


def test_small_writes_arrive_in_small_reads(vertex: Emulator) -> None:
    """What is written piece by piece is read piece by piece, not joined on the way."""
    with stream_httpx(vertex, "small_writes") as answer:
        sizes = [len(piece) for piece in answer.iter_raw()]
    assert max(sizes) == 7
    assert len(sizes) > 50


EVENTS = ("invalid_json", "truncated_json", "duplicate_chunk", "reordered_chunks", "unknown_event", "empty_choices")
GARBLED = [name for name in FAULT_NAMES if "garble" in WRITTEN[name]]


@pytest.mark.parametrize("fault", GARBLED)
def test_garbled_answers_end_in_order(listen: Listen, fault: str) -> None:
    """HTTP is in order, and only what the fault names is not."""
    heard, whole, stream = listen(fault)
    assert heard.is_finished
    assert heard.head.startswith(b"HTTP/1.1 200")
    assert (b"content-type: text/html" in heard.head) is (fault == "wrong_content_type")
    without_effect = not stream and fault not in {"invalid_json", "truncated_json", "bom", "empty_choices"}
    assert (heard.body == whole.body) is (without_effect or fault == "wrong_content_type")
    assert (b"x-emulator-warning: fault without effect" in heard.head) is (
        without_effect and fault != "wrong_content_type"
    )
    if stream and fault in EVENTS:
        assert heard.body.endswith(b"data: [DONE]\n\n")


def test_garbled_bytes(vertex: Emulator) -> None:
    """What is to be seen of each kind in a stream."""
    streams = {name: hear(vertex, name, stream=True).body for name in (NONE, *GARBLED)}
    whole = streams[NONE]
    first, second, third, fourth, done = (f"{event}\n\n".encode() for event in whole.decode().split("\n\n")[:-1])
    assert streams["bom"] == b"\xef\xbb\xbf" + whole
    assert streams["crlf"] == whole.replace(b"\n", b"\r\n")
    assert streams["no_done"] == whole.removesuffix(done)
    assert streams["comment_lines"].replace(b": keep-alive\n\n", b"") == whole
    assert streams["duplicate_chunk"] == first + second + third + third + fourth + done
    assert streams["reordered_chunks"] == first + second + fourth + third + done
    assert (
        streams["unknown_event"] == first + second + b'event: ping\ndata: {"type":"ping"}\n\n' + third + fourth + done
    )
    assert streams["invalid_json"] == whole.replace(third, third.replace(b"{", b"", 1))
    assert b'"choices":[],' in streams["empty_choices"]


# What clients make of it


@dataclass
class Met:
    """What a client made of an answer."""

    said: Any = ""
    """The text that a program has; of plain HTTP clients the bytes."""
    empty: int = 0
    """Chunks, or answers, with an empty list of choices."""
    missing: int = 0
    """Chunks, or answers, in which there is no such list."""
    error: str = ""
    """The error that the program gets, as it stands in the table."""

    def cell(self, whole: str | bytes, *, is_cut: bool) -> str:
        """What stands in the table."""
        if self.error:
            is_nothing, is_whole = not self.said, self.said == whole
            return self.error if is_nothing else f"{'the answer' if is_whole else 'a part'}, then {self.error}"
        if self.said == whole:
            more = (
                ", and a chunk with an empty `choices`"
                if self.empty
                else ", and a chunk without `choices`"
                if self.missing
                else ""
            )
            return f"the answer{more}"
        if is_cut:
            return "**a part, no error**"
        if isinstance(self.said, bytes):
            # To whom it is all bytes, nothing is wrong with it.
            return "as sent"
        if self.empty or self.missing:
            return "**no choices, no error**"
        return "**a part, no error**" if self.said in whole else "**another text, no error**"


def name_error(error: BaseException) -> str:
    """The class of an error, of its cause too where there is one, and the status of an HTTP error."""
    status = getattr(error, "status_code", None)
    cause = f" from `{type(error.__cause__).__name__}`" if error.__cause__ and isinstance(error, APIError) else ""
    return f"`{type(error).__name__}`" + (f" {status}" if status else cause)


def meet_openai(vertex: Emulator, fault: str, *, stream: bool) -> Met:
    """What openai-python makes of an answer."""
    met = Met()
    address = vertex.session(project_of(fault)).base_url
    with OpenAI(base_url=address, api_key="any", max_retries=0, timeout=limit_of(fault)) as client:
        try:
            if stream:
                for chunk in client.chat.completions.create(**REQUEST, stream=True):
                    met.empty += chunk.choices == []
                    met.missing += chunk.choices is None
                    met.said += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            else:
                answer = client.chat.completions.create(**REQUEST)
                choices = getattr(answer, "choices", None)
                met.empty += choices == []
                met.missing += choices is None
                met.said += choices[0].message.content if choices else ""
        except Exception as error:  # noqa: BLE001  # which one it is, is what is asked
            met.error = name_error(error)
    return met


def meet_httpx(vertex: Emulator, fault: str) -> Met:
    """What httpx makes of a stream."""
    met = Met(b"")
    try:
        with stream_httpx(vertex, fault) as answer:
            for piece in answer.iter_bytes():
                met.said += piece
    except httpx.HTTPError as error:
        met.error = name_error(error)
    return met


def meet_aiohttp(vertex: Emulator, fault: str) -> Met:
    """What aiohttp makes of a stream."""
    met = Met(b"")

    async def read() -> None:
        limit = aiohttp.ClientTimeout(sock_read=limit_of(fault))
        url = f"{vertex.session(project_of(fault)).base_url}/chat/completions"
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.post(url, json={**REQUEST, "stream": True}) as answer,
        ):
            async for piece in answer.content.iter_any():
                met.said += piece

    try:
        asyncio.run(read())
    except (aiohttp.ClientError, OSError) as error:
        met.error = name_error(error)
    return met


PYTHON: dict[str, Callable[[Emulator, str], Met]] = {
    "openai-python, stream": lambda vertex, fault: meet_openai(vertex, fault, stream=True),
    "openai-python, plain": lambda vertex, fault: meet_openai(vertex, fault, stream=False),
    "httpx": meet_httpx,
    "aiohttp": meet_aiohttp,
}
NODE = {"openai for Node, stream": "stream", "openai for Node, plain": "plain", "fetch of Node": "fetch"}
COLUMNS = (*PYTHON, *NODE)
HTTP_CLIENTS = {"httpx", "aiohttp", "fetch of Node"}


def meet_node(vertex: Emulator, node_openai: Path) -> dict[str, dict[str, Met]]:
    """What Node's clients make of all faults, asked in one run."""
    asked = {
        fault: {"base": vertex.session(project_of(fault)).base_url, "limit": limit_of(fault) * 1000} for fault in ALL
    }
    done = subprocess.run(
        ["node", PROGRAM],
        input=json.dumps(asked),
        env={"OPENAI_PACKAGE": f"{node_openai}/package.json", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return {
        fault: {column: _read_node(met[key], is_bytes=key == "fetch") for column, key in NODE.items()}
        for fault, met in json.loads(done.stdout).items()
    }


def _read_node(met: dict[str, Any], *, is_bytes: bool) -> Met:
    error = met["error"]
    said = b64decode(met["text"]) if is_bytes else met["text"]
    if error is None:
        return Met(said, met["empty"], met["missing"])
    if error["name"] == "waits":
        return Met(said, met["empty"], met["missing"], "waits on and on")
    cause = f" from `{error['cause']}`" if error["cause"] else ""
    return Met(
        said, met["empty"], met["missing"], f"`{error['name']}`" + (f" {error['status']}" if error["status"] else cause)
    )


Seen = dict[str, dict[str, Met]]


@pytest.fixture(scope="module")
def seen(vertex: Emulator, node_openai: Path) -> Seen:
    """What each client makes of each fault."""
    with ThreadPoolExecutor(8) as pool:
        node = pool.submit(meet_node, vertex, node_openai)
        started = {
            (fault, column): pool.submit(meet, vertex, fault)
            # Those that stall come first, so that the others go on meanwhile.
            for fault in sorted(ALL, key=lambda name: not name.startswith("stall"))
            for column, meet in PYTHON.items()
        }
        return {
            fault: {**{column: started[fault, column].result() for column in PYTHON}, **node.result()[fault]}
            for fault in ALL
        }


@pytest.mark.slow
def test_every_client_reads_the_answer_without_fault(seen: Seen) -> None:
    """All have the whole text, or all bytes, and no error."""
    whole = seen[NONE]["httpx"].said
    for column, met in seen[NONE].items():
        assert met == Met(whole if column in HTTP_CLIENTS else TEXT), column


@pytest.mark.parametrize("fault", FAULT_NAMES)
def test_whoever_is_cut_off_is_told(seen: Seen, fault: str) -> None:
    """A connection that is reset, closed or stalls is an error for every client, or it waits; an end in order for none that streams."""
    written = WRITTEN[fault]
    for column, met in seen[fault].items():
        if written.get("cut") in {"reset", "close"} or "stall" in written:
            assert met.error, column
        if fault == "end_mid_stream" and not column.endswith("plain"):
            assert (met.error, bool(met.said)) == ("", True), column


def test_httpx_names_what_happens(seen: Seen) -> None:
    """A reset, a close before and in the body, and both stalls have each their error."""
    errors = {fault: met["httpx"].error for fault, met in seen.items()}
    assert errors["reset_before_headers"] == errors["reset_mid_stream"] == "`ReadError`"
    assert errors["close_before_headers"] == errors["close_mid_stream"] == "`RemoteProtocolError`"
    assert errors["stall_before_headers"] == errors["stall_mid_stream"] == "`ReadTimeout`"
    assert not seen["stall_before_headers"]["httpx"].said
    assert seen["stall_mid_stream"]["httpx"].said


def test_the_error_in_a_stream_has_two_forms(seen: Seen) -> None:
    """Bare, as Vertex sends it, the OpenAI clients do not see it and have two chunks for an answer; as an event they raise it."""
    said = "".join(PIECES[:2])
    for column in ("openai-python, stream", "openai for Node, stream"):
        assert seen["fail_mid_stream"][column] == Met(said), column
        assert seen[EVENT][column] == Met(said, error="`APIError`"), column


# The table


def versions(node_openai: Path) -> dict[str, str]:
    """The versions of the clients, as they stand above the table."""
    node = json.loads((node_openai / "node_modules" / "openai" / "package.json").read_text("utf-8"))["version"]
    runtime = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "openai-python": version("openai"),
        "httpx": version("httpx"),
        "aiohttp": version("aiohttp"),
        "openai for Node": node,
        "Node": runtime.removeprefix("v"),
    }


def needed_by(column: str) -> tuple[str, ...]:
    """The clients whose versions a column depends on."""
    name = column.partition(",")[0]
    return {"openai for Node": (name, "Node"), "fetch of Node": ("Node",)}.get(name, (name,))


def write_table(seen: Seen, found: dict[str, str]) -> str:
    """The table with the versions above it."""
    named = [f"{name} {number}" for name, number in found.items()]
    lines = [f"With {', '.join(named[:-1])} and {named[-1]}:", ""]
    lines += ["| " + " | ".join(("fault", *COLUMNS)) + " |", "| --- " * (len(COLUMNS) + 1) + "|"]
    whole = seen[NONE]["httpx"].said
    for fault in FAULT_NAMES:
        is_cut = "cut" in WRITTEN[fault]
        cells = [
            seen[fault][column].cell(whole if column in HTTP_CLIENTS else TEXT, is_cut=is_cut) for column in COLUMNS
        ]
        lines.append("| " + " | ".join((f"`{fault}`", *cells)) + " |")
    return "\n".join(lines) + "\n"


def read_columns(table: str) -> dict[str, list[str]]:
    """The columns of a table, the names of the faults among them."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    return {head: list(cells) for head, _, *cells in zip(*rows, strict=True)}


def test_the_table_is_what_clients_do(seen: Seen, node_openai: Path) -> None:
    """docs/faults.md shows it; the columns of clients of other versions than it names are left out of the comparison."""
    head, begin, rest = GUIDE.read_text("utf-8").partition(BEGIN)
    shown, end, tail = rest.partition(END)
    assert begin
    assert end
    found = versions(node_openai)
    wanted = f"\n{write_table(seen, found)}\n"
    if os.environ.get("UPDATE_EXPECTED"):
        GUIDE.write_text(f"{head}{begin}{wanted}{end}{tail}", "utf-8")
        return
    named = dict(re.findall(r"((?:\w[\w-]*)(?: for Node)?) (\d[\w.]*\d)", shown.partition("|")[0]))
    others = {name for name in found if named.get(name) != found[name]}
    columns, met = read_columns(shown), read_columns(wanted)
    assert columns.keys() == met.keys(), REFRESH
    for column in met:
        if not others.intersection(needed_by(column)):
            assert columns[column] == met[column], f"{column}: {REFRESH}"
    if others:
        pytest.skip(f"the table is of other versions of {', '.join(sorted(others))}; {REFRESH}")
