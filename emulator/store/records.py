"""Exchanges as bytes for a store outside the process: a JSON header, then both bodies as they are."""

import json
from collections.abc import Sequence
from dataclasses import asdict
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
from emulator.store.exchange import Asked, Entry, Exchange, Played, Sender, TokenExchange, UnroutedRequest
from emulator.wire.errors import Refusal
from emulator.wire.urls import Target
from emulator.wire.usage import Usage

_SIZES = Struct("<II")
"""Bytes of the header and of the request."""
_BLANK = b"\n\n"
"""What ends an event of a stream."""


def pack(entry: Entry) -> bytes:
    """An exchange that has ended as bytes, without its position."""
    if not isinstance(entry, Exchange):
        return _join({"token" if isinstance(entry, TokenExchange) else "unrouted": asdict(entry)}, b"", b"")
    outcome, played, timeline = entry.outcome, entry.played, entry.outcome.timeline
    chosen, refusal, usage = outcome.chosen, outcome.refusal, outcome.usage
    answer, (count, sizes, times) = _pack_frames(timeline.frames)
    header: dict[str, Any] = {
        "number": entry.number,
        "started": entry.started,
        "target": entry.target,
        "warnings": entry.warnings,
        "held": entry.held,
        "duration": entry.duration,
        "played": [played.ended, played.sent, *played.times],
        "sender": entry.sender,
        "asked_with": [(name.decode("latin-1"), value.decode("latin-1")) for name, value in entry.headers],
        "head": [
            timeline.status,
            timeline.head_at,
            timeline.ending,
            timeline.end_at,
            timeline.write_size,
            timeline.is_stalled,
        ],
        "headers": timeline.headers,
        "frames": [count, sizes, times],
        "result": outcome.result,
        "report": outcome.report,
        "also": outcome.warnings,
        "quirks": sorted(outcome.quirks),
        "changed": outcome.changed_by_overrides,
        "asked": entry.asked,
        "said": outcome.said,
        "not_found": outcome.not_found,
    }
    if chosen is not None:
        place = chosen.rule.place
        header["rule"] = [chosen.rule.name, place.file, place.line, place.column, chosen.use, chosen.position]
    if refusal is not None:
        header["refusal"] = asdict(refusal)
    if usage is not None:
        header["usage"] = usage
    return _join(header, entry.body, answer)


def unpack(data: bytes) -> Entry:
    """The exchange of some bytes; of the rule that answered it has only what can be asked afterwards: name and place."""
    header_size, request_size = _SIZES.unpack_from(data)
    start = _SIZES.size + header_size
    header = json.loads(data[_SIZES.size : start])
    if "token" in header:
        return TokenExchange(**header["token"])
    if "unrouted" in header:
        return UnroutedRequest(**header["unrouted"])
    end = start + request_size
    status, head_at, ending, end_at, write_size, is_stalled = header["head"]
    headers = tuple((name, value) for name, value in header["headers"])
    frames = _unpack_frames(data[end:], *header["frames"])
    timeline = Timeline(
        status,
        headers,
        frames,
        head_at=head_at,
        ending=ending,
        end_at=end_at,
        write_size=write_size,
        is_stalled=is_stalled,
    )
    ended, sent, *times = header["played"]
    outcome = Outcome(
        header["result"],
        timeline,
        _unpack_chosen(header["rule"]) if "rule" in header else None,
        _unpack_refusal(header["refusal"]) if "refusal" in header else None,
        Usage(*header["usage"]) if "usage" in header else None,
        header["report"],
        tuple(header["also"]),
        frozenset(header["quirks"]),
        header["changed"],
        header["said"],
        header["not_found"],
    )
    return Exchange(
        header["number"],
        header["started"],
        Target(*header["target"]),
        data[start:end],
        outcome,
        tuple(header["warnings"]),
        QuotaTicket(header["number"], header["held"]),
        header["duration"],
        Played(ended, sent, tuple(times)),
        sender=Sender(*header["sender"]),
        asked=Asked(*header["asked"]),
        headers=tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in header["asked_with"]),
    )


def _join(header: dict[str, Any], request: bytes, answer: bytes) -> bytes:
    written = json.dumps(header).encode()
    return b"".join((_SIZES.pack(len(written), len(request)), written, request, answer))


def _pack_frames(frames: Frames) -> tuple[bytes, tuple[int, Sequence[int], Sequence[float]]]:
    """All bytes; how many frames they are, their sizes unless that tells, and when each is sent unless all are at once."""
    count = len(frames)
    if not isinstance(frames, tuple):
        # Frames that have been joined are events if they are many. To look for where each ends would take longer than all the rest.
        return frames.body, (count, (), ())
    times = [frame.at for frame in frames]
    sizes = [len(frame.data) for frame in frames] if count > 1 else ()
    return b"".join([frame.data for frame in frames]), (count, sizes, times if any(times) else ())


def _unpack_frames(body: bytes, count: int, sizes: Sequence[int], times: Sequence[float]) -> tuple[Frame, ...]:
    if count > 1 and not sizes:
        return tuple(Frame(event + _BLANK) for event in body.split(_BLANK)[:-1])
    sizes = sizes or (len(body),) * count
    return tuple(
        Frame(body[end - size : end], at=at)
        for size, end, at in zip(sizes, accumulate(sizes), times or repeat(0.0), strict=False)
    )


def _unpack_refusal(fields: dict[str, Any]) -> Refusal:
    return Refusal(**{**fields, "headers": tuple((name, value) for name, value in fields["headers"])})


def _unpack_chosen(fields: list[Any]) -> Chosen:
    name, file, line, column, use, position = fields
    return Chosen(_past_rule(name, Place(file, line, column)), use, {}, position)


@lru_cache(maxsize=1024)
def _past_rule(name: str, place: Place) -> CompiledRule:
    return CompiledRule(name, "", place, (), (), "repeat", None, NoUsage(), None, (), frozenset())
