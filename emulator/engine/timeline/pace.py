"""Pacing: when each frame of an answer is sent, as a function from timeline to timeline.

The moments are absolute, so that lateness does not add up. A chunk comes when its last token is there; the tokens are those that the
usage reports, and each chunk has its share by the length of its text.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import takewhile
from random import Random

from emulator.catalogue.paces import PACES
from emulator.engine.reply.parts import Answer, FailPart
from emulator.engine.request.facts import Facts
from emulator.engine.timeline.directives import CompiledPace, Directive, Fault, HiddenText, PaceChange, Pause
from emulator.engine.timeline.timeline import Mark, Timeline, stream_timeline
from emulator.scenario.faults import Cut, PlacedCut, PlacedStall, Stall
from emulator.scenario.pace import Pace
from emulator.wire.sse import DONE

AT_ONCE = CompiledPace()


def compile_pace(written: str | Pace) -> CompiledPace:
    """The tempo of a pace as it is written."""
    pace = Pace.model_validate({"profile": written}) if isinstance(written, str) else written
    profile = PACES[pace.profile] if pace.profile is not None else PACES["instant"]
    own_rate = pace.tokens_per_second or (None if pace.every_ms is not None else profile.tokens_per_second)
    return CompiledPace(
        first=(profile.first_token_ms or 0) / 1000 if pace.first_token_ms is None else pace.first_token_ms / 1000,
        per_token=1 / own_rate if own_rate else 0.0,
        every=(pace.every_ms or 0) / 1000,
        jitter=(profile.jitter or 0.0) if pace.jitter is None else pace.jitter,
    )


def pace(timeline: Timeline, compiled_pace: CompiledPace, tokens: int, random: Callable[[], Random]) -> Timeline:
    """The timeline with its times, its marks about time followed; `tokens` are those of the whole answer."""
    runner = _Runner(timeline, compiled_pace, tokens, random)
    frames = []
    marks = iter((*timeline.marks, Mark(len(timeline.frames) + 1, None)))
    mark = next(marks)
    left: list[Mark] = []
    for index, frame in enumerate((*timeline.frames, None)):
        while mark.index <= index:
            if not runner.follow(mark.cue):
                left.append(mark)
            mark = next(marks)
        if frame is not None:
            runner.send(frame.weight, is_last=frame.data == DONE)
            frames.append(frame._replace(at=runner.at))
    head_at = frames[0].at if frames else runner.at
    return timeline._replace(frames=tuple(frames), marks=tuple(left), head_at=head_at, end_at=runner.at)


class _Runner:
    """The time that has passed while a timeline is gone through."""

    def __init__(
        self, timeline: Timeline, compiled_pace: CompiledPace, tokens: int, random: Callable[[], Random]
    ) -> None:
        unseen = sum(mark.cue.weight for mark in timeline.marks if isinstance(mark.cue, HiddenText))
        weight = sum(frame.weight for frame in timeline.frames) + unseen
        self._tokens_per_weight = tokens / weight if weight else 0.0
        self._whole = self._tempo = compiled_pace
        self._random = random
        self._dice: Random | None = None
        self._is_first = True
        self._credit = 0.0
        self.at = 0.0

    def follow(self, cue: object) -> bool:
        """Follow a mark; False if it is about something else."""
        match cue:
            case Pause(seconds):
                self.at += seconds
            case PaceChange(compiled_pace):
                self._tempo, self._is_first = compiled_pace or self._whole, self._is_first or compiled_pace is not None
            case HiddenText(weight):
                self._speak(weight)
            case _:
                return False
        return True

    def send(self, weight: int, *, is_last: bool) -> None:
        """Let the time pass until a frame is sent; [DONE] comes with the frame before it."""
        if is_last:
            return
        if not self._is_first:
            self._wait(self._tempo.every)
        self._speak(weight)

    def _speak(self, weight: int) -> None:
        tokens = weight * self._tokens_per_weight
        if self._is_first:
            # The first token takes as long as `first` says, the others follow.
            self._wait(self._tempo.first)
            self._is_first, self._credit = False, 1.0
        spared = min(self._credit, tokens)
        self._credit -= spared
        self._wait((tokens - spared) * self._tempo.per_token)

    def _wait(self, seconds: float) -> None:
        if seconds and self._tempo.jitter:
            self._dice = self._dice or self._random()
            seconds *= 1 + self._dice.uniform(-self._tempo.jitter, self._tempo.jitter)
        self.at += seconds


def give_times(
    timeline: Timeline,
    answer: Answer,
    compiled_pace: CompiledPace,
    random: Callable[[], Random],
    render_stream: Callable[[], Timeline],
) -> Timeline:
    """The timeline with its times. A plain answer takes as long as its stream would, so that is rendered for it."""
    if not answer.has_cues and not compiled_pace.takes_time:
        return timeline
    usage = answer.usage
    tokens = max(usage.sum - usage.prompt, 0)
    if answer.fails_at_once:
        directives = stream_timeline(list(_cues_before_failure(answer)))
        return _last_as_long(timeline, pace(directives, AT_ONCE, 0, random))
    if timeline.is_stream:
        return pace(timeline, compiled_pace, tokens, random)
    return _last_as_long(timeline, pace(render_stream(), compiled_pace, tokens, random))


def as_stream(facts: Facts) -> Facts:
    """The same request, asking for a stream."""
    twin = copy.copy(facts)
    twin.stream = True
    return twin


def _cues_before_failure(answer: Answer) -> Iterator[Directive]:
    before = takewhile(lambda part: not isinstance(part, FailPart), answer.choices[0].parts)
    return (part for part in before if isinstance(part, Directive))


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
