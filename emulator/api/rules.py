"""The rule builder: `on(last_user="weather").call("get_weather", city="Oslo").then("It is cold.")`."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict

from emulator.api.misuse import explain_arguments, explain_attribute
from emulator.engine.matching.rule_index import RuleIndex
from emulator.engine.reply.functions import FunctionReply, ReplyFunction, Steps
from emulator.engine.ruleset import Ruleset, compile_rules
from emulator.errors import Place, ScenarioError
from emulator.scenario.checks.steps import ends_reply
from emulator.scenario.loading import ScenarioFile, show_path
from emulator.scenario.python_values import read_rule
from emulator.scenario.rules import ReplyRule
from emulator.scenario.steps import HANDED_OVER
from emulator.server.service import Service
from emulator.store.sessions import Session
from emulator.suggestions import did_you_mean


def find_call_site() -> tuple[Place, Path]:
    """Return the line of the user's code that called into this package, and its file."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_back is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] != "emulator":
            break
        frame = frame.f_back
    if frame is None:
        return Place("<python>", 1, 1), Path("<python>")
    path = Path(frame.f_code.co_filename)
    return Place(show_path(path), frame.f_lineno, 1), path


Texts = str | Sequence[str]
TextMatcher = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
"""A text that must occur, a test such as `{"regex": "^Hi"}`, or a list of these of which one must pass."""
Chunks = Literal["words", "sentences", "whole"] | Mapping[str, int] | Sequence[str]

_MAX_NAME_LENGTH = 60
_BESIDE = frozenset({"usage", "finish", "headers", "quirks", "pace", "fault"})
"""The keys of a rule that `beside` sets."""
_REPLY = frozenset({"answer", "answers", "replies", "respond", "responds", "return_", "returns", "text"})
"""What other libraries call `reply`."""

# pytest leaves the frames of this module out of tracebacks, so that they end in the user's line.
__tracebackhide__ = True


class Conditions(TypedDict, total=False):
    """The keys of a rule's `when`; `not` is written `not_`."""

    model: Any
    publisher: Any
    api_version: Any
    project: Any
    location: Any
    endpoint: Any
    last_user: TextMatcher
    any_user: TextMatcher
    system: TextMatcher
    last: Texts
    turn: int | str
    after_tool: bool | TextMatcher
    tool_result: Any
    stream: bool
    tools: bool | TextMatcher | Sequence[Any]
    tool_choice: Any
    response_format: Any
    modalities: Texts
    has: Texts
    params: Mapping[str, Any]
    google: Mapping[str, Any]
    header: Mapping[str, bool | TextMatcher]
    body: Any
    any: Sequence[Mapping[str, Any]]
    all: Sequence[Mapping[str, Any]]
    not_: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _FunctionReply:
    """A reply made by a function, not compiled yet."""

    function: ReplyFunction
    place: Place
    path: Path


_Reply = Any
"""A reply as JSON, a _FunctionReply, or None for one without steps."""


