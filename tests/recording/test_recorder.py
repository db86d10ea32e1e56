"""The recorder between real clients and a second emulator: what is forwarded, what is kept, how it ends."""

import base64
import json
import queue
import re
import shutil
import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from emulator import Emulator
from emulator.errors import StartError
from emulator.recording.recorder import MAX_RECORDED_BYTES, Recorder, is_recorded
from emulator.recording.recording import MANIFEST, Recording, read_exchange, read_manifest
from emulator.store.exchange import Exchange
from tests.recording.conftest import PROJECT, TOKEN, RecordingServer, record

MODEL = "google/gemini-3.5-flash"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loads no certificates, which takes longer than a request."""
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8).decode()
WEATHER: Any = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
    for name in ("get_weather", "get_wind")
]


def client(server: RecordingServer, **options: Any) -> openai.OpenAI:
    """A client of openai-python, which closes nothing that a test would wait for."""
    return openai.OpenAI(api_key=TOKEN, base_url=server.base_url(), max_retries=0, **options)


def ask(server: RecordingServer, text: str, **options: Any) -> httpx.Response:
    """Ask one question by plain HTTP."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], **options}
    headers = {"authorization": f"Bearer {TOKEN}"}
    return httpx.post(f"{server.base_url()}/chat/completions", json=body, headers=headers, timeout=60, verify=NO_TLS)


# What is forwarded and kept


def test_plain(recording: RecordingServer, google: Emulator) -> None:
    """The client gets the upstream's status, headers and bytes, and so does the recording; the request is the one that was sent."""
    response = ask(recording, "repeat hello there")
    exchange = recording.only
    assert response.status_code == exchange.answer.status == 200
    assert exchange.answer.body == response.content
    kept = {name: value for name, value in response.headers.items() if name != "transfer-encoding"}
    assert {name: response.headers[name] for name, _ in exchange.answer.headers} == kept
    assert response.headers["date"] == exchange.answer.header("date")
    assert json.loads(exchange.request.body)["messages"][0]["content"] == "repeat hello there"
    assert (
        exchange.request.path
        == "/v1/projects/redacted-project-1/locations/us-central1/endpoints/openapi/chat/completions"
    )
    assert (exchange.request.method, exchange.request.host) == ("POST", "us-central1-aiplatform.googleapis.com")
    assert exchange.answer.end == "complete"


def test_frames_and_times(recording: RecordingServer) -> None:
    """A stream is kept as the pieces that came, each with its time; the client gets them when they come."""
    with client(recording) as one:
        stream = one.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "slowly please"}], stream=True
        )
        text = "".join([chunk.choices[0].delta.content or "" for chunk in stream])
    answer = recording.only.answer
    assert text.startswith("One word after the other")
    assert len(answer.frames) > 2
    times = [frame.at for frame in answer.frames]
    assert times == sorted(times)
    assert 0.03 <= answer.head_at <= times[0] <= times[-1] <= answer.ended_at
    assert times[-1] - times[0] > 0.02
    assert all(frame.data.startswith(b"data: ") for frame in answer.frames)


def test_tools_with_signatures(recording: RecordingServer) -> None:
    """Three turns with calls: the thought signatures of answers and requests are kept byte for byte."""
    messages: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    signatures = []
    with client(recording) as one:
        for _ in range(2):
            message = one.chat.completions.create(model=MODEL, messages=messages, tools=WEATHER).choices[0].message
            dumped = message.model_dump(exclude_none=True)
            (call,) = dumped["tool_calls"]
            signatures.append(call["extra_content"]["google"]["thought_signature"])
            messages += [dumped, {"role": "tool", "tool_call_id": call["id"], "content": "12"}]
        final = one.chat.completions.create(model=MODEL, messages=messages, tools=WEATHER)
    assert final.choices[0].message.content == "Sunny with a light breeze."
    first, second, third = recording.read().exchanges
    assert signatures[0].encode() in first.answer.body
    assert signatures[1].encode() in second.answer.body
    assert all(signature.encode() in third.request.body for signature in signatures)


def test_pictures(recording: RecordingServer) -> None:
    """A picture in a request is kept as it was."""
    url = f"data:image/png;base64,{PNG}"
    content: Any = [{"type": "text", "text": "What picture?"}, {"type": "image_url", "image_url": {"url": url}}]
    with client(recording) as one:
        one.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}])
    assert url.encode() in recording.only.request.body


