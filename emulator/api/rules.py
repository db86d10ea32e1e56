"""The rule builder: `on(last_user="weather").call("get_weather", city="Oslo").then("It is cold.")`."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Self, TypedDict

from emulator.engine.matching.rule_index import RuleIndex
from emulator.engine.reply.functions import FunctionReply, ReplyFunction, Steps
from emulator.engine.ruleset import CompiledRule, Ruleset, compile_rules
from emulator.errors import Place, ScenarioError
from emulator.scenario.loading import ScenarioFile, read_rule, show_path
from emulator.server.service import Service


def find_caller() -> tuple[Place, Path]:
    """The line that called into this package, and its file."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_back is not None and _is_ours(frame):
        frame = frame.f_back
    if frame is None:
        return Place("<python>", 1, 1), Path("<python>")
    path = Path(frame.f_code.co_filename)
    return Place(show_path(path), frame.f_lineno, 1), path


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "emulator"


Words = str | Sequence[str]
Test = str | Mapping[str, Any]
"""A text that must occur, or a test such as `{"regex": "^Hi"}`."""
Chunks = Literal["words", "sentences", "whole"] | Mapping[str, int] | Sequence[str]

_LONGEST_NAME = 60

# What is wrong here is wrong in the line that calls: pytest's tracebacks end there.
__tracebackhide__ = True


class Conditions(TypedDict, total=False):
    """The keys of a rule's `when`; `not` is written `not_`."""

    model: Any
    publisher: Any
    api_version: Any
    project: Any
    location: Any
    endpoint: Any
    last_user: Test
    any_user: Test
    system: Test
    last: Words
    turn: int | str
    after_tool: bool | Test
    tool_result: Any
    stream: bool
    tools: bool | Test | Sequence[Any]
    tool_choice: Any
    response_format: Any
    modalities: Words
    has: Words
    params: Mapping[str, Any]
    google: Mapping[str, Any]
    header: Mapping[str, bool | Test]
    body: Any
    any: Sequence[Mapping[str, Any]]
    all: Sequence[Mapping[str, Any]]
    not_: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Function:
    """A reply that a function makes, until it is compiled."""

    function: ReplyFunction
    place: Place
    path: Path


_Reply = Any
"""A reply as JSON, a _Function, or None for one that has no step yet."""


