"""Compiled scenarios: rules with their conditions, replies and indexes prepared once at load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol

from emulator.catalogue.quirks import EARLY, QuirkName, expand
from emulator.engine.matching.conditions import Condition, compile_when
from emulator.engine.matching.conversation import Conversation, compile_conversation
from emulator.engine.matching.rule_index import RuleIndex, required_texts_of
from emulator.engine.quota import CompiledQuota, compile_quotas
from emulator.engine.recorded import RawRequest, RecordedReply
from emulator.engine.reply.fault_triggers import CompiledFault, compile_faults
from emulator.engine.reply.steps import CompiledReply, compile_reply, find_signatures
from emulator.engine.session import FlagChange, compile_flags
from emulator.engine.timeline.directives import CompiledPace
from emulator.engine.timeline.pace import compile_pace
from emulator.errors import AnswerError, Place, Problem, ScenarioError
from emulator.redaction import clean_line
from emulator.scenario.checks.parsed_file import rule_name
from emulator.scenario.conversation import AssistantTurn
from emulator.scenario.loading import ScenarioFile
from emulator.scenario.rules import (
    AnswerOptions,
    AnyRule,
    ConversationRule,
    Endpoint,
    Expect,
    HeaderValue,
    SequenceRule,
    Tokens,
    Usage,
    Vetting,
    merge_usage,
)
from emulator.scenario.steps import Reply
from emulator.scenario.templates.template import is_template
from emulator.scenario.text_index import RequiredTexts
from emulator.wire.headers import ExtraHeader, Headers, replace_headers

RULE_HEADER = "x-emulator-rule"
"""The header of an answer that names the rule."""
MAX_NAME = 200
"""Characters of a rule's name in that header."""
MAX_PLACE = 1000
"""Characters of its place there."""
_NO_USAGE = Usage.model_construct()


@dataclass(frozen=True)
class CompiledRule:
    """A rule compiled for matching and answering."""

    name: str
    scenario: str
    place: Place
    conditions: tuple[Condition, ...]
    replies: tuple[CompiledReply, ...]
    then: Literal["repeat", "loop", "exhaust"]
    limit: int | None
    """How many requests of a session it answers."""
    usage: Usage
    finish: str | None
    headers: Headers
    quirks: frozenset[QuirkName]
    compiled_pace: CompiledPace | None = None
    """The pace of its answers; None for the server's."""
    faults: tuple[CompiledFault, ...] = ()
    """The faults of its answers."""
    expect: Expect | None = None
    """Its expectations, checked by `verify`."""
    flags: FlagChange | None = None
    """The flags it requires and sets, if any."""
    conversation: Conversation | None = None
    """The transcript whose assistant turns are the replies, if it has one."""
    required_texts: RequiredTexts = ()
    """Texts that a request must contain for it to match."""
    recorded: tuple[RecordedReply, ...] = ()
    """The answers of a recording, which take the place of `replies`."""

    @cached_property
    def key(self) -> str:
        """Key of the rule's use counter; stable across reloads."""
        return f"{self.place.file}:{self.name}"

    @cached_property
    def header(self) -> ExtraHeader:
        """The header that names the rule and its place in its answers."""
        return ExtraHeader(
            RULE_HEADER, f'"{clean_line(self.name, MAX_NAME)}", {clean_line(str(self.place), MAX_PLACE)}'
        )

    @cached_property
    def is_unmodified(self) -> bool:
        """Whether headers, quirks, faults, pace and the finish reason leave its replies as they are."""
        is_finished_by_request = self.finish is not None and is_template(self.finish)
        return not (self.headers or self.quirks or self.faults or self.compiled_pace or is_finished_by_request)

    @cached_property
    def is_limited(self) -> bool:
        """Whether its matching depends on session state: a use limit or flags."""
        return self.limit is not None or self.flags is not None

    @cached_property
    def counts(self) -> bool:
        """Whether its answers depend on how often it has been used."""
        is_sequence = len(self.replies) > 1 and self.conversation is None
        return is_sequence or not self.is_unmodified or any(compiled_reply.by_use for compiled_reply in self.replies)

    def failed(self, error: AnswerError) -> AnswerError:
        """The error of one of its regular expressions, with its name and place."""
        return AnswerError(f'rule "{self.name}", {self.place}: {error}')

    def position(self, use: int) -> int:
        """Index of the reply for use number `use` (from 1); conversations choose by the messages instead."""
        count = len(self.recorded or self.replies)
        return use - 1 if use <= count else (use - 1) % count if self.then == "loop" else count - 1