def test_refusals_and_retries(recording: RecordingServer) -> None:
    """Refusals and errors are kept as answers, in the order of their requests."""
    with client(recording) as one, pytest.raises(openai.BadRequestError):
        one.chat.completions.create(model="no-publisher", messages=[{"role": "user", "content": "number 1"}])
    with openai.OpenAI(api_key=TOKEN, base_url=recording.base_url(), max_retries=2) as patient:
        answer = patient.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "retry"}])
    assert answer.choices[0].message.content == "Second time lucky."
    exchanges = recording.read().exchanges
    assert [each.answer.status for each in exchanges] == [400, 429, 200]
    assert b"INVALID_ARGUMENT" in exchanges[0].answer.body


def test_errors_in_streams(recording: RecordingServer) -> None:
    """An error in the middle of a stream is kept with what came before."""
    response = ask(recording, "story", stream=True)
    answer = recording.only.answer
    assert answer.body == response.content
    assert b'"code": 503' in answer.body


def test_many_at_once(recording: RecordingServer) -> None:
    """200 exchanges at the same time are all kept, each with its own answer."""
    with ThreadPoolExecutor(50) as pool:
        responses = list(pool.map(lambda number: ask(recording, f"number {number}"), range(200)))
    exchanges = recording.read().exchanges
    assert [each.number for each in exchanges] == list(range(1, 201))
    asked = [json.loads(each.request.body)["messages"][0]["content"] for each in exchanges]
    assert sorted(asked) == sorted(f"number {number}" for number in range(200))
    for text, exchange in zip(asked, exchanges, strict=True):
        assert exchange.answer.body == responses[int(text.split()[1])].content
    assert recording.recorder.summary() == f"200 exchanges recorded in {recording.recorder.folder}"


# How it ends


def test_cut(recording: RecordingServer) -> None:
    """Where the upstream breaks off, the client's connection breaks off too, and the recording says so."""
    with pytest.raises(httpx.TransportError):
        ask(recording, "cut", stream=True)
    answer = recording.only.answer
    assert (answer.status, answer.end) == (200, "cut")
    assert answer.body.startswith(b"data: ")
    assert b"[DONE]" not in answer.body


def test_cut_before_the_head(recording: RecordingServer) -> None:
    """A connection that is closed without an answer is closed for the client too."""
    with pytest.raises(httpx.TransportError):
        ask(recording, "gone")
    answer = recording.only.answer
    assert (answer.status, answer.end, answer.frames) == (0, "cut", ())


def leave(server: RecordingServer, text: str, *, after: int) -> None:
    """Ask for a stream, and leave after some bytes."""
    url = httpx.URL(server.url)
    body = json.dumps({"model": MODEL, "stream": True, "messages": [{"role": "user", "content": text}]}).encode()
    head = f"POST {httpx.URL(server.base_url()).path}/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
    head += f"authorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(head.encode() + body)
        while after > 0:
            after -= len(connection.recv(after))


def wait_for(folder: Path) -> Path:
    """The first exchange's file, once it is there."""
    path = folder / "0001.yaml"
    ready = threading.Event()
    while not path.exists():
        ready.wait(0.01)
    return path


def test_left(recording: RecordingServer, google: Emulator) -> None:
    """Where the client leaves, the upstream's answer is given up, and what had come until then is kept."""
    ended: queue.Queue[Exchange] = queue.Queue()
    google.service.on_exchange.append(ended.put)
    leave(recording, "stall", after=600)
    answer = read_exchange(wait_for(recording.recorder.folder)).answer
    assert (answer.status, answer.end) == (200, "left")
    assert answer.body.startswith(b"data: ")
    # A stalled answer ends only once its client has left, which here is the recorder.
    assert ended.get(timeout=60).played.ended == "stalled"
    google.service.on_exchange.remove(ended.put)
    recording.close()
    assert recording.recorder.summary().endswith("; 1 left by the client")


def test_left_before_the_head(tmp_path: Path) -> None:
    """A client that leaves before there is an answer is kept as one, without status."""
    with upstream([]) as other, record(tmp_path / "recording", other.url) as server:
        url = httpx.URL(server.url)
        with socket.create_connection((url.host, url.port)) as connection:
            connection.sendall(
                b"GET /v1/projects/p/locations/global/endpoints/openapi HTTP/1.1\r\nhost: localhost\r\n\r\n"
            )
            other.asked.get(timeout=60)
        answer = read_exchange(wait_for(server.recorder.folder)).answer
        assert (answer.status, answer.end, answer.frames) == (0, "left", ())