class RuleBuilder:
    """A rule in the making: it answers from its first step on, and each call adds to it.

    Every method returns the builder, and raises ScenarioError with the Python line when the rule would not be a good one.
    """

    def __init__(self, service: Service, project: str | None, when: Mapping[str, Any]) -> None:
        """`project` is the session that gets the rule; without it all get it."""
        self._service = service
        self._project = project
        self._place, self._path = find_caller()
        self._name = _describe(when)
        self._beside: dict[str, Any] = {"when": {key.removesuffix("_"): value for key, value in when.items()}}
        self._replies: list[_Reply] = []
        self._added: Ruleset | None = None
        # What is wrong with the conditions is said here, not where the first step is given.
        _read({**self._beside, "reply": ""}, self._place, self._path)

    def reply(self, reply: Steps | ReplyFunction) -> Self:
        """Answer with a text, a step, a list of steps, or what a function makes of the request's facts."""
        return self._append(self._written(reply))

    def say(self, text: Words, *, chunks: Chunks | None = None) -> Self:
        """Say a text; a list gives the pieces in which it is streamed."""
        return self._append([_step(say=text, chunks=chunks)])

    def think(self, text: Words, *, chunks: Chunks | None = None) -> Self:
        """Think a thought, which clients see who ask for it."""
        return self._append([_step(think=text, chunks=chunks)])

    def call(self, name: str, arguments: Mapping[str, Any] | str | None = None, /, **named: Any) -> Self:
        """Call a tool; arguments not given are made from its schema, a text is sent as it is, valid or not."""
        if arguments is not None and named:
            raise TypeError("give the arguments of the tool by name or as a mapping, not both")
        given = named or None if arguments is None else arguments
        return self._append([{"call": name} if given is None else {"call": name, "with": given}])

    def json(self, value: Any = "auto", *, chunks: Chunks | None = None) -> Self:
        """Answer JSON; `auto` makes it from the request's schema."""
        return self._append([{"json": value, **_step(chunks=chunks)}])

    def fail(
        self, error: int | str, *, message: str | None = None, details: Sequence[Mapping[str, Any]] | None = None
    ) -> Self:
        """Fail with an HTTP status, a status name or a name from the error catalogue."""
        return self._append([_step(fail=error, message=message, details=details)])

    def image(self, image: str = "auto", *, mime_type: str | None = None) -> Self:
        """Answer a picture: a drawn one, a file beside the Python file, or a `data:` URL."""
        return self._append([_step(image=image, mime_type=mime_type)])

    def audio(self, audio: str = "auto", *, mime_type: str | None = None) -> Self:
        """Answer sound: a tone, a file beside the Python file, or a `data:` URL."""
        return self._append([_step(audio=audio, mime_type=mime_type)])

    def raw(self, raw: str | Mapping[str, Any] | Sequence[Any]) -> Self:
        """Write bytes of your own."""
        return self._append([{"raw": raw}])

    def then(self, reply: Steps | ReplyFunction | None = None) -> Self:
        """Give the next request of the session another reply: this one, or the steps that follow."""
        if reply is None:
            return self._change(replies=[*self._replies, None])
        return self._change(replies=[*self._replies, self._written(reply)])

    def after_last(self, then: Literal["repeat", "loop", "exhaust"]) -> Self:
        """After the last reply: repeat it, start again, or be used up."""
        return self._change(then=then)

    def conversation(self, turns: Sequence[Mapping[str, Any]]) -> Self:
        """Answer from a transcript; the turns are those of `conversation` in a file."""
        return self._change(conversation=turns)

    def requires(self, *flags: str) -> Self:
        """Answer only while these flags of the session are set, or with `not` before them are not."""
        return self._change(requires=[*self._beside.get("requires", ()), *flags])

    def sets(self, *flags: str) -> Self:
        """Set these flags of the session when the rule answers, or with `not` before them clear them."""
        return self._change(sets=[*self._beside.get("sets", ()), *flags])

    def times(self, times: int) -> Self:
        """Answer so many requests of a session, then be used up."""
        return self._change(times=times)

    def named(self, name: str) -> Self:
        """Give the rule the name that reports and the journal use."""
        return self._change(name=name)

    def expect(self, times: int | None = None, *, at_least: int | None = None) -> Self:
        """Demand, when the session is verified, that it answered so many requests."""
        return self._change(expect=_step(times=times, at_least=at_least))

    def beside(
        self,
        *,
        usage: Mapping[str, Any] | None = None,
        finish: str | None = None,
        headers: Mapping[str, str] | None = None,
        quirks: Sequence[str] | None = None,
        pace: str | Mapping[str, Any] | None = None,
        fault: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] | None = None,
    ) -> Self:
        """Set what stands beside the answer: token counts, finish reason, headers, quirks, pace, faults."""
        given = _step(usage=usage, finish=finish, headers=headers, quirks=quirks, pace=pace, fault=fault)
        return self._change(**given)

    def _written(self, reply: Steps | ReplyFunction) -> _Reply:
        if callable(reply):
            return _Function(reply, *find_caller())
        if isinstance(reply, str):
            return [{"say": reply}]
        return [reply] if isinstance(reply, Mapping) else reply

    def _append(self, steps: _Reply) -> Self:
        *before, last = self._replies or [None]
        if last is None:
            return self._change(replies=[*before, steps])
        if not (isinstance(last, list) and isinstance(steps, list)):
            raise TypeError("a function makes the whole of a reply; give what follows with then()")
        return self._change(replies=[*before, [*last, *steps]])

    def _change(self, *, replies: list[_Reply] | None = None, **beside: Any) -> Self:
        """Take over what is new if the rule is a good one with it, and put the rule in the place of the one before."""
        new = {**self._beside, **beside}
        replies = self._replies if replies is None else replies
        made = self._compile(new, replies)
        if made is not None:
            self._put(made)
        self._beside, self._replies = new, replies
        return self

    def _compile(self, beside: Mapping[str, Any], replies: Sequence[_Reply]) -> Ruleset | None:
        """The rule; None as long as it has no reply."""
        is_conversation = "conversation" in beside
        if is_conversation and replies:
            raise TypeError("a rule answers from a conversation or with replies, not both")
        ready = replies[:-1] if replies and replies[-1] is None else replies
        written = ["" if isinstance(one, _Function) else one for one in ready]
        is_sequence = len(written) > 1 or "then" in beside
        answer = {"sequence": written} if is_sequence and written else {"reply": written[0] if written else ""}
        place, path = find_caller()
        ruleset = compile_rules([_read({**beside, **({} if is_conversation else answer)}, place, path)])
        if not ready and not is_conversation:
            return None
        made = ruleset.rules[0].replies
        replies = tuple(
            FunctionReply((), None, one.function, one.place, one.path) if isinstance(one, _Function) else compiled_reply
            for one, compiled_reply in zip(ready or [None] * len(made), made, strict=True)
        )
        name = self._free_name(str(beside.get("name") or self._name))
        rule = replace(ruleset.rules[0], name=name, scenario="", place=self._place, replies=replies)
        return replace(ruleset, lots=(RuleIndex((rule,)),), scenarios=())

    def _free_name(self, name: str) -> str:
        """The name, with a number if a rule before it has it too: a session counts uses by file and name."""
        taken = {rule.name for rule in self._neighbours() if rule.place.file == self._place.file}
        number = 1
        while (free := name if number == 1 else f"{name} #{number}") in taken:
            number += 1
        return free

    def _neighbours(self) -> list[CompiledRule]:
        """The other rules made in Python that a session may have beside this one."""
        sessions = self._service.sessions
        owners = [one for _, one in sessions.all()] if self._project is None else [sessions.find(self._project)]
        added = [*self._service.added, *(one for owner in owners for one in owner.added)]
        return [rule for one in added if one is not self._added for rule in one.rules]

    def _put(self, made: Ruleset) -> None:
        owner = self._service if self._project is None else self._service.sessions.find(self._project)
        if any(one is self._added for one in owner.added):
            owner.added = tuple(made if one is self._added else one for one in owner.added)
        else:
            owner.added = (*owner.added, made)
        self._added = made


def _read(rule: Mapping[str, Any], place: Place, path: Path) -> ScenarioFile:
    try:
        return read_rule(rule, place, path)
    except ScenarioError as error:
        # How it was found out is nobody's concern.
        raise error.with_traceback(None) from None


def _step(**written: Any) -> dict[str, Any]:
    """What was given of the keys of a step."""
    return {key: value for key, value in written.items() if value is not None}


def _describe(when: Mapping[str, Any]) -> str:
    """The name of a rule that has none: its conditions as they were written."""
    text = "on(" + ", ".join(f"{key}={value!r}" for key, value in when.items()) + ")"
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 2] + "…)"
