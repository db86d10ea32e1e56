"""The reference of the scenario language in Markdown, written from the models' docstrings."""

from collections.abc import Iterable, Sequence
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
    HttpStatus,
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
    Include,
    ReplyRule,
    Rule,
    Scenario,
    SequenceRule,
    Tokens,
    Usage,
)
from emulator.scenario.schema import describe_keys
from emulator.scenario.steps import (
    Audio,
    Call,
    Chunks,
    Image,
    Json,
    OneOf,
    Pause,
    Raw,
    Reply,
    Say,
    Think,
    Weighted,
    Written,
)
from emulator.scenario.templates.variables import VARIABLES
from emulator.scenario.types import Model
from emulator.scenario.when import OneTest, Prose, Regex, Result, ResultTest, Test, TurnRange, When
from emulator.suggestions import join

# Types that the tables name or link instead of spelling them out.
_NAMED: tuple[tuple[Any, str], ...] = (
    (AnyRule, "[rule](#rules)"),
    (AnswerOptions, "mapping with the keys that stand [beside](#beside-the-answer)"),
    (Chunks, "`words`, `sentences`, `whole`, `{size: 12}` or a list of the pieces"),
    (Expect, "[expect](#expect)"),
    (FaultSetting, "[fault](#faults), or a list of faults"),
    (Milliseconds, "milliseconds"),
    (PaceSetting, "[pace](#pace)"),
    (Flags, "flag, or a list of flags"),
    (OneTest, "text or [test](#tests)"),
    (Prose, "text or [test](#tests), or a list of these"),
    (QuirkName, "[quirks](#quirks)"),
    (Queue, "[queue](#queue)"),
    (Quotas, "[quota](#quota), or a list of these"),
    (Regex, "regular expression"),
    (Reply, "[reply](#replies)"),
    (get_type_hints(OneOf, include_extras=True)["one_of"], "list of [reply](#replies)"),
    (HttpStatus, "whole number, or template"),
    (Include, "file, or a list of files"),
    (Result, "text or [test of a tool result](#tests), or a list of these"),
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
_ABOUT_QUIRKS = "Named deviations from what the emulator does by default; all are off until a rule, `defaults` or `--quirk` names them.\n"
_STEPS = (Say, Think, Call, Json, Image, Audio, OneOf, Pause, Fail, Cut, Stall, Garble, Raw)


def reference_text() -> str:
    """The reference: every key of every part of the language, then the template variables and the quirks."""
    parts = [
        "## The top of the file\n",
        *_model(Scenario),
        "## Rules\n",
        "A rule has exactly one answer, `reply`, `sequence` or `conversation`; everything else may be left out.\n",
        *_keys(
            *_fields(Rule, without=AnswerOptions),
            *(row for rule in (ReplyRule, SequenceRule, ConversationRule) for row in _fields(rule, without=Rule)),
        ),
        "## Beside the answer\n",
        "In a rule, or in `defaults` for all rules of the file.\n",
        *_keys(*_fields(AnswerOptions)),
        "## When\n",
        *_model(When),
        "## Tests\n",
        *_model(Test),
        "In place of a test a list can stand, of which one must hold: `last_user: [rain, snow]`. In `tools` all of a list must be declared.\n",
        f"{ResultTest.__doc__} Beside the operators above it has:\n",
        *_keys(*_fields(ResultTest, without=Test)),
        "## Replies\n",
        "A reply is a text, one step, or a list of steps. A step is a mapping that begins with one of these verbs.\n",
    ]
    for step in _STEPS:
        (verb, *_), *_ = _fields(step)
        parts += [f"### {verb}\n", f"{step.__doc__}\n", *_keys(*_fields(step, without=FaultTrigger))]
        if step is OneOf:
            parts += ["A reply with its weight has:\n", *_keys(*_fields(Weighted))]
        if issubclass(step, FaultTrigger):
            parts.append("[When it happens](#when-it-happens) can be said too.\n")
    parts += ["## Conversation\n", "A turn is one of these:\n", *(line for turn in TURNS for line in _model(turn))]
    for model in (Usage, Expect, Tokens):
        parts += [f"## {model.__name__}\n", *_model(model)]
    parts += ["## Quota\n", *_model(Quota), "### Queue\n", *_model(Queue)]
    paces = [(f"`{pace.name}`", _describe_pace(pace)) for pace in PACES.values()]
    parts += ["## Pace\n", *_model(Pace), *_table(("pace", "what it does"), paces)]
    faults = [(f"`{fault.name}`", fault.effect) for fault in FAULTS.values()]
    parts += ["## Faults\n", _ABOUT_FAULTS, *_table(("fault", "what it does"), faults)]
    for fault in _FAULTS:
        own = [row for row in _fields(fault, without=FaultTrigger) if row not in _fields(FaultPosition)]
        parts += [f"### {own[0][0].strip('`')}, as a fault\n", f"{fault.__doc__}\n", *_keys(*own)]
    parts += ["### Where in the answer\n", *_model(FaultPosition), "### When it happens\n", *_model(FaultTrigger)]
    variables = [(f"`{name}`", meaning) for name, meaning in VARIABLES.items()]
    parts += ["## Template variables\n", *_table(("variable", "what it holds"), variables)]
    quirks = [(f"`{quirk.name}`", quirk.effect, quirk.source) for quirk in QUIRKS.values()]
    parts += ["## Quirks\n", _ABOUT_QUIRKS, *_table(("quirk", "what it does", "where it was seen"), quirks)]
    return "\n".join(parts)


def _describe_pace(pace: PaceProfile) -> str:
    keys = ("first_token_ms", "tokens_per_second", "jitter")
    given = [f"`{key}: {getattr(pace, key):g}`" for key in keys if getattr(pace, key) is not None]
    return pace.effect + (f": {', '.join(given)}" if given else "")


def _model(model: type[Model]) -> list[str]:
    """A model's docstring and the table of its keys."""
    return [f"{model.__doc__}\n", *_keys(*_fields(model))]


def _fields(model: type[Model], without: type[Model] | None = None) -> list[tuple[str, str, str]]:
    """Key, kind of value and meaning of a model's fields, those of a base left out."""
    hints = get_type_hints(model, include_extras=True)
    inherited = without.model_fields if without else {}
    # A model's own keys come first, then those of its bases.
    names = dict.fromkeys(name for part in model.__mro__ for name in getattr(part, "__annotations__", {}))
    fields = [(name, model.model_fields[name]) for name in names if name in model.model_fields]
    meanings = describe_keys(model)
    return [
        (f"`{field.alias or name}`", _kind(hints[name]), meanings[name])
        for name, field in fields
        if name not in inherited
    ]


def _keys(*rows: tuple[str, str, str]) -> list[str]:
    return _table(("key", "value", "meaning"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table, and an empty one."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (head, ["---"] * len(head), *rows)]
    return [*(f"| {' | '.join(row)} |" for row in escaped), ""]


def _kind(annotation: Any) -> str:
    """An annotation in words."""
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