def test_client_that_closes_behind_the_last_event(recording: RecordingServer) -> None:
    """A client that takes `[DONE]` for the end, as openai-python does, has the whole answer."""
    with client(recording) as one:
        stream = one.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "number 1"}], stream=True
        )
        assert list(stream)
    assert recording.only.answer.end == "complete"


def test_unreachable(tmp_path: Path) -> None:
    """Without an upstream the client gets a failure of the emulator's own, which says why."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with record(tmp_path / "recording", url) as server:
        response = ask(server, "hello")
        assert response.status_code == 418
        assert response.json()["error"]["message"] == f"emulator: cannot reach {url}: connection refused"
        answer = server.only.answer
    assert (answer.status, answer.end) == (0, "unreachable")
    assert server.recorder.summary().endswith("; 1 without an answer")


# To the byte


class Upstream:
    """A server that answers each request with given pieces, whatever it is."""

    def __init__(self, pieces: Sequence[bytes], *, reset: bool) -> None:
        self.asked: queue.Queue[bytes] = queue.Queue()
        self._pieces = pieces
        self._reset = reset
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        while found and len(body) < int(found[1]):
            body += connection.recv(65536)
        self.asked.put(head + b"\r\n\r\n" + body)
        if not self._pieces:
            # Until the client leaves.
            connection.recv(1)
        for piece in self._pieces:
            connection.sendall(piece)
        if self._reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@contextmanager
def upstream(pieces: Sequence[bytes], *, reset: bool = False) -> Iterator[Upstream]:
    """Run a server that answers with given pieces and then closes the connection."""
    server = Upstream(pieces, reset=reset)
    try:
        yield server
    finally:
        server.close()


OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-odd:  two  words\r\nx-odd: again\r\ncontent-length: 2\r\n\r\nok"
ODD_PATH = "/v1/projects/p%2Fq/locations/global/endpoints/openapi/a%20b|c//d"


def test_requests_are_forwarded_as_they_are(tmp_path: Path) -> None:
    """Path, query, headers and body reach the upstream unchanged, but for the connection's own headers and compression."""
    with upstream([OK]) as other, record(tmp_path / "recording", other.url) as server:
        url = httpx.URL(server.url)
        body = b'{"a": "\xff\x00"}'
        head = (
            f"PUT {ODD_PATH}?b=%7e&&c=+ HTTP/1.1\r\nhost: aiplatform.googleapis.com\r\nx-odd: A\r\nX-Odd: b\r\naccept-encoding: gzip\r\n"
            f"connection: keep-alive\r\nte: trailers\r\ncontent-length: {len(body)}\r\nx-empty:\r\n\r\n"
        )
        with socket.create_connection((url.host, url.port)) as connection:
            connection.sendall(head.encode() + body)
            answer = connection.recv(65536)
        sent, _, sent_body = other.asked.get(timeout=60).partition(b"\r\n\r\n")
        exchange = server.only
    lines = sent.decode().split("\r\n")
    assert lines[0] == f"PUT {ODD_PATH}?b=%7e&&c=+ HTTP/1.1"
    assert [line.lower() for line in lines[1:]] == [
        "host: aiplatform.googleapis.com",
        "x-odd: a",
        "x-odd: b",
        f"content-length: {len(body)}",
        "x-empty: ",
        "accept-encoding: identity",
    ]
    assert sent_body == exchange.request.body == body
    assert answer.endswith(b"x-odd: two  words\r\nx-odd: again\r\ncontent-length: 2\r\n\r\nok")
    assert answer.count(b"date:") == 0
    assert exchange.answer.headers == (("content-type", "text/plain"), ("x-odd", "two  words"), ("x-odd", "again"))


@pytest.mark.parametrize("reset", [True, False])
def test_how_an_upstream_breaks_off(tmp_path: Path, *, reset: bool) -> None:
    """A reset is passed on as a reset, an orderly close as one."""
    pieces = [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"5\r\nhello\r\n"]
    with upstream(pieces, reset=reset) as other, record(tmp_path / "recording", other.url) as server:
        url = httpx.URL(server.url)
        with socket.create_connection((url.host, url.port)) as connection:
            connection.sendall(b"GET /v1/projects/p/locations/global/x HTTP/1.1\r\nhost: localhost\r\n\r\n")
            received, error = b"", False
            try:
                while data := connection.recv(65536):
                    received += data
            except ConnectionResetError:
                error = True
        answer = server.only.answer
    assert (error, answer.end) == (reset, "cut")
    if not reset:
        assert received.endswith(b"5\r\nhello\r\n")
        assert answer.body == b"hello"


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_compressed_although_it_was_not_asked_for(tmp_path: Path, name: str) -> None:
    """The client gets the bytes that came; the recording has the text, without the header, piece by piece."""
    writer = zlib.compressobj(wbits=31 if name == "gzip" else 15)
    parts = [writer.compress(text) + writer.flush(zlib.Z_SYNC_FLUSH) for text in (b"hello ", b"ya29.secret-of-it")]
    parts.append(writer.flush())
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {name}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]
    with upstream([head, *chunks, b"0\r\n\r\n"]) as other, record(tmp_path / "recording", other.url) as server:
        with httpx.stream("GET", f"{server.base_url()}/x", headers={"accept-encoding": name}) as response:
            assert response.read() == b"hello ya29.secret-of-it"
            assert response.headers["content-encoding"] == name
        answer = server.only.answer
    assert answer.body == b"hello redacted-token-1"
    assert answer.headers == ()


