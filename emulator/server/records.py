"""Exchanges as bytes, for another process to keep: little to make for each answer, and read only when somebody looks."""

import pickle
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
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


def pack(entry: Entry) -> Sequence[bytes]:
    """An exchange that has ended as bytes, in parts to be joined, its bodies as they are.

    Its position is not there; whoever keeps it gives it one.
    """
    if isinstance(entry, TokenExchange):
        return (pickle.dumps(entry, _FORMAT),)
    outcome, sender, played = entry.outcome, entry.sender, entry.played
    status, headers, frames, _, head_at, ending, end_at, write_size = outcome.timeline
    result, _, chosen, refusal, usage, report, warnings, quirks, is_disturbed = outcome
    body, (answer, sizes, ats) = entry.body, _pack_frames(frames)
    own = (
        (entry.number, entry.started, entry.duration, entry.ticket.held, played.sent, played.times, end_at),
        (len(body), len(answer), sizes, ats),
        (report, refusal, usage and usage[:], chosen and chosen.use),
    )
    common = _describe(
        entry.target,
        (sender.host, sender.has_api_key, sender.credential),
        (played.ended, status, headers, head_at, ending, write_size),
        (result, entry.warnings, warnings, quirks, is_disturbed),
        chosen and _pack_chosen(chosen),
    )
    return pickle.dumps(own, _FORMAT), common, body, answer


@lru_cache(maxsize=256)
def _describe(target: Target, *common: Any) -> bytes:
    """What the exchanges of many requests have in common, made once for all of them."""
    return pickle.dumps((target[:], *common), _FORMAT)


def unpack(data: bytes) -> Entry:
    """The exchange whose parts these are; of the rule that answered it has only what can be asked afterwards: name, place and key."""
    file = BytesIO(data)
    own = pickle.load(file)  # noqa: S301  # what a worker of this server has packed
    if isinstance(own, TokenExchange):
        return own
    target, sender, way, kind, chosen = pickle.load(file)  # noqa: S301  # as above
    (number, started, duration, held, sent, times, end_at), (asked, answered, sizes, ats), found = own
    ended, status, headers, head_at, ending, write_size = way
    result, warnings, own_warnings, quirks, is_disturbed = kind
    report, refusal, usage, use = found
    end = len(data) - answered
    frames = _unpack_frames(data[end:], sizes, ats)
    timeline = Timeline(status, headers, frames, head_at=head_at, ending=ending, end_at=end_at, write_size=write_size)
    outcome = Outcome(
        result,
        timeline,
        chosen and _unpack_chosen(use, *chosen),
        refusal,
        usage and Usage(*usage),
        report,
        own_warnings,
        quirks,
        is_disturbed,
    )
    return Exchange(
        number,
        started,
        Target(*target),
        data[end - asked : end],
        outcome,
        warnings,
        Ticket(number, held),
        duration,
        Played(ended, sent, times),
        sender=Sender(*sender),
    )


def _pack_frames(frames: Frames) -> tuple[bytes, tuple[int, ...] | None, tuple[float, ...]]:
    """All bytes; the sizes of the frames, unless these are events that end with blank lines; and when each is sent, unless all are at once."""
    if isinstance(frames, tuple):
        ats = tuple([frame.at for frame in frames])
        return (
            b"".join([frame.data for frame in frames]),
            tuple([len(frame.data) for frame in frames]),
            ats if any(ats) else (),
        )
    # Frames that have been joined are events if they are many. To look for where each ends would take longer than all the rest.
    return frames.body, (frames.size,) if len(frames) == 1 else None, ()


def _unpack_frames(body: bytes, sizes: tuple[int, ...] | None, ats: tuple[float, ...]) -> tuple[Frame, ...]:
    if sizes is None:
        return tuple(Frame(event + _BLANK) for event in body.split(_BLANK)[:-1])
    ends = tuple(accumulate(sizes))
    times = ats or repeat(0.0)
    return tuple(Frame(body[end - size : end], at=at) for size, end, at in zip(sizes, ends, times, strict=False))


def _pack_chosen(chosen: Chosen) -> tuple[Any, ...]:
    rule = chosen.rule
    place = rule.place
    return chosen.position, rule.name, place.file, place.line, place.column


def _unpack_chosen(use: int, position: int, name: str, *place: Any) -> Chosen:
    return Chosen(_past_rule(name, Place(*place)), use, {}, position)


@lru_cache(maxsize=1024)
def _past_rule(name: str, place: Place) -> CompiledRule:
    return CompiledRule(name, "", place, (), (), "repeat", None, NoUsage(), None, (), frozenset())
