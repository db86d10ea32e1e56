"""Replay: the exchanges of a recording as rules that answer the same requests with the recorded bytes."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from emulator.engine.answer import emulator_failure
from emulator.engine.recorded import RawRequest, RecordedReply, Repeats
from emulator.engine.reply.parts import MAX_PREVIEW
from emulator.engine.ruleset import CompiledRule
from emulator.engine.timeline.timeline import Frame, Timeline
from emulator.errors import Place, StartError
from emulator.recording.meaning import (
    Differences,
    Meaning,
    canonical,
    compile_placeholders,
    find_differences,
    list_leaves,
    read_meaning,
)
from emulator.recording.recording import MANIFEST, RecordedAnswer, RecordedExchange, RecordedRequest, Recording
from emulator.scenario.loading import show_path
from emulator.scenario.rules import Usage as NoUsage
from emulator.store.exchange import answer_text
from emulator.suggestions import list_accepted, quote, suggest_one
from emulator.wire.errors import Refusal
from emulator.wire.json_text import parse_or_text
from emulator.wire.urls import CHAT
from emulator.wire.usage import Usage

_THEN: dict[str, Literal["repeat", "loop", "exhaust"]] = {"last": "repeat", "loop": "loop", "never": "exhaust"}

COMPARED_BYTES = 4 * 1024 * 1024
"""Bytes of recorded requests that a miss is compared with, to find the nearest."""
MAX_DIFFERENCES = 8
"""Differences to the nearest recorded request that a miss shows."""
_LEFT_S = 5.0
"""Seconds for which an answer that the client left is kept open beyond the recorded time."""
_NOT_PLAYED = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "date",
        "keep-alive",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to the recorded transfer."""
_EMULATOR = "x-emulator-"
_SIGNATURE = re.compile(rb'"thought_signature"\s*:\s*"([A-Za-z0-9+/=_-]+)"')
_OK, _FIRST_ERROR = 200, 400
_SHORT = 500
"""Bytes of a request that is shown as an example."""


class Replay:
    """The requests of one recording, each with its answers; implements `RecordedRules`."""

    def __init__(self, recording: Recording, repeats: Repeats = "last") -> None:
        """`repeats` holds where the manifest does not say. Raises StartError for a manifest that cannot be followed."""
        self.name = recording.folder.name
        self.folder = recording.folder
        manifest, where = recording.manifest, show_path(recording.folder / MANIFEST)
        self.differences = Differences.read(manifest.ignore, manifest.compare, where)
        if manifest.repeats and manifest.repeats not in _THEN:
            accepted = list_accepted(manifest.repeats, tuple(_THEN))
            message = f"{where}: `repeats` must be {accepted}, not {quote(manifest.repeats)}"
            raise StartError(message + suggest_one(manifest.repeats, tuple(_THEN)))
        self._then = _THEN[manifest.repeats or repeats]
        self._exchanges: dict[str, RecordedExchange] = {}
        """The first exchange of each rule, by the rule's key."""
        self._exact: dict[bytes, CompiledRule] = {}
        self._loose: dict[bytes, list[CompiledRule]] = {}
        self._redacted: list[tuple[re.Pattern[str], CompiledRule]] = []
        """The rules of requests that had secrets, with patterns of such requests."""
        self._build(recording)
        self.signatures = frozenset(
            found.decode() for one in recording.exchanges for found in _SIGNATURE.findall(one.answer.body)
        )
        """The thought signatures of its answers, which clients may send back to rules beside it."""
        self.rules: Sequence[CompiledRule] = tuple(self._exact.values())

    def _build(self, recording: Recording) -> None:
        same: dict[bytes, tuple[Meaning, list[RecordedExchange]]] = {}
        for exchange in recording.exchanges:
            meaning = read_meaning(exchange.request, self.differences)
            same.setdefault(meaning.exact, (meaning, []))[1].append(exchange)
        for exact, (meaning, exchanges) in same.items():
            rule = self._make_rule(exchanges)
            self._exact[exact] = rule
            self._loose.setdefault(meaning.loose, []).append(rule)
            self._exchanges[rule.key] = exchanges[0]
            if (pattern := compile_placeholders(meaning.text)) is not None:
                self._redacted.append((pattern, rule))

    def _make_rule(self, exchanges: Sequence[RecordedExchange]) -> CompiledRule:
        first = exchanges[0].number
        return CompiledRule(
            name=f"exchange {first}",
            scenario=self.name,
            place=Place(show_path(self.folder / f"{first:04}.yaml"), 1, 1),
            conditions=(),
            replies=(),
            then=self._then,
            limit=len(exchanges) if self._then == "exhaust" else None,
            usage=NoUsage.model_construct(),
            finish=None,
            headers=(),
            quirks=frozenset(),
            recorded=tuple(read_reply(exchange.answer, exchange.number) for exchange in exchanges),
        )

    @property
    def example(self) -> dict[str, Any] | None:
        """The body of a chat request that it has, to try it with; None if it has none that is short."""
        for exchange in self._exchanges.values():
            request = exchange.request
            if (
                request.path.rstrip("/").endswith(CHAT)
                and len(request.body) <= _SHORT
                and exchange.answer.status == _OK
            ):
                value = parse_or_text(request.body.decode("utf-8", "replace"))
                if isinstance(value, dict):
                    return value
        return None

    def find(self, request: RawRequest) -> Sequence[CompiledRule]:
        """The rules of the recorded requests that mean the same: the one with exactly its texts, else all that resemble it."""
        meaning = read_meaning(as_recorded(request), self.differences)
        if (rule := self._exact.get(meaning.exact)) is not None:
            return (rule,)
        if meaning.loose in self._loose:
            return self._loose[meaning.loose]
        return [rule for pattern, rule in self._redacted if pattern.fullmatch(meaning.text)]

    def explain(self, request: RawRequest) -> str:
        """Why no recorded exchange answers a request: the nearest recorded request, and what differs."""
        if found := self.find(request):
            rule, times = found[-1], sum(len(one.recorded) for one in found)
            often = "once" if times == 1 else f"{times} times"
            return (
                f'the recording "{self.name}" has this request {often}, and has answered it as often already ("{rule.name}", '
                f"{rule.place}); `repeats: last` in {MANIFEST} would give the last answer again"
            )
        head = f'no request of the recording "{self.name}" is the same as this one'
        got = canonical(as_recorded(request), self.differences)
        nearest, uncompared = self._find_nearest(got)
        if nearest is None:
            return f"{head}; it has no exchanges"
        recorded = canonical(self._exchanges[nearest.key].request, self.differences)
        differences = list(find_differences(recorded, got))
        shown = differences[:MAX_DIFFERENCES]
        width = max((len(one.where) for one in shown), default=0) + 2
        lines = [head, f'nearest: "{nearest.name}", {nearest.place}']
        lines += [f"  {one.where:<{width}}MISS  recorded {one.recorded}, got {one.got}" for one in shown]
        if len(differences) > len(shown):
            lines.append(f"  and {len(differences) - len(shown)} more differences")
        if len(self.rules) > 1:
            of_them = f", {uncompared} of them not compared because they are so long" if uncompared else ""
            lines.append(f"and {len(self.rules) - 1} more{of_them}")
        return "\n".join(lines)

    def _find_nearest(self, got: Mapping[str, Any]) -> tuple[CompiledRule | None, int]:
        """The rule whose request shares most with another, and how many were not compared."""
        wanted = frozenset(list_leaves(got))
        best: tuple[float, CompiledRule | None] = (-1.0, None)
        left = COMPARED_BYTES
        for number, rule in enumerate(self.rules):
            request = self._exchanges[rule.key].request
            left -= len(request.body)
            if left < 0 and number:
                return best[1], len(self.rules) - number
            leaves = frozenset(list_leaves(canonical(request, self.differences)))
            likeness = len(wanted & leaves) / (len(wanted | leaves) or 1)
            if likeness > best[0]:
                best = (likeness, rule)
        return best[1], 0