def test_unreadable_bodies_are_not_kept(tmp_path: Path) -> None:
    """What cannot be read may have secrets, so that it is forwarded, not recorded, and counted."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 3\r\n\r\nabc"
    with upstream([answer]) as other, record(tmp_path / "recording", other.url) as server:
        with httpx.stream("GET", f"{server.base_url()}/x") as response:
            assert b"".join(response.iter_raw()) == b"abc"
        assert server.read().exchanges == ()
    assert server.recorder.summary() == (
        f"0 exchanges recorded in {tmp_path}/recording; not recorded: 1 because the body is compressed by 'br', which cannot be read"
    )


def test_a_mistake_of_the_recorder_is_told(tmp_path: Path, google: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that could not be written for whatever reason is counted, and does not go missing silently."""

    def fail(*_: object) -> Path:
        raise KeyError

    monkeypatch.setattr("emulator.recording.recorder.write_exchange", fail)
    with record(tmp_path / "recording", google.url) as server:
        client(server).chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "number 1"}])
    assert server.recorder.summary() == (
        f"0 exchanges recorded in {tmp_path}/recording; not recorded: 1 because of a mistake of the emulator, KeyError"
    )


def test_a_base_path(google: Emulator, tmp_path: Path) -> None:
    """The path of an upstream's URL comes before that of each request."""
    with upstream([OK]) as other, record(tmp_path / "recording", f"{other.url}/gateway/") as server:
        httpx.get(f"{server.base_url()}/x")
        assert other.asked.get(timeout=60).startswith(f"GET /gateway/v1/projects/{PROJECT}/".encode())


def test_what_is_not_vertex_is_not_recorded(recording: RecordingServer) -> None:
    """Requests for tokens and others are forwarded and only counted; their secrets are known from then on."""
    form = {
        "grant_type": "refresh_token",
        "refresh_token": "1//0g-a-refresh-token-of-the-run",
        "client_secret": "shhh-1234",
        "client_id": "c",
    }
    response = httpx.post(f"{recording.url}/token", data=form, headers={"host": "oauth2.googleapis.com"})
    token = response.json()["access_token"]
    assert httpx.get(f"{recording.url}/health").status_code == 404
    ask(recording, f"repeat {token} and shhh-1234 and 1//0g-a-refresh-token-of-the-run")
    exchange = recording.only
    assert json.loads(exchange.answer.body)["choices"][0]["message"]["content"] == (
        "redacted-token-1 and redacted-token-2 and redacted-token-3"
    ) or set(re.findall(rb"redacted-token-\d", exchange.answer.body)) == {
        b"redacted-token-1",
        b"redacted-token-2",
        b"redacted-token-3",
    }
    assert recording.recorder.summary().endswith("; not recorded: 1 to oauth2.googleapis.com, 1 to /health")


def test_google_needs_a_location(tmp_path: Path) -> None:
    """Without an upstream, the host follows from the path's location; where there is none, the client is told."""
    with record(tmp_path / "recording", "") as server:
        response = httpx.get(f"{server.url}/v1/models")
    assert response.status_code == 418
    assert response.json()["error"]["message"] == (
        "emulator: /v1/models names no location, so that its host is not known; name an --upstream"
    )


