"""Exchanges as bytes, for another process to keep: little to make for each answer, and read only when somebody looks."""

import pickle
from functools import lru_cache
from itertools import accumulate, repeat
from typing import Any

from emulator.engine.answering import Outcome
from emulator.engine.choosing import Chosen
from emulator.engine.compiling import CompiledRule
from emulator.engine.timeline import Frame, Frames, Timeline
from emulator.errors import Place
from emulator.scenario.rules import Usage as NoUsage
from emulator.server.accounts import Ticket
from emulator.server.bearer import Sender
from emulator.server.exchanges import Entry, Exchange, TokenExchange
from emulator.server.playing import Played
from emulator.wire.targets import Target
from emulator.wire.usage import Usage

_FORMAT = pickle.HIGHEST_PROTOCOL
_BLANK = b"\n\n"
"""What ends an event of a stream."""


def pack(entry: Entry) -> bytes:
    """An exchange that has ended as bytes, without its position, which whoever keeps it gives."""
    if isinstance(entry, TokenExchange):
        return pickle.dumps(entry, _FORMAT)
    outcome, target, played, sender = entry.outcome, entry.target, entry.played, entry.sender
    timeline, chosen, usage = outcome.timeline, outcome.chosen, outcome.usage
    return pickle.dumps(
        (
            (entry.number, entry.started, entry.body, entry.warnings, entry.duration, entry.ticket.held),
            (target.api_version, target.project, target.location, target.endpoint, target.method),
            (sender.host, sender.has_api_key, sender.credential),
            (played.ended, played.sent, played.times),
            (timeline.status, timeline.headers, _pack_frames(timeline.frames)),
            (timeline.head_at, timeline.ending, timeline.end_at, timeline.write_size),
            None if chosen is None else _pack_chosen(chosen),
            None
            if usage is None
            else (usage.prompt, usage.completion, usage.reasoning, usage.cached, usage.total, usage.traffic),
            (outcome.result, outcome.refusal, outcome.report, outcome.warnings, outcome.quirks, outcome.is_disturbed),
        ),
        _FORMAT,
    )


def unpack(data: bytes) -> Entry:
    """The exchange that was packed; of the rule that answered it has only what can be asked afterwards: name, place and key."""
    read = pickle.loads(data)  # noqa: S301  # what a worker of this server has packed
    if isinstance(read, TokenExchange):
        return read
    (number, started, body, warnings, duration, held), target, sender, played, head, times, chosen, usage, rest = read
    status, headers, frames = head
    head_at, ending, end_at, write_size = times
    result, refusal, report, own_warnings, quirks, is_disturbed = rest
    timeline = Timeline(
        status, headers, _unpack_frames(*frames), head_at=head_at, ending=ending, end_at=end_at, write_size=write_size
    )
    outcome = Outcome(
        result,
        timeline,
        None if chosen is None else _unpack_chosen(*chosen),
        refusal,
        None if usage is None else Usage(*usage),
        report,
        own_warnings,
        quirks,
        is_disturbed,
    )
    return Exchange(
        number,
        started,
        Target(*target),
        body,
        outcome,
        warnings,
        Ticket(number, held),
        duration,
        Played(*played),
        sender=Sender(*sender),
    )


def _pack_frames(frames: Frames) -> tuple[bytes, tuple[int, ...] | None, tuple[float, ...]]:
    """All bytes; where the frames end, unless blank lines say it; and when each is sent, unless all are at once."""
    if isinstance(frames, tuple):
        ats = tuple([frame.at for frame in frames])
        return (
            b"".join([frame.data for frame in frames]),
            tuple([len(frame.data) for frame in frames]),
            ats if any(ats) else (),
        )
    body = frames.body
    if len(frames) == 1:
        return body, (len(body),), ()
    if body.count(_BLANK) == len(frames) and body.endswith(_BLANK):
        return body, None, ()
    return body, tuple([len(frame.data) for frame in frames]), ()


def _unpack_frames(body: bytes, sizes: tuple[int, ...] | None, ats: tuple[float, ...]) -> tuple[Frame, ...]:
    if sizes is None:
        return tuple(Frame(event + _BLANK) for event in body.split(_BLANK)[:-1])
    ends = tuple(accumulate(sizes))
    times = ats or repeat(0.0)
    return tuple(Frame(body[end - size : end], at=at) for size, end, at in zip(sizes, ends, times, strict=False))


def _pack_chosen(chosen: Chosen) -> tuple[Any, ...]:
    rule = chosen.rule
    place = rule.place
    return rule.name, (place.file, place.line, place.column), chosen.use, chosen.position


def _unpack_chosen(name: str, place: tuple[str, int, int], use: int, position: int) -> Chosen:
    return Chosen(_past_rule(name, Place(*place)), use, {}, position)


@lru_cache(maxsize=1024)
def _past_rule(name: str, place: Place) -> CompiledRule:
    return CompiledRule(name, "", place, (), (), "repeat", None, NoUsage(), None, (), frozenset())
