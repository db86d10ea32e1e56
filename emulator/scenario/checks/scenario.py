"""Checks of one file beyond its models: whether its parts fit each other, the files it names and the catalogue."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from emulator.errors import Problem
from emulator.scenario.checks.conversation import check_conversation
from emulator.scenario.checks.faults import (
    check_fault,
    explain_unknown_error,
    explain_unknown_finish,
    explain_unknown_token_error,
)
from emulator.scenario.checks.flags import check_own_flags
from emulator.scenario.checks.implications import PROSE, explain_slow_pattern, find_contradiction, read_turns
from emulator.scenario.checks.parsed_file import ParsedFile, list_rules
from emulator.scenario.checks.steps import check_chunks, check_reply, explain_json_text
from emulator.scenario.checks.templates import check_templates
from emulator.scenario.conversation import AssistantTurn, options_of
from emulator.scenario.faults import FaultTrigger
from emulator.scenario.locations import name_of_value, walk_models
from emulator.scenario.media import check_attachment, check_media
from emulator.scenario.pace import Pace
from emulator.scenario.quota import Quota
from emulator.scenario.rules import AnswerOptions, ConversationRule, HeaderValue, ReplyRule, Rule, SequenceRule, Tokens
from emulator.scenario.steps import Audio, Call, Image, Json, OneOf, Say, Think
from emulator.scenario.templates.template import explain_no_template, is_template
from emulator.scenario.types import Model
from emulator.scenario.when import Test, When
from emulator.scenario.yaml import Location, Source
from emulator.suggestions import did_you_mean, quote

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SLASHED = re.compile(r"/(.*[^/\s].*)/([gimsux]*)")
_WILDCARD = re.compile(r"(?<!\S)\*[^\W\d_]{2,}|[^\W\d_]{2,}\*(?!\S)|\*\w[^*]*\w\*")
"""An asterisk at an end of a word, or one at each end of the text; if there are others, they may mark bold text or a list."""
_PATTERN = re.compile(
    r"(?P<any>\.\*)"
    r"|\\[dws](?![A-Za-z])"
    r"|^\^[A-Za-z0-9(\[\\]"
    r"|[a-z)\]*+]\$$"
    r"|[^\W\d_]{2,}\|[^\W\d_]{2,}"
)
"""What texts hardly ever have and regular expressions often."""
_BARE_GEMINI = re.compile(r"gemini[-*]", re.IGNORECASE)
_OWN_HEADERS = ("content-length", "transfer-encoding", "connection")


def check(file: ParsedFile) -> Iterator[Problem]:
    """Every problem of a file that its models accept, but those that concern several files."""
    scenario, source = file.scenario, file.source
    yield from check_media(scenario.media, source, file.folder)
    yield from _check_names(source)
    for key in ("defaults", "tokens", "quota"):
        yield from _check_models(walk_models(getattr(scenario, key), (key,)), file)
    for loc, _name, rule in file.named_rules():
        yield from _check_models(walk_models(rule, loc), file)
    for loc, model in file.parts:
        yield from _check_models(walk_models(model, loc), file)
    yield from check_templates(("defaults",), source)
    for number in range(len(list_rules(source))):
        yield from check_templates(("rules", number), source)


def _check_names(source: Source) -> Iterator[Problem]:
    lines: dict[str, int] = {}
    for number, rule in enumerate(list_rules(source)):
        if not isinstance(rule, dict):
            continue
        name = str(rule.get("name") or f"rule {number + 1}")
        place = source.place(("rules", number, "name") if rule.get("name") else ("rules", number))
        if name in lines:
            message = f"two rules are called {quote(name)}; the first is on line {lines[name]}"
            yield source.problem(place, message)
        lines.setdefault(name, place.line)


def _check_models(  # one case for each kind of model
    models: Iterable[tuple[Location, Model]], file: ParsedFile
) -> Iterator[Problem]:
    source = file.source
    for loc, model in models:
        yield from _check_absent(model, loc, source)
        match model:
            case Say() | Think() | Call() | Json():
                yield from check_chunks(model, loc, source)
                if isinstance(model, Json) and (hint := explain_json_text(model.json_)):
                    yield source.problem(source.place((*loc, "json")), hint, "warning")
            case Image(image=written) | Audio(audio=written):
                key = "image" if isinstance(model, Image) else "audio"
                if problem := check_attachment(key, written, file.folder, file.scenario.media):
                    yield source.problem(source.place((*loc, key)), problem)
            case FaultTrigger() | Pace():
                yield from check_fault(model, loc, source)
            case When():
                yield from _check_when(model, loc, source)
                yield from _check_habits(model, loc, file)
            case AnswerOptions():
                yield from _check_headers(model.headers or {}, (*loc, "headers"), source)
                if problem := explain_unknown_finish(model.finish):
                    yield source.problem(source.place((*loc, "finish")), problem, "warning")
            case OneOf():
                for number, option in enumerate(options_of(model)):
                    yield from check_reply(option, (*loc, "one_of", number, "reply"), source)
            case Quota():
                yield from _check_quota(model, loc, source)
            case Tokens():
                yield from _check_tokens(model, loc, source)
        if isinstance(model, Rule):
            yield from _check_rule(model, loc, source)


def _check_rule(rule: Rule, loc: Location, source: Source) -> Iterator[Problem]:
    yield from _check_expect(rule, (*loc, "expect"), source)
    yield from check_own_flags(rule.requires, rule.sets, loc, source)
    match rule:
        case ReplyRule():
            yield from check_reply(rule.reply, (*loc, "reply"), source)
        case SequenceRule():
            for number, reply in enumerate(rule.sequence):
                yield from check_reply(reply, (*loc, "sequence", number), source)
        case ConversationRule():
            yield from check_conversation(rule.conversation, (*loc, "conversation"), source)
            for number, turn in enumerate(rule.conversation):
                if isinstance(turn, AssistantTurn):
                    yield from check_reply(turn.assistant, (*loc, "conversation", number, "assistant"), source)


def _check_expect(rule: Rule, loc: Location, source: Source) -> Iterator[Problem]:
    """Whether `expect` has exactly one key, and no number that the rule's limit makes impossible."""
    expect = rule.expect
    if expect is None:
        return
    wanted = [one for one in (expect.times, expect.at_least) if one is not None]
    if not wanted and not expect.model_fields_set:
        yield source.problem(source.place(loc), '"expect" must have "times" or "at_least"')
    if len(wanted) > 1:
        message = '"expect" has "times" or "at_least", not both'
        yield source.problem(source.key_place((*loc, "at_least")), message)
        return
    limits = [rule.times] if rule.times is not None else []
    if isinstance(rule, SequenceRule) and rule.then == "exhaust":
        limits.append(len(rule.sequence))
    if wanted and limits and wanted[0] > min(limits):
        key = "times" if expect.times is not None else "at_least"
        message = f'"expect" can never be met: the rule is used up after {min(limits)}, and {wanted[0]} are expected'
        yield source.problem(source.place((*loc, key)), message)