@pytest.mark.parametrize(
    ("host", "path", "wanted"),
    [
        ("aiplatform.googleapis.com", "/anything", True),
        ("us-central1-aiplatform.googleapis.com", "/", True),
        ("AIPLATFORM.eu.rep.googleapis.com.", "/", True),
        ("123.us-central1-456.prediction.vertexai.goog", "/", True),
        ("oauth2.googleapis.com", "/token", False),
        ("storage.googleapis.com", "/v1/projects/p/locations/l/x", False),
        ("localhost", "/v1/projects/p/locations/l/endpoints/openapi/chat/completions", True),
        ("localhost", "/v1beta1/publishers/google/models/gemini:generateContent", True),
        ("localhost", "/v1/projects/-/serviceAccounts/a@b:generateAccessToken", False),
        ("localhost", "/token", False),
    ],
)
def test_what_is_recorded(host: str, path: str, *, wanted: bool) -> None:
    """Exchanges with Vertex AI are recorded, by host or by path."""
    assert is_recorded(host, path) is wanted


# The folder


def test_recording_is_continued(tmp_path: Path, google: Emulator) -> None:
    """A second run adds to a recording: numbers go on, and a placeholder never gets a second meaning."""
    summaries = []
    for project in (PROJECT, "green-sea-1234"):
        with record(tmp_path / "recording", google.url) as server:
            url = f"{server.base_url(project)}/chat/completions"
            body = {"model": MODEL, "messages": [{"role": "user", "content": "number 1"}]}
            httpx.post(url, json=body, headers={"authorization": f"Bearer {TOKEN}"})
            server.close()
            summaries.append(server.recorder.summary())
    recording = Recording.read(tmp_path / "recording")
    assert [each.number for each in recording.exchanges] == [1, 2]
    assert [each.request.path.split("/")[3] for each in recording.exchanges] == [
        "redacted-project-1",
        "redacted-project-2",
    ]
    assert recording.manifest.placeholders["project"] == 2
    folder = tmp_path / "recording"
    assert summaries == [f"1 exchange recorded in {folder}", f"1 exchange added to {folder}"]


def test_half_a_file_is_removed(tmp_path: Path) -> None:
    """What a killed recorder has left of a file is removed by the next one, and does not disturb a reader."""
    Recorder(tmp_path / "recording").close()
    half = tmp_path / "recording" / ".0001.yaml.1.tmp"
    half.write_text("number: 1\nstar")
    assert Recording.read(tmp_path / "recording").exchanges == ()
    Recorder(tmp_path / "recording").close()
    assert not half.exists()


def test_manifest_keeps_what_was_written_by_hand(tmp_path: Path) -> None:
    """Continuing a recording keeps the lines that say how it is replayed."""
    Recorder(tmp_path).close()
    with (tmp_path / MANIFEST).open("a") as file:
        file.write("ignore:\n- model\n")
    Recorder(tmp_path).close()
    assert read_manifest(tmp_path).ignore == ("model",)


def test_folders_that_are_none(tmp_path: Path) -> None:
    """Nothing is written among other files, or where nothing can be."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StartError, match=r"is not empty and no recording, since it has no recording\.yaml"):
        Recorder(tmp_path)
    with pytest.raises(StartError, match=r"cannot record into .*file/below: not a directory; name another folder"):
        Recorder(tmp_path / "file" / "below")
    with pytest.raises(StartError, match=r"cannot record into .*file: file exists"):
        Recorder(tmp_path / "file")


def test_disk_full(tmp_path: Path, google: Emulator) -> None:
    """An exchange that cannot be written is counted, with the reason; the client has its answer."""
    with record(tmp_path / "recording", google.url) as server:
        shutil.rmtree(tmp_path / "recording")
        assert ask(server, "number 1").status_code == 200
        server.close()
    assert server.recorder.summary().endswith(
        f"; not recorded: 1 because {tmp_path}/recording cannot be written to (no such file or directory)"
    )


def test_secrets_that_are_learned_late(tmp_path: Path, google: Emulator) -> None:
    """A secret that only a later request shows is replaced in the files that have been written already."""
    with record(tmp_path / "recording", google.url) as server:
        ask(server, "repeat my-other-key-99")
        httpx.get(f"{server.base_url()}/x", headers={"x-goog-api-key": "my-other-key-99"})
        exchanges = server.read().exchanges
    first = exchanges[0]
    assert b"my-other-key-99" not in first.request.body + first.answer.body
    assert b"redacted-key-1" in first.answer.body


def test_lines(tmp_path: Path, google: Emulator) -> None:
    """With a report, there is a line for each exchange, without secrets."""
    lines: list[str] = []
    with record(tmp_path / "recording", google.url, report=lines.append) as server:
        ask(server, "number 1", stream=True)
        server.close()
    (line,) = lines
    assert re.fullmatch(r"#1 POST /v1/projects/redacted-project-1/\S+/chat/completions 200 \d+ ms(, \d frames)?", line)
    assert MAX_RECORDED_BYTES > 0
