"""Forms: timelines that are made once, with gaps for what each answer has of its own: its id, its time, and what is drawn for its calls."""

import re
from collections.abc import Hashable, Iterator, Sequence
from typing import overload

from emulator.engine.randomness import AnswerInputs
from emulator.engine.timeline.timeline import Frame, Timeline
from emulator.wire.responses import Identity
from emulator.wire.usage import Usage

# Private characters of Unicode, a number that no clock will show, and what nobody else draws: none of it stands in an answer for
# any other reason.
GAP = "\ue000the id\ue000"
GAP_CREATED = 9_007_199_254_740_881
GAP_OCCASION = AnswerInputs(0.0, None, b"\xe0what is a gap\xe0")
"""On it the ids and signatures are drawn that stand in the gaps."""
LARGEST_FORM = 64 * 1024
"""The largest body that is remembered, in bytes."""
MOST_BYTES = 256 * 1024
"""The bytes that the bodies may have that are remembered for requests which differ in their messages only."""
_ID, _CREATED = GAP.encode(), str(GAP_CREATED).encode()
_BOTH = re.compile(b"%b[^{}]*?%b|%b[^{}]*?%b" % (_ID, _CREATED, _CREATED, _ID))

Drawn = Sequence[str | None]
"""The ids and signatures of calls, in order; None where a call has none."""


class Form:
    """A timeline with gaps, in which no time passes."""

    def __init__(self, timeline: Timeline, marks: Drawn = (), drawn: Drawn = ()) -> None:
        """`marks` are what was drawn to stand in gaps; what was drawn alike for an answer has no gap, because it always is."""
        self.timeline = timeline
        body = timeline.body
        self.size = len(body)
        self._marked = [at for at, mark in enumerate(marks) if mark != drawn[at]]
        self._marks = (_ID, _CREATED, *(str(marks[at]).encode() for at in self._marked))
        self._gap = re.compile(b"(%b)" % b"|".join(map(re.escape, self._marks)))
        # Each chunk of a stream has id and time, with the same bytes between them; then these are filled once for all chunks.
        found = _BOTH.search(body)
        self._stamp = found[0] if found else b""
        if any(mark in self._stamp for mark in self._marks[2:]):
            self._stamp = b""
        self._between = body.split(self._stamp) if self._stamp else [body]
        self._stamps = len(self._between) - 1
        # Other gaps are few.
        self._others = [(at, *self._divide(piece)) for at, piece in enumerate(self._between) if self._gap.search(piece)]
        self._gaps = [gap for _, _, gaps in self._others for gap in gaps]
        self._fixed = sum(map(len, self._between)) - sum([len(self._marks[gap]) for gap in self._gaps])

    def _divide(self, piece: bytes) -> tuple[list[bytes], list[int]]:
        """The texts of a piece with what stands in each gap between them, and which gaps these are."""
        parts = self._gap.split(piece)
        return parts, [self._marks.index(mark) for mark in parts[1::2]]

    def fill(self, identity: Identity, drawn: Drawn = ()) -> Timeline:
        """The timeline of one answer."""
        # Neither ids nor signatures have characters that JSON would escape.
        id_, created = identity.id.encode(), str(identity.created).encode()
        more = [str(drawn[at]).encode() for at in self._marked] if drawn else ()
        own = (id_, created, *more)
        stamp = self._stamp.replace(_ID, id_).replace(_CREATED, created)
        size = self._fixed + len(stamp) * self._stamps
        if self._gaps:
            size += sum([len(own[gap]) for gap in self._gaps])
        form = self.timeline
        return Timeline(form.status, form.headers, _Filled(self, own, stamp, size))

    def write(self, own: Sequence[bytes], stamp: bytes) -> bytes:
        """The body with its gaps filled; `stamp` is what is the same in all chunks of an answer."""
        if not self._others:
            return stamp.join(self._between)
        between = self._between.copy()
        for at, parts, gaps in self._others:
            filled = parts.copy()
            filled[1::2] = [own[gap] for gap in gaps]
            between[at] = b"".join(filled)
        return stamp.join(between)

    def write_frames(self, own: Sequence[bytes]) -> Iterator[Frame]:
        """The same in its frames."""
        values = dict(zip(self._marks, own, strict=True))
        for frame in self.timeline.frames:
            yield frame._replace(data=self._gap.sub(lambda gap: values[gap[0]], frame.data))


class Forms:
    """What is the same in the answers to requests that differ in their messages only: forms, with the usage that stands in them."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[Usage, Form]] = {}
        self.size = 0
        """The bytes of their bodies."""

    def find(self, key: Hashable) -> tuple[Usage, Form] | None:
        """What is remembered under a key."""
        return self._known.get(key)

    def keep(self, key: Hashable, made: tuple[Usage, Form]) -> None:
        """Remember a form; those before it are forgotten when there is no room."""
        size = made[1].size
        if self.size + size > MOST_BYTES:
            self._known.clear()
            self.size = 0
        self._known[key] = made
        self.size += size


class _Filled(Sequence[Frame]):
    """The frames of a form with its gaps filled, made when somebody asks: the journal keeps many answers that nobody looks at."""

    __slots__ = ("_form", "_own", "_stamp", "size")

    def __init__(self, form: Form, own: Sequence[bytes], stamp: bytes, size: int) -> None:
        self._form = form
        self._own = own
        self._stamp = stamp
        self.size = size

    @property
    def body(self) -> bytes:
        return self._form.write(self._own, self._stamp)

    def __len__(self) -> int:
        return len(self._form.timeline.frames)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Frame, ...]: ...
    def __getitem__(self, index: int | slice) -> Frame | tuple[Frame, ...]:
        return tuple(self)[index]

    def __iter__(self) -> Iterator[Frame]:
        return self._form.write_frames(self._own)

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))
