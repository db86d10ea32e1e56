"""Pydantic's validation errors as problems in the words of the scenario language, each at its place."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic_core import ErrorDetails, ValidationError

from emulator.errors import Place, Problem
from emulator.scenario.conversation import SPEAKERS, TURNS
from emulator.scenario.faults import FAULTS
from emulator.scenario.locations import model_at, name_of_mapping, name_of_value
from emulator.scenario.rules import ANSWERS, ConversationRule, ReplyRule, Rule, SequenceRule
from emulator.scenario.steps import VERBS
from emulator.scenario.types import list_keys
from emulator.scenario.when import When
from emulator.scenario.yaml import Source
from emulator.suggestions import did_you_mean, find_near, join, list_accepted, quote, suggest, suggest_one

MAX_EXPLAINED = 500
"""How many values that do not fit the models are explained; the others are counted."""

Finding = tuple[Place, str]


def explain(error: ValidationError, source: Source) -> list[Problem]:
    """The problems behind a validation error of a scenario, in file order, each once."""
    found = error.errors(include_url=False)
    details = found[:MAX_EXPLAINED]
    misspelt = {
        (tuple(detail["loc"][:-1]), find_near(str(detail["loc"][-1]), list_keys(model)))
        for detail in details
        if detail["type"] == "extra_forbidden" and (model := model_at(detail["loc"][:-1])) is not None
    }
    findings: dict[Finding, None] = {}
    for detail in details:
        if detail["type"] == "missing" and (tuple(detail["loc"][:-1]), detail["loc"][-1]) in misspelt:
            continue
        findings.update(dict.fromkeys(FORMATTERS[detail["type"]](detail, source)))
    if len(found) > len(details):
        findings[source.place(found[len(details)]["loc"]), f"{len(found) - len(details):,} more like these"] = None
    return [source.problem(place, message) for place, message in sorted(findings)]


def _must_be(wanted: str) -> Callable[[ErrorDetails, Source], Iterator[Finding]]:
    """A formatter for a value of the wrong kind; `{...}` in `wanted` is filled from the error's context."""

    def describe(detail: ErrorDetails, source: Source) -> Iterator[Finding]:
        yield source.place(detail["loc"]), _mismatch(detail, wanted.format(**detail.get("ctx", {})))

    return describe


def _mismatch(detail: ErrorDetails, wanted: str) -> str:
    name = name_of_value(detail["loc"])
    if detail["input"] is None:
        return f"{name} has no value; it must be {wanted}"
    return f"{name} must be {wanted}, not {quote(detail['input'])}"


def _empty(detail: ErrorDetails, source: Source) -> Iterator[Finding]:
    yield source.place(detail["loc"]), f"{name_of_value(detail['loc'])} must not be empty"


def _wrong_shape(detail: ErrorDetails, source: Source) -> Iterator[Finding]:
    yield source.place(detail["loc"]), _mismatch(detail, detail["msg"].removeprefix("expected "))


def _bad_regex(detail: ErrorDetails, source: Source) -> Iterator[Finding]:
    message = f"{name_of_value(detail['loc'])} is not a regular expression: {detail['ctx']['reason']}"
    yield source.place(detail["loc"]), message


def _bad_flag(detail: ErrorDetails, source: Source) -> Iterator[Finding]:
    name = name_of_value(detail["loc"])
    wanted = 'a flag such as "paid" or "not paid": letters, digits, "_" and "-", no digit first'
    yield source.place(detail["loc"]), f"{name} must be {wanted}; not {quote(detail['input'])}"


def _literal(detail: ErrorDetails, source: Source) -> Iterator[Finding]:
    accepted = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
    found = detail["input"]
    word = found if isinstance(found, str) else ""
    yield (
        source.place(detail["loc"]),
        _mismatch(detail, list_accepted(word, accepted)) + suggest_one(word, accepted),
    )


def _missing(detail: ErrorDetails, source: Source) -> Iterator[Finding]:
    outer, key = detail["loc"][:-1], detail["loc"][-1]
    yield source.place(outer), f'{name_of_mapping(outer)} needs the key "{key}"'


def _extra(detail: ErrorDetails, source: Source) -> Iterator[Finding]:
    loc = detail["loc"]
    model = model_at(loc[:-1])
    known = list_keys(model) if model else ()
    yield source.key_place(loc), _unknown_key(str(loc[-1]), name_of_mapping(loc[:-1]), known, model)


def _unknown_key(key: str, where: str, known: tuple[str, ...], model: type[Any] | None) -> str:
    message = f'unknown key "{key}" in {where}'
    if model is not None and issubclass(model, Rule):
        if key in ANSWER_KEYS:
            owners = [rule for rule in _RULES if key in list_keys(rule)]
            return f'"{key}" does not go with this answer; it belongs to {join(map(_answer_of, owners), "or")}'
        if key in list_keys(When):
            return f'{message}; it belongs under "when"'
        if key in VERBS:
            return f'{message}; it is a step and belongs under "reply"'
    if model in TURNS and key in SPEAKERS:
        return f'"{key}" does not go with this turn; it begins one of its own'
    if model is When and key in ANSWER_KEYS:
        return f'{message}; it belongs beside "when", not under it'
    return message + suggest(key, known)


