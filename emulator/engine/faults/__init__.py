"""Faults at work: functions from timeline to timeline."""

from collections.abc import Sequence

from emulator.engine.cues import Fault
from emulator.engine.faults.breaking import cut, fail, stall
from emulator.engine.faults.garbling import garble
from emulator.engine.faults.spots import NoSpotError, locate
from emulator.engine.timeline import Timeline
from emulator.scenario.faults import Cut, Garble, PlacedFail, SmallWrites, Stall

__all__ = ["apply_failures", "apply_faults"]


_Placed = tuple[Fault, int | None]
"""A fault, and for a step the number of frames before it."""


def apply_failures(timeline: Timeline, faults: Sequence[Fault]) -> tuple[Timeline, tuple[str, ...]]:
    """The timeline with the failures beside the answer. They are the service's own: quirks shape them, other faults meet them."""
    return _apply_all(timeline, [(fault, None) for fault in faults if isinstance(fault.effect, PlacedFail)])


def apply_faults(timeline: Timeline, faults: Sequence[Fault]) -> tuple[Timeline, tuple[str, ...]]:
    """The timeline with its own faults and the others beside the answer, and a warning for each that finds no place in it."""
    # From the last to the first, so that none moves the place of the next.
    marked = [(mark.cue, mark.index) for mark in reversed(timeline.marks) if isinstance(mark.cue, Fault)]
    beside = [(fault, None) for fault in faults if not isinstance(fault.effect, PlacedFail)]
    return _apply_all(timeline, [*marked, *beside])


def _apply_all(timeline: Timeline, faults: Sequence[_Placed]) -> tuple[Timeline, tuple[str, ...]]:
    warnings: list[str] = []
    for fault, index in faults:
        try:
            timeline = _apply(timeline, fault, index)
        except NoSpotError as error:
            warnings.append(f"fault without effect: {error}")
    return timeline, tuple(warnings)


def _apply(timeline: Timeline, fault: Fault, index: int | None) -> Timeline:
    match fault.effect:
        case Cut(cut=how) as effect:
            return cut(timeline, locate(timeline, effect, index), how)
        case Stall(stall=duration) as effect:
            return stall(timeline, locate(timeline, effect, index), duration)
        case Garble(garble=name) as effect:
            return garble(timeline, name, index if index is not None else getattr(effect, "after_chunks", None))
        case PlacedFail(after_chunks=chunks):
            return fail(timeline, chunks, fault.refusal)
        case SmallWrites(write_size=size):
            return timeline._replace(write_size=size)