class RuleBuilder:
    """Builds a rule: it is active from its first step on, and each call replaces it by an extended one.

    Every method returns the builder, and raises ScenarioError with the Python line if the rule would be invalid.
    """

    def __init__(self, service: Service, project: str | None, when: Mapping[str, Any]) -> None:
        """`project` names the session that gets the rule; None adds it to all."""
        self._service = service
        self._project = project
        self._place, self._path = find_call_site()
        self._name = _default_name(when)
        self._fields: dict[str, Any] = {"when": {key.removesuffix("_"): value for key, value in when.items()}}
        self._replies: list[_Reply] = []
        self._added: Ruleset | None = None
        # Mistakes in the conditions are reported in this line, not in that of the first step.
        _read({**self._fields, "reply": ""}, self._place, self._path)
        self._no_answer = f'{self._place}: {self._name} has no answer; add one, such as .reply("Hello")'
        self._owner.unanswered = (*self._owner.unanswered, self._no_answer)

    def __repr__(self) -> str:
        """Its name and place."""
        answer = "" if self._added else ", without an answer"
        return f"<RuleBuilder {self._fields.get('name') or self._name} at {self._place}{answer}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Called for methods that do not exist. Raises AttributeError."""
            elsewhere = f"; write .beside({name}=...)" if name in _BESIDE else ""
            if name in _REPLY:
                elsewhere = f"; {did_you_mean('reply')}"
            raise explain_attribute("a rule", RuleBuilder, name, elsewhere)

    @property
    def _owner(self) -> Service | Session:
        """Who gets the rule."""
        return self._service if self._project is None else self._service.sessions.find(self._project)

    def reply(self, reply: Steps | ReplyFunction) -> Self:
        """Answer with a text, a step, a list of steps, `"default"`, or the result of a function that gets the request's facts."""
        return self._append(self._to_steps(reply))

    @explain_arguments
    def say(self, text: Texts, *, chunks: Chunks | None = None) -> Self:
        """Say a text: `.say("Good day", chunks="words")` says how it is streamed; a list of texts is streamed chunk by chunk."""
        return self._append([_drop_none(say=text, chunks=chunks)])

    @explain_arguments
    def think(self, text: Texts, *, chunks: Chunks | None = None) -> Self:
        """Think a thought; only clients that request thoughts see it."""
        return self._append([_drop_none(think=text, chunks=chunks)])

    def call(self, name: str, arguments: Mapping[str, Any] | str | None = None, /, **named: Any) -> Self:
        """Call a tool: `.call("get_weather", city="Oslo")`; without arguments they are generated from its schema, a text is sent unchanged."""
        if arguments is not None and named:
            raise TypeError("give the arguments of the tool by name or as a mapping, not both")
        given = named or None if arguments is None else arguments
        return self._append([{"call": name} if given is None else {"call": name, "with": given}])

    @explain_arguments
    def json(self, value: Any = "auto", *, chunks: Chunks | None = None) -> Self:
        """Answer with JSON; `auto` generates it from the request's schema."""
        return self._append([{"json": value, **_drop_none(chunks=chunks)}])

    @explain_arguments
    def fail(
        self,
        error: int | str,
        *,
        message: str | None = None,
        details: Sequence[Mapping[str, Any]] | None = None,
        retry_after_s: int | None = None,
        status: int | None = None,
        body: Any = None,
    ) -> Self:
        """Fail with an HTTP status, a status name or a name from the error catalogue: `.fail(429)`."""
        given = _drop_none(message=message, details=details, retry_after_s=retry_after_s, status=status, body=body)
        return self._append([{"fail": error, **given}])

    @explain_arguments
    def image(self, image: str = "auto", *, mime_type: str | None = None) -> Self:
        """Answer with an image: a generated one, a file relative to the Python file, or a `data:` URL."""
        return self._append([_drop_none(image=image, mime_type=mime_type)])

    @explain_arguments
    def audio(self, audio: str = "auto", *, mime_type: str | None = None) -> Self:
        """Answer with audio: a generated tone, a file relative to the Python file, or a `data:` URL."""
        return self._append([_drop_none(audio=audio, mime_type=mime_type)])

    def raw(self, raw: str | Mapping[str, Any] | Sequence[Any]) -> Self:
        """Send a raw body or raw chunks."""
        return self._append([{"raw": raw}])

    def then(self, reply: Steps | ReplyFunction | None = None) -> Self:
        """Begin the reply to the session's next request: this one, or the steps of the calls that follow an empty `.then()`."""
        if reply is None:
            return self._update(replies=[*self._replies, None])
        return self._update(replies=[*self._replies, self._to_steps(reply)])

    def after_last(self, then: Literal["repeat", "loop", "exhaust"]) -> Self:
        """After the last reply: repeat it, start again from the first, or stop matching."""
        return self._update(then=then)

    def conversation(self, turns: Sequence[Mapping[str, Any]]) -> Self:
        """Answer from a transcript; the turns are those of `conversation` in a file."""
        return self._update(conversation=turns)

    def requires(self, *flags: str) -> Self:
        """Answer only while these flags of the session are set, or, prefixed with `not`, are not set."""
        return self._update(requires=[*self._fields.get("requires", ()), *flags])

    def sets(self, *flags: str) -> Self:
        """Set these flags of the session when the rule answers, or, prefixed with `not`, clear them."""
        return self._update(sets=[*self._fields.get("sets", ()), *flags])

    def times(self, times: int) -> Self:
        """Answer this many requests of a session, then stop matching."""
        return self._update(times=times)

    def named(self, name: str) -> Self:
        """Give the rule the name that reports and the journal use."""
        return self._update(name=name)

    @explain_arguments
    def expect(self, times: int | None = None, *, at_least: int | None = None) -> Self:
        """Require, when the session is verified, that the rule answered this many requests."""
        return self._update(expect=_drop_none(times=times, at_least=at_least))

    @explain_arguments
    def beside(
        self,
        *,
        usage: Mapping[str, Any] | None = None,
        finish: str | None = None,
        headers: Mapping[str, str | list[str] | None] | None = None,
        quirks: Sequence[str] | None = None,
        pace: str | Mapping[str, Any] | None = None,
        fault: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] | None = None,
    ) -> Self:
        """Set the other keys of the rule: `.beside(fault="reset_mid_stream")`, `.beside(finish="length")`."""
        given = _drop_none(usage=usage, finish=finish, headers=headers, quirks=quirks, pace=pace, fault=fault)
        return self._update(**given)

    def _to_steps(self, reply: Steps | ReplyFunction) -> _Reply:
        if callable(reply):
            return _FunctionReply(reply, *find_call_site())
        if isinstance(reply, str):
            return reply if reply in HANDED_OVER else [{"say": reply}]
        return [reply] if isinstance(reply, Mapping) else reply

    def _append(self, steps: _Reply) -> Self:
        *before, last = self._replies or [None]
        if last is None:
            return self._update(replies=[*before, steps])
        if not (isinstance(last, list) and isinstance(steps, list)):
            what = "a function" if _FunctionReply in (type(last), type(steps)) else '"default"'
            raise TypeError(
                f"{what} makes the whole of a reply; begin the next one with an empty then(), such as "
                '.then().call("get_weather")'
            )
        (rule,) = _read({"reply": last}, *find_call_site()).scenario.rules
        written = rule.reply if isinstance(rule, ReplyRule) else ()
        if isinstance(written, list) and written and (verb := ends_reply(written[-1])):
            raise TypeError(
                f'this step is never reached, because the reply ends with the "{verb}" before it; begin the reply to the next request with '
                'an empty then(), such as .fail(429).then().say("Hello")'
            )
        return self._update(replies=[*before, [*last, *steps]])

    def _update(self, *, replies: list[_Reply] | None = None, **changes: Any) -> Self:
        """Compile the rule with these changes and, if it is valid, replace the one before."""
        fields = {**self._fields, **changes}
        replies = self._replies if replies is None else replies
        compiled = self._compile(fields, replies)
        if compiled is not None:
            self._install(compiled)
        self._fields, self._replies = fields, replies
        return self

    def _compile(self, fields: Mapping[str, Any], replies: Sequence[_Reply]) -> Ruleset | None:
        """Compile a ruleset of this rule; None while it has no reply."""
        is_conversation = "conversation" in fields
        if is_conversation and replies:
            raise TypeError("a rule answers from a conversation or with replies, not both")
        complete = replies[:-1] if replies and replies[-1] is None else replies
        steps = ["" if isinstance(one, _FunctionReply) else one for one in complete]
        is_sequence = len(steps) > 1 or "then" in fields
        answer = {"sequence": steps} if is_sequence and steps else {"reply": steps[0] if steps else ""}
        place, path = find_call_site()
        ruleset = compile_rules([_read({**fields, **({} if is_conversation else answer)}, place, path)])
        if not complete and not is_conversation:
            return None
        compiled_replies = ruleset.rules[0].replies
        replies = tuple(
            FunctionReply((), None, one.function, one.place, one.path)
            if isinstance(one, _FunctionReply)
            else compiled_reply
            for one, compiled_reply in zip(complete or [None] * len(compiled_replies), compiled_replies, strict=True)
        )
        name = self._unique_name(str(fields.get("name") or self._name))
        rule = replace(ruleset.rules[0], name=name, scenario="", place=self._place, replies=replies)
        return replace(ruleset, indexes=(RuleIndex((rule,)),), scenarios=())

    def _unique_name(self, name: str) -> str:
        """Append a number to a name that another rule of the file has: sessions count uses by file and name."""
        sessions = self._service.sessions
        owners = [one for _, one in sessions.all()] if self._project is None else [sessions.find(self._project)]
        added = [*self._service.added, *(ruleset for owner in owners for ruleset in owner.added)]
        others = [rule for ruleset in added if ruleset is not self._added for rule in ruleset.rules]
        taken = {rule.name for rule in others if rule.place.file == self._place.file}
        number = 1
        while (unique := name if number == 1 else f"{name} #{number}") in taken:
            number += 1
        return unique

    def _install(self, ruleset: Ruleset) -> None:
        """Add the ruleset to the session or the service, in the place of the one that was added before."""
        owner = self._owner
        if self._added is None:
            unanswered = [*owner.unanswered]
            if self._no_answer in unanswered:
                unanswered.remove(self._no_answer)
            owner.unanswered = tuple(unanswered)
        if any(one is self._added for one in owner.added):
            owner.added = tuple(ruleset if one is self._added else one for one in owner.added)
        else:
            owner.added = (*owner.added, ruleset)
        self._added = ruleset


def _read(rule: Mapping[str, Any], place: Place, path: Path) -> ScenarioFile:
    try:
        return read_rule(rule, place, path)
    except ScenarioError as error:
        # The problem has its place; frames of the emulator would only hide it.
        raise error.with_traceback(None) from None


def _drop_none(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _default_name(when: Mapping[str, Any]) -> str:
    """The name of a rule that is not given one: its conditions as written in Python."""
    text = "on(" + ", ".join(f"{key}={value!r}" for key, value in when.items()) + ")"
    return text if len(text) <= _MAX_NAME_LENGTH else text[: _MAX_NAME_LENGTH - 2] + "…)"
