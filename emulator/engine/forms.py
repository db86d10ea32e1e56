"""Forms: timelines that are made once, with gaps for what each answer has of its own, its id and its time."""

import re
from collections.abc import Hashable, Iterator, Sequence
from typing import overload

from emulator.engine.timeline import Frame, Timeline
from emulator.wire.replies import Identity

# Private characters of Unicode, and a number that no clock will show: neither stands in an answer for any other reason.
GAP = "\ue000the id\ue000"
GAP_CREATED = 9_007_199_254_740_881
_ID, _CREATED = GAP.encode(), str(GAP_CREATED).encode()
LARGEST_FORM = 64 * 1024
"""The largest body that is remembered, in bytes."""
MOST_BYTES = 256 * 1024
"""The bytes that the bodies may have that are remembered for requests which differ in their messages only."""
_BOTH = re.compile(b"%b.*?%b|%b.*?%b" % (_ID, _CREATED, _CREATED, _ID), re.DOTALL)


class Form:
    """A timeline with gaps, in which no time passes."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        body = timeline.body
        self.size = len(body)
        # Each chunk of a stream has both gaps, with the same bytes between them; then these are filled once for all chunks.
        found = _BOTH.search(body)
        self._stamp = found[0] if found else body
        self._between = body.split(self._stamp) if self._stamp else [body]
        if any(gap in piece for piece in self._between for gap in (_ID, _CREATED)):
            self._stamp, self._between = body, [b"", b""]
        self._fixed = sum(map(len, self._between))

    def fill(self, identity: Identity) -> Timeline:
        """The timeline of one answer."""
        form = self.timeline
        # An id has no character that JSON would escape.
        id_, created = identity.id.encode(), str(identity.created).encode()
        stamp = _fill(self._stamp, id_, created)
        size = self._fixed + len(stamp) * (len(self._between) - 1)
        return Timeline(form.status, form.headers, _Filled(self, id_, created, stamp, size))

    def write(self, stamp: bytes) -> bytes:
        """The body with its gaps filled; `stamp` is what is the same in all chunks of an answer."""
        return stamp.join(self._between)


class Forms:
    """What is the same in the answers to requests that differ in their messages only."""

    def __init__(self) -> None:
        self.said: dict[Hashable, tuple[int, int]] = {}
        """The tokens that are said and those that are thought, for each reply of which a form is remembered."""
        self._known: dict[Hashable, Form] = {}
        self.size = 0
        """The bytes of their bodies."""

    def find(self, key: Hashable) -> Form | None:
        """The form that is remembered under a key."""
        return self._known.get(key)

    def keep(self, key: Hashable, form: Form) -> None:
        """Remember a form; those before it are forgotten when there is no room."""
        if self.size + form.size > MOST_BYTES:
            self.said.clear()
            self._known.clear()
            self.size = 0
        self._known[key] = form
        self.size += form.size


class _Filled(Sequence[Frame]):
    """The frames of a form with its gaps filled, made when somebody asks: the journal keeps many answers that nobody looks at."""

    __slots__ = ("_created", "_form", "_id", "_stamp", "size")

    def __init__(self, form: Form, id_: bytes, created: bytes, stamp: bytes, size: int) -> None:
        self._form = form
        self._id = id_
        self._created = created
        self._stamp = stamp
        self.size = size

    @property
    def body(self) -> bytes:
        return self._form.write(self._stamp)

    def __len__(self) -> int:
        return len(self._form.timeline.frames)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Frame, ...]: ...
    def __getitem__(self, index: int | slice) -> Frame | tuple[Frame, ...]:
        return tuple(self)[index]

    def __iter__(self) -> Iterator[Frame]:
        return (frame._replace(data=_fill(frame.data, self._id, self._created)) for frame in self._form.timeline.frames)

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))


def _fill(data: bytes, id_: bytes, created: bytes) -> bytes:
    return data.replace(_ID, id_).replace(_CREATED, created)
