"""One line of the page's list: what an exchange is about, in few words."""

import re
from collections.abc import Callable
from typing import Any

from emulator.redaction import clean_line
from emulator.store.exchange import Entry, Exchange, UnroutedRequest, answer_text
from emulator.wire.json_text import parse_or_text

WORDS = 120
"""Characters of what was asked and answered that a row has."""
MAX_READ_BODY = 200_000
"""Bytes of a request or an answer that are read for a row; of a longer one only the model is looked for."""
_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')
_MIME_TYPE = re.compile(rb'"mime_type":\s?"([\w.+-]+/[\w.+-]+)"')
_EDGE = 4096
"""Bytes at each end of a long body in which its model is looked for."""


def clean_words(text: str) -> str:
    """A text as a row has it: on one line, without secrets, cut."""
    return clean_line(text, WORDS)


def make_row(entry: Entry, *, with_words: bool = True, clean: Callable[[str], str] = clean_words) -> dict[str, Any]:
    """The row of an exchange, a token request or a request that nothing routes, its time in milliseconds.

    Without the words its bodies are not read, and it says that it is `brief`. `clean` shows names, which many rows have in common.
    """
    row: dict[str, Any] = {
        "number": entry.number,
        "position": entry.position,
        "time": round(entry.started * 1000),
        "session": clean(entry.session),
        "outcome": entry.result,
        "rule": None if entry.rule is None else clean(entry.rule),
        "status": entry.status,
        "ms": round(entry.duration * 1000, 1),
        "ended": entry.ended,
    }
    if isinstance(entry, UnroutedRequest):
        asked = clean_line(f"{entry.verb} {entry.path}", WORDS)
        return {**row, "asked": asked, "answered": clean_line(entry.explanation, WORDS)}
    if not isinstance(entry, Exchange):
        return {**row, "asked": clean_line(entry.path, WORDS), "answered": clean_line(entry.explanation, WORDS)}
    if entry.outcome.usage is not None:
        row["tokens"] = [entry.outcome.usage.prompt, entry.outcome.usage.sum - entry.outcome.usage.prompt]
    if entry.outcome.refusal is not None:
        row["refusal"] = entry.outcome.refusal.rule
    if not with_words:
        return {**row, "brief": True}
    request = _read_request(entry)
    model = request.get("model")
    row["model"] = clean_line(model, WORDS) if isinstance(model, str) else ""
    row["asked"] = clean_line(_asked(request, entry), WORDS)
    row["answered"] = clean_line(_answered(entry), WORDS)
    return row


def _read_request(exchange: Exchange) -> dict[str, Any]:
    body = exchange.body
    if len(body) > MAX_READ_BODY:
        found = _MODEL.search(body[:_EDGE]) or _MODEL.search(body[-_EDGE:])
        return {"model": found[1].decode("utf-8", "replace")} if found else {}
    value = parse_or_text(body.decode("utf-8", "replace"))
    return value if isinstance(value, dict) else {}


def _asked(request: dict[str, Any], exchange: Exchange) -> str:
    """The text of the last user message, or what the other routes have in its place."""
    if exchange.target.is_unary:
        return exchange.target.method or "describe the endpoint"
    for key in ("input", "prompt"):
        if isinstance(request.get(key), str):
            return str(request[key])
    messages = request.get("messages") or request.get("input") or request.get("prompt")
    if not isinstance(messages, list):
        return ""
    for message in reversed(messages):
        if isinstance(message, str):
            return message
        if isinstance(message, dict) and message.get("role") == "user":
            return text_of(message.get("content"))
    return ""


def _answered(exchange: Exchange) -> str:
    """The first words of the answer: text, the names of calls, or the message of an error."""
    outcome = exchange.outcome
    if outcome.result in {"miss", "error"}:
        return outcome.report.partition("\n")[0]
    if outcome.refusal is not None:
        return outcome.refusal.explanation or outcome.refusal.message
    if outcome.timeline.size > MAX_READ_BODY:
        return ""
    body = outcome.timeline.body
    text = answer_text(body)
    if text:
        return text
    if b'"tool_calls"' in body:
        names = dict.fromkeys(re.findall(rb'"name":\s?"([^"\\]{1,100})"', body))
        return ", ".join(f"{name.decode('utf-8', 'replace')}()" for name in names)
    if media := _MIME_TYPE.search(body):
        return f"({media[1].decode()})"
    return ""


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or its text parts joined by line breaks."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))
