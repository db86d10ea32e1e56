"""What an answer said, read off the bytes that were sent."""

from collections.abc import Iterator
from typing import Any

from emulator.wire.json_text import parse_or_text

_EVENT = "data: "


def read_spoken(body: bytes) -> str:
    """The text of an answer's first choice, or of a response, whether it came as one piece or as a stream."""
    text = body.decode("utf-8", "replace")
    whole = parse_or_text(text)
    if isinstance(whole, dict):
        return "".join(_texts_of(whole))
    events = (parse_or_text(line.removeprefix(_EVENT)) for line in text.split("\n") if line.startswith(_EVENT))
    return "".join(piece for event in events if isinstance(event, dict) for piece in _texts_of(event))


def _texts_of(part: dict[str, Any]) -> Iterator[str]:
    """The texts of one JSON object: a chat answer or chunk, a completion, a response or one of its deltas."""
    for choice in part.get("choices") or ():
        if choice.get("index", 0) == 0:
            message = choice.get("message") or choice.get("delta") or {}
            yield from (said for said in (message.get("content"), choice.get("text")) if isinstance(said, str))
    if part.get("type") == "response.output_text.delta":
        yield part.get("delta", "")
    messages = (item for item in part.get("output") or () if item.get("type") == "message")
    for item in messages:
        yield from (piece["text"] for piece in item.get("content") or () if isinstance(piece.get("text"), str))
