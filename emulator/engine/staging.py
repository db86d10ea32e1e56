"""Staging: an answer that has been rendered gets its times and its faults."""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import takewhile
from random import Random

from emulator.engine.cues import Cue, Fault, Tempo
from emulator.engine.facts import Facts
from emulator.engine.pacing import AT_ONCE, pace
from emulator.engine.parts import Answer, FailPart
from emulator.engine.timeline import Mark, Timeline, stream_timeline
from emulator.scenario.faults import Cut, PlacedCut, PlacedStall, Stall


def give_times(
    timeline: Timeline,
    answer: Answer,
    tempo: Tempo,
    random: Callable[[], Random],
    render_stream: Callable[[], Timeline],
) -> Timeline:
    """The timeline with its times. A plain answer takes as long as its stream would, so that is rendered for it."""
    if not answer.has_cues and not tempo.takes_time:
        return timeline
    usage = answer.usage
    tokens = max(usage.sum - usage.prompt, 0)
    if answer.fails_at_once:
        cues = stream_timeline(list(_cues_before_failure(answer)))
        return _last_as_long(timeline, pace(cues, AT_ONCE, 0, random))
    if timeline.is_stream:
        return pace(timeline, tempo, tokens, random)
    return _last_as_long(timeline, pace(render_stream(), tempo, tokens, random))


def as_stream(facts: Facts) -> Facts:
    """The same request, asking for a stream."""
    twin = copy.copy(facts)
    twin.stream = True
    return twin


def _cues_before_failure(answer: Answer) -> Iterator[Cue]:
    before = takewhile(lambda part: not isinstance(part, FailPart), answer.choices[0].parts)
    return (part for part in before if isinstance(part, Cue))


def _last_as_long(timeline: Timeline, stream: Timeline) -> Timeline:
    """A plain timeline that ends when a stream does; a fault that stands in the stream stands as far into the body."""
    marks = tuple(Mark(0, _place(mark.cue, stream, mark.index)) for mark in stream.marks if isinstance(mark.cue, Fault))
    return timeline.delay(stream.end_at)._replace(marks=marks)


def _place(fault: Fault, stream: Timeline, index: int) -> Fault:
    """A step's fault with the part of what is said that comes before it."""
    before = _weigh(stream.frames[:index])
    spot = {"fraction": before / (_weigh(stream.frames) or 1)} if before else {"at": "before_headers"}
    match fault.effect:
        case Cut() as effect:
            return replace(fault, effect=PlacedCut.model_validate({"cut": effect.cut, **spot}))
        case Stall() as effect:
            return replace(fault, effect=PlacedStall.model_validate({"stall": effect.stall, **spot}))
    return fault


def _weigh(frames: Iterable[object]) -> int:
    return sum(getattr(frame, "weight", 0) for frame in frames)
