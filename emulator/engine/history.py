"""The conversation as turns: who spoke, which tools were called, what they returned."""

from collections.abc import Sequence
from typing import Any, Literal

from emulator.engine.roles import MODEL_ROLES, SYSTEM_ROLES, TOOL_ROLES
from emulator.values import dataclass
from emulator.wire.shapes import Message

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
