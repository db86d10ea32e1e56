"""The log: a line for each exchange, for people at a terminal."""

import asyncio
import time
from contextlib import suppress
from typing import TextIO

from emulator.redaction import clean_line
from emulator.store.exchange import Entry, Exchange, TokenExchange, UnroutedRequest


def log_line(exchange: Entry) -> str:
    """Format an exchange: time, project, rule or outcome, status, tokens, ending; further lines show warnings and reports.

    No text of the request can add a line, and none is longer than `MAX_LINE`.
    """
    match exchange:
        case UnroutedRequest():
            lines = _log_unrouted(exchange)
        case TokenExchange():
            lines = _log_token(exchange)
        case _:
            lines = _log_exchange(exchange)
    return "\n".join(map(clean_line, lines))


def _log_unrouted(request: UnroutedRequest) -> list[str]:
    when = time.strftime("%H:%M:%S", time.localtime(request.started))
    host = [request.host] if request.is_leak else []
    return ["  ".join([when, *filter(None, [request.session]), *host, f"{request.status} {request.report}"])]


def _log_token(exchange: TokenExchange) -> list[str]:
    when = time.strftime("%H:%M:%S", time.localtime(exchange.started))
    facts = [exchange.session, exchange.result, str(exchange.status), exchange.path.rpartition("/")[2]]
    facts += [f"{exchange.duration * 1000:.1f} ms", exchange.ended]
    line = f"{when}  {'  '.join(fact for fact in facts if fact)}"
    return [line, f"          {exchange.refusal}: {exchange.explanation}"] if exchange.refusal else [line]


def _log_exchange(exchange: Exchange) -> list[str]:
    outcome = exchange.outcome
    usage = outcome.usage
    when = time.strftime("%H:%M:%S", time.localtime(exchange.started))
    answered_by = f'"{outcome.chosen.rule.name}"' if outcome.chosen else outcome.result
    tokens = ""
    if usage is not None:
        reasoning = f"+{usage.reasoning}" if usage.reasoning else ""
        tokens = f"{usage.prompt}+{usage.completion}{reasoning} tokens  "
    frames = len(outcome.timeline.frames)
    shape = f"{frames} events" if frames > 1 else "plain"
    line = (
        f"{when}  {exchange.target.project}  {answered_by}  {outcome.timeline.status}  {tokens}{shape}  "
        f"{exchange.duration * 1000:.1f} ms  {exchange.played.ended}"
    )
    if not (exchange.warnings or outcome.refusal or outcome.report):
        return [line]
    lines = [line, *(f"          warning: {warning}" for warning in exchange.warnings)]
    if outcome.result == "refusal" and outcome.refusal is not None:
        lines.append(f"          Vertex refuses this ({outcome.refusal.rule}): {outcome.refusal.explanation}")
    if outcome.report:
        lines += [f"          {line}" for line in outcome.report.split("\n")]
    return lines


class LogWriter:
    """Writes log lines to a stream in batches: at most once per event loop iteration."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._pending: list[str] = []

    def __call__(self, exchange: Entry) -> None:
        """Queue the line of an exchange for the end of this loop iteration; write it immediately if no loop runs."""
        self._pending.append(log_line(exchange))
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
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._stream.flush()
