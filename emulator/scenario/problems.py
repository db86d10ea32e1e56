"""Pydantic's validation errors as problems in the words of the scenario language, each at its place."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic_core import ErrorDetails, ValidationError

from emulator.errors import Place, Problem
from emulator.scenario.checks.faults import explain_unknown_error
from emulator.scenario.conversation import SPEAKERS, TURNS, AssistantTurn
from emulator.scenario.faults import FAULTS, ChunkPosition, Fail
from emulator.scenario.locations import model_at, name_of_mapping, name_of_value
from emulator.scenario.pace import Pace, Paced
from emulator.scenario.rules import ANSWERS, AnswerOptions, ConversationRule, ReplyRule, Rule, Scenario, SequenceRule
from emulator.scenario.steps import VERBS, Call, Weighted
from emulator.scenario.types import Model, list_keys
from emulator.scenario.when import ResultTest, When
from emulator.scenario.yaml import Location, Source, is_tag
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
        findings.update(dict.fromkeys(_explain_one(detail, source)))
    if len(found) > len(details):
        findings[source.place(found[len(details)]["loc"]), f"{len(found) - len(details):,} more like these"] = None
    return [source.problem(place, message) for place, message in sorted(findings)]


def _explain_one(detail: ErrorDetails, source: Source) -> Iterator[Finding]:
    """What one error says, and how a number is written that somebody gave in place of a mapping."""
    name = next((part for part in reversed(detail["loc"]) if not is_tag(part)), None)
    form, value = _NUMBERS.get(name) if isinstance(name, str) else None, detail["input"]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    for place, message in FORMATTERS[detail["type"]](detail, source):
        yield place, f'{message}; write "{name}: {{{form}: {value}}}"' if form and is_number else message


_NUMBERS: dict[str, str] = {
    "expect": "times",
    "pace": "first_token_ms",
    "quota": "requests_per_minute",
    "fault": "fail",
    "chunks": "size",
    "usage": "completion",
}
"""Keys that take a mapping, each with the key that a mere number is meant for."""


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
    if model_at(outer) is Weighted and set(VERBS).intersection(detail["input"]):
        return
    yield source.place(outer), f'{name_of_mapping(outer)} needs the key "{key}"'


def _extra(detail: ErrorDetails, source: Source) -> Iterator[Finding]:
    loc = detail["loc"]
    model = model_at(loc[:-1])
    known = list_keys(model) if model else ()
    key, mapping = str(loc[-1]), source.value(loc[:-1])
    if model is Weighted and key in VERBS:
        weight = mapping.get("weight", 3) if isinstance(mapping, dict) else 3
        message = f"a reply with a weight is written {{weight: {weight}, reply: {{{key}: ...}}}}"
        yield source.key_place(loc), message
        return
    if isinstance(mapping, dict):
        if text := _text_with_comma(key, mapping):
            yield source.key_place(loc), f"a text with a comma must be quoted here: {text}"
            return
        if (verbs := _verbs_of(model)) and key in verbs:
            kind = "fault" if verbs is FAULTS else "step"
            written = [one for one in mapping if one in verbs]
            message = (
                f"a {kind} has one of {join(map(quote, verbs), 'and')}" if kind == "fault" else "a step has one verb"
            )
            remedy = f"write a list of {kind}s: [{', '.join(f'{{{one}: ...}}' for one in written)}]"
            found = f"{message}, but this one has {join(map(quote, written), 'and')}; {remedy}"
            yield source.key_place((*loc[:-1], written[1])), found
            return
    yield source.key_place(loc), _unknown_key(key, detail["input"], name_of_mapping(loc[:-1]), known, model)


def _verbs_of(model: type[Any] | None) -> tuple[str, ...]:
    """The keys of which a step, or a fault beside the answer, has exactly one; none for other mappings."""
    if model is None or not issubclass(model, Model):
        return ()
    keys = list_keys(model)
    if issubclass(model, ChunkPosition) or "write_size" in keys:
        return FAULTS
    return VERBS if any(verb in keys for verb in VERBS) and model not in (AssistantTurn, ResultTest) else ()


def _text_with_comma(key: str, mapping: dict[str, Any]) -> str | None:
    """The text that a comma has divided into a value and a key without one: `{say: Hello, world}`."""
    keys = [*mapping]
    at = keys.index(key)
    if mapping[key] is not None or at == 0 or not isinstance(before := mapping[keys[at - 1]], str):
        return None
    return f'{keys[at - 1]}: "{before}, {key}"' if len(before) + len(key) < _SHORT else f'{keys[at - 1]}: "..., {key}"'


def _unknown_key(key: str, value: Any, where: str, known: tuple[str, ...], model: type[Any] | None) -> str:
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
    if remedy := _find_meant(key, value, model):
        return f"{message}; {remedy}"
    if key in list_keys(AnswerOptions) and _verbs_of(model):
        return f'{message}; it belongs beside "reply", not into it'
    return message + suggest(key, known)


def _find_meant(key: str, value: Any, model: type[Any] | None) -> str:
    """What to write instead of a key that other tools have, empty if it is none of these."""
    kind = next((one for one in _MEANT if model is not None and issubclass(model, one)), None)
    return _meant(key, value, _MEANT[kind]) if kind is not None else ""


def _meant(key: str, value: Any, table: Mapping[str, str]) -> str:
    found = next((remedy for keys, remedy in table.items() if key.lower() in keys.split()), None)
    if found is None:
        return ""
    shown = _show_value(value)
    if "fail: *" in found and explain_unknown_error(value if isinstance(value, str | int) else ""):
        shown = "503"
    return f'write "{found.replace("*", shown or "...")}"'.replace("KEY", key)


def _show_value(value: Any) -> str:
    """A number or a short text as YAML; empty for other values."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or len(str(value)) > _SHORT:
        return ""
    return (
        str(value)
        if not isinstance(value, str) or _PLAIN.fullmatch(value)
        else f"'{value}'"
        if "'" not in value
        else ""
    )


