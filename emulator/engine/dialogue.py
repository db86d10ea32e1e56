"""A request's messages as the turns of a dialogue: what the user says, what the assistant answers, what tools return."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal

from emulator.engine.history import PastCall, calls_of, is_result
from emulator.engine.roles import MODEL_ROLES, SYSTEM_ROLES, text_of
from emulator.engine.thoughts import read_text
from emulator.values import dataclass
from emulator.wire.shapes import Message

Speaker = Literal["user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Spoken:
    """One turn: messages next to each other of the same speaker."""

    speaker: Speaker
    text: str = ""
    """What the user or the assistant says; the user's messages are joined by line breaks."""
    calls: tuple[PastCall, ...] = ()
    results: tuple[tuple[str, str], ...] = ()
    """The results of tools, each with the function's name (empty if it is not known) and its text."""


def read_dialogue(messages: Sequence[Message], marker: Any) -> list[Spoken]:
    """The turns of a conversation; system messages are none. `marker` is the tag around thoughts, which are left out."""
    marker = marker if isinstance(marker, str) else None
    spoken: list[Spoken] = []
    names: dict[str | None, str] = {}
    for number, message in enumerate(messages):
        if message.get("role") not in SYSTEM_ROLES:
            turn = _read_message(message, number, marker, names)
            names.update({call.id: call.name for call in turn.calls})
            spoken.append(turn)
    return [_join(tuple(group)) for _, group in groupby(spoken, lambda turn: turn.speaker)]


def _read_message(message: Message, number: int, marker: str | None, names: dict[str | None, str]) -> Spoken:
    if is_result(message):
        # An id may be used again in a later round: it is the last call before the result that counts.
        name = names.get(message.get("tool_call_id")) or message.get("name") or ""
        return Spoken("tool", results=((name, text_of(message)),))
    if message.get("role") in MODEL_ROLES:
        return Spoken("assistant", read_text(message, marker), calls_of(message, number))
    return Spoken("user", text_of(message))


def _join(parts: Sequence[Spoken]) -> Spoken:
    if len(parts) == 1:
        return parts[0]
    speaker = parts[0].speaker
    return Spoken(
        speaker,
        ("\n" if speaker == "user" else "").join(part.text for part in parts),
        tuple(call for part in parts for call in part.calls),
        tuple(result for part in parts for result in part.results),
    )
