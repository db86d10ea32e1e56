"""A scenario made from a recording, as a person would have written it, and where its answers differ from the recorded ones.

Requests whose messages go on where an answer ended become a `conversation`; others become rules that ask for the user's text and for what
else tells them from the other recorded requests. Answers become steps, their times a pace.
"""

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from mimetypes import guess_extension
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

from emulator.catalogue.errors import all_errors, find
from emulator.engine.error_answers import refuse, values_for
from emulator.engine.reply.chunking import divide
from emulator.engine.request.facts import Facts
from emulator.engine.request.history import HistoryTurn
from emulator.engine.ruleset import Ruleset, compile_rules
from emulator.engine.timeline.timeline import error_frame
from emulator.recording.meaning import compare_json
from emulator.recording.recording import RecordedAnswer, RecordedExchange, Recording
from emulator.recording.replay import read_reply
from emulator.scenario.loading import read_text
from emulator.scenario.steps import Sized
from emulator.scenario.writing import as_literal, write_yaml
from emulator.server.clock import SystemClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.wire.errors import Refusal
from emulator.wire.json_text import dump, parse_or_text
from emulator.wire.requests import MalformedRequestError, read_request
from emulator.wire.urls import CHAT, Target, parse_target

Step = dict[str, Any]

LONGEST_TEXT = 500
"""Characters of a text that a rule asks for as a whole; of longer ones it asks for the beginning."""
_BEGINNING = 200
_FIRST_ERROR = 400
_OK = 200
_DATA = "data: "
_DONE = "[DONE]"
_NAME_WORDS = 6
_LEAST_S = 0.02
"""Seconds; answers that are quicker have no pace worth writing."""
_LEAST_ANSWERS = 3
"""Answers from which it is said how much their times vary."""
_SPREAD = 1.25
"""Factor by which the pace of another model differs before its rules have a pace of their own."""
_CONDITIONS = ("system", "model", "has", "tools", "body", "stream")
"""What tells requests with the same texts apart, in the order in which it is tried."""
_NOT_ASKED_FOR = frozenset({"messages", "model", "stream", "stream_options", "tools", "functions"})
_NAMES = re.compile(r"[^\w' -]+")


@dataclass(frozen=True, slots=True)
class Generalized:
    """A scenario made from a recording."""

    text: str
    media: Mapping[str, bytes]
    """The files that it names, by their paths beside it."""
    notes: tuple[str, ...]
    """What was generalised or left out, a sentence each."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """A recorded answer in the language."""

    steps: list[Step]
    usage: dict[str, Any] | None
    finish: str | None
    turn: Any
    """What the history of a request that goes on has of it."""
    is_stream: bool

    @property
    def reply(self) -> Any:
        """The steps as they are written."""
        if not self.steps:
            return ""
        if len(self.steps) > 1:
            return self.steps
        text = self.steps[0].get("say")
        return text if self.steps[0].keys() == {"say"} and isinstance(text, str) else self.steps[0]

    @property
    def plain(self) -> str:
        """What it says, however it is divided; to be compared."""
        steps = [{key: _join(value) for key, value in step.items() if key != "chunks"} for step in self.steps]
        return json.dumps([steps, self.usage, self.finish], sort_keys=True)


def _join(value: Any) -> Any:
    return "".join(value) if isinstance(value, list) and all(isinstance(one, str) for one in value) else value


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A recorded chat request with its answer."""

    exchange: RecordedExchange
    facts: Facts
    answer: _Answer

    @property
    def number(self) -> int:
        """The exchange's number."""
        return self.exchange.number

    @property
    def keys(self) -> tuple[Any, ...]:
        """The turns, to be compared with those of other requests."""
        return tuple(map(_key_of, self.facts.dialogue))

    def follows(self, other: "_Asked") -> bool:
        """Whether its messages go on behind the answer of another request."""
        if (self.facts.model, self.facts.system) != (other.facts.model, other.facts.system):
            return False
        before = (*other.keys, other.answer.turn)
        return len(self.keys) > len(before) and self.keys[: len(before)] == before

    def repeats(self, other: "_Asked") -> bool:
        """Whether it says the same as an earlier request."""
        is_same = self.keys == other.keys and (self.facts.model, self.facts.system) == (
            other.facts.model,
            other.facts.system,
        )
        return is_same and self.number > other.number

    def condition(self, name: str) -> dict[str, Any]:
        """One condition of `when` that holds for it; empty where there is nothing to ask for."""
        facts = self.facts
        match name:
            case "system":
                return {"system": _ask_for(facts.system)} if facts.system else {}
            case "model":
                return {"model": facts.model}
            case "has":
                return {"has": sorted(facts.has)} if facts.has else {}
            case "tools":
                return {"tools": [tool[0] for tool in facts.tools] or False}
            case "stream":
                return {"stream": bool(facts.stream)}
            case _:
                body = {key: value for key, value in facts.request.items() if key not in _NOT_ASKED_FOR}
                return {"body": body} if body else {}


