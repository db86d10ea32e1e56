"""The log of a server.

Two-file cases: `log_lines/NAME.yaml` and `NAME.json` (a scenario and requests), `NAME.txt` and `NAME.jsonl` (the lines of both formats).
UPDATE_EXPECTED=1 rewrites these.
"""

import asyncio
import io
import json
import os
import re
from pathlib import Path

import pytest

from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import ManualClock
from emulator.server.log import LogWriter, log_json, log_line
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.wire.urls import Target

LINES = Path(__file__).with_name("log_lines")
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
    assert stream.writes[0].endswith(' demo gemini-2.5-flash "hi" → "greet" 200 "Hello." 1+2 tokens 0.0 ms\n')


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


@pytest.mark.parametrize("name", sorted(path.stem for path in LINES.glob("*.yaml")))
def test_lines_are_those_of_the_file(name: str) -> None:
    """Each outcome has its line, without secrets, on one line."""
    rules = compile_rules(read_text((LINES / f"{name}.yaml").read_text("utf-8"), f"{name}.yaml").scenarios)
    service = Service(rules, Settings(auth="off", seed="log"), clock=ManualClock())
    bodies = json.loads((LINES / f"{name}.json").read_text("utf-8"))
    exchanges = [service.handle(TARGET, b"", [], json.dumps(body).encode()) for body in bodies]
    for suffix, form in ((".txt", log_line), (".jsonl", log_json)):
        lines = "".join(f"{form(one)}\n" for one in exchanges)
        # What a line shows is the local time.
        shown = re.sub(r'(#\d+) \d\d:\d\d:\d\d|"time": "[^"]*"', lambda found: f"{found[1] or 'time'} _", lines)
        path = LINES / f"{name}{suffix}"
        if os.environ.get("UPDATE_EXPECTED"):
            path.write_text(shown, "utf-8")
        assert shown == path.read_text("utf-8")


class Terminal(Stream):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """True."""
        return True


def test_colours_on_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in files, not with NO_COLOR, and never from texts of the request."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal, plain, refused = Terminal(), Stream(), Terminal()
    exchange = answer('"a \\x1b[31m b"')
    LogWriter(terminal)(exchange)
    LogWriter(plain)(exchange)
    monkeypatch.setenv("NO_COLOR", "1")
    LogWriter(refused)(exchange)
    assert "\x1b[32m200\x1b[0m" in terminal.writes[0]
    assert re.sub(r"\x1b\[[0-9]+m", "", terminal.writes[0]) == plain.writes[0] == refused.writes[0]
    assert "\\u001b[31m" in plain.writes[0]


def test_json_lines_have_no_colours_and_one_line_each() -> None:
    """With the format `json`, each line is an object."""
    stream = Terminal()
    LogWriter(stream, "json")(answer())
    (line,) = stream.writes[0].splitlines()
    shown = json.loads(line)
    assert (shown["asked"], shown["rule"], shown["answered"], shown["status"]) == ("hi", "greet", "Hello.", 200)