class RecordedRules(Protocol):
    """The requests of a recording, each with its answers as a rule; they are compared with a request as it arrived."""

    @property
    def name(self) -> str:
        """The recording's name."""
        ...

    @property
    def example(self) -> dict[str, Any] | None:
        """The body of a chat request that it has, to try it with; None if it has none that is short."""
        ...

    @property
    def rules(self) -> Sequence[CompiledRule]:
        """A rule for each request that was recorded, with its answers in `recorded`."""
        ...

    def find(self, request: RawRequest) -> Sequence[CompiledRule]:
        """The rules of the recorded requests that mean the same, in the order in which they are tried."""
        ...

    def explain(self, request: RawRequest) -> str:
        """Why none of them answers a request."""
        ...


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The rules of all loaded scenarios, in the order in which they are tried, and their other settings."""

    indexes: tuple[RuleIndex[CompiledRule], ...]
    """The rules as a sequence of indexes: prepending rules adds an index and leaves the others unchanged."""
    scenarios: tuple[str, ...]
    """The scenarios' names."""
    seed: str | None
    """The first seed that a scenario gives."""
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    """The deployed endpoints that the scenarios declare, by id."""
    vetting: Vetting | None = None
    """The first `vetting` that a scenario gives."""
    quirks: frozenset[QuirkName] = frozenset()
    """The quirks of the scenarios' defaults, active before a rule is chosen."""
    signatures: frozenset[str] = frozenset()
    """The thought signatures that the scenarios write themselves."""
    tokens: Tokens = field(default_factory=Tokens)
    """The first `tokens` that a scenario gives."""
    ordered: frozenset[str] = frozenset()
    """The files (as in `Place.file`) of the scenarios whose rules must be used in order."""
    quotas: tuple[CompiledQuota, ...] = ()
    """The quotas of all scenarios."""
    has_early_quirks: bool = False
    """Whether a rule has quirks that act before it is chosen."""
    is_implied: bool = False
    """Whether it is the built-in default, because no scenario is given: rules made in Python then stand for themselves."""
    warnings: tuple[str, ...] = ()
    """What is doubtful in the scenarios, each with its place."""
    recordings: tuple[RecordedRules, ...] = ()
    """Recordings; what they have is answered by them before a request is vetted and compared with rules."""

    @property
    def rules(self) -> tuple[CompiledRule, ...]:
        """All rules, one by one: those of recordings, then those of scenarios."""
        recorded = tuple(rule for one in self.recordings for rule in one.rules)
        return recorded + self.written

    @property
    def written(self) -> tuple[CompiledRule, ...]:
        """The rules of scenarios, one by one."""
        return tuple(rule for index in self.indexes for rule in index.rules)

    @property
    def is_recording_only(self) -> bool:
        """Whether recordings are all there is."""
        return bool(self.recordings) and not any(index.rules for index in self.indexes)