def as_recorded(request: RawRequest) -> RecordedRequest:
    """A request that arrived as a recording has it."""
    return RecordedRequest(request.method, "", request.path, request.query, request.headers, request.body)


def read_reply(answer: RecordedAnswer, number: int = 0) -> RecordedReply:
    """A recorded answer as it is played, its bytes at their times; `number` is the exchange's."""
    if answer.end == "unreachable":
        # What the recorder has answered.
        report = "the upstream could not be reached when this was recorded"
        timeline = emulator_failure(report, "upstream_unreachable")
        return RecordedReply(timeline, said=report, number=number)
    headers = tuple(
        (name.lower(), value)
        for name, value in answer.headers
        if name.lower() not in _NOT_PLAYED and not name.lower().startswith(_EMULATOR)
    )
    is_left = answer.end == "left"
    timeline = Timeline(
        answer.status,
        headers,
        tuple(Frame(frame.data, at=frame.at) for frame in answer.frames),
        head_at=answer.head_at if answer.status else None,
        ending="complete" if answer.end == "complete" else "close",
        end_at=answer.ended_at + _LEFT_S if is_left else answer.ended_at,
    )
    body = timeline.body
    refusal = _read_refusal(answer.status, body) if answer.status >= _FIRST_ERROR else None
    usage = None if refusal is not None else _read_usage(body)
    said = answer_text(body) if refusal is None else refusal.message
    return RecordedReply(timeline, usage, refusal, said[:MAX_PREVIEW], number, is_left)


def _read_refusal(status: int, body: bytes) -> Refusal:
    """What an error answer says; one that is not Google's error object stands for itself."""
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    first = value[0] if isinstance(value, list) and value else value
    error = first.get("error") if isinstance(first, dict) else None
    if not isinstance(error, dict):
        return Refusal(status, None, text[:MAX_PREVIEW], framing="text", rule="recorded")
    named = error.get("status")
    return Refusal(status, named if isinstance(named, str) else None, str(error.get("message", "")), rule="recorded")


def _read_usage(body: bytes) -> Usage | None:
    """The token counts of an answer: of its body, or of the last chunk that has some."""
    if b'"usage"' not in body:
        return None
    for line in reversed(body.decode("utf-8", "replace").split("\n\n")):
        try:
            value = json.loads(line.removeprefix("data: "))
            usage = value["usage"]
            details, cached = usage.get("completion_tokens_details") or {}, usage.get("prompt_tokens_details") or {}
            traffic = (usage.get("extra_properties") or {}).get("google", {}).get("traffic_type") or "ON_DEMAND"
            return Usage(
                int(usage["prompt_tokens"]),
                int(usage.get("completion_tokens") or 0),
                int(details.get("reasoning_tokens") or usage.get("reasoning_tokens") or 0),
                int(cached.get("cached_tokens") or 0),
                int(usage["total_tokens"]),
                str(traffic),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return None
