"""What the models cannot see: whether the parts of a scenario fit each other, its files and the catalogue."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from emulator.errors import Problem
from emulator.scenario.checks.conversation import check_conversation
from emulator.scenario.checks.error_names import explain_unknown_token_error
from emulator.scenario.checks.faults import check_fault, ends_reply
from emulator.scenario.checks.flags import check_own_flags
from emulator.scenario.checks.implications import find_contradiction, read_turns
from emulator.scenario.checks.parsed_file import ParsedFile, list_rules
from emulator.scenario.checks.quotas import check_quotas
from emulator.scenario.checks.templates import check_templates
from emulator.scenario.conversation import AssistantTurn
from emulator.scenario.faults import FaultTrigger
from emulator.scenario.locations import name_of_value, walk_models
from emulator.scenario.media import check_attachment, check_media
from emulator.scenario.pace import Pace
from emulator.scenario.quota import list_quotas
from emulator.scenario.rules import AnswerOptions, ConversationRule, Rule, SequenceRule, Tokens
from emulator.scenario.steps import Audio, Call, Image, Json, Say, Step, Think
from emulator.scenario.templates.template import is_template, strings_in
from emulator.scenario.types import Model
from emulator.scenario.when import When
from emulator.scenario.yaml import Location, Source
from emulator.suggestions import did_you_mean, quote


def check_expect(rule: Rule, loc: Location, source: Source) -> Iterator[Problem]:
    """An `expect` says one thing, and no more than the rule's limit lets come true."""
    expect = rule.expect
    if expect is None:
        return
    at = (*loc, "expect")
    wanted = [one for one in (expect.times, expect.at_least) if one is not None]
    if not wanted and not expect.model_fields_set:
        yield source.problem(source.place(at), '"expect" must have "times" or "at_least"')
    if len(wanted) > 1:
        message = '"expect" has "times" or "at_least", not both'
        yield source.problem(source.key_place((*at, "at_least")), message)
        return
    limits = [rule.times] if rule.times is not None else []
    if isinstance(rule, SequenceRule) and rule.then == "exhaust":
        limits.append(len(rule.sequence))
    if wanted and limits and wanted[0] > min(limits):
        key = "times" if expect.times is not None else "at_least"
        message = f'"expect" can never be met: the rule is used up after {min(limits)}, and {wanted[0]} are expected'
        yield source.problem(source.place((*at, key)), message)


def check_tokens(tokens: Tokens, loc: Location, source: Source) -> Iterator[Problem]:
    """Every problem of a scenario's `tokens`."""
    if tokens.fail is not None:
        if problem := explain_unknown_token_error(tokens.fail):
            yield source.problem(source.place((*loc, "fail")), problem)
    elif tokens.times is not None:
        message = '"times" says how many token requests fail, but there is no "fail" that says how'
        yield source.problem(source.key_place((*loc, "times")), message)


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS = ("content-length", "transfer-encoding", "connection")


def check(part: ParsedFile) -> Iterator[Problem]:
    """Every problem of a scenario that its models accept."""
    scenario, source = part.scenario, part.source
    yield from check_media(scenario.media, source, part.folder)
    yield from _check_names(part)
    yield from _check_models(walk_models(scenario.defaults, ("defaults",)), part)
    if scenario.tokens is not None:
        yield from _check_models(walk_models(scenario.tokens, ("tokens",)), part)
        yield from check_tokens(scenario.tokens, ("tokens",), source)
    for loc, quota in list_quotas(scenario.quota):
        yield from _check_models(walk_models(quota, loc), part)
    yield from check_quotas(scenario.quota, source)
    for loc, _name, rule in part.named_rules():
        yield from _check_models(walk_models(rule, loc), part)
    for loc, model in part.parts:
        yield from _check_models(walk_models(model, loc), part)
    yield from check_templates(("defaults",), source)
    for number in range(len(list_rules(source))):
        yield from check_templates(("rules", number), source)


def _check_names(part: ParsedFile) -> Iterator[Problem]:
    lines: dict[str, int] = {}
    for number, rule in enumerate(list_rules(part.source)):
        if not isinstance(rule, dict):
            continue
        name = str(rule.get("name") or f"rule {number + 1}")
        place = part.source.place(("rules", number, "name") if rule.get("name") else ("rules", number))
        if name in lines:
            message = f"two rules are called {quote(name)}; the first is on line {lines[name]}"
            yield part.source.problem(place, message)
        lines.setdefault(name, place.line)


def _check_models(models: Iterable[tuple[Location, Model]], part: ParsedFile) -> Iterator[Problem]:
    source = part.source
    for loc, model in models:
        yield from _check_absent(model, loc, source)
        match model:
            case Say() | Think() | Call() | Json():
                yield from _check_chunks(model, loc, source)
            case Image(image=written) | Audio(audio=written):
                key = "image" if isinstance(model, Image) else "audio"
                problem = check_attachment(written, part.folder, part.scenario.media)
                if problem:
                    yield source.problem(source.place((*loc, key)), problem)
            case FaultTrigger() | Pace():
                yield from check_fault(model, loc, source)
            case When():
                yield from _check_when(model, loc, source)
            case AnswerOptions(headers=headers) if headers:
                yield from _check_headers(headers, (*loc, "headers"), source)
        if isinstance(model, Rule):
            yield from _check_rule(model, loc, source)


