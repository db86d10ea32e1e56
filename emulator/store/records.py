"""Serialised exchanges, for another process to keep: cheap to write for each answer, parsed only when read."""

import pickle
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, repeat
from struct import Struct
from typing import Any

from emulator.engine.answer import Outcome
from emulator.engine.matching.choose import Chosen
from emulator.engine.quota import QuotaTicket
from emulator.engine.ruleset import CompiledRule
from emulator.engine.timeline.timeline import Frame, Frames, Timeline
from emulator.errors import Place
from emulator.scenario.rules import Usage as NoUsage
from emulator.store.exchange import Entry, Exchange, Played, Sender, TokenExchange, UnroutedRequest

_OWN = Struct("QddddQQQQ")
"""What hardly two exchanges have in common: number, start, duration, time held, planned end, bytes sent, sizes of both bodies, use."""
_FORMAT = pickle.HIGHEST_PROTOCOL
_MAX_CACHED_SIZE = 16 * 1024
"""Estimated bytes of an exchange besides its bodies up to which they are serialised once for all that have the same."""
_BLANK = b"\n\n"
"""What ends an event of a stream."""


def pack(entry: Entry) -> Sequence[bytes]:
    """An exchange that has ended as bytes, in parts to be joined, its bodies as they are.

    Its position is not there; whoever keeps it gives it one.
    """
    if not isinstance(entry, Exchange):
        return bytes(_OWN.size), pickle.dumps(entry, _FORMAT)
    outcome, sender, played, body = entry.outcome, entry.sender, entry.played, entry.body
    status, headers, frames, _, head_at, ending, end_at, write_size = outcome.timeline
    result, _, chosen, refusal, usage, report, warnings, quirks, changed_by_overrides = outcome
    answer, cuts = _pack_frames(frames)
    # What is large is not shared by other exchanges, and the cache must stay small.
    describe = _describe if entry.size_beside_bodies < _MAX_CACHED_SIZE else _describe.__wrapped__
    common = describe(
        entry.target,
        (sender.host, sender.has_api_key, sender.credential),
        (played.ended, tuple(played.times), status, headers, cuts, head_at, ending, write_size),
        (result, refusal and pickle.dumps(refusal, _FORMAT), usage, report),
        (entry.warnings, warnings, quirks, changed_by_overrides),
        chosen and _pack_chosen(chosen),
    )
    own = _OWN.pack(
        *(entry.number, entry.started, entry.duration, entry.quota_ticket.delay, end_at),
        *(played.sent, len(body), len(answer), chosen.use if chosen else 0),
    )
    return own + common, body, answer


@lru_cache(maxsize=256)
def _describe(*common: Any) -> bytes:
    """What many exchanges have in common, made once for all of them."""
    return pickle.dumps(common, _FORMAT)


def unpack(data: bytes) -> Entry:
    """The exchange whose parts these are; of the rule that answered it has only what can be asked afterwards: name, place and key."""
    number, started, duration, held, end_at, sent, request_size, answer_size, use = _OWN.unpack_from(data)
    # It reads no further than what was made of it.
    read = pickle.loads(memoryview(data)[_OWN.size :])  # noqa: S301  # what a worker of this server has packed
    if isinstance(read, TokenExchange | UnroutedRequest):
        return read
    target, sender, sent_as, found, (warnings, *more), chosen = read
    ended, times, status, headers, cuts, head_at, ending, write_size = sent_as
    result, refusal, usage, report = found
    end = len(data) - answer_size
    frames = _unpack_frames(data[end:], *cuts)
    timeline = Timeline(status, headers, frames, head_at=head_at, ending=ending, end_at=end_at, write_size=write_size)
    outcome = Outcome(
        result,
        timeline,
        chosen and _unpack_chosen(use, *chosen),
        refusal and pickle.loads(refusal),  # noqa: S301  # as above
        usage,
        report,
        *more,
    )
    return Exchange(
        number,
        started,
        target,
        data[end - request_size : end],
        outcome,
        warnings,
        QuotaTicket(number, held),
        duration,
        Played(ended, sent, times),
        sender=Sender(*sender),
    )


def _pack_frames(frames: Frames) -> tuple[bytes, tuple[Any, ...]]:
    """All bytes; how many frames they are, their sizes unless that tells, and when each is sent unless all are at once."""
    many = len(frames)
    if not isinstance(frames, tuple):
        # Frames that have been joined are events if they are many. To look for where each ends would take longer than all the rest.
        return frames.body, (many, (), ())
    ats = tuple([frame.at for frame in frames])
    sizes = tuple([len(frame.data) for frame in frames]) if many > 1 else ()
    return b"".join([frame.data for frame in frames]), (many, sizes, ats if any(ats) else ())


def _unpack_frames(body: bytes, many: int, sizes: tuple[int, ...], ats: tuple[float, ...]) -> tuple[Frame, ...]:
    if many > 1 and not sizes:
        return tuple(Frame(event + _BLANK) for event in body.split(_BLANK)[:-1])
    sizes = sizes or (len(body),) * many
    return tuple(
        Frame(body[end - size : end], at=at)
        for size, end, at in zip(sizes, accumulate(sizes), ats or repeat(0.0), strict=False)
    )


def _pack_chosen(chosen: Chosen) -> tuple[Any, ...]:
    rule = chosen.rule
    place = rule.place
    return chosen.position, rule.name, place.file, place.line, place.column


def _unpack_chosen(use: int, position: int, name: str, *place: Any) -> Chosen:
    return Chosen(_past_rule(name, Place(*place)), use, {}, position)


@lru_cache(maxsize=1024)
def _past_rule(name: str, place: Place) -> CompiledRule:
    return CompiledRule(name, "", place, (), (), "repeat", None, NoUsage(), None, (), frozenset())
