"""Output limits: `max_tokens` truncates an answer, `stop` sequences stop it.

Documented: `max_tokens` counts thinking too. Observed: when thinking uses up the limit, no content is left. Tokens are the emulator's
estimate, so an answer ends near where the real one would, not exactly there. Assumed: a tool call that does not fit is left out; media
are never truncated.
"""

from dataclasses import dataclass

from emulator.engine.reply.parts import CallPart, Part, TextPart, make_text
from emulator.engine.request.token_estimates import BYTES_PER_TOKEN, estimate_tokens
from emulator.wire.requests import ChatRequest

MAX_STOPS = 100
"""Stop sequences of a request that are looked for; documented are a few."""


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """The token limit and the stop sequences of a request."""

    max_tokens: int | None
    stops: tuple[str, ...]


def read_limits(request: ChatRequest) -> OutputLimits | None:
    """The limits of a request, or None if it sets none; of the two names of the token limit the smaller value counts."""
    given = [limit for limit in (request.get("max_tokens"), request.get("max_completion_tokens")) if limit is not None]
    stop = request.get("stop")
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if not given and not any(stops):
        return None
    return OutputLimits(min(given) if given else None, tuple(one for one in stops if one)[:MAX_STOPS])


def apply_limits(parts: tuple[Part, ...], limits: OutputLimits) -> tuple[tuple[Part, ...], str | None]:
    """The parts that are left, and the finish reason if something was removed: stop sequences apply first, then the token limit."""
    kept, finish = _stop(parts, limits.stops)
    if limits.max_tokens is not None:
        truncated = _truncate(kept, limits.max_tokens)
        if truncated is not None:
            return truncated, "length"
    return kept, finish


def _stop(parts: tuple[Part, ...], stops: tuple[str, ...]) -> tuple[tuple[Part, ...], str | None]:
    """The parts before the first stop sequence of the visible text, which may span chunks and steps."""
    visible = "".join(part.text for part in parts if isinstance(part, TextPart) and not part.is_thought)
    found = [at for at in (visible.find(stop) for stop in stops) if at >= 0]
    if not found:
        return parts, None
    left = min(found)
    kept: list[Part] = []
    for part in parts:
        if not isinstance(part, TextPart) or part.is_thought:
            kept.append(part)
            continue
        if len(part.text) > left:
            # Only an answer stopped at its very beginning keeps an empty text.
            if left or not min(found):
                kept.append(_truncate_text(part, left))
            break
        kept.append(part)
        left -= len(part.text)
    return tuple(kept), "stop"


def _truncate(parts: tuple[Part, ...], tokens: int) -> tuple[Part, ...] | None:
    """The parts that fit into so many tokens, or None if all do."""
    kept: list[Part] = []
    for part in parts:
        match part:
            case TextPart():
                needed = estimate_tokens(part.text)
            case CallPart():
                needed = estimate_tokens(part.name) + estimate_tokens(part.arguments)
            case _:
                needed = 0
        if needed > tokens:
            if isinstance(part, TextPart) and tokens:
                fitting = part.text.encode("utf-8", "replace")[: tokens * BYTES_PER_TOKEN].decode("utf-8", "ignore")
                kept.append(_truncate_text(part, len(fitting)))
            return tuple(kept)
        kept.append(part)
        tokens -= needed
    return None


def _truncate_text(part: TextPart, characters: int) -> TextPart:
    """The beginning of a text, in the pieces of the whole."""
    pieces: list[str] = []
    for piece in part.pieces:
        if characters <= 0:
            break
        pieces.append(piece[:characters])
        characters -= len(piece)
    return make_text(tuple(pieces) or ("",), is_thought=part.is_thought)
