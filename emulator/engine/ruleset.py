"""Scenarios, compiled: what is done once when they are read, so that a request only has to look and choose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from emulator.catalogue.quirks import EARLY, QuirkName, expand
from emulator.engine.matching.conditions import Condition, compile_when
from emulator.engine.matching.rule_index import RuleIndex, required_texts_of
from emulator.engine.quota import CompiledQuota, compile_quotas
from emulator.engine.reply.fault_triggers import CompiledFault, compile_faults
from emulator.engine.reply.steps import CompiledReply, compile_reply, find_signatures
from emulator.engine.session import FlagChange, compile_flags
from emulator.engine.timeline.directives import CompiledPace
from emulator.engine.timeline.pace import compile_pace
from emulator.errors import Place
from emulator.scenario.checks.parsed_file import rule_name
from emulator.scenario.conversation import AssistantTurn
from emulator.scenario.loading import ScenarioFile
from emulator.scenario.rules import (
    AnswerOptions,
    AnyRule,
    ConversationRule,
    Endpoint,
    Expect,
    SequenceRule,
    Tokens,
    Usage,
    Vetting,
)
from emulator.scenario.steps import Reply
from emulator.scenario.text_index import RequiredTexts

if TYPE_CHECKING:
    from emulator.engine.matching.conversation import Conversation


@dataclass(frozen=True)
class CompiledRule:
    """A rule ready to be tried."""

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
    headers: tuple[tuple[str, str], ...]
    quirks: frozenset[QuirkName]
    compiled_pace: CompiledPace | None = None
    """How fast its answers come; None for as fast as the server's."""
    faults: tuple[CompiledFault, ...] = ()
    """What may happen to its answers."""
    expect: Expect | None = None
    """What `verify` demands of it."""
    flags: FlagChange | None = None
    """What it requires and sets, if it says anything of flags."""
    conversation: "Conversation | None" = None
    """The transcript whose answers the recipes are, if it has one."""
    required_texts: RequiredTexts = ()
    """What a request must have for it to answer."""

    @cached_property
    def key(self) -> str:
        """What the rule's uses are counted under; it survives a reload."""
        return f"{self.place.file}:{self.name}"

    @cached_property
    def is_unmodified(self) -> bool:
        """Whether nothing beside its replies can make one answer another than the next."""
        return not (self.headers or self.quirks or self.faults or self.compiled_pace)

    @cached_property
    def is_limited(self) -> bool:
        """Whether what its session remembers plays a part in whether it answers."""
        return self.limit is not None or self.flags is not None

    @cached_property
    def counts(self) -> bool:
        """Whether what its session remembers plays a part in what it answers."""
        is_sequence = len(self.replies) > 1 and self.conversation is None
        return is_sequence or not self.is_unmodified or any(compiled_reply.by_use for compiled_reply in self.replies)

    def position(self, use: int) -> int:
        """Which of the recipes the use of this number (from 1) takes; in a conversation the messages say it."""
        many = len(self.replies)
        return use - 1 if use <= many else (use - 1) % many if self.then == "loop" else many - 1


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The rules of all scenarios that are loaded, in the order in which they are tried."""

    indexes: tuple[RuleIndex[CompiledRule], ...]
    """The rules, indexed group by group: what is put before others leaves their index as it is."""
    scenarios: tuple[str, ...]
    """The scenarios' names."""
    seed: str | None
    """The first seed that a scenario gives."""
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    """The endpoints of one's own that the scenarios name, by their ids."""
    vetting: Vetting | None = None
    """The first `vetting` that a scenario gives."""
    quirks: frozenset[QuirkName] = frozenset()
    """The quirks of the scenarios' defaults, which hold before a rule is chosen."""
    signatures: frozenset[str] = frozenset()
    """The thought signatures that the scenarios write themselves."""
    tokens: Tokens = field(default_factory=Tokens)
    """The first `tokens` that a scenario gives."""
    ordered: frozenset[str] = frozenset()
    """The files, as places name them, of the scenarios whose rules must be used in order."""
    quotas: tuple[CompiledQuota, ...] = ()
    """The quotas of all scenarios."""
    has_early_quirks: bool = False
    """Whether a rule has quirks that act before it is chosen."""

    @property
    def rules(self) -> tuple[CompiledRule, ...]:
        """All rules, one by one."""
        return tuple(rule for index in self.indexes for rule in index.rules)


def compile_rules(files: Sequence[ScenarioFile]) -> Ruleset:
    """Compile scenarios in order."""
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
    )


def prepend_rules(ruleset: Ruleset, added: Sequence[Ruleset]) -> Ruleset:
    """The ruleset with the rules of others before its own; all else it says stays."""
    rules = tuple(rule for one in added for rule in one.rules)
    return replace(
        ruleset,
        indexes=(RuleIndex(rules), *ruleset.indexes),
        signatures=ruleset.signatures.union(*(one.signatures for one in added)),
        has_early_quirks=ruleset.has_early_quirks or any(one.has_early_quirks for one in added),
    )


def _replies_of(rule: AnyRule) -> list[Reply]:
    if isinstance(rule, ConversationRule):
        return [turn.assistant for turn in rule.conversation if isinstance(turn, AssistantTurn)]
    return rule.sequence if isinstance(rule, SequenceRule) else [rule.reply]


def _compile_rule(file: ScenarioFile, number: int, rule: AnyRule) -> CompiledRule:
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
        headers=tuple({**(defaults.headers or {}), **(rule.headers or {})}.items()),
        quirks=frozenset([*(defaults.quirks or ()), *(rule.quirks or ())]),
        compiled_pace=None if pace is None else compile_pace(pace),
        faults=compile_faults(rule.fault if rule.fault is not None else defaults.fault),
        expect=rule.expect,
        flags=compile_flags(rule.requires, rule.sets),
        conversation=_conversation(rule) if isinstance(rule, ConversationRule) else None,
        required_texts=required_texts_of(rule),
    )


def _conversation(rule: ConversationRule) -> "Conversation":
    from emulator.engine.matching.conversation import compile_conversation  # noqa: PLC0415  # the server starts quicker so

    return compile_conversation(rule.conversation)


def _usage(rule: AnswerOptions, defaults: AnswerOptions) -> Usage:
    given = [one for one in (defaults.usage, rule.usage) if one is not None]
    return Usage.model_construct(**{name: getattr(one, name) for one in given for name in one.model_fields_set})
