"""The log: a line for each exchange, for people at a terminal or as JSON, and what the `journal` command and pytest show of exchanges."""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, TextIO

from emulator.redaction import clean_line, redact
from emulator.store.exchange import Entry, Exchange, TokenExchange, UnroutedRequest

LogFormat = Literal["text", "json"]

TEXT_WIDTH: Final = 40
"""Characters of a request and of an answer that a line shows."""
_INDENT: Final = " " * 4
_STYLES: Final = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
"""Codes of ANSI terminals."""
_SUCCESS, _CLIENT_ERROR, _SERVER_ERROR = 200, 400, 500
_OWN_PUBLISHER: Final = "google/"
"""Left out of models' names."""
_ASCII: Final = str.maketrans({"→": "->", "…": "..."})
"""For streams that cannot encode them."""


class LogEntry(NamedTuple):
    """What a line shows of an exchange; texts may be long and may have secrets until they are rendered."""

    number: int
    started: float
    """Unix time in seconds."""
    session: str
    model: str
    asked: str
    source: str
    """The rule in quotes, or the outcome."""
    is_answered: bool
    """Whether a rule answered, or a token was given out."""
    status: int
    answered: str
    tokens: str
    events: int
    """Events of a stream; fewer than two for a plain answer."""
    duration: float
    """Seconds."""
    ended: str
    notes: tuple[str, ...] = ()
    """Further lines: warnings, refusal, report."""
    nowhere: str = ""
    """Of a request that nothing routes: method, path and what was probably meant; then the line has only that and the status."""

    def parts(self, width: int = TEXT_WIDTH) -> list[tuple[str, str]]:
        """The parts of the line, each with its style; texts are redacted, then cut at `width` characters."""
        found = [(f"#{self.number}", "bold"), (_time_of_day(int(self.started)), "dim"), (self.session, "")]
        if self.nowhere:
            return [*found, (str(self.status), _status_style(self.status)), (self.nowhere, "")]
        if self.model:
            found.append((self.model.removeprefix(_OWN_PUBLISHER), "cyan"))
        if self.asked:
            found.append((_quote(self.asked, width), ""))
        found += [("→", "dim"), (self.source, "bold" if self.is_answered else "red")]
        found.append((str(self.status), _status_style(self.status)))
        if self.answered:
            found.append((_quote(self.answered, width), ""))
        if self.tokens:
            found.append((f"{self.tokens} tokens", "dim"))
        if self.events > 1:
            found.append((f"{self.events} events", "dim"))
        found.append((f"{self.duration * 1000:.1f} ms", "dim"))
        if self.ended != "complete":
            found.append((self.ended, "yellow"))
        return found

    def render(self, width: int = TEXT_WIDTH, *, is_coloured: bool = False) -> str:
        """The line and those below it. No text of the request can add a line, and none is longer than `MAX_LINE`."""
        parts = self.parts(width)
        if is_coloured:
            # Cleaned first: what is escaped then are control characters of the request, not those of the colours.
            line = " ".join([_paint(clean_line(text), style) for text, style in parts])
        else:
            line = clean_line(" ".join([text for text, _ in parts]))
        return "\n".join([line, *[clean_line(_INDENT + note) for note in self.notes]]) if self.notes else line


@lru_cache(maxsize=2)
def _time_of_day(second: int) -> str:
    """The local time of a second; most lines have that of the line before."""
    return time.strftime("%H:%M:%S", time.localtime(second))


def _quote(text: str, width: int) -> str:
    """A text in quotes on one line, redacted before it is cut: half a secret would not be known as one."""
    if len(text) > width:
        text = redact(text)
        if len(text) > width:
            text = f"{text[: width - 1]}…"
    return f'"{text}"'


def _paint(text: str, style: str) -> str:
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if style else text


def _status_style(status: int) -> str:
    return "green" if _SUCCESS <= status < _CLIENT_ERROR else "yellow" if status < _SERVER_ERROR else "red"


def describe_exchange(exchange: Entry) -> LogEntry:
    """What a line shows of an exchange."""
    if isinstance(exchange, TokenExchange):
        notes = (f"{exchange.refusal}: {exchange.explanation}",) if exchange.refusal else ()
        return LogEntry(
            exchange.number,
            exchange.started,
            exchange.session or "-",
            "",
            exchange.path.rpartition("/")[2],
            exchange.result,
            not exchange.refusal,
            exchange.status,
            "",
            "",
            0,
            exchange.duration,
            exchange.ended,
            notes,
        )
    if isinstance(exchange, UnroutedRequest):
        return _unrouted(exchange.number, exchange.started, exchange.session, exchange.status, exchange.report)
    outcome, asked = exchange.outcome, exchange.asked
    usage, timeline, chosen = outcome.usage, outcome.timeline, outcome.chosen
    tokens = ""
    if usage is not None:
        tokens = f"{usage.prompt}+{usage.completion}{f'+{usage.reasoning}' if usage.reasoning else ''}"
    return LogEntry(
        exchange.number,
        exchange.started,
        exchange.target.project,
        asked.model,
        asked.text,
        outcome.result if chosen is None else f'"{chosen.rule.name}"',
        outcome.result == "answer",
        timeline.status,
        outcome.said,
        tokens,
        len(timeline.frames),
        exchange.duration,
        exchange.played.ended,
        _notes(exchange) if exchange.warnings or outcome.refusal or outcome.report else (),
    )