def _key_of(turn: HistoryTurn) -> Any:
    match turn.role:
        case "tool":
            return "tool", tuple(sorted((name, _canonical(text)) for name, text in turn.results))
        case "assistant":
            return _key_of_answer(turn.text, [(call.name, call.arguments or "") for call in turn.calls])
        case _:
            return "user", turn.text.strip()


def _key_of_answer(text: str, calls: Sequence[tuple[str, str]]) -> Any:
    return "assistant", text.strip(), tuple((name, _canonical(arguments)) for name, arguments in calls)


def _canonical(text: str) -> str:
    value = parse_or_text(text)
    return text.strip() if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _ask_for(text: str) -> Any:
    """A test of a text."""
    return {"equals": text} if len(text) <= LONGEST_TEXT else {"starts_with": text[:_BEGINNING]}


@dataclass(slots=True)
class _Rule:
    """A rule that is being made, of one or several exchanges."""

    asked: list[_Asked]
    turns: list[dict[str, Any]] | None = None
    """The transcript of a conversation."""
    times: int | None = None
    when: dict[str, Any] = field(default_factory=dict)
    key: Any = None
    """What rules that might answer the same requests have in common."""

    @property
    def first(self) -> _Asked:
        """Its first exchange."""
        return self.asked[0]

    def write(self, name: str, pace: dict[str, Any] | None) -> dict[str, Any]:
        """The rule as it is written."""
        found: dict[str, Any] = {"name": name}
        if self.when:
            found["when"] = self.when
        if self.times is not None:
            found["times"] = self.times
        answers = [one.answer for one in self.asked]
        if self.turns is not None:
            found["conversation"] = self.turns
        else:
            replies = [answer.reply for answer in answers]
            if all(reply == replies[0] for reply in replies):
                found["reply"] = replies[0]
            else:
                found["sequence"] = replies
            if usage := next((answer.usage for answer in reversed(answers) if answer.usage), None):
                found["usage"] = usage
            if finish := next((answer.finish for answer in answers if answer.finish), None):
                found["finish"] = finish
        if pace is not None:
            found["pace"] = pace
        return found