def _check_rule(rule: Rule, loc: Location, source: Source) -> Iterator[Problem]:
    yield from check_expect(rule, loc, source)
    yield from check_own_flags(rule.requires, rule.sets, loc, source)
    for key in ("reply", "sequence"):
        yield from _check_reply(getattr(rule, key, None), (*loc, key), source)
    if isinstance(rule, ConversationRule):
        yield from check_conversation(rule.conversation, (*loc, "conversation"), source)
        for number, turn in enumerate(rule.conversation):
            if isinstance(turn, AssistantTurn):
                yield from _check_reply(turn.assistant, (*loc, "conversation", number, "assistant"), source)


def _check_absent(model: Model, loc: Location, source: Source) -> Iterator[Problem]:
    """A key with nothing behind it: a `last_user:` that was not finished would let every request through."""
    for name, field in type(model).model_fields.items():
        if name in model.model_fields_set and getattr(model, name) is None and field.annotation is not Any:
            key = (*loc, field.alias or name)
            yield source.problem(
                source.key_place(key), f"{name_of_value(key)} has no value; write one or leave the key out"
            )


def _check_reply(reply: Any, loc: Location, source: Source) -> Iterator[Problem]:
    if not isinstance(reply, list):
        return
    if loc[-1] == "sequence":
        for number, item in enumerate(reply):
            yield from _check_reply(item, (*loc, number), source)
        return
    if not reply:
        yield source.problem(
            source.place(loc), f'{name_of_value(loc)} must not be empty; an empty answer is written as ""'
        )
    for number, step in enumerate(reply[:-1]):
        if verb := ends_reply(step):
            line = source.place((*loc, number)).line
            message = f'this step is never reached: the reply ends with the "{verb}" on line {line}'
            yield source.problem(source.place((*loc, number + 1)), message, "warning")
            return


def _check_chunks(step: Step, loc: Location, source: Source) -> Iterator[Problem]:
    key, written = _written(step)
    chunks = step.chunks if isinstance(step, Say | Think | Call | Json) else None
    if isinstance(written, list) and key in ("say", "think") and chunks is not None:
        message = f'"{key}" is already given in pieces, so "chunks" has nothing to say'
        yield source.problem(source.key_place((*loc, "chunks")), message)
        return
    if not isinstance(chunks, list) or any(map(is_template, _texts([written, *chunks]))):
        return
    if written == "auto" and key in ("with", "json"):
        return
    joined = "".join(chunks)
    if isinstance(written, str) and key != "json":
        if joined != written:
            message = f'"chunks" must together make the text of "{key}", but they make {quote(joined)}'
            yield source.problem(source.place((*loc, "chunks")), message)
    elif not _is_json_of(joined, written):
        message = f'"chunks" must together make the JSON of "{key}", but they make {quote(joined)}'
        yield source.problem(source.place((*loc, "chunks")), message)


def _written(step: Step) -> tuple[str, Any]:
    match step:
        case Say():
            return "say", step.say
        case Think():
            return "think", step.think
        case Call():
            return "with", step.with_
        case Json():
            return "json", step.json_
    return "", None


def _texts(value: Any) -> Iterator[str]:
    return (text for _loc, text in strings_in(value))


def _is_json_of(text: str, value: Any) -> bool:
    try:
        return bool(json.loads(text) == value)
    except (ValueError, RecursionError):
        return False


def _check_when(when: When, loc: Location, source: Source) -> Iterator[Problem]:
    if when.turn is not None:
        first, last = read_turns(when.turn)
        if first > last:
            message = f"the range of turns {quote(when.turn)} is empty; {did_you_mean(f'{last}-{first}')}"
            yield source.problem(source.place((*loc, "turn")), message)
    for name in when.header or {}:
        if not _HEADER_NAME.fullmatch(name):
            message = f"{quote(name)} is not the name of an HTTP header"
            yield source.problem(source.key_place((*loc, "header", name)), message)
    if "not" not in loc and (reason := find_contradiction(when)):
        yield source.problem(source.key_place(loc), f'this "when" can never hold: {reason}', "warning")


def _check_headers(headers: dict[str, str], loc: Location, source: Source) -> Iterator[Problem]:
    for name, value in headers.items():
        key = (*loc, name)
        if not _HEADER_NAME.fullmatch(name):
            yield source.problem(source.key_place(key), f"{quote(name)} is not the name of an HTTP header")
        elif name.lower() in _OWN_HEADERS:
            yield source.problem(source.key_place(key), f'the header "{name}" is set by the server and cannot be given')
        if not is_template(value) and re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            message = f'the header "{name}" has a line break or control character in its value'
            yield source.problem(source.place(key), message)
        elif not is_template(value) and not value.isascii():
            yield source.problem(source.place(key), f'the header "{name}" has a value that is not plain ASCII')
