"""The reference of the language for people: the models' docstrings as Markdown."""

from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from emulator.catalogue.faults import FAULTS
from emulator.catalogue.paces import PACES, PaceProfile
from emulator.catalogue.quirks import QUIRKS, QuirkName
from emulator.scenario.conversation import TURNS, Turn
from emulator.scenario.faults import (
    Cut,
    Fail,
    FaultPosition,
    FaultSetting,
    FaultTrigger,
    Garble,
    PlacedCut,
    PlacedFail,
    PlacedGarble,
    PlacedStall,
    SmallWrites,
    Stall,
)
from emulator.scenario.flags import Flags
from emulator.scenario.pace import Milliseconds, Pace, PaceSetting
from emulator.scenario.quota import Queue, Quota, Quotas
from emulator.scenario.rules import (
    AnswerOptions,
    AnyRule,
    ConversationRule,
    Expect,
    ReplyRule,
    Rule,
    Scenario,
    SequenceRule,
    Tokens,
    Usage,
)
from emulator.scenario.schema import describe_keys
from emulator.scenario.steps import Audio, Call, Chunks, Image, Json, Pause, Raw, Reply, Say, Think, Written
from emulator.scenario.templates.variables import VARIABLES
from emulator.scenario.types import Model
from emulator.scenario.when import Prose, Regex, Result, ResultTest, Test, TurnRange, When
from emulator.suggestions import join

# Parts of the language that have a name of their own, each with what the tables call it.
_NAMED: tuple[tuple[Any, str], ...] = (
    (AnyRule, "[rule](#rules)"),
    (AnswerOptions, "mapping with the keys that stand [beside](#beside-the-answer)"),
    (Chunks, "`words`, `sentences`, `whole`, `{size: 12}` or a list of the pieces"),
    (Expect, "[expect](#expect)"),
    (FaultSetting, "[fault](#faults), or a list of faults"),
    (Milliseconds, "milliseconds"),
    (PaceSetting, "[pace](#pace)"),
    (Flags, "flag, or a list of flags"),
    (Prose, "text or [test](#tests)"),
    (QuirkName, "[quirks](#quirks)"),
    (Queue, "[queue](#queue)"),
    (Quotas, "[quota](#quota), or a list of these"),
    (Regex, "regular expression"),
    (Reply, "[reply](#replies)"),
    (Result, "text or [test of a tool result](#tests)"),
    (Tokens, "[tokens](#tokens)"),
    (Turn, "[turn](#conversation)"),
    (TurnRange, "number, or range such as `2-4` or `3+`"),
    (Usage, "[usage](#usage)"),
    (When, "[when](#when)"),
    (Written, "text, or list of its pieces"),
)
_SCALARS = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "any JSON"}
_FAULTS = (PlacedCut, PlacedStall, PlacedGarble, PlacedFail, SmallWrites)
_ABOUT_FAULTS = """\
A fault is written by its name, or as a mapping that begins with one of the keys below. As steps of a reply the same words stand for the
same things, and happen where they stand.
"""
_STEPS = (Say, Think, Call, Json, Image, Audio, Pause, Fail, Cut, Stall, Garble, Raw)


def reference_text() -> str:
    """The reference: every key of every part of the language, then the template variables."""
    parts = [
        "## The top of the file\n",
        *_keys(Scenario),
        "## Rules\n",
        "A rule has exactly one answer, `reply`, `sequence` or `conversation`; everything else may be left out.\n",
        *_table(
            _fields(Rule, without=AnswerOptions),
            *(_fields(rule, without=Rule) for rule in (ReplyRule, SequenceRule, ConversationRule)),
        ),
        "## Beside the answer\n",
        "In a rule, or in `defaults` for all rules of the file.\n",
        *_table(_fields(AnswerOptions)),
        "## When\n",
        *_keys(When),
        "## Tests\n",
        *_keys(Test),
        f"{ResultTest.__doc__} Beside the operators above it has:\n",
        *_table(_fields(ResultTest, without=Test)),
        "## Replies\n",
        "A reply is a text, one step, or a list of steps. A step is a mapping that begins with one of these verbs.\n",
    ]
    for step in _STEPS:
        (verb, *_), *_ = _fields(step)
        odds = ["[When it happens](#when-it-happens) can be said too.\n"] if issubclass(step, FaultTrigger) else []
        parts += [f"### {verb}\n", f"{step.__doc__}\n", *_table(_fields(step, without=FaultTrigger)), *odds]
    parts += ["## Conversation\n", "A turn is one of these:\n", *(line for turn in TURNS for line in _keys(turn))]
    for model in (Usage, Expect, Tokens):
        parts += [f"## {model.__name__}\n", *_keys(model)]
    parts += ["## Quota\n", *_keys(Quota), "### Queue\n", *_keys(Queue), *_pace_and_faults()]
    parts += ["## Template variables\n", *_variables(), "## Quirks\n", *_quirks()]
    return "\n".join(parts)


