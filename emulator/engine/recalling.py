"""What an assistant's turn of a transcript looks like when a client sends it back."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from emulator.engine.containment import write
from emulator.engine.dialogue import Spoken
from emulator.engine.filling import is_literal
from emulator.engine.history import PastCall
from emulator.scenario.conversation import steps_of
from emulator.scenario.steps import Call, Json, Raw, Reply, Say, Step, Think
from emulator.scenario.templates import is_template
from emulator.values import dataclass
from emulator.wire.json_text import parse_or_text

_ANYTHING: Final = object()
"""In the place of JSON that is not known before a request comes."""


@dataclass(frozen=True, slots=True)
class RecalledCall:
    """A call as it must stand in the history."""

    name: str | None
    """None for a name that is not known before."""
    arguments: Any

    def accepts(self, call: PastCall) -> bool:
        """Whether it is that call; templates in the arguments stand for anything."""
        if self.name is not None and call.name != self.name:
            return False
        return self.arguments is _ANYTHING or _agrees(parse_or_text(call.arguments or "{}"), self.arguments)

    def __str__(self) -> str:
        return f"{self.name or 'any function'}({'…' if self.arguments is _ANYTHING else write(self.arguments)})"


@dataclass(frozen=True, slots=True)
class Recalled:
    """An assistant's turn as it must stand in the history."""

    text: re.Pattern[str]
    calls: tuple[RecalledCall, ...] | None
    """None where any calls will do."""
    json: Any
    """The value, where JSON is all that is said: a client may have written it anew."""
    written: str
    """The turn as a report shows it."""

    def accepts(self, turn: Spoken) -> bool:
        """Whether a turn of the request is this one: same text, thoughts aside, and same calls."""
        said = turn.text.strip()
        if not self.text.fullmatch(said) and (self.json is _ANYTHING or not _agrees(parse_or_text(said), self.json)):
            return False
        if self.calls is None:
            return True
        return len(self.calls) == len(turn.calls) and all(
            wanted.accepts(call) for wanted, call in zip(self.calls, turn.calls, strict=True)
        )


def recall(reply: Reply) -> Recalled:
    """Compile an assistant's turn."""
    steps = steps_of(reply) or [Say(say=str(reply))]
    calls = tuple(_recall_call(step) for step in steps if isinstance(step, Call))
    is_open = any(isinstance(step, Raw) for step in steps)
    spoken = [step for step in steps if not isinstance(step, Call)]
    only = spoken[0].json_ if len(spoken) == 1 and isinstance(spoken[0], Json) else "auto"
    text = re.compile(_pattern(spoken), re.DOTALL)
    shown = [f'"{said}"' for said in ["".join(map(_show, spoken)).strip()] if said]
    return Recalled(
        text,
        None if is_open else calls,
        _ANYTHING if only == "auto" else only,
        ", ".join([*shown, *map(str, calls)]) or '""',
    )


def _recall_call(step: Call) -> RecalledCall:
    name = None if step.call == "auto" or is_template(step.call) else step.call
    given = step.with_
    if isinstance(given, str):
        is_known = given != "auto" and not is_template(given)
        return RecalledCall(name, parse_or_text(given) if is_known else _ANYTHING)
    return RecalledCall(name, given)


def _text_of(step: Step) -> str | None:
    """The text of a step, None if it is not known before a request comes."""
    match step:
        case Say(say=written) | Think(think=written):
            return "".join(written) if is_literal(written) else None
        case Json(json_=value):
            return write(value) if value != "auto" and is_literal(value) else None
        case _:
            return None


def _pattern(steps: Sequence[Step]) -> str:
    """What accepts the text of these steps without the white space at its ends, which clients drop."""
    words = [number for number, step in enumerate(steps) if not isinstance(step, Think)]
    texts = [_text_of(step) for step in steps]
    _strip(texts, words, str.lstrip)
    _strip(texts, words[::-1], str.rstrip)
    parts: list[str] = []
    for step, text in zip(steps, texts, strict=True):
        if text is None:
            parts.append(".*")
        elif isinstance(step, Think):
            # A client that asked for thoughts without a tag around them has them in its text.
            parts.append(rf"(?:(?:<[^<>]*>)?\s*{re.escape(text.strip())}\s*(?:</[^<>]*>)?\s*)?")
        else:
            parts.append(re.escape(text))
    return "".join(parts)


def _strip(texts: list[str | None], numbers: Sequence[int], strip: Callable[[str], str]) -> None:
    """Take the white space off the first of these texts that is not all white space, and off those before it."""
    for number in numbers:
        text = texts[number]
        if text is None:
            return
        texts[number] = strip(text)
        if texts[number]:
            return


def _show(step: Step) -> str:
    text = _text_of(step)
    return "" if isinstance(step, Think) else "…" if text is None else text


def _agrees(found: Any, wanted: Any) -> bool:
    """Whether JSON is what was written, templates aside."""
    if isinstance(wanted, str) and is_template(wanted):
        return True
    if isinstance(wanted, dict):
        return (
            isinstance(found, dict)
            and found.keys() == wanted.keys()
            and all(_agrees(found[key], value) for key, value in wanted.items())
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(_agrees(one, value) for one, value in zip(found, wanted, strict=True))
        )
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)