def _check_quota(quota: Quota, loc: Location, source: Source) -> Iterator[Problem]:
    if not quota.model_fields_set.intersection(("requests_per_minute", "tokens_per_minute", "concurrent")):
        message = 'this quota limits nothing; it needs "requests_per_minute", "tokens_per_minute" or "concurrent"'
        yield source.problem(source.place(loc), message)
    is_filled = isinstance(quota.on_excess, str) and is_template(quota.on_excess)
    if problem := explain_no_template("on_excess") if is_filled else explain_unknown_error(quota.on_excess):
        yield source.problem(source.place((*loc, "on_excess")), problem)


def _check_tokens(tokens: Tokens, loc: Location, source: Source) -> Iterator[Problem]:
    if tokens.fail is not None:
        is_filled = isinstance(tokens.fail, str) and is_template(tokens.fail)
        if problem := explain_no_template("fail") if is_filled else explain_unknown_token_error(tokens.fail):
            yield source.problem(source.place((*loc, "fail")), problem)
    elif tokens.times is not None:
        message = '"times" says how many token requests fail, but there is no "fail" that says how'
        yield source.problem(source.key_place((*loc, "times")), message)


def _check_absent(model: Model, loc: Location, source: Source) -> Iterator[Problem]:
    """Keys without a value: an unfinished `last_user:` would let every request match."""
    for name, field in type(model).model_fields.items():
        if name in model.model_fields_set and getattr(model, name) is None and field.annotation is not Any:
            key = (*loc, field.alias or name)
            yield source.problem(
                source.key_place(key), f"{name_of_value(key)} has no value; write one or leave the key out"
            )