class _Generalizer:
    """Makes the scenario of one recording."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._notes: list[str] = []
        self.media: dict[str, bytes] = {}
        self._bare = Service(Ruleset((), (), None), Settings(auth="off"), clock=SystemClock())
        """Answers as the emulator does without any rule."""

    def make(self, vetting: str | None) -> Generalized:
        """The scenario, with `vetting` if it is given."""
        asked = [one for exchange in self._recording.exchanges if (one := self._read(exchange)) is not None]
        rules = [*self._find_conversations(asked)]
        used = {one.number for rule in rules for one in rule.asked}
        rules += self._find_rules([one for one in asked if one.number not in used])
        paces = _fit_paces(asked)
        default = next(iter(paces.values()), None)
        scenario: dict[str, Any] = {"scenario": self._recording.folder.name}
        if vetting is not None:
            scenario["vetting"] = vetting
        if default is not None:
            scenario["defaults"] = {"pace": default}
            self._notes.append(f"the times of answers are fitted: {_describe_pace(default)}")
        names: dict[str, int] = {}
        written = []
        for rule in rules:
            pace = paces.get(rule.first.facts.model)
            written.append(rule.write(_name(rule.first, names), None if pace == default else pace))
        scenario["rules"] = written
        self._note_what_is_not_asked(asked, rules)
        head = f"# Made from the recording {self._recording.folder.name} by vertex-emulator scenario-from.\n"
        text = (
            write_yaml(scenario, inline=True).replace("\n- name:", "\n\n- name:").replace("rules:\n\n", "rules:\n", 1)
        )
        return Generalized(head + text, self.media, tuple(self._notes))

    def _read(self, exchange: RecordedExchange) -> _Asked | None:
        """A chat request with its answer; None, and a note, for what becomes no rule."""
        request, answer = exchange.request, exchange.answer
        target = parse_target(unquote(request.path)) if request.method == "POST" else None
        if target is None or target.method != CHAT:
            self._notes.append(f"exchange {exchange.number} is left out: rules answer chat completions only")
            return None
        headers = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in request.headers]
        if answer.status >= _FIRST_ERROR:
            outcome = self._bare.handle(target, request.query.encode(), headers, request.body).outcome
            if outcome.result == "refusal" and outcome.timeline.body == answer.body:
                self._notes.append(f"exchange {exchange.number} needs no rule: the emulator refuses it by itself")
                return None
        try:
            facts = Facts(target, headers, read_request(request.body))
        except MalformedRequestError:
            self._notes.append(f"exchange {exchange.number} is left out: its request is no chat completion")
            return None
        if answer.end == "left":
            self._notes.append(f"the client left exchange {exchange.number}, so its answer is what had come until then")
        return _Asked(exchange, facts, _AnswerReader(exchange, facts, self.media, self._recording.folder.name).read())

    def _find_conversations(self, asked: Sequence[_Asked]) -> Iterator[_Rule]:
        """The transcripts: one for each request that no other goes on from, with what was answered on the way."""
        rules: list[_Rule] = []
        covered: set[int] = set()
        for end in asked:
            turns = end.facts.dialogue
            is_end = not any(other.follows(end) or other.repeats(end) for other in asked)
            if not is_end or turns[-1].role == "assistant" or all(turn.role == "user" for turn in turns):
                continue
            path = [one for one in asked if end.follows(one) and one.facts.dialogue[-1].role != "assistant"]
            rule = _Rule([*path, end], _write_turns(end, path), key=end.keys)
            # What was answered otherwise at the same point, such as an error before it was asked again, comes first.
            for one in (*path, end):
                for other in asked:
                    if not one.repeats(other) or other.number in covered or other in path:
                        continue
                    covered.add(other.number)
                    if other.answer.plain == one.answer.plain:
                        rule.asked.append(other)
                    else:
                        before = [each for each in path if other.follows(each)]
                        rules.append(_Rule([other], _write_turns(other, before), times=_count_answers(other)))
            known = next((each for each in rules if each.turns == rule.turns and each.times is None), None)
            if known is None:
                rules.append(rule)
            else:
                known.asked += rule.asked
        if rules:
            self._notes.append(
                "the token counts of conversations are estimates, because a rule has one `usage` for all its turns"
            )
        yield from self._distinguish(rules)

    def _find_rules(self, asked: Sequence[_Asked]) -> Iterator[_Rule]:
        """A rule for each text of a user that was asked, or several where more is needed to tell the requests apart."""
        rules: list[_Rule] = []
        for one in asked:
            turns = one.facts.dialogue
            if len(turns) == 1 and turns[0].role == "user":
                when: dict[str, Any] = {"last_user": _ask_for(turns[0].text), "turn": 1}
            else:
                when = {"body": {"messages": one.facts.request.get("messages", [])}}
            key = json.dumps(when, sort_keys=True)
            rules.append(_Rule([one], when=when, key=key))
        yield from self._distinguish(rules)

    def _distinguish(self, rules: Sequence[_Rule]) -> Iterator[_Rule]:
        """The rules with the conditions that tell those with the same key apart; those that say the same become one."""
        groups: dict[Any, list[_Rule]] = {}
        for rule in rules:
            groups.setdefault(id(rule) if rule.key is None else rule.key, []).append(rule)
        for group in groups.values():
            for name in _CONDITIONS:
                if not _have_conflict(group):
                    break
                found = [rule.first.condition(name) for rule in group]
                if any(one != found[0] for one in found):
                    for rule, condition in zip(group, found, strict=True):
                        rule.when = {**rule.when, **condition}
            merged: dict[str, _Rule] = {}
            for rule in group:
                known = merged.setdefault(json.dumps(rule.when, sort_keys=True), rule)
                if known is not rule and rule.turns is None:
                    known.asked += rule.asked
            for rule in merged.values():
                if rule.turns is None:
                    rule.asked = _merge_answers(rule.asked)
            # What has more conditions would else never be reached.
            yield from sorted(merged.values(), key=lambda rule: -len(rule.when))

    def _note_what_is_not_asked(self, asked: Sequence[_Asked], rules: Sequence[_Rule]) -> None:
        """Say which fields of the requests no rule asks for."""
        fields = {
            key for one in asked for key in one.facts.request if key not in {"messages", "stream", "stream_options"}
        }
        if any(one.facts.system for one in asked):
            fields.add("system messages")
        if any(one.facts.has for one in asked):
            fields.add("pictures and other media")
        tested = {key for rule in rules for key in rule.when} | {
            key for rule in rules for key in rule.when.get("body", ())
        }
        names = {"system messages": "system", "pictures and other media": "has"}
        left = sorted(one for one in fields if names.get(one, one) not in tested)
        if left:
            self._notes.append(f"rules do not ask for: {', '.join(left)}")
        long = [one.number for one in asked if any(len(turn.text) > LONGEST_TEXT for turn in one.facts.dialogue)]
        if long:
            self._notes.append(f"of long texts only the beginning is asked for: exchange {', '.join(map(str, long))}")


def _have_conflict(rules: Sequence[_Rule]) -> bool:
    """Whether rules with the same conditions answer differently."""
    answers: dict[str, set[str]] = {}
    for rule in rules:
        said = rule.first.answer.plain if rule.turns is None else json.dumps(rule.turns, sort_keys=True)
        answers.setdefault(json.dumps(rule.when, sort_keys=True), set()).add(said)
    return any(len(said) > 1 for said in answers.values())


def _merge_answers(asked: list[_Asked]) -> list[_Asked]:
    """The exchanges of one rule; where they say the same, however it is divided, one of them."""
    if len({one.answer.plain for one in asked}) > 1:
        return asked
    return [next((one for one in asked if one.answer.is_stream), asked[0])]


def _count_answers(asked: _Asked) -> int:
    return 1 + sum(turn.role == "assistant" for turn in asked.facts.dialogue)


def _write_turns(end: _Asked, path: Sequence[_Asked]) -> list[dict[str, Any]]:
    """The transcript up to an answer; what was answered on the way as it was recorded, else as the history has it."""
    answers = {len(one.keys): one.answer for one in path}
    turns: list[dict[str, Any]] = []
    for at, turn in enumerate(end.facts.dialogue):
        match turn.role:
            case "user":
                turns.append({"user": _ask_for(turn.text) if turn.text else ""})
            case "tool":
                turns += [{"tool": name, "result": _ask_for_result(text)} for name, text in turn.results]
            case _:
                answer = answers.get(at)
                turns.append({"assistant": _write_history(turn) if answer is None else answer.reply})
    return [*turns, {"assistant": end.answer.reply}]


def _ask_for_result(text: str) -> Any:
    value = parse_or_text(text)
    if isinstance(value, dict | list) and value and len(text) <= LONGEST_TEXT:
        return {"json": value}
    return _ask_for(text) if text else ""


def _write_history(turn: HistoryTurn) -> Any:
    steps: list[Step] = [_write_text("say", [turn.text], is_stream=False)] if turn.text else []
    steps += [_write_call(call.name, call.arguments or "") for call in turn.calls]
    return _Answer(steps, None, None, None, is_stream=False).reply


def _name(asked: _Asked, names: dict[str, int]) -> str:
    """A name for a rule, from the first words of its first user; each once."""
    text = next((turn.text for turn in asked.facts.dialogue if turn.role == "user"), "")
    words = _NAMES.sub("", text).lower().split()[:_NAME_WORDS]
    name = " ".join(words) or f"exchange {asked.number}"
    names[name] = number = names.get(name, 0) + 1
    return name if number == 1 else f"{name} {number}"


class _AnswerReader:
    """Reads one recorded answer."""

    def __init__(self, exchange: RecordedExchange, facts: Facts, media: dict[str, bytes], folder: str) -> None:
        self._exchange = exchange
        self._facts = facts
        self._media = media
        self._folder = folder
        self._marker = facts.google.get("thought_tag_marker")
        self._texts: list[str] = []
        self._calls: list[tuple[str, str]] = []

    def read(self) -> _Answer:
        """The answer in the language."""
        answer = self._exchange.answer
        is_stream = answer.is_stream
        if answer.status == 0:
            return self._finish([{"cut": "close"}], None, is_stream=is_stream)
        if answer.status >= _FIRST_ERROR:
            return self._finish([self._read_failure(answer.status, answer.body)], None, is_stream=is_stream)
        if not is_stream:
            value = parse_or_text(answer.body.decode("utf-8", "replace"))
            choices = value.get("choices") if isinstance(value, dict) else None
            if answer.end != "complete" or not choices:
                return self._finish(
                    [{"raw": as_literal(answer.body.decode("utf-8", "replace"))}, *self._end(answer)], None
                )
            return self._finish(self._read_deltas([choices[0].get("message") or {}]), choices[0].get("finish_reason"))
        return self._read_stream(answer)

    def _finish(self, steps: list[Step], finish: str | None, *, is_stream: bool = False) -> _Answer:
        """The answer with its usage and its finish reason, where these do not follow from the steps."""
        usage = read_reply(self._exchange.answer).usage
        counts: dict[str, Any] | None = None
        if usage is not None:
            counts = {"prompt": usage.prompt, "completion": usage.completion}
            if usage.reasoning or any("think" in step for step in steps):
                counts["reasoning"] = usage.reasoning
            if usage.cached or self._facts.cached_tokens:
                counts["cached"] = usage.cached
            if usage.sum not in {usage.prompt + usage.completion, usage.prompt + usage.completion + usage.reasoning}:
                counts["total"] = usage.sum
            if usage.traffic != self._facts.traffic:
                counts["traffic"] = usage.traffic
        usual = "tool_calls" if self._calls else "stop"
        turn = _key_of_answer("".join(self._texts), self._calls)
        return _Answer(steps, counts, finish if finish not in {None, usual} else None, turn, is_stream)

    def _read_stream(self, answer: RecordedAnswer) -> _Answer:
        deltas: list[dict[str, Any]] = []
        finish: str | None = None
        is_done = False
        *events, rest = answer.body.decode("utf-8", "replace").split("\n\n")
        for event in events:
            data = event.removeprefix(_DATA)
            is_done = is_done or data == _DONE
            value = parse_or_text(data)
            for choice in (value.get("choices") or ()) if isinstance(value, dict) else ():
                if choice.get("index", 0) == 0:
                    finish = choice.get("finish_reason") or finish
                    deltas.append(choice.get("delta") or {})
        steps = self._read_deltas(deltas)
        error = parse_or_text(rest)
        if isinstance(error, dict) and isinstance(error.get("error"), dict):
            code = error["error"].get("code")
            steps.append(self._read_failure(code if isinstance(code, int) else 500, rest.encode()))
        elif answer.end == "complete" and not is_done:
            steps.append({"garble": "no_done"} if finish else {"cut": "end"})
        else:
            steps += self._end(answer)
            if steps and "cut" in steps[-1] and finish is None:
                # Text that does not come any more; without it the last chunk would end the answer.
                steps.append({"say": "…"})
        return self._finish(steps, finish, is_stream=True)

    def _end(self, answer: RecordedAnswer) -> list[Step]:
        return [{"cut": "close"}] if answer.end == "cut" else []

    def _read_deltas(self, deltas: Sequence[dict[str, Any]]) -> list[Step]:
        """The steps of a choice's deltas, or of its one message."""
        parts: list[tuple[str, Any]] = []
        calls: dict[str | int, tuple[str, list[str]]] = {}
        ids: dict[int, str] = {}  # by index, for fragments that have no id
        is_stream = self._exchange.answer.is_stream
        for delta in deltas:
            for verb, text in self._read_texts(delta):
                if parts and parts[-1][0] == verb:
                    parts[-1][1].append(text)
                else:
                    parts.append((verb, [text]))
            audio = delta.get("audio")
            if isinstance(audio, dict) and isinstance(audio.get("data"), str):
                parts.append(("media", self._keep_media(audio)))
            for at, call in enumerate(delta.get("tool_calls") or ()):
                function = call.get("function") or {}
                index = call.get("index", at)
                # With parallel calls, the fragment that announces one has the index of another; its id is right.
                if id_ := call.get("id"):
                    ids[index] = id_
                known = ids.get(index, index)
                if known not in calls:
                    calls[known] = (function.get("name") or "", [])
                    parts.append(("call", known))
                calls[known][1].append(function.get("arguments") or "")
        steps: list[Step] = []
        for verb, value in parts:
            match verb:
                case "media":
                    steps.append(value)
                case "call":
                    name, pieces = calls[value]
                    self._calls.append((name, "".join(pieces)))
                    step = _write_call(name, "".join(pieces))
                    pieces = [piece for piece in pieces if piece]
                    if len(pieces) > 1 and not self._facts.google.get("stream_function_call_arguments"):
                        step["chunks"] = pieces
                    steps.append(step)
                case "think":
                    steps.append(_write_text("think", self._strip_tags(value), is_stream=is_stream))
                case _:
                    self._texts.append("".join(value))
                    steps.append(
                        self._write_json(value, is_stream=is_stream) or _write_text("say", value, is_stream=is_stream)
                    )
        return steps

    def _read_texts(self, delta: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for key in ("reasoning_content", "reasoning"):
            if isinstance(delta.get(key), str) and delta[key]:
                yield "think", delta[key]
        text = delta.get("content") or delta.get("refusal")
        if isinstance(text, str) and text:
            google = (delta.get("extra_content") or {}).get("google") or {}
            yield "think" if google.get("thought") else "say", text

    def _strip_tags(self, pieces: list[str]) -> list[str]:
        """The pieces of a thought without the tags that the request's marker has put around it."""
        opening, closing = f"<{self._marker}>", f"</{self._marker}>"
        if self._marker and pieces[0].startswith(opening) and pieces[-1].endswith(closing):
            pieces = [pieces[0].removeprefix(opening), *pieces[1:]]
            pieces[-1] = pieces[-1].removesuffix(closing)
        return pieces

    def _write_json(self, pieces: list[str], *, is_stream: bool) -> Step | None:
        text = "".join(pieces)
        value = parse_or_text(text)
        if not isinstance(value, dict | list) or dump(value).decode() != text:
            return None
        written = _write_text("json", pieces, is_stream=is_stream)
        chunks = written["json"] if isinstance(written["json"], list) else written.get("chunks")
        return {"json": as_literal(value), **({"chunks": chunks} if chunks else {})}

    def _keep_media(self, audio: dict[str, Any]) -> Step:
        """The step of a picture or a sound, which becomes a file."""
        mime_type = ((audio.get("extra_content") or {}).get("google") or {}).get("mime_type") or "audio/wav"
        ending = guess_extension(mime_type) or ".bin"
        name = f"{self._folder}/exchange-{self._exchange.number}-{len(self._media) + 1}{ending}"
        self._media[name] = b64decode(audio["data"])
        step: Step = {"image" if mime_type.startswith("image/") else "audio": name}
        return {**step, "mime_type": mime_type} if ending == ".bin" else step

    def _read_failure(self, status: int, body: bytes) -> Step:
        """The `fail` step of an error answer, by its name in the catalogue where the texts are the catalogue's."""
        values = values_for(self._facts.target, self._facts.model)
        usual = find(status)
        for entry in all_errors():
            if entry.code == status and _writes(refuse(entry, values), body):
                return {"fail": status if usual is not None and usual.name == entry.name else entry.name}
        value = parse_or_text(body.decode("utf-8", "replace"))
        first = value[0] if isinstance(value, list) and value else value
        error = first.get("error") if isinstance(first, dict) else None
        if isinstance(error, dict):
            named = find(str(error.get("status"))) or usual
            if named is not None and named.code == status:
                message, details = str(error.get("message", "")), error.get("details")
                step: Step = {"fail": status if named is usual else named.status, "message": as_literal(message)}
                if details != named.details:
                    step["details"] = details or []
                if _writes(refuse(named, values, message=message, details=step.get("details")), body):
                    return step
        known = {"fail": status} if usual is not None else {"fail": 500, "status": status}
        return {**known, "body": as_literal(body.decode("utf-8", "replace"))}


def _writes(refusal: Refusal, body: bytes) -> bool:
    """Whether these are the bytes of an error, as an answer or in a stream."""
    return body.strip() in {refusal.body().strip(), error_frame(refusal).data.strip()}


def _write_call(name: str, arguments: str) -> Step:
    value = parse_or_text(arguments)
    is_same = isinstance(value, dict) and dump(value).decode() == arguments
    written = as_literal(value) if is_same else as_literal(arguments)
    return {"call": name, "with": written}


def _write_text(verb: str, pieces: Sequence[str], *, is_stream: bool) -> Step:
    """The step of a text, and how it is divided where that is not as usual."""
    text = "".join(pieces)
    if as_literal(text) != text:
        return {verb: as_literal(text)}
    if text == "auto":
        return {verb: [text]}
    divided = tuple(pieces)
    if not is_stream or divide(text, None) == divided:
        return {verb: text}
    for chunks in ("whole", "words"):
        if divide(text, chunks) == divided:
            return {verb: text, "chunks": chunks}
    if divide(text, Sized(size=len(pieces[0]))) == divided:
        return {verb: text, "chunks": {"size": len(pieces[0])}}
    return {verb: list(pieces)}


@dataclass(frozen=True, slots=True)
class _Timing:
    """When a recorded answer came."""

    total_s: float
    """Seconds until its last bytes."""
    first_s: float
    """Seconds until its first ones; those of plain answers come all at once."""
    tokens: float
    rest: float
    """The tokens that came after the first bytes, in proportion to the text."""

    @classmethod
    def read(cls, answer: RecordedAnswer) -> "_Timing":
        """The timing of an answer that has a body."""
        reply = read_reply(answer)
        frames = reply.by_events().frames
        tokens = reply.usage.completion + reply.usage.reasoning if reply.usage else 0
        weight = sum(frame.weight for frame in frames)
        early = sum(frame.weight for frame in frames if frame.at == frames[0].at)
        return cls(frames[-1].at, frames[0].at, tokens, tokens * (1 - early / weight) if weight else 0)


def _fit_paces(asked: Sequence[_Asked]) -> dict[str, dict[str, Any]]:
    """The pace of each model, that of the most exchanges first; a model that is about as fast as that one has its pace."""
    models: dict[str, list[_Timing]] = {}
    for one in asked:
        answer = one.exchange.answer
        if answer.status == _OK and answer.end == "complete" and any(frame.data for frame in answer.frames):
            models.setdefault(one.facts.model, []).append(_Timing.read(answer))
    found: dict[str, dict[str, Any]] = {}
    for model, timings in sorted(models.items(), key=lambda pair: -len(pair[1])):
        default = next(iter(found.values()), None)
        if default is not None:
            expected = sum(_predict(default, timing) for timing in timings)
            if 1 / _SPREAD <= (sum(timing.total_s for timing in timings) + _LEAST_S) / (expected + _LEAST_S) <= _SPREAD:
                found[model] = default
                continue
        if (pace := _fit_pace(timings)) is not None:
            found[model] = pace
    return found


def _predict(pace: Mapping[str, Any], timing: _Timing) -> float:
    """The seconds that an answer takes at a pace."""
    rate = pace.get("tokens_per_second")
    return float(pace.get("first_token_ms", 0)) / 1000 + (max(timing.tokens - 1, 0) / rate if rate else 0.0)


def _fit_pace(timings: Sequence[_Timing]) -> dict[str, Any] | None:
    """The pace of answers: from streams, which show it, else from how long plain answers take; None if they take no time."""
    seconds = sum(timing.total_s - timing.first_s for timing in timings)
    rest = sum(timing.rest for timing in timings)
    per_token = seconds / rest if seconds >= _LEAST_S and rest else 0.0
    # The first bytes of an answer come when all of their tokens are there, the first of which takes longest.
    firsts = [timing.first_s - max(timing.tokens - timing.rest - 1, 0) * per_token for timing in timings]
    first = median(firsts)
    pace: dict[str, Any] = {}
    if first >= _LEAST_S:
        pace["first_token_ms"] = round(first * 1000)
    if per_token:
        pace["tokens_per_second"] = round(1 / per_token, 1)
    jitter = 0.0
    if first >= _LEAST_S and len(firsts) >= _LEAST_ANSWERS:
        jitter = round(min(median(abs(one - first) for one in firsts) / first, 1.0), 1)
    return {**pace, "jitter": jitter} if jitter and pace else pace or None


def _describe_pace(pace: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in pace.items())


@dataclass(frozen=True, slots=True)
class Checked:
    """How a scenario answers the requests of a recording."""

    same: int
    """How many are answered the same, chunk by chunk."""
    differences: tuple[str, ...]
    """What is answered otherwise, a sentence for each exchange."""
    refused: bool
    """Whether the emulator refuses a request that was answered."""


def check_answers(made: Generalized, recording: Recording) -> Checked:
    """Send the requests of a recording to a scenario, and compare the answers without ids, times and signatures. Raises ScenarioError."""
    with TemporaryDirectory(prefix="vertex-emulator-") as name:
        for file, data in made.media.items():
            path = Path(name, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        loaded = read_text(made.text, "<scenario>", Path(name))
        ruleset = compile_rules(loaded.scenarios)
    # The recorded signatures are the service's own, which an emulator cannot know.
    settings = Settings(auth="off", seed="scenario-from", quirks=frozenset({"signatures_off"}))
    service = Service(ruleset, settings, clock=SystemClock())
    same, refused = 0, False
    differences: list[str] = []
    for exchange in recording.exchanges:
        request = exchange.request
        target = parse_target(unquote(request.path)) if request.method == "POST" else None
        if target is None or target.method != CHAT:
            continue
        headers = [
            (key.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for key, value in request.headers
        ]
        found = service.handle(target._replace(project="scenario-from"), request.query.encode(), headers, request.body)
        service.finish(found)
        refused = refused or (found.result == "refusal" and exchange.answer.status < _FIRST_ERROR)
        difference = _compare_answers(exchange.answer, found, target)
        if difference is None:
            same += 1
        else:
            differences.append(f"exchange {exchange.number}: {difference}")
    return Checked(same, tuple(differences), refused)


def _compare_answers(recorded: RecordedAnswer, got: Exchange, target: Target) -> str | None:
    """What differs first; None if nothing does."""
    timeline = got.outcome.timeline
    if got.result == "miss":
        return "no rule answers it"
    if got.result == "refusal" and recorded.status != timeline.status:
        refusal = got.outcome.refusal
        return f"the emulator refuses it ({refusal.rule if refusal else ''})"
    status = 0 if timeline.head_at is None else timeline.status
    if recorded.status != status:
        return f"the status was {recorded.status}, and is {status}"
    wanted, found = (
        _read_events(recorded.body),
        _read_events(timeline.body.replace(b"scenario-from", target.project.encode())),
    )
    is_left = recorded.end == "left"
    if is_left:
        found = found[: len(wanted)]
    for difference in compare_json(wanted, found):
        # What a client that left has seen has no end, and the scenario's answer ends there.
        if ".usage" not in difference.where and not (is_left and difference.where.endswith(".finish_reason")):
            return f"{difference.where} was {difference.recorded}, and is {difference.got}"
    return None


def _read_events(body: bytes) -> list[Any]:
    """An answer as JSON values, without what is made anew each time."""
    events = (event.strip() for event in body.decode("utf-8", "replace").split("\n\n"))
    return [_without_identity(parse_or_text(event.removeprefix(_DATA))) for event in events if event]


def _without_identity(value: Any, key: str = "") -> Any:
    if isinstance(value, list):
        return [_without_identity(one, key) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, one in value.items():
        is_id = name == "id" and (key == "tool_calls" or "object" in value)
        kept[name] = (
            "…"
            if is_id or name in {"created", "system_fingerprint", "thought_signature"}
            else _without_identity(one, name)
        )
    return kept


def generalize(recording: Recording) -> tuple[Generalized, Checked]:
    """A scenario that answers the requests of a recording, and how it answers them. Raises ScenarioError."""
    made = _Generalizer(recording).make(None)
    checked = check_answers(made, recording)
    if checked.refused:
        # The service has answered what the emulator would refuse.
        made = _Generalizer(recording).make("warn")
        made = replace(
            made, notes=(*made.notes, "`vetting: warn`, because the emulator would refuse requests that were answered")
        )
        checked = check_answers(made, recording)
    return made, checked