def compile_rules(files: Sequence[ScenarioFile], warnings: Sequence[Problem] = ()) -> Ruleset:
    """Compile scenario files into one ruleset, in order; `warnings` are what reading them has warned of.

    Raises ScenarioError if a file that a rule names cannot be read.
    """
    rules = tuple(
        _compile_rule(file, number, rule) for file in files for number, rule in enumerate(file.scenario.rules, start=1)
    )
    seeds = [file.scenario.seed for file in files if file.scenario.seed is not None]
    endpoints = {id_: one for file in reversed(files) for id_, one in file.scenario.endpoints.items()}
    scenarios = [file.scenario for file in files]
    return Ruleset(
        (RuleIndex(rules),),
        tuple(file.name for file in files),
        str(seeds[0]) if seeds else None,
        endpoints,
        vetting=next((one.vetting for one in scenarios if one.vetting is not None), None),
        tokens=next((one.tokens for one in scenarios if one.tokens is not None), Tokens.model_construct()),
        ordered=frozenset(file.place(()).file for file in files if file.scenario.order == "strict"),
        quirks=frozenset(quirk for one in scenarios for quirk in one.defaults.quirks or ()),
        quotas=compile_quotas(files),
        has_early_quirks=any(expand(rule.quirks) & EARLY for rule in rules),
        signatures=frozenset(
            signature for one in scenarios for rule in one.rules for signature in find_signatures(_replies_of(rule))
        ),
        warnings=tuple(
            f"{one.place}: {one.message}" for one in (*warnings, *(own for file in files for own in file.warnings))
        ),
    )


def prepend_rules(ruleset: Ruleset, added: Sequence[Ruleset]) -> Ruleset:
    """Return the ruleset with the rules of `added` before its own; its other settings stay."""
    rules = tuple(rule for one in added for rule in one.rules)
    return replace(
        ruleset,
        indexes=(RuleIndex(rules), *ruleset.indexes),
        signatures=ruleset.signatures.union(*(one.signatures for one in added)),
        has_early_quirks=ruleset.has_early_quirks or any(one.has_early_quirks for one in added),
        warnings=(*ruleset.warnings, *(warning for one in added for warning in one.warnings)),
    )


def _replies_of(rule: AnyRule) -> list[Reply]:
    if isinstance(rule, ConversationRule):
        return [turn.assistant for turn in rule.conversation if isinstance(turn, AssistantTurn)]
    return rule.sequence if isinstance(rule, SequenceRule) else [rule.reply]


def _compile_rule(file: ScenarioFile, number: int, rule: AnyRule) -> CompiledRule:
    try:
        return _compile_parts(file, number, rule)
    except AnswerError as error:
        # A file that it names may have changed since the scenario was checked.
        raise ScenarioError([file.source.problem(file.place(("rules", number - 1)), str(error))]) from None


def _compile_parts(file: ScenarioFile, number: int, rule: AnyRule) -> CompiledRule:
    replies = _replies_of(rule)
    then = rule.then if isinstance(rule, SequenceRule) else "repeat"
    own_limit = len(replies) if then == "exhaust" else None
    limits = [limit for limit in (rule.times, own_limit) if limit is not None]
    defaults = file.scenario.defaults
    pace = rule.pace if rule.pace is not None else defaults.pace
    return CompiledRule(
        name=rule_name(rule, number),
        scenario=file.name,
        place=file.place(("rules", number - 1)),
        conditions=compile_when(rule.when),
        replies=tuple(compile_reply(reply, file) for reply in replies),
        then=then,
        limit=min(limits) if limits else None,
        usage=_usage(rule, defaults),
        finish=rule.finish if rule.finish is not None else defaults.finish,
        headers=replace_headers(_list_headers(defaults.headers or {}), _list_headers(rule.headers or {})),
        quirks=frozenset([*(defaults.quirks or ()), *(rule.quirks or ())]),
        compiled_pace=None if pace is None else compile_pace(pace),
        faults=compile_faults(rule.fault if rule.fault is not None else defaults.fault),
        expect=rule.expect,
        flags=compile_flags(rule.requires, rule.sets),
        conversation=compile_conversation(rule.conversation) if isinstance(rule, ConversationRule) else None,
        required_texts=required_texts_of(rule),
    )


def _list_headers(headers: Mapping[str, HeaderValue]) -> Headers:
    """One pair for each line; None for a header that is left out. An empty list leaves it out too."""
    found: list[tuple[str, str | None]] = []
    for name, value in headers.items():
        found += [(name, line) for line in value] or [(name, None)] if isinstance(value, list) else [(name, value)]
    return tuple(found)


def _usage(rule: AnswerOptions, defaults: AnswerOptions) -> Usage:
    return merge_usage(_NO_USAGE, defaults.usage, rule.usage)
