"""Playing timelines to a client on a real socket: times and faults, with a manual clock."""

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.api.emulator import Emulator
from emulator.server.clock import ManualClock
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange

PATH = "/v1/projects/{}/locations/us-central1/endpoints/openapi/chat/completions"
PATIENCE = 10.0
"""Seconds of real time after which a test that hangs fails."""
BLINK = 0.05
"""Seconds to wait before concluding that no data arrives."""


@pytest.fixture
def clock() -> ManualClock:
    """A manual clock."""
    return ManualClock()


@pytest.fixture
def vertex(clock: ManualClock) -> Iterator[Emulator]:
    """An emulator with the manual clock."""
    with Emulator("rules:\n- reply: Hello.\n", settings=Settings(auth="off"), clock=clock) as running:
        yield running


class Caller:
    """A client that uses a plain socket."""

    def __init__(self, vertex: Emulator, project: str, *, headers: str = "", **body: Any) -> None:
        host, _, port = vertex.url.removeprefix("http://").partition(":")
        self._socket = socket.create_connection((host, int(port)), PATIENCE)
        self.heard = b""
        self.ask(project, headers=headers, **body)

    def ask(self, project: str, *, headers: str = "", **body: Any) -> None:
        """Send a request; may be called again on the same connection."""
        request = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "hi"}], **body}
        content = json.dumps(request).encode()
        head = f"POST {PATH.format(project)} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(content)}\r\n\r\n"
        self._socket.sendall(head.encode() + content)

    def read_until(self, until: bytes) -> None:
        """Read until these bytes have arrived."""
        while until not in self.heard:
            more = self._socket.recv(65536)
            assert more, f"the connection ended before {until!r}: {self.heard!r}"
            self.heard += more

    def read_to_end(self) -> type[OSError] | None:
        """Read until the connection ends; return the exception type if it is reset."""
        try:
            while more := self._socket.recv(65536):
                self.heard += more
        except OSError as error:
            return type(error)
        return None

    def read_chunks(self) -> list[bytes]:
        """Read the whole body and return its chunks of the chunked transfer encoding."""
        self.read_until(b"\r\n0\r\n\r\n")
        rest, pieces = self.heard.partition(b"\r\n\r\n")[2], []
        self.heard = b""
        while size := int(rest.partition(b"\r\n")[0], 16):
            data = rest.partition(b"\r\n")[2]
            pieces.append(data[:size])
            rest = data[size + 2 :]
        return pieces

    def assert_no_data(self) -> None:
        """Assert that no data arrives for a moment."""
        self._socket.settimeout(BLINK)
        with pytest.raises(TimeoutError):
            self._socket.recv(1)
        self._socket.settimeout(PATIENCE)

    def leave(self) -> None:
        """Close the connection."""
        self._socket.close()


@pytest.fixture
def call(vertex: Emulator) -> Iterator[Any]:
    """Function that pushes a rule for a new project and sends a request to it; the client disconnects at the end of the test."""
    callers = []

    def do(rule: dict[str, Any], *, headers: str = "", **body: Any) -> Caller:
        vertex.session("p").push(json.dumps({"rules": [rule]}) + "\n")
        callers.append(Caller(vertex, "p", headers=headers, **body))
        return callers[-1]

    yield do
    for caller in callers:
        caller.leave()


def last(vertex: Emulator) -> Exchange:
    """The exchange of the only request, once it has ended."""
    (exchange,) = vertex.session("p").journal.wait_for(1, timeout=PATIENCE)
    return exchange


