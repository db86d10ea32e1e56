"""Forms: timelines that are made once, with gaps for what each answer has of its own, its id and its time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

from emulator.engine.timeline import Frame, Timeline
from emulator.wire.json_text import dump
from emulator.wire.replies import Identity

# Private characters of Unicode, and a number that no clock will show: neither stands in an answer for any other reason.
GAP = "\ue000the id\ue000"
GAP_CREATED = 9_007_199_254_740_881
_ID, _CREATED = GAP.encode(), str(GAP_CREATED).encode()


@dataclass(frozen=True, slots=True)
class Form:
    """A timeline with gaps, in which no time passes."""

    timeline: Timeline

    def fill(self, identity: Identity) -> Timeline:
        """The timeline of one answer."""
        form = self.timeline
        return Timeline(form.status, form.headers, _Filled(form, identity))


class _Filled(Sequence[Frame]):
    """The frames of a form with its gaps filled, each made when somebody asks; the body, which is asked first, at once."""

    def __init__(self, form: Timeline, identity: Identity) -> None:
        self._form = form
        self._id, self._created = dump(identity.id)[1:-1], str(identity.created).encode()
        self.body = self._fill(form.body)

    def _fill(self, data: bytes) -> bytes:
        return data.replace(_ID, self._id).replace(_CREATED, self._created)

    def __len__(self) -> int:
        return len(self._form.frames)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Frame, ...]: ...
    def __getitem__(self, index: int | slice) -> Frame | tuple[Frame, ...]:
        return tuple(self)[index]

    def __iter__(self) -> Iterator[Frame]:
        return (replace(frame, data=self._fill(frame.data)) for frame in self._form.frames)

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))