def _answer_of(rule: type[Rule]) -> str:
    return next(f'"{key}"' for key in list_keys(rule) if key in ANSWERS)


def _no_verb(detail: ErrorDetails, source: Source) -> Iterator[Finding]:
    step, loc = detail["input"], detail["loc"]
    if not step and not isinstance(step, str | int):
        yield source.place(loc), f"this step is empty; it needs one of the verbs {join(VERBS, 'or')}"
        return
    if not isinstance(step, dict):
        hint = f'; write "say: {step}"' if isinstance(step, str) and len(step) < _SHORT and ":" not in step else ""
        yield source.place(loc), f"a step must be a mapping with a verb, not {quote(step)}{hint}"
        return
    for key in step:
        if verb := find_near(key, VERBS):
            yield source.key_place((*loc, key)), f'unknown step "{key}"; {did_you_mean(verb)}'
            return
    written = join(map(quote, step), "and")
    yield source.place(loc), f"a step needs one of the verbs {join(VERBS, 'or')}, but this one has only {written}"


def _no_effect(detail: ErrorDetails, source: Source) -> Iterator[Finding]:
    fault, loc = detail["input"], detail["loc"]
    for key in fault:
        if near := find_near(key, FAULTS):
            yield source.key_place((*loc, key)), f'unknown key "{key}" in a fault; {did_you_mean(near)}'
            return
    written = f"this one has only {join(map(quote, fault), 'and')}" if fault else "this one is empty"
    yield source.place(loc), f"a fault needs one of the keys {join(FAULTS, 'or')}, but {written}"


def _no_speaker(detail: ErrorDetails, source: Source) -> Iterator[Finding]:
    turn, loc = detail["input"], detail["loc"]
    if not isinstance(turn, dict):
        yield source.place(loc), f"a turn must be a mapping with {join(map(quote, SPEAKERS), 'or')}, not {quote(turn)}"
        return
    for key in turn:
        if speaker := find_near(key, SPEAKERS):
            yield source.key_place((*loc, key)), f'unknown turn "{key}"; {did_you_mean(speaker)}'
            return
    written = f", but this one has only {join(map(quote, turn), 'and')}" if turn else ", but this one is empty"
    yield source.place(loc), f"a turn needs {join(map(quote, SPEAKERS), 'or')}{written}"


def _one_answer(detail: ErrorDetails, source: Source) -> Iterator[Finding]:
    rule, loc = detail["input"], detail["loc"]
    if not isinstance(rule, dict):
        yield source.place(loc), f"a rule must be a mapping with {join(ANSWERS, 'or')}, not {quote(rule)}"
        return
    given = [key for key in rule if key in ANSWERS]
    if len(given) > 1:
        message = f"a rule has exactly one answer, but this one has {join(map(quote, given), 'and')}"
        yield source.key_place((*loc, given[1])), message
    known = tuple(dict.fromkeys((*ANSWERS, *(key for one in _RULES for key in list_keys(one)))))
    unknown = [key for key in rule if key not in known]
    for key in unknown:
        yield source.key_place((*loc, key)), _unknown_key(key, "a rule", known, Rule)
    meant = {find_near(key, known) for key in unknown}
    if not given and not meant.intersection(ANSWERS) and not set(VERBS).intersection(unknown):
        yield source.place(loc), f"this rule has no answer; it needs {join(map(quote, ANSWERS), 'or')}"


_RULES = (ReplyRule, SequenceRule, ConversationRule)

ANSWER_KEYS = frozenset(key for rule in _RULES for key in list_keys(rule))
"""Every key that some kind of rule accepts."""

_SHORT = 40

FORMATTERS: dict[str, Callable[[ErrorDetails, Source], Iterator[Finding]]] = {
    "bad_flag": _bad_flag,
    "bad_regex": _bad_regex,
    "bad_turn": _must_be('a number or a range such as "2-4" or "3+"'),
    "bool_parsing": _must_be("true or false"),
    "bool_type": _must_be("true or false"),
    "dict_type": _must_be("a mapping"),
    "extra_forbidden": _extra,
    "finite_number": _must_be("a finite number"),
    "float_parsing": _must_be("a number"),
    "float_type": _must_be("a number"),
    "greater_than": _must_be("more than {gt:g}"),
    "greater_than_equal": _must_be("{ge:g} or more"),
    "int_from_float": _must_be("a whole number"),
    "int_parsing": _must_be("a whole number"),
    "int_parsing_size": _must_be("a number of fewer digits"),
    "int_type": _must_be("a whole number"),
    "less_than_equal": _must_be("{le:g} or less"),
    "list_type": _must_be("a list"),
    "literal_error": _literal,
    "missing": _missing,
    "model_type": _must_be("a mapping"),
    "no_effect": _no_effect,
    "no_speaker": _no_speaker,
    "no_verb": _no_verb,
    "one_answer": _one_answer,
    "string_too_short": _empty,
    "string_type": _must_be("a text"),
    "too_short": _empty,
    "wrong_shape": _wrong_shape,
}
"""The formatter of each type of error that the models can raise."""