def test_chunks_are_sent_at_their_times(call: Any, clock: ManualClock, vertex: Emulator) -> None:
    """Each chunk is sent at its time to the millisecond of the manual clock, and nothing earlier."""
    pace = {"first_token_ms": 300, "every_ms": 100}
    caller = call({"reply": {"say": ["one", "two", "three"]}, "pace": pace}, stream=True)
    clock.wait_for_waiting()
    caller.assert_no_data()
    clock.advance(0.299)
    caller.assert_no_data()
    clock.advance(0.001)
    caller.read_until(b'"one"')
    assert caller.heard.startswith(b"HTTP/1.1 200")
    clock.wait_for_waiting()
    clock.advance(0.1)
    caller.read_until(b'"two"')
    assert b'"three"' not in caller.heard
    clock.wait_for_waiting()
    clock.advance(0.1)
    caller.read_until(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    exchange = last(vertex)
    assert exchange.ended == "complete"
    assert exchange.duration == pytest.approx(0.5)
    assert exchange.to_json()["timeline"] == {
        "head_ms": 300,
        "frames_ms": [300, 400, 500, 500],
        "sent_ms": [300, 400, 500, 500],
        "end_ms": 500,
        "ending": "complete",
    }


def test_delays_do_not_accumulate(call: Any, clock: ManualClock, vertex: Emulator) -> None:
    """Overdue chunks are sent immediately, and the next one at its planned time."""
    caller = call({"reply": {"say": ["1", "2", "3", "4"]}, "pace": {"every_ms": 100}}, stream=True)
    caller.read_until(b'"1"')
    clock.wait_for_waiting()
    clock.advance(0.25)
    caller.read_until(b'"3"')
    clock.wait_for_waiting()
    caller.assert_no_data()
    clock.advance(0.05)
    caller.read_until(b"[DONE]")
    assert last(vertex).to_json()["timeline"]["sent_ms"] == [0, 250, 250, 300, 300]


def test_plain_answers_are_delayed(call: Any, clock: ManualClock) -> None:
    """Head and body are sent when the stream would have ended."""
    caller = call({"reply": {"say": ["one", "two"]}, "pace": {"first_token_ms": 300, "every_ms": 100}})
    clock.wait_for_waiting()
    clock.advance(0.399)
    caller.assert_no_data()
    clock.advance(0.001)
    caller.read_until(b"onetwo")


def test_the_pace_header_sets_the_pace(call: Any, clock: ManualClock) -> None:
    """It wins over the rule's pace."""
    caller = call(
        {"reply": "One.", "pace": "slow-train"}, headers="x-emulator-pace: first_token_ms=40\r\n", stream=True
    )
    clock.wait_for_waiting()
    clock.advance(0.04)
    caller.read_until(b"[DONE]")


def test_an_unknown_pace_header(call: Any) -> None:
    """It is reported as an emulator failure."""
    caller = call({"reply": "One."}, headers="x-emulator-pace: slow-trian\r\n")
    caller.read_until(b"slow-train")
    assert caller.heard.startswith(b"HTTP/1.1 418")


def test_delayed_answers_do_not_block_others(vertex: Emulator, clock: ManualClock) -> None:
    """Many delayed answers are sent concurrently."""
    vertex.session("p").push("rules:\n- reply: Late.\n  pace: {first_token_ms: 1000}\n")
    late = [Caller(vertex, "p", stream=True) for _ in range(20)]
    clock.wait_for_waiting(20)
    early = Caller(vertex, "other")
    early.read_until(b"Hello.")
    clock.advance(1)
    for caller in late:
        caller.read_until(b"[DONE]")
    for caller in (*late, early):
        caller.leave()


def test_a_disconnect_is_journalled_immediately(call: Any, clock: ManualClock, vertex: Emulator) -> None:
    """Mid-stream: with the bytes sent so far, without waiting for the remaining times."""
    caller = call({"reply": [{"say": "one"}, {"pause": 60_000}, {"say": "two"}]}, stream=True)
    caller.read_until(b"\n\n")
    clock.wait_for_waiting()
    caller.leave()
    exchange = last(vertex)
    first, *_ = exchange.outcome.timeline.frames
    assert (exchange.ended, exchange.played.sent) == ("client left", len(first.data))
    assert exchange.played.times == [0]
    with pytest.raises(TimeoutError, match="there are 0"):
        clock.wait_for_waiting(1, timeout=0)


def test_a_disconnect_before_the_answer(call: Any, clock: ManualClock, vertex: Emulator) -> None:
    """Nothing was sent."""
    caller = call({"reply": "Late.", "pace": "slow-train"})
    clock.wait_for_waiting()
    caller.leave()
    assert (last(vertex).ended, last(vertex).played.sent) == ("client left", 0)


@pytest.mark.parametrize("fault", ["stall_before_headers", "stall_mid_stream"])
def test_a_stall_lasts_until_the_client_disconnects(
    call: Any, clock: ManualClock, vertex: Emulator, fault: str
) -> None:
    """It has no time limit."""
    caller = call({"reply": {"say": ["one", "two"]}, "fault": fault}, stream=True)
    if fault == "stall_mid_stream":
        caller.read_until(b'"one"')
    clock.advance(1e6)
    caller.assert_no_data()
    assert len(vertex.session("p").journal) == 0
    caller.leave()
    assert last(vertex).ended == "stalled"


def test_a_stall_of_milliseconds_ends(call: Any, clock: ManualClock, vertex: Emulator) -> None:
    """The rest of the answer follows."""
    caller = call({"reply": {"say": ["one", "two"]}, "fault": {"stall": 500, "after_chunks": 1}}, stream=True)
    caller.read_until(b'"one"')
    clock.wait_for_waiting()
    clock.advance(0.5)
    caller.read_until(b"[DONE]")
    assert last(vertex).ended == "complete"


@pytest.mark.parametrize(
    ("how", "error"), [("reset", ConnectionResetError), ("close", None), ("end", None)], ids=["reset", "close", "end"]
)
def test_cuts(call: Any, vertex: Emulator, how: str, error: type[OSError] | None) -> None:
    """`reset` is an RST, `close` a FIN without the terminating chunk, `end` a FIN after it; all are journalled as planned cuts."""
    caller = call(
        {"reply": {"say": ["one", "two"]}, "fault": {"cut": how}}, headers="Connection: close\r\n", stream=True
    )
    assert caller.read_to_end() is error
    assert caller.heard.endswith(b"\r\n0\r\n\r\n") is (how == "end")
    assert b'"one"' in caller.heard
    assert b'"two"' not in caller.heard
    exchange = last(vertex)
    assert (exchange.ended, exchange.played.sent) == ("cut", len(exchange.outcome.timeline.body))


@pytest.mark.parametrize(("how", "error"), [("reset", ConnectionResetError), ("close", None)], ids=["reset", "close"])
def test_cuts_before_the_headers(call: Any, vertex: Emulator, how: str, error: type[OSError] | None) -> None:
    """No bytes are sent."""
    caller = call({"reply": "Hi.", "fault": {"cut": how, "at": "before_headers"}})
    assert (caller.read_to_end(), caller.heard) == (error, b"")
    assert (last(vertex).ended, last(vertex).played.sent) == ("cut", 0)


def test_small_writes(call: Any, vertex: Emulator) -> None:
    """The body arrives in chunks of seven bytes, the last one shorter."""
    pieces = call({"reply": {"say": ["one", "two"]}, "fault": "small_writes"}, stream=True).read_chunks()
    assert {len(piece) for piece in pieces[:-1]} == {7}
    assert b"".join(pieces) == last(vertex).outcome.timeline.body
    assert last(vertex).ended == "complete"


def test_answers_without_times_are_sent_in_one_write(call: Any, vertex: Emulator) -> None:
    """A stream without pace is one write."""
    pieces = call({"reply": {"say": ["one", "two"]}}, stream=True).read_chunks()
    assert pieces == [last(vertex).outcome.timeline.body]
    assert last(vertex).to_json()["timeline"] is None


def test_a_fault_that_does_not_apply_is_warned_of_in_a_header(call: Any) -> None:
    """The answer is sent unchanged, with the warning."""
    caller = call({"reply": "ASCII.", "fault": "cut_inside_character"})
    caller.read_until(b"\r\n0\r\n\r\n")
    assert re.search(rb"(?m)^x-emulator-warning: fault without effect: .*several bytes", caller.heard)


def test_connections_stay_open_between_answers(call: Any, vertex: Emulator) -> None:
    """The connection is kept alive after a delayed answer that ended normally."""
    caller = call({"reply": {"raw": "twelve bytes"}, "fault": "small_writes"}, headers="Connection: keep-alive\r\n")
    assert caller.read_chunks() == [b"twelve ", b"bytes"]
    caller.ask("p")
    assert caller.read_chunks() == [b"twelve ", b"bytes"]
    assert [one.ended for one in vertex.session("p").journal.wait_for(2)] == ["complete", "complete"]


def test_a_disconnect_between_small_writes(call: Any, vertex: Emulator) -> None:
    """The remaining pieces are not written."""
    caller = call({"reply": "word " * 100_000, "fault": {"write_size": 1}}, stream=True)
    caller.read_until(b"\r\n\r\n1\r\n")
    caller.leave()
    exchange = last(vertex)
    assert (exchange.ended, exchange.played.sent < len(exchange.outcome.timeline.body)) == ("client left", True)
