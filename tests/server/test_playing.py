"""Playing: what a client on a real socket meets of times and faults, with a clock that stands still until told."""

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
"""Seconds within which something would have come that must not come."""


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
def vertex(clock: ManualClock) -> Iterator[Emulator]:
    """An emulator that goes by it."""
    with Emulator("rules:\n- reply: Hello.\n", settings=Settings(auth="off"), clock=clock) as running:
        yield running


class Caller:
    """A client that is nothing but a socket."""

    def __init__(self, vertex: Emulator, project: str, *, headers: str = "", **body: Any) -> None:
        host, _, port = vertex.url.removeprefix("http://").partition(":")
        self._socket = socket.create_connection((host, int(port)), PATIENCE)
        self.heard = b""
        self.ask(project, headers=headers, **body)

    def ask(self, project: str, *, headers: str = "", **body: Any) -> None:
        """Send a request, the next one if there was one already."""
        request = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "hi"}], **body}
        content = json.dumps(request).encode()
        head = f"POST {PATH.format(project)} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(content)}\r\n\r\n"
        self._socket.sendall(head.encode() + content)

    def hear(self, until: bytes) -> None:
        """Read until these bytes have come."""
        while until not in self.heard:
            more = self._socket.recv(65536)
            assert more, f"the connection ended before {until!r}: {self.heard!r}"
            self.heard += more

    def hear_end(self) -> type[OSError] | None:
        """Read until the connection ends; an exception if it does not do so in order."""
        try:
            while more := self._socket.recv(65536):
                self.heard += more
        except OSError as error:
            return type(error)
        return None

    def hear_pieces(self) -> list[bytes]:
        """The pieces in which the body comes, as the chunked transfer encoding has them, read to its end."""
        self.hear(b"\r\n0\r\n\r\n")
        rest, pieces = self.heard.partition(b"\r\n\r\n")[2], []
        self.heard = b""
        while size := int(rest.partition(b"\r\n")[0], 16):
            data = rest.partition(b"\r\n")[2]
            pieces.append(data[:size])
            rest = data[size + 2 :]
        return pieces

    def hear_nothing(self) -> None:
        """Hold that nothing comes for a moment."""
        self._socket.settimeout(BLINK)
        with pytest.raises(TimeoutError):
            self._socket.recv(1)
        self._socket.settimeout(PATIENCE)

    def leave(self) -> None:
        """Close the connection."""
        self._socket.close()


@pytest.fixture
def call(vertex: Emulator) -> Iterator[Any]:
    """Push a rule for a project of the test's own and send a request to it; returns the caller, who leaves at the end."""
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


def test_chunks_come_at_their_times(call: Any, clock: ManualClock, vertex: Emulator) -> None:
    """Nothing before its time, each chunk at its own, to the millisecond of the manual clock."""
    pace = {"first_token_ms": 300, "every_ms": 100}
    caller = call({"reply": {"say": ["one", "two", "three"]}, "pace": pace}, stream=True)
    clock.wait_for_waiting()
    caller.hear_nothing()
    clock.advance(0.299)
    caller.hear_nothing()
    clock.advance(0.001)
    caller.hear(b'"one"')
    assert caller.heard.startswith(b"HTTP/1.1 200")
    clock.wait_for_waiting()
    clock.advance(0.1)
    caller.hear(b'"two"')
    assert b'"three"' not in caller.heard
    clock.wait_for_waiting()
    clock.advance(0.1)
    caller.hear(b"data: [DONE]\n\n\r\n0\r\n\r\n")
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


def test_lateness_does_not_add_up(call: Any, clock: ManualClock, vertex: Emulator) -> None:
    """Chunks that are overdue go out at once, and the one after them at the time that was planned."""
    caller = call({"reply": {"say": ["1", "2", "3", "4"]}, "pace": {"every_ms": 100}}, stream=True)
    caller.hear(b'"1"')
    clock.wait_for_waiting()
    clock.advance(0.25)
    caller.hear(b'"3"')
    clock.wait_for_waiting()
    caller.hear_nothing()
    clock.advance(0.05)
    caller.hear(b"[DONE]")
    assert last(vertex).to_json()["timeline"]["sent_ms"] == [0, 250, 250, 300, 300]


