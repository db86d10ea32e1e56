"""Literal answers encoded once, with slots for what each answer has of its own: id, time, usage, and ids and signatures of calls."""

import re
from collections.abc import Iterator, Sequence
from typing import overload

from emulator.engine.randomness import AnswerInputs
from emulator.engine.timeline.timeline import Frame, Timeline
from emulator.wire.responses import Identity
from emulator.wire.usage import Usage

# Private characters of Unicode, numbers that no clock and no count will show, and what nobody else draws: none of it stands in an
# answer for any other reason.
_ID = "\ue000the id\ue000"
_CREATED = 9_007_199_254_740_881
_ID_BYTES, _CREATED_BYTES = _ID.encode(), str(_CREATED).encode()
SLOT_PROMPT = 9_007_199_000_000_000
"""Prompt tokens of an answer that is encoded; what is counted with them changes with them."""
SLOT_CACHED = 9_007_198_000_000_000
"""Tokens of it that are cached, where some are."""
SLOT_INPUTS = AnswerInputs(0.0, None, b"\xe0what is a gap\xe0")
"""What ids and signatures are drawn from that stand in slots."""
LARGEST_ENCODED = 64 * 1024
"""Bytes of the largest encoded answer that is kept."""

Drawn = Sequence[str | None]
"""The ids and signatures of calls, in order; None where a call has none."""


def slot_identity(model: str) -> Identity:
    """The identity of an answer that is encoded."""
    return Identity(_ID, _CREATED, model)


class EncodedAnswer:
    """A timeline with slots, in which no time passes."""

    def __init__(
        self,
        timeline: Timeline,
        counts: tuple[int, int],
        usage: Usage,
        slot_drawn: Drawn = (),
        drawn: Drawn = (),
        *,
        said: str = "",
    ) -> None:
        """`counts` are the tokens that it says and thinks, `usage` is its usage with `SLOT_PROMPT` as prompt, and `SLOT_CACHED` as cached if any are.

        `slot_drawn` is what was drawn for slots; what is drawn alike for an answer has no slot, because it always is. `said` is the beginning of the answer.
        """
        self.timeline = timeline
        self.counts = counts
        self.said = said
        body = timeline.body
        self.size = len(body)
        self._drawn = [at for at, slot in enumerate(slot_drawn) if slot != drawn[at]]
        id_, created = _ID_BYTES, _CREATED_BYTES
        more = [str(slot_drawn[at]).encode() for at in self._drawn]
        # In all chunks of a stream, id and time stand with the same bytes between them: one slot for both.
        both = re.search(b"%b[^{}]*?%b|%b[^{}]*?%b" % (id_, created, created, id_), body)
        self._stamp = both[0] if both and not any(slot in both[0] for slot in more) else b""
        self._is_cached = usage.cached >= SLOT_CACHED
        counted = (usage.prompt, usage.sum, usage.cached) if self._is_cached else (usage.prompt, usage.sum)
        numbers = [str(one).encode() for one in counted]
        self._slots = [self._stamp or id_, *numbers, id_, created, *more]
        self._pattern = re.compile(b"(%b)" % b"|".join(map(re.escape, self._slots)))
        self._parts, self._indexes = self._split(body)

    def _split(self, data: bytes) -> tuple[list[bytes], list[int]]:
        """The bytes before, between and behind slots, with the slots at the odd places, and which slots these are."""
        parts = self._pattern.split(data)
        return parts, [self._slots.index(slot) for slot in parts[1::2]]

    def fill(self, identity: Identity, usage: Usage, drawn: Drawn = ()) -> Timeline:
        """The timeline of one answer."""
        # Neither ids nor signatures have characters that JSON would escape.
        id_, created = identity.id.encode(), b"%d" % identity.created
        stamp = self._stamp.replace(_ID_BYTES, id_).replace(_CREATED_BYTES, created) if self._stamp else id_
        cached = [b"%d" % usage.cached] if self._is_cached else []
        values = [stamp, b"%d" % usage.prompt, b"%d" % usage.sum, *cached, id_, created]
        if self._drawn:
            values += [str(drawn[at]).encode() for at in self._drawn]
        timeline = self.timeline
        return Timeline(timeline.status, timeline.headers, FilledFrames(self, values))

    def write_body(self, values: Sequence[bytes]) -> bytes:
        """The body with its slots filled."""
        parts = self._parts.copy()
        parts[1::2] = [values[index] for index in self._indexes]
        return b"".join(parts)

    def write_frames(self, values: Sequence[bytes]) -> Iterator[Frame]:
        """The same in its frames."""
        for frame in self.timeline.frames:
            parts, indexes = self._split(frame.data)
            parts[1::2] = [values[index] for index in indexes]
            yield frame._replace(data=b"".join(parts))


class FilledFrames(Sequence[Frame]):
    """The frames of an encoded answer, filled: joined at once, because they are sent so, and one by one when somebody asks."""

    __slots__ = ("_encoded", "_values", "body")

    def __init__(self, encoded: EncodedAnswer, values: Sequence[bytes]) -> None:
        self._encoded = encoded
        self._values = values
        self.body = encoded.write_body(values)

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self.body)

    def __len__(self) -> int:
        return len(self._encoded.timeline.frames)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Frame, ...]: ...
    def __getitem__(self, index: int | slice) -> Frame | tuple[Frame, ...]:
        return tuple(self)[index]

    def __iter__(self) -> Iterator[Frame]:
        return self._encoded.write_frames(self._values)

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))
