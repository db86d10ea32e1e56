"""Pace: when each frame of an answer is sent, as a function from timeline to timeline.

Times are absolute, so that delays do not add up. A chunk is sent when its last token is there; the tokens are those that the usage
reports, and each chunk has its share in proportion to the length of its text.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

from emulator.catalogue.paces import PACES
from emulator.engine.timeline.directives import CompiledPace, Directive, Fault, HiddenText, PaceChange, Pause
from emulator.engine.timeline.timeline import Frame, Mark, Timeline
from emulator.scenario.faults import Cut, PlacedCut, PlacedStall, Stall
from emulator.scenario.pace import Pace
from emulator.wire.sse import DONE

AT_ONCE = CompiledPace()


def compile_pace(written: str | Pace) -> CompiledPace:
    """Compile a pace: the name of a profile, or values that may start from one."""
    pace = Pace.model_validate({"profile": written}) if isinstance(written, str) else written
    profile = PACES[pace.profile] if pace.profile is not None else PACES["instant"]
    rate = pace.tokens_per_second or (None if pace.every_ms is not None else profile.tokens_per_second)
    return CompiledPace(
        first=(profile.first_token_ms or 0) / 1000 if pace.first_token_ms is None else pace.first_token_ms / 1000,
        per_token=1 / rate if rate else 0.0,
        every=(pace.every_ms or 0) / 1000,
        jitter=(profile.jitter or 0.0) if pace.jitter is None else pace.jitter,
    )


def apply_pace(timeline: Timeline, compiled_pace: CompiledPace, tokens: int, random: Callable[[], Random]) -> Timeline:
    """The timeline with its times, its directives about time carried out.

    `tokens` are those of the whole answer; `random` makes the generator for jitter, if there is any.
    """
    clock = _Clock(timeline, compiled_pace, tokens, random)
    frames: list[Frame] = []
    remaining: list[Mark] = []
    marks = iter(timeline.marks)
    mark = next(marks, None)
    for index, frame in enumerate((*timeline.frames, None)):
        while mark is not None and mark.index <= index:
            if not clock.follow(mark.directive):
                remaining.append(mark)
            mark = next(marks, None)
        if frame is not None:
            # [DONE] is sent together with the frame before it.
            if frame.data != DONE:
                clock.send(frame.weight)
            frames.append(frame._replace(at=clock.now))
    head_at = frames[0].at if frames else clock.now
    return timeline._replace(frames=tuple(frames), marks=tuple(remaining), head_at=head_at, end_at=clock.now)


class _Clock:
    """The time that has passed while a timeline is walked through."""

    def __init__(
        self, timeline: Timeline, compiled_pace: CompiledPace, tokens: int, random: Callable[[], Random]
    ) -> None:
        hidden = sum(mark.directive.weight for mark in timeline.marks if isinstance(mark.directive, HiddenText))
        weight = sum(frame.weight for frame in timeline.frames) + hidden
        self._tokens_per_weight = tokens / weight if weight else 0.0
        self._whole = self._pace = compiled_pace
        self._make_random = random
        self._random: Random | None = None
        self._is_first = True
        self._credit = 0.0
        self.now = 0.0

    def follow(self, directive: Directive) -> bool:
        """Carry out a directive; False if it is not about time."""
        match directive:
            case Pause(seconds):
                self.now += seconds
            case PaceChange(compiled_pace):
                self._pace, self._is_first = compiled_pace or self._whole, self._is_first or compiled_pace is not None
            case HiddenText(weight):
                self._generate(weight)
            case _:
                return False
        return True

    def send(self, weight: int) -> None:
        """Let the time pass until a frame is sent."""
        if not self._is_first:
            self._wait(self._pace.every)
        self._generate(weight)

    def _generate(self, weight: int) -> None:
        """Let the time pass in which the tokens of so many bytes of text are generated."""
        tokens = weight * self._tokens_per_weight
        if self._is_first:
            # The first token takes `first`, so it needs no `per_token` any more.
            self._wait(self._pace.first)
            self._is_first, self._credit = False, 1.0
        credited = min(self._credit, tokens)
        self._credit -= credited
        self._wait((tokens - credited) * self._pace.per_token)

    def _wait(self, seconds: float) -> None:
        if seconds and self._pace.jitter:
            self._random = self._random or self._make_random()
            seconds *= 1 + self._random.uniform(-self._pace.jitter, self._pace.jitter)
        self.now += seconds


def match_duration(timeline: Timeline, stream: Timeline) -> Timeline:
    """A plain timeline that ends when the stream of the same answer does.

    A fault that is left in the stream moves to the corresponding fraction of the plain body.
    """
    marks = tuple(
        Mark(0, _place(mark.directive, stream, mark.index))
        for mark in stream.marks
        if isinstance(mark.directive, Fault)
    )
    return timeline.delay(stream.end_at)._replace(marks=marks)


def _place(fault: Fault, stream: Timeline, index: int) -> Fault:
    """The fault of a step, placed by the fraction of the stream's text that comes before it."""

    def weigh(frames: Iterable[Frame]) -> int:
        return sum(frame.weight for frame in frames)

    before = weigh(stream.frames[:index])
    place = {"fraction": before / (weigh(stream.frames) or 1)} if before else {"at": "before_headers"}
    match fault.effect:
        case Cut() as effect:
            return replace(fault, effect=PlacedCut.model_validate({"cut": effect.cut, **place}))
        case Stall() as effect:
            return replace(fault, effect=PlacedStall.model_validate({"stall": effect.stall, **place}))
    return fault
