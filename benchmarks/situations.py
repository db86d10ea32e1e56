"""What is asked and what is answered: the same for everything that is measured."""

import json
import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice
from random import Random
from typing import Any

MODEL = "google/gemini-2.5-flash"
PIECE = 4
"""Characters of a piece. Words of three letters and a space come out alike from all who divide by words or by size."""
MANY = 500
TOPIC = "topic 0500"
LONG_TOPIC = "topic 0499"
TOOL_TOPIC = "topic 0498"
NUMBER = " @NUMBER@"
"""Where a request that is like no other has its number."""
TOOL = "get_weather"
ARGUMENTS = {"city": "Oslo"}
_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": TOOL,
            "description": "Tells the weather.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


def say(pieces: int) -> str:
    """A text that makes so many pieces."""
    return " ".join(islice(cycle(("one", "two", "six", "ten")), pieces)) + "."


@dataclass(frozen=True)
class Rule:
    """If the last user message holds the topic, the text is said; without a text the tool is called."""

    topic: str
    text: str | None


SHORT = Rule(TOPIC, say(8))
ONE_RULE = (SHORT,)
MANY_RULES = (
    *(Rule(f"topic {number:04}", f"This is about topic {number}.") for number in range(1, MANY - 2)),
    Rule(TOOL_TOPIC, None),
    Rule(LONG_TOPIC, say(200)),
    SHORT,
)
"""500 rules of which the last ones answer, so that all others have to be looked at, or passed over by something better."""
SOME_RULES = MANY_RULES[-100:]
"""100 rules, likewise."""


@dataclass(frozen=True)
class Situation:
    """A request, and what has to come back."""

    name: str
    title: str
    messages: Sequence[dict[str, Any]]
    pieces: int = 8
    stream: bool = False
    tool: bool = False
    heavy: bool = False
    """Whether servers that keep all requests would grow so much that they have to be started anew for each measurement."""
    new: bool = False
    """Whether no request is like another, so that nobody gains from remembering them."""

    @cached_property
    def body(self) -> bytes:
        """The request's body."""
        request: dict[str, Any] = {"model": MODEL, "messages": self.messages}
        if self.stream:
            request["stream"] = True
        if self.tool:
            request["tools"] = _TOOLS
        return json.dumps(request).encode()

    @property
    def text(self) -> str:
        """The text that has to come back."""
        return say(self.pieces)


def _ask(topic: str, number: str = "") -> dict[str, Any]:
    return {"role": "user", "content": f"Please tell me something about {topic}.{number}"}


def _history(messages: int, number: str = "") -> list[dict[str, Any]]:
    """A conversation of so many messages, the last of which is the question."""
    roles = islice(cycle(("user", "assistant")), messages - 2)
    said = "This was said before, and is here to be read again by whoever answers next; it is about nothing."
    told = [{"role": role, "content": f"{number}. {said}"} for number, role in enumerate(roles)]
    return [{"role": "system", "content": "Be brief."}, *told, _ask(TOPIC, number)]


def draw_noise(side: int = 578) -> bytes:
    """A PNG that cannot be compressed, by default of 1 MB."""
    noise = Random(1)  # noqa: S311  # nobody is to be kept from guessing it
    rows = b"".join(b"\0" + noise.randbytes(side * 3) for _ in range(side))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")


def _picture() -> list[dict[str, Any]]:
    url = "data:image/png;base64," + b64encode(draw_noise()).decode()
    text = {"type": "text", "text": _ask(TOPIC)["content"]}
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}, text]}]


PLAIN = Situation("plain", "plain", [_ask(TOPIC, NUMBER)], new=True)
STREAM = Situation("stream8", "8 chunks", [_ask(TOPIC, NUMBER)], stream=True, new=True)
LONG_STREAM = Situation("stream200", "200 chunks", [_ask(LONG_TOPIC, NUMBER)], pieces=200, stream=True, new=True)
HISTORY = Situation("history", "200 messages", _history(200, NUMBER), heavy=True, new=True)
TOOL_CALL = Situation("tool", "tool call", [_ask(TOOL_TOPIC, NUMBER)], tool=True, new=True)
PLAIN_SAME = Situation("plain-same", "plain, the same request", [_ask(TOPIC)])
STREAM_SAME = Situation("stream8-same", "8 chunks, the same request", [_ask(TOPIC)], stream=True)
PICTURE = Situation("picture", "1 MB picture", _picture(), heavy=True)
SITUATIONS = (PLAIN, STREAM, LONG_STREAM, HISTORY, TOOL_CALL, PLAIN_SAME, STREAM_SAME, PICTURE)
