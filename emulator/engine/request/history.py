"""The message history: texts without thoughts, past tool calls, content blocks (for vetting) and turns (for conversation rules)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from emulator.wire.requests import ExtraContent, Message

USER_ROLES = frozenset({"user"})
MODEL_ROLES = frozenset({"assistant", "model"})
SYSTEM_ROLES = frozenset({"system", "developer"})
TOOL_ROLES = frozenset({"tool", "function"})


def text_of(message: Message) -> str:
    """The text of a message: its content, or its text parts concatenated."""
    content = message.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content)


def read_text(message: Message, marker: str | None) -> str:
    """The text of a message as the model reads it: without text that is flagged as a thought or stands in the marker's tags.

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
        return content if extra is None and marker is None else _strip_thoughts(content, extra, marker)
    return "".join(_strip_thoughts(part.get("text") or "", part.get("extra_content"), marker) for part in content)


def _strip_thoughts(text: str, extra: ExtraContent | None, marker: str | None) -> str:
    flag = ((extra or {}).get("google") or {}).get("thought")
    if isinstance(flag, bool):
        return "" if flag else text
    if not marker:
        return text
    opening, closing = f"<{marker}>", f"</{marker}>"
    kept: list[str] = []
    at = 0
    while (start := text.find(opening, at)) >= 0 and (end := text.find(closing, start + len(opening))) >= 0:
        kept.append(text[at:start])
        at = end + len(closing)
    return "".join(kept) + text[at:]


@dataclass(frozen=True, slots=True)
class PastCall:
    """A tool call in the history, with its place in the request."""

    place: tuple[int | str, ...]
    name: str
    arguments: str | None
    id: str | None
    google: dict[str, Any]
    """Its `extra_content.google`."""
    legacy: bool = False
    """Whether it is the deprecated `function_call`, which has neither id nor signature."""


def is_result(message: Message) -> bool:
    """Whether a message is the result of a tool: by its role (documented: seed), or a user's with a call id (gemini-3 page)."""
    return message.get("role") in TOOL_ROLES or (
        message.get("role") not in MODEL_ROLES and message.get("tool_call_id") is not None
    )


def has_calls(message: Message) -> bool:
    """Whether a message calls tools."""
    return bool(message.get("tool_calls") or message.get("function_call")) and message.get("role") in MODEL_ROLES


def calls_of(message: Message, number: int) -> tuple[PastCall, ...]:
    """The calls of the message at this index."""
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


BlockKind = Literal["user", "model", "calls", "results", "system"]
"""What a content block holds: a user's text, the model's text, its calls, their results, or a system message after model text."""


@dataclass(frozen=True, slots=True)
class ContentBlock:
    """Messages that Gemini counts as one content block: adjacent tool results, else a single message."""

    number: int
    """Its number, from 1."""
    kind: BlockKind
    messages: tuple[int, ...]
    """The indexes of its messages in the request, from 0."""


def read_blocks(messages: Sequence[Message]) -> list[ContentBlock]:
    """Divide a history into numbered content blocks.

    Assumed: blocks are counted from 1, system messages are none, and results next to each other are one.
    """
    blocks: list[tuple[int, BlockKind, list[int]]] = []
    number = 0
    for at, message in enumerate(messages):
        kind = _block_kind(message)
        before = blocks[-1][1] if blocks else None
        if kind == "results" and before == "results":
            blocks[-1][2].append(at)
        elif kind != "system":
            number += 1
            blocks.append((number, kind, [at]))
        elif before == "model":
            # Not a block that is counted, but with it between them calls do not directly follow the model's text.
            blocks.append((number, kind, [at]))
    return [ContentBlock(number, kind, tuple(indexes)) for number, kind, indexes in blocks]


def _block_kind(message: Message) -> BlockKind:
    role = message.get("role")
    if role in SYSTEM_ROLES:
        return "system"
    if is_result(message):
        return "results"
    if has_calls(message):
        return "calls"
    return "model" if role in MODEL_ROLES else "user"


TurnRole = Literal["user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class HistoryTurn:
    """Adjacent messages of the same role, merged."""

    role: TurnRole
    text: str = ""
    """The text of the user or the assistant; adjacent user messages are joined by line breaks."""
    calls: tuple[PastCall, ...] = ()
    results: tuple[tuple[str, str], ...] = ()
    """The results of tools, each with the function's name (empty if it is not known) and its text."""


def read_history_turns(messages: Sequence[Message], marker: Any) -> list[HistoryTurn]:
    """Merge messages into turns, leaving out system messages and thoughts; `marker` is the tag around thoughts."""
    marker = marker if isinstance(marker, str) else None
    turns: list[HistoryTurn] = []
    names: dict[str | None, str] = {}
    for number, message in enumerate(messages):
        if message.get("role") in SYSTEM_ROLES:
            continue
        if is_result(message):
            # If an id is used again in a later round, the last call before the result counts.
            name = names.get(message.get("tool_call_id")) or message.get("name") or ""
            turns.append(HistoryTurn("tool", results=((name, text_of(message)),)))
        elif message.get("role") in MODEL_ROLES:
            calls = calls_of(message, number)
            names.update({call.id: call.name for call in calls})
            turns.append(HistoryTurn("assistant", read_text(message, marker), calls))
        else:
            turns.append(HistoryTurn("user", text_of(message)))
    return [_merge(role, tuple(group)) for role, group in groupby(turns, lambda turn: turn.role)]


def _merge(role: TurnRole, turns: Sequence[HistoryTurn]) -> HistoryTurn:
    if len(turns) == 1:
        return turns[0]
    return HistoryTurn(
        role,
        ("\n" if role == "user" else "").join(turn.text for turn in turns),
        tuple(call for turn in turns for call in turn.calls),
        tuple(result for turn in turns for result in turn.results),
    )