def test_plain_answers_take_their_time(call: Any, clock: ManualClock) -> None:
    """Head and body come when the stream would have ended."""
    caller = call({"reply": {"say": ["one", "two"]}, "pace": {"first_token_ms": 300, "every_ms": 100}})
    clock.wait_for_waiting()
    clock.advance(0.399)
    caller.hear_nothing()
    clock.advance(0.001)
    caller.hear(b"onetwo")


def test_a_request_asks_for_its_pace(call: Any, clock: ManualClock) -> None:
    """The header wins over the rule."""
    caller = call(
        {"reply": "One.", "pace": "slow-train"}, headers="x-emulator-pace: first_token_ms=40\r\n", stream=True
    )
    clock.wait_for_waiting()
    clock.advance(0.04)
    caller.hear(b"[DONE]")


def test_a_pace_that_there_is_not(call: Any) -> None:
    """A header that cannot be read is told, as a failure of the emulator's own."""
    caller = call({"reply": "One."}, headers="x-emulator-pace: slow-trian\r\n")
    caller.hear(b"slow-train")
    assert caller.heard.startswith(b"HTTP/1.1 418")


def test_many_wait_side_by_side(vertex: Emulator, clock: ManualClock) -> None:
    """One answer that waits keeps no other from being sent."""
    vertex.session("p").push("rules:\n- reply: Late.\n  pace: {first_token_ms: 1000}\n")
    late = [Caller(vertex, "p", stream=True) for _ in range(20)]
    clock.wait_for_waiting(20)
    early = Caller(vertex, "other")
    early.hear(b"Hello.")
    clock.advance(1)
    for caller in late:
        caller.hear(b"[DONE]")
    for caller in (*late, early):
        caller.leave()


def test_a_client_that_leaves_is_journalled_at_once(call: Any, clock: ManualClock, vertex: Emulator) -> None:
    """Mid-stream: with the bytes that were sent, without waiting for the time of the rest."""
    caller = call({"reply": [{"say": "one"}, {"pause": 60_000}, {"say": "two"}]}, stream=True)
    caller.hear(b"\n\n")
    clock.wait_for_waiting()
    caller.leave()
    exchange = last(vertex)
    first, *_ = exchange.outcome.timeline.frames
    assert (exchange.ended, exchange.played.sent) == ("client left", len(first.data))
    assert exchange.played.times == [0]
    with pytest.raises(TimeoutError, match="there are 0"):
        clock.wait_for_waiting(1, timeout=0)


def test_a_client_that_leaves_before_the_answer(call: Any, clock: ManualClock, vertex: Emulator) -> None:
    """Nothing was sent."""
    caller = call({"reply": "Late.", "pace": "slow-train"})
    clock.wait_for_waiting()
    caller.leave()
    assert (last(vertex).ended, last(vertex).played.sent) == ("client left", 0)


@pytest.mark.parametrize("fault", ["stall_before_headers", "stall_mid_stream"])
def test_a_stall_lasts_until_the_client_leaves(call: Any, clock: ManualClock, vertex: Emulator, fault: str) -> None:
    """No time ends it."""
    caller = call({"reply": {"say": ["one", "two"]}, "fault": fault}, stream=True)
    if fault == "stall_mid_stream":
        caller.hear(b'"one"')
    clock.advance(1e6)
    caller.hear_nothing()
    assert len(vertex.session("p").journal) == 0
    caller.leave()
    assert last(vertex).ended == "stalled"


