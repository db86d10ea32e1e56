"""The log of a server."""

import asyncio
import io

from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import ManualClock
from emulator.server.log import LogWriter, log_line
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.wire.urls import Target

TARGET = Target("v1", "demo", "global", "openapi")
BODY = b'{"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "hi"}]}'


class Stream(io.TextIOWrapper):
    """A stream that counts how often it is written to."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        """Count the write and keep the text."""
        self.writes.append(text)
        return len(text)


def answer(name: str = "greet") -> Exchange:
    """An exchange answered by a rule of this name."""
    rules = compile_rules(read_text(f"rules: [{{name: {name}, reply: Hello.}}]").scenarios)
    return Service(rules, Settings(auth="off"), clock=ManualClock()).handle(TARGET, b"", [], BODY)


def test_lines_of_one_loop_iteration_are_written_together() -> None:
    """Each exchange has its line, in order."""
    stream, exchange = Stream(), answer()
    log = LogWriter(stream)

    async def work() -> None:
        for _ in range(2):
            for _ in range(3):
                log(exchange)
            await asyncio.sleep(0)

    asyncio.run(work())
    assert stream.writes == [f"{log_line(exchange)}\n" * 3] * 2


def test_a_line_is_written_immediately_without_an_event_loop() -> None:
    """As when a program uses the service without a server."""
    stream, exchange = Stream(), answer()
    LogWriter(stream)(exchange)
    assert stream.writes == [f"{log_line(exchange)}\n"]
    assert 'demo  "greet"  200  1+2 tokens  plain' in stream.writes[0]


def test_characters_that_the_stream_cannot_encode_are_escaped() -> None:
    """No line is lost because of a name in another script."""
    stream = Stream("ascii")
    LogWriter(stream)(answer("größe"))
    assert '"gr\\xf6\\xdfe"' in stream.writes[0]


def test_a_closed_stream_is_ignored() -> None:
    """The exchange ends normally."""
    stream = Stream()
    stream.close()
    LogWriter(stream)(answer())