_PLAIN = re.compile(r"[A-Za-z][\w .!?/-]*")
_CALL = "call: NAME, with: {...}"
_DELAYS = "delay delay_ms latency latency_ms wait sleep"
_ERRORS = "error errors status status_code statuscode http_status code exception"
_TEXTS = "text content message answer response output reply respond assistant"
_ASKED = "user prompt message messages text input content question query user_message last_message"
_PARAMETERS = (
    "temperature top_p top_k max_tokens max_completion_tokens n stop seed presence_penalty frequency_penalty logprobs "
    "top_logprobs logit_bias reasoning_effort stream_options"
)
_MEANT: dict[type[Model], dict[str, str]] = {
    Rule: {
        _DELAYS: "pace: {first_token_ms: *}",
        _ERRORS: "reply: {fail: *}",
        "tool_call tool_calls function function_call": f"reply: {{{_CALL}}}",
        "match matches matcher request if on condition conditions given": "when: {last_user: ...}",
        "user prompt question query input user_message": "when: {last_user: *}",
        f"{_TEXTS} responses": "reply: *",
        "count limit max_uses": "times: *",
        "id title": "name: *",
        "description comment note": "# *",
    },
    When: {
        _ASKED: "last_user: *",
        "equals contains starts_with ends_with regex glob": "last_user: {KEY: *}",
        "system_prompt instructions developer system_message": "system: *",
        "tool tool_name function function_name": "tools: *",
        "role": "last: *",
        _PARAMETERS: "params: {KEY: *}",
        "image audio video document": "has: KEY",
        "extra_body": "google: {...}",
        "region": "location: *",
    },
    Call: {
        "arguments args parameters params input arguments_json": "with: {...}",
        "name function": "call: *",
        _DELAYS: "pace: {first_token_ms: *}",
    },
    Fail: {f"{_ERRORS} name": "fail: *", "text description": "message: *", "retry_after": "retry_after_s: *"},
    Paced: {_DELAYS: "pace: {first_token_ms: *}"},
    Pace: {f"{_DELAYS} ttft ttft_ms first_token": "first_token_ms: *", "tps speed rate": "tokens_per_second: *"},
    Scenario: {"name title": "scenario: *", "import imports extends": "include: *", "rule": "rules: [...]"},
}
"""Keys that people bring along from elsewhere, and what is written here; `*` stands for their value."""
_MEANT_STEPS = {
    _DELAYS: "pause: *",
    _ERRORS: "fail: *",
    "tool tools function name tool_call tool_calls function_call arguments args parameters": _CALL,
    _TEXTS: "say: *",
    "thought thoughts thinking reasoning reasoning_content": "think: *",
    "picture img image_url": "image: *",
    "sound voice": "audio: *",
    "choose choice choices random oneof any_of": "one_of: [...]",
}
"""The same for steps that have no verb."""