def _check_habits(when: When, loc: Location, file: ParsedFile) -> Iterator[Problem]:
    """Warnings of tests that mean something else than they look like: `/x/`, `hel*`, and a Gemini without its publisher."""
    source = file.source
    for name in sorted(PROSE):
        for place, text in _list_short_tests(getattr(when, name), (*loc, name)):
            if found := _SLASHED.fullmatch(text):
                pattern = f"(?i){found[1]}" if "i" in found[2] else found[1]
                message = (
                    f"{quote(text)} is looked for as it stands, slashes included; "
                    f"a regular expression is written {{regex: '{pattern}'}}, a text {{contains: {text}}}"
                )
                yield source.problem(source.place(place), message, "warning")
            elif is_template(text):
                message = f"{quote(text)} is looked for as it stands, braces included: `when` has no templates"
                yield source.problem(source.place(place), message, "warning")
            elif hint := _explain_plain_text(text):
                yield source.problem(source.place(place), hint, "warning")
    scenario = file.scenario
    is_elsewhere = when.endpoint is not None or when.publisher is not None or bool(scenario.endpoints)
    if is_elsewhere or scenario.vetting in ("warn", "off") or "bare_models" in _list_quirks(file, loc):
        return
    for place, text in _list_short_tests(when.model, (*loc, "model")):
        if _BARE_GEMINI.match(text):
            message = f"requests to the endpoint openapi name the publisher too: {quote('google/' + text)}"
            yield source.problem(source.place(place), message, "warning")


def _explain_plain_text(text: str) -> str | None:
    """What to write if a text that is looked for as it stands is meant as a pattern; None unless it plainly looks like one."""
    if "\n" in text or text.startswith("|"):
        return None
    stars = text.count("*")
    pattern = _PATTERN.search(text)
    if pattern is not None and (pattern["any"] is None or stars == text.count(".*")):
        return (
            f"{quote(text)} is looked for as it stands; a regular expression is written {{regex: {_in_quotes(text)}}}, "
            f"a text {{contains: {_in_quotes(text)}}}"
        )
    wildcard = _WILDCARD.search(text)
    if wildcard is None or (stars > 1 and wildcard[0] != text):
        return None
    return (
        f"{quote(text)} is looked for as it stands, asterisk included; a pattern for the whole text is written "
        f"{{glob: {_in_quotes(text)}}}, a text {{contains: {_in_quotes(text)}}}"
    )


def _in_quotes(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _list_short_tests(test: Any, loc: Location) -> Iterator[tuple[Location, str]]:
    """The texts that are tests by themselves, with their places, and of names those of `equals` and `glob`."""
    if isinstance(test, str):
        yield loc, test
    elif isinstance(test, list):
        for number, one in enumerate(test):
            yield from _list_short_tests(one, (*loc, number))
    elif isinstance(test, Test):
        yield from _list_short_tests(test.any_of, (*loc, "any_of"))
        if loc[-1] == "model":
            yield from (
                ((*loc, key), text) for key in ("equals", "glob", "starts_with") if (text := getattr(test, key))
            )


def _list_quirks(file: ParsedFile, loc: Location) -> list[str]:
    rule = file.source.value(loc[:2])
    own = rule.get("quirks") if isinstance(rule, dict) else None
    return [*(file.scenario.defaults.quirks or ()), *(own if isinstance(own, list) else ())]


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
    if reason := explain_slow_pattern(when):
        yield source.problem(source.find(loc, "regex"), reason, "warning")


def _check_headers(headers: dict[str, HeaderValue], loc: Location, source: Source) -> Iterator[Problem]:
    for name, value in headers.items():
        key = (*loc, name)
        if not _HEADER_NAME.fullmatch(name):
            yield source.problem(source.key_place(key), f"{quote(name)} is not the name of an HTTP header")
        elif name.lower() in _OWN_HEADERS:
            yield source.problem(source.key_place(key), f'the header "{name}" is set by the server and cannot be given')
        lines = list(enumerate(value)) if isinstance(value, list) else [] if value is None else [(None, value)]
        for at, line in lines:
            place = source.place(key if at is None else (*key, at))
            if is_template(line):
                continue
            if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", line):
                yield source.problem(place, f'the header "{name}" has a line break or control character in its value')
            elif not line.isascii():
                yield source.problem(place, f'the header "{name}" has a value that is not plain ASCII')
