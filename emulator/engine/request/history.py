"""The conversation as turns: who spoke, which tools were called, what they returned."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, Literal

from emulator.wire.requests import ExtraContent, Message, Part

MODEL_ROLES = frozenset({"assistant", "model"})


def read_text(message: Message, marker: str | None) -> str:
    """The text of a message as the model reads it: what is flagged as a thought, or stands in the marker's tags, is left out.

    Documented (overview): text inside the tags is stripped when the request sets the same marker; `extra_content.google.thought`,
    on the message or a part, decides where it is given.
    """
    content = message.get("content")
    if content is None:
        return ""
    if marker is not None and message.get("role") not in MODEL_ROLES:
        marker = None
    if isinstance(content, str):
        extra = message.get("extra_content")
        return content if extra is None and marker is None else _without_thoughts(content, extra, marker)
    return "".join(_read_part(part, marker) for part in content)


def _read_part(part: Part, marker: str | None) -> str:
    return _without_thoughts(part.get("text") or "", part.get("extra_content"), marker)


def _without_thoughts(text: str, extra: ExtraContent | None, marker: str | None) -> str:
    flag = ((extra or {}).get("google") or {}).get("thought")
    if isinstance(flag, bool):
        return "" if flag else text
    return _tags(marker).sub("", text) if marker else text


@lru_cache(maxsize=64)
def _tags(marker: str) -> re.Pattern[str]:
    name = re.escape(marker)
    return re.compile(f"<{name}>.*?</{name}>", re.DOTALL)


USER_ROLES = frozenset({"user"})
SYSTEM_ROLES = frozenset({"system", "developer"})
TOOL_ROLES = frozenset({"tool", "function"})


def text_of(message: Message) -> str:
    """The text of a message: its content, or its text parts one after the other."""
    content = message.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content)


Kind = Literal["user", "model", "calls", "results", "aside"]
"""What a turn is: the user's words, the model's, its calls, their results, or a system message behind the model's words."""


@dataclass(frozen=True, slots=True)
class PastCall:
    """A tool call in the history, with its place in the request."""

    place: tuple[int | str, ...]
    name: str
    arguments: str | None
    id: str | None
    google: dict[str, Any]
    """What stands in its `extra_content.google`."""
    legacy: bool = False
    """Whether it is the deprecated `function_call`, which has neither id nor signature."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Messages that are one content block: results next to each other, else a single message."""

    kind: Kind
    numbers: tuple[int, ...]
    """Their positions among the messages."""
    block: int
    """The number of the content block, from 1."""


def is_result(message: Message) -> bool:
    """Whether a message is the result of a tool: by its role (documented: seed), or a user's with a call id (gemini-3 page)."""
    return message.get("role") in TOOL_ROLES or (
        message.get("role") not in MODEL_ROLES and message.get("tool_call_id") is not None
    )


def has_calls(message: Message) -> bool:
    """Whether a message calls tools."""
    return bool(message.get("tool_calls") or message.get("function_call")) and message.get("role") in MODEL_ROLES


def calls_of(message: Message, number: int) -> tuple[PastCall, ...]:
    """The calls of the message at this position."""
    found = []
    for at, call in enumerate(message.get("tool_calls") or ()):
        function, extra = call.get("function") or {}, call.get("extra_content") or {}
        # Some gateways rename the key (observed: earendil-works/pi#6733), as the quirk `vertex_content` does.
        google: Any = extra.get("google") or extra.get("vertex")
        found.append(
            PastCall(
                place=("messages", number, "tool_calls", at),
                name=function.get("name") or "",
                arguments=function.get("arguments"),
                id=call.get("id") or None,
                google=google if isinstance(google, dict) else {},
            )
        )
    legacy = message.get("function_call")
    if legacy and not found:
        place = ("messages", number, "function_call")
        found.append(PastCall(place, legacy.get("name") or "", legacy.get("arguments"), None, {}, legacy=True))
    return tuple(found)


def read_turns(messages: Sequence[Message]) -> list[Turn]:
    """The turns of a conversation, and the number of each among its content blocks.

    Assumed: blocks are counted from 1, system messages are none, and results next to each other are one.
    """
    turns: list[Turn] = []
    block = 0
    for number, message in enumerate(messages):
        kind = _kind_of(message)
        before = turns[-1] if turns else None
        if kind == "results" and before is not None and before.kind == "results":
            turns[-1] = Turn(kind, (*before.numbers, number), before.block)
        elif kind != "aside":
            block += 1
            turns.append(Turn(kind, (number,), block))
        elif before is not None and before.kind == "model":
            turns.append(Turn(kind, (number,), block))
    return turns


def _kind_of(message: Message) -> Kind:
    role = message.get("role")
    if role in SYSTEM_ROLES:
        return "aside"
    if is_result(message):
        return "results"
    if has_calls(message):
        return "calls"
    return "model" if role in MODEL_ROLES else "user"


Speaker = Literal["user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class DialogueTurn:
    """One turn: messages next to each other of the same speaker."""

    speaker: Speaker
    text: str = ""
    """What the user or the assistant says; the user's messages are joined by line breaks."""
    calls: tuple[PastCall, ...] = ()
    results: tuple[tuple[str, str], ...] = ()
    """The results of tools, each with the function's name (empty if it is not known) and its text."""


def read_dialogue(messages: Sequence[Message], marker: Any) -> list[DialogueTurn]:
    """The turns of a conversation; system messages are none. `marker` is the tag around thoughts, which are left out."""
    marker = marker if isinstance(marker, str) else None
    spoken: list[DialogueTurn] = []
    names: dict[str | None, str] = {}
    for number, message in enumerate(messages):
        if message.get("role") not in SYSTEM_ROLES:
            turn = _read_message(message, number, marker, names)
            names.update({call.id: call.name for call in turn.calls})
            spoken.append(turn)
    return [_join(tuple(group)) for _, group in groupby(spoken, lambda turn: turn.speaker)]


def _read_message(message: Message, number: int, marker: str | None, names: dict[str | None, str]) -> DialogueTurn:
    if is_result(message):
        # An id may be used again in a later round: it is the last call before the result that counts.
        name = names.get(message.get("tool_call_id")) or message.get("name") or ""
        return DialogueTurn("tool", results=((name, text_of(message)),))
    if message.get("role") in MODEL_ROLES:
        return DialogueTurn("assistant", read_text(message, marker), calls_of(message, number))
    return DialogueTurn("user", text_of(message))


def _join(parts: Sequence[DialogueTurn]) -> DialogueTurn:
    if len(parts) == 1:
        return parts[0]
    speaker = parts[0].speaker
    return DialogueTurn(
        speaker,
        ("\n" if speaker == "user" else "").join(part.text for part in parts),
        tuple(call for part in parts for call in part.calls),
        tuple(result for part in parts for result in part.results),
    )