def _answer_of(rule: type[Rule]) -> str:
    return next(f'"{key}"' for key in list_keys(rule) if key in ANSWERS)


def _no_verb(detail: ErrorDetails, source: Source) -> Iterator[Finding]:
    step, loc = detail["input"], detail["loc"]
    if not step and not isinstance(step, str | int):
        yield source.place(loc), f"this step is empty; it needs one of the verbs {join(VERBS, 'or')}"
        return
    if isinstance(step, dict) and (message := _as_message(step)):
        yield source.place(loc), f"a step is no chat message; write {message}"
        return
    if not isinstance(step, dict):
        hint = f'; write "say: {step}"' if isinstance(step, str) and len(step) < _SHORT and ":" not in step else ""
        yield source.place(loc), f"a step must be a mapping with a verb, not {quote(step)}{hint}"
        return
    for key in step:
        if verb := find_near(key, VERBS):
            yield source.key_place((*loc, key)), f'unknown step "{key}"; {did_you_mean(verb)}'
            return
    for key, value in step.items():
        if remedy := _meant(str(key), value, _MEANT_STEPS):
            yield source.key_place((*loc, key)), f'unknown step "{key}"; {remedy}'
            return
    written = join(map(quote, step), "and")
    text = _text_with_colon(step)
    hint = f"; a text with a colon must be quoted: {text}" if text else ""
    yield source.place(loc), f"a step needs one of the verbs {join(VERBS, 'or')}, but this one has only {written}{hint}"


def _as_message(value: dict[str, Any]) -> str | None:
    """How a chat message is written as a step; None for what is no chat message."""
    if "role" not in value:
        return None
    if value.get("tool_calls"):
        return f'"{_CALL}"'
    content = _show_value(value.get("content"))
    return f'"say: {content or "..."}"'


def _text_with_colon(step: dict[str, Any]) -> str | None:
    """The text that a colon has made a mapping of: `[Note: read this]`."""
    if len(step) != 1:
        return None
    ((key, value),) = step.items()
    if not isinstance(value, str | None) or len(f"{key}{value}") > _SHORT:
        return None
    return f'"{key}: {value}"' if value is not None else f'"{key}:"'


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
    if "role" in turn:
        role = turn["role"]
        speaker = "assistant" if role in ("assistant", "model") else role if role in SPEAKERS else ""
        content = _show_value(turn.get("content")) or "..."
        remedy = (
            f'write "{speaker}: {"NAME" if speaker == "tool" else content}"'
            if speaker
            else ('"when: {system: ...}" tests system messages')
        )
        yield source.place(loc), f"a turn is no chat message; {remedy}"
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
        if not (text := _text_with_comma(key, rule)):
            yield source.key_place((*loc, key)), _unknown_key(key, rule[key], "a rule", known, Rule)
        else:
            yield source.key_place((*loc, key)), f"a text with a comma must be quoted here: {text}"
    meant = {find_near(key, known) for key in unknown}
    is_meant = any("reply" in _find_meant(key, rule[key], Rule) for key in unknown)
    if not given and not is_meant and not meant.intersection(ANSWERS) and not set(VERBS).intersection(unknown):
        yield source.place(loc), f"this rule has no answer; it needs {join(map(quote, ANSWERS), 'or')}"
    yield from _explain_rest(rule, loc, source)


def _explain_rest(rule: dict[str, Any], loc: Location, source: Source) -> Iterator[Finding]:
    """The mistakes in a rule whose answer is missing or one too many, which would come to light only after that."""
    given = [one for one in ANSWERS if one in rule] or [ANSWERS[0]]
    for answer in given:
        model = _RULES[ANSWERS.index(answer)]
        keys = {*list_keys(Rule), answer}
        filled = {"reply": ""} | {key: value for key, value in rule.items() if key in keys}
        try:
            model.model_validate({key: value for key, value in filled.items() if key in keys})
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                detail["loc"] = (*loc, f"<{answer}>", *detail["loc"])
                yield from _explain_one(detail, source)


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
    "greater_than": _must_be("more than {gt:.15g}"),
    "greater_than_equal": _must_be("{ge:.15g} or more"),
    "int_from_float": _must_be("a whole number"),
    "int_parsing": _must_be("a whole number"),
    "int_parsing_size": _must_be("a number of fewer digits"),
    "int_type": _must_be("a whole number"),
    "less_than_equal": _must_be("{le:.15g} or less"),
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