def _pace_and_faults() -> list[str]:
    return [
        "## Pace\n",
        *_keys(Pace),
        *_named("pace", ((pace.name, _figures(pace)) for pace in PACES.values())),
        "## Faults\n",
        _ABOUT_FAULTS,
        *_named("fault", ((fault.name, fault.effect) for fault in FAULTS.values())),
        *(row for fault in _FAULTS for row in _fault(fault)),
        "### Where in the answer\n",
        *_keys(FaultPosition),
        "### When it happens\n",
        *_keys(FaultTrigger),
    ]


def _fault(fault: type[Model]) -> Iterator[str]:
    own = [row for row in _fields(fault, without=FaultTrigger) if row not in _fields(FaultPosition)]
    yield f"### {own[0][0].strip('`')}, as a fault\n"
    yield f"{fault.__doc__}\n"
    yield from _table(own)


def _named(kind: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f"| {kind} | what it does |"
    yield "| --- | --- |"
    yield from (f"| `{name}` | {effect} |" for name, effect in rows)
    yield ""


def _figures(pace: PaceProfile) -> str:
    keys = ("first_token_ms", "tokens_per_second", "jitter")
    given = [f"`{key}: {getattr(pace, key):g}`" for key in keys if getattr(pace, key) is not None]
    return pace.effect + (f": {', '.join(given)}" if given else "")


def _keys(model: type[Model]) -> Iterator[str]:
    yield f"{model.__doc__}\n"
    yield from _table(_fields(model))


def _fields(model: type[Model], without: type[Model] | None = None) -> list[tuple[str, str, str]]:
    """Key, kind of value and meaning of a model's fields, those of a base left out."""
    hints = get_type_hints(model, include_extras=True)
    inherited = without.model_fields if without else {}
    # A model's own keys come first, then those of what it is built on.
    names = dict.fromkeys(name for part in model.__mro__ for name in getattr(part, "__annotations__", {}))
    fields = [(name, model.model_fields[name]) for name in names if name in model.model_fields]
    said = describe_keys(model)
    return [
        (f"`{field.alias or name}`", _kind(hints[name]), said[name]) for name, field in fields if name not in inherited
    ]


def _table(*groups: list[tuple[str, str, str]]) -> Iterator[str]:
    yield "| key | value | meaning |"
    yield "| --- | --- | --- |"
    for group in groups:
        for row in group:
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def _variables() -> Iterator[str]:
    yield "| variable | what it holds |"
    yield "| --- | --- |"
    yield from (f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items())
    yield ""


def _quirks() -> Iterator[str]:
    yield "Named deviations from what the emulator does by default; all are off until a rule, `defaults` or `--quirk` names them.\n"
    yield "| quirk | what it does | where it was seen |"
    yield "| --- | --- | --- |"
    yield from (f"| `{quirk.name}` | {quirk.effect} | {quirk.source} |" for quirk in QUIRKS.values())
    yield ""


def _kind(annotation: Any) -> str:
    """What kind of value an annotation stands for."""
    for part, words in _NAMED:
        if annotation == part:
            return words
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin is Literal:
        return join([f"`{value}`" for value in arguments], "or")
    if origin is list:
        return f"list of {_kind(arguments[0])}"
    if origin is dict:
        return "mapping" if arguments[1] is Any else f"mapping to {_kind(arguments[1])}"
    if origin in (Union, UnionType):
        kinds = list(dict.fromkeys(_kind(one) for one in arguments if one is not NoneType))
        return ", or ".join("a list of these" if kind == f"list of {kinds[0]}" else kind for kind in kinds)
    return "[test](#tests)" if annotation is Test else annotation.__name__.lower()