def _unrouted(number: int, started: float, session: str, status: int, nowhere: str) -> LogEntry:
    return LogEntry(
        number, started, session or "-", "", "", "unrouted", False, status, "", "", 0, 0.0, "complete", (), nowhere
    )


def _notes(exchange: Exchange) -> tuple[str, ...]:
    outcome = exchange.outcome
    notes = [f"warning: {warning}" for warning in exchange.warnings]
    if outcome.result == "refusal" and outcome.refusal is not None:
        notes.append(f"Vertex refuses this ({outcome.refusal.rule}): {outcome.refusal.explanation}")
    return (*notes, *(outcome.report.split("\n") if outcome.report else ()))


def describe_json(exchange: Mapping[str, Any]) -> LogEntry:
    """What a line shows of an exchange that was read from the control path."""
    if exchange["outcome"] == "unrouted":
        started = datetime.fromisoformat(exchange["time"]).timestamp()
        return _unrouted(exchange["number"], started, exchange["session"], exchange["status"], exchange["report"])
    refusal, usage = exchange["refusal"], exchange.get("usage")
    notes = [f"warning: {warning}" for warning in exchange.get("warnings") or ()]
    if refusal and exchange["outcome"] == "refusal":
        notes.append(": ".join(part for part in (refusal["name"], refusal["explanation"]) if part))
    if exchange.get("report"):
        notes += exchange["report"].split("\n")
    rule, answer = exchange["rule"], exchange["answer"]
    return LogEntry(
        exchange["number"],
        datetime.fromisoformat(exchange["time"]).timestamp(),
        exchange["session"] or "-",
        exchange.get("model") or "",
        exchange.get("asked") or ("" if "usage" in exchange else exchange["path"].rpartition("/")[2]),
        f'"{rule}"' if rule else exchange["outcome"],
        exchange["outcome"] in {"answer", "token"},
        exchange["status"],
        exchange.get("answered") or "",
        _tokens_of(usage) if usage else "",
        len(answer) if isinstance(answer, list) else 0,
        exchange["duration_ms"] / 1000,
        exchange["ended"],
        tuple(notes),
    )


def _tokens_of(usage: Mapping[str, Any]) -> str:
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
    return f"{usage['prompt_tokens']}+{usage['completion_tokens']}{f'+{reasoning}' if reasoning else ''}"


def log_line(exchange: Entry, width: int = TEXT_WIDTH, *, is_coloured: bool = False) -> str:
    """Format an exchange: number, time, project, model, what was asked, rule or outcome, status, what was answered, tokens, duration.

    Further lines, indented, have warnings, refusal and report; `width` is how many characters of request and answer are shown.
    """
    return describe_exchange(exchange).render(width, is_coloured=is_coloured)


def log_json(exchange: Entry) -> str:
    """Format an exchange as one line of JSON, without its bodies."""
    shown = describe_exchange(exchange)
    if not isinstance(exchange, Exchange):
        usage, chosen = None, None
        refusal = (exchange.refusal if isinstance(exchange, TokenExchange) else "") or None
    else:
        usage, chosen = exchange.outcome.usage, exchange.outcome.chosen
        refusal = exchange.outcome.refusal.rule if exchange.outcome.refusal else None
    line = {
        "number": shown.number,
        "time": datetime.fromtimestamp(shown.started).astimezone().isoformat(timespec="milliseconds"),
        "session": clean_line(shown.session),
        "model": clean_line(shown.model),
        "asked": clean_line(_quote(shown.asked, 5 * TEXT_WIDTH)[1:-1]),
        "outcome": exchange.result,
        "rule": chosen.rule.name if chosen else None,
        "place": str(chosen.rule.place) if chosen else None,
        "refusal": refusal,
        "status": shown.status,
        "answered": clean_line(_quote(shown.answered, 5 * TEXT_WIDTH)[1:-1]),
        "prompt_tokens": usage.prompt if usage else None,
        "completion_tokens": usage.completion if usage else None,
        "reasoning_tokens": usage.reasoning if usage else None,
        "events": shown.events,
        "duration_ms": round(shown.duration * 1000, 3),
        "ended": shown.ended,
        "notes": [clean_line(note) for note in (*shown.notes, shown.nowhere) if note],
    }
    return json.dumps(line, ensure_ascii=False)


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal whose user has not asked for no colours (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


class LogWriter:
    """Writes log lines to a stream in batches: at most once per event loop iteration."""

    def __init__(self, stream: TextIO, form: LogFormat = "text") -> None:
        self._stream = stream
        self._form = form
        self._is_coloured = form == "text" and not stream.closed and wants_colour(stream)
        self._pending: list[str] = []

    def __call__(self, exchange: Entry) -> None:
        """Queue the line of an exchange for the end of this loop iteration; write it immediately if no loop runs."""
        if self._form == "json":
            self._pending.append(log_json(exchange))
        else:
            self._pending.append(describe_exchange(exchange).render(is_coloured=self._is_coloured))
        if len(self._pending) > 1:
            return
        try:
            asyncio.get_running_loop().call_soon(self._flush)
        except RuntimeError:
            self._flush()

    def _flush(self) -> None:
        """Write the pending lines, escaping characters that the stream cannot encode; errors of a closed stream are ignored."""
        text = "\n".join(self._pending) + "\n"
        self._pending.clear()
        encoding = self._stream.encoding or "utf-8"
        with suppress(OSError, ValueError):
            try:
                text.encode(encoding)
            except UnicodeEncodeError:
                text = text.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
            self._stream.write(text)
            self._stream.flush()