def test_a_stall_of_milliseconds_ends(call: Any, clock: ManualClock, vertex: Emulator) -> None:
    """The rest follows."""
    caller = call({"reply": {"say": ["one", "two"]}, "fault": {"stall": 500, "after_chunks": 1}}, stream=True)
    caller.hear(b'"one"')
    clock.wait_for_waiting()
    clock.advance(0.5)
    caller.hear(b"[DONE]")
    assert last(vertex).ended == "complete"


@pytest.mark.parametrize(
    ("how", "error"), [("reset", ConnectionResetError), ("close", None), ("end", None)], ids=["reset", "close", "end"]
)
def test_cuts(call: Any, vertex: Emulator, how: str, error: type[OSError] | None) -> None:
    """A reset is an RST, a close a FIN without the last chunk of the transfer encoding, an end has it; all were planned."""
    caller = call(
        {"reply": {"say": ["one", "two"]}, "fault": {"cut": how}}, headers="Connection: close\r\n", stream=True
    )
    assert caller.hear_end() is error
    assert caller.heard.endswith(b"\r\n0\r\n\r\n") is (how == "end")
    assert b'"one"' in caller.heard
    assert b'"two"' not in caller.heard
    exchange = last(vertex)
    assert (exchange.ended, exchange.played.sent) == ("cut", len(exchange.outcome.timeline.body))


@pytest.mark.parametrize(("how", "error"), [("reset", ConnectionResetError), ("close", None)], ids=["reset", "close"])
def test_cuts_before_the_headers(call: Any, vertex: Emulator, how: str, error: type[OSError] | None) -> None:
    """Not a byte is sent."""
    caller = call({"reply": "Hi.", "fault": {"cut": how, "at": "before_headers"}})
    assert (caller.hear_end(), caller.heard) == (error, b"")
    assert (last(vertex).ended, last(vertex).played.sent) == ("cut", 0)


def test_small_writes(call: Any, vertex: Emulator) -> None:
    """The body comes in pieces of seven bytes, the last one of what is left."""
    pieces = call({"reply": {"say": ["one", "two"]}, "fault": "small_writes"}, stream=True).hear_pieces()
    assert {len(piece) for piece in pieces[:-1]} == {7}
    assert b"".join(pieces) == last(vertex).outcome.timeline.body
    assert last(vertex).ended == "complete"


def test_what_has_no_times_goes_out_in_one_piece(call: Any, vertex: Emulator) -> None:
    """A stream without pace is one write."""
    pieces = call({"reply": {"say": ["one", "two"]}}, stream=True).hear_pieces()
    assert pieces == [last(vertex).outcome.timeline.body]
    assert last(vertex).to_json()["timeline"] is None


def test_a_fault_without_a_place_is_told_in_a_header(call: Any) -> None:
    """The answer comes as it is, with the warning."""
    caller = call({"reply": "ASCII.", "fault": "cut_inside_character"})
    caller.hear(b"\r\n0\r\n\r\n")
    assert re.search(rb"(?m)^x-emulator-warning: fault without effect: .*several bytes", caller.heard)


def test_connections_stay_open_between_answers(call: Any, vertex: Emulator) -> None:
    """An answer that took its time, and ended well, leaves the connection to the next request."""
    caller = call({"reply": {"raw": "twelve bytes"}, "fault": "small_writes"}, headers="Connection: keep-alive\r\n")
    assert caller.hear_pieces() == [b"twelve ", b"bytes"]
    caller.ask("p")
    assert caller.hear_pieces() == [b"twelve ", b"bytes"]
    assert [one.ended for one in vertex.session("p").journal.wait_for(2)] == ["complete", "complete"]


def test_a_client_that_leaves_between_small_writes(call: Any, vertex: Emulator) -> None:
    """The pieces that are left are not written."""
    caller = call({"reply": "word " * 100_000, "fault": {"write_size": 1}}, stream=True)
    caller.hear(b"\r\n\r\n1\r\n")
    caller.leave()
    exchange = last(vertex)
    assert (exchange.ended, exchange.played.sent < len(exchange.outcome.timeline.body)) == ("client left", True)
