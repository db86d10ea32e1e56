"""Steps, compiled: each step of a reply becomes a function that makes a part of the answer to a given request.

The language, one model for each kind of step, is in `emulator.scenario.steps`. A new step needs a model there and a case in
`_compile_step` here; if it makes a new kind of part (`emulator.engine.reply.parts`), `emulator.engine.rendering.render` and `streaming`
must say how it is written. Whatever does not depend on the request is made when the scenario is loaded.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, NamedTuple

from emulator.engine.matching.conditions import Condition, compile_when, matches
from emulator.engine.reply.calls import LiteralCall, compile_call
from emulator.engine.reply.chunking import divide
from emulator.engine.reply.fault_triggers import compile_fault_step
from emulator.engine.reply.media import choose_generator, load_media, to_base64
from emulator.engine.reply.parts import MediaPart, Part, RawPart, make_text
from emulator.engine.reply.templates import Context, fill_text, fill_value
from emulator.engine.request.facts import Facts
from emulator.engine.signatures import sign, signs_media
from emulator.engine.timeline.directives import Directive, PaceChange
from emulator.engine.timeline.directives import Pause as PauseDirective
from emulator.engine.timeline.pace import compile_pace
from emulator.errors import AnswerError
from emulator.scenario.checks.parsed_file import rule_name
from emulator.scenario.conversation import options_of
from emulator.scenario.faults import Cut, Fail, Garble, Stall
from emulator.scenario.loading import ScenarioFile, default_scenario_path, read_paths
from emulator.scenario.pace import Paced
from emulator.scenario.rules import ReplyRule, Usage
from emulator.scenario.steps import (
    HANDED_OVER,
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
    Step,
    Think,
    Weighted,
)
from emulator.scenario.templates.template import is_literal
from emulator.wire.json_text import dump
from emulator.wire.sse import event

MakePart = Callable[[Context], Part | tuple[Part, ...] | None]
"""A compiled step: makes a part for a choice, or the parts of a whole reply; None where a fault is not triggered this time."""

_SIGNATURE = re.compile(r'"thought_signature"\s*:\s*"([^"]+)"')


@dataclass(frozen=True, slots=True, eq=False)
class CompiledReply:
    """A compiled reply. Compared by identity: two with the same steps belong to different rules."""

    steps: tuple[MakePart, ...]
    calls: tuple[LiteralCall, ...] | None
    """Its calls if nothing but their ids and signatures differs from one request to the next; else None."""
    by_use: bool = field(default=False, kw_only=True)
    """Whether it may depend on how often the rule has answered before: through a template, a choice or a fault's trigger."""
    hands_over: bool = field(default=False, kw_only=True)
    """Whether it is the answer of the default scenario."""
    runs_once: ClassVar[bool] = False
    """Whether making it again for the same request would be noticed."""

    def make(self, context: Context) -> tuple[Part, ...]:
        """The parts of one choice. Raises AnswerError if the request lacks what a step needs."""
        parts: list[Part] = []
        for make_part in self.steps:
            made = make_part(context)
            if isinstance(made, tuple):
                parts += made
            elif made is not None:
                parts.append(made)
        return tuple(parts)


@dataclass(frozen=True, slots=True)
class _Constant:
    """Makes the same part for every request."""

    part: Part

    def __call__(self, _context: Context) -> Part:
        return self.part


def compile_reply(reply: Reply, file: ScenarioFile) -> CompiledReply:
    """Compile a reply of a scenario file. Raises AnswerError if a media file cannot be read."""
    return _compile_steps(reply, file, "")


def _compile_steps(reply: Reply, file: ScenarioFile, label: str) -> CompiledReply:
    """Compile a reply; `label` tells the random choices of its steps from those of other replies of the same rule."""
    if isinstance(reply, str) and reply in HANDED_OVER:
        _load_default()
        return CompiledReply((_hand_over,), None, hands_over=True)
    compiled: list[MakePart] = []
    by_use = False
    for number, step in enumerate(_steps_of(reply)):
        make_part = _compile_step(step, file, f"{label}{number}")
        pace = step.pace if isinstance(step, Paced) else None
        if pace is None:
            compiled.append(make_part)
        else:
            compiled += [_emit(PaceChange(compile_pace(pace))), make_part, _emit(PaceChange(None))]
        is_drawn = isinstance(step, Cut | Fail | Garble | Stall | OneOf)
        by_use = by_use or is_drawn or pace is not None or _has_template(step, make_part)
    if all(isinstance(make_part, _Constant | LiteralCall) for make_part in compiled):
        return CompiledReply(tuple(compiled), tuple(one for one in compiled if isinstance(one, LiteralCall)))
    return CompiledReply(tuple(compiled), None, by_use=by_use)


def _has_template(step: Step, make_part: MakePart) -> bool:
    if isinstance(make_part, _Constant | LiteralCall):
        return False
    shown = repr(step)
    return "{{" in shown or "{%" in shown


class _DefaultRule(NamedTuple):
    """A rule of the default scenario."""

    name: str
    conditions: tuple[Condition, ...]
    reply: CompiledReply
    usage: Usage


@cache
def _load_default() -> tuple[_DefaultRule, ...]:
    """The rules of the default scenario, of which one answers every request. Raises AnswerError if one has no reply."""
    rules: list[_DefaultRule] = []
    for file in read_paths([default_scenario_path()]).scenarios:
        usage = file.scenario.defaults.usage or Usage()
        for number, rule in enumerate(file.scenario.rules, start=1):
            if not isinstance(rule, ReplyRule):
                raise AnswerError(f'the rule "{rule_name(rule, number)}" of the default scenario has no reply')
            reply = compile_reply(rule.reply, file)
            rules.append(_DefaultRule(rule_name(rule, number), compile_when(rule.when), reply, usage))
    return tuple(rules)


def _find_default(facts: Facts) -> _DefaultRule:
    return next(rule for rule in _load_default() if matches(rule.conditions, facts))


def name_default_rule(facts: Facts) -> str:
    """The name of the default scenario's rule that answers a request."""
    return _find_default(facts).name


def _hand_over(context: Context) -> tuple[Part, ...]:
    rule = _find_default(context.facts)
    context.usage = rule.usage
    return rule.reply.make(context)


def _compile_one_of(step: OneOf, file: ScenarioFile, label: str) -> MakePart:
    """Compile a choice of replies by weight; it follows from the seed, the request and how often the rule has answered."""
    weights = [one.weight if isinstance(one, Weighted) else 1.0 for one in step.one_of]
    options = [
        _compile_steps(one, file, f"{label} option {number} ") for number, one in enumerate(options_of(step), start=1)
    ]

    def make(context: Context) -> tuple[Part, ...]:
        random = context.request.rng.random("one_of", label, context.request.use, context.choice)
        return random.choices(options, weights)[0].make(context)

    return make


def find_signatures(replies: Iterable[Reply]) -> Iterator[str]:
    """The thought signatures that replies write out: of calls, of pictures and inside `raw`."""
    for step in (step for reply in replies for step in _steps_of(reply)):
        match step:
            case OneOf():
                yield from find_signatures(options_of(step))
            case Call(signature=str(written)) | Image(signature=str(written)) if written != "none":
                yield written
            case Raw(raw=written):
                text = written if isinstance(written, str) else dump(written).decode()
                yield from _SIGNATURE.findall(text)
            case _:
                pass


def _steps_of(reply: Reply) -> list[Step]:
    match reply:
        case str():
            return [Say.model_construct(say=reply)]
        case list():
            return reply
        case _:
            return [reply]


def _compile_step(step: Step, file: ScenarioFile, label: str) -> MakePart:
    """Compile one step; `label` is its number in the reply."""
    match step:
        case Say():
            return _compile_say(step)
        case Think():
            return _compile_text(step.think, step.chunks, is_thought=True)
        case Json():
            return _compile_json(step)
        case Call():
            return compile_call(step)
        case Image():
            return _compile_media("image", step.image, step.mime_type, step.signature, file)
        case Audio():
            return _compile_media("audio", step.audio, step.mime_type, "none", file)
        case OneOf():
            return _compile_one_of(step, file, label)
        case Pause():
            return _emit(PauseDirective(step.pause / 1000))
        case Fail() | Cut() | Stall() | Garble():
            return compile_fault_step(step, label)
        case Raw():
            return lambda context: _make_raw(fill_value(step.raw, context))


def _emit(directive: Directive) -> MakePart:
    # Not a `_Constant`: an answer in which time passes is not literal.
    return lambda _context: directive


def _compile_say(step: Say) -> MakePart:
    if step.say != "auto":
        return _compile_text(step.say, step.chunks, is_thought=False)

    def make(context: Context) -> Part:
        from emulator.engine.reply.auto import write_text  # noqa: PLC0415  # only `auto` needs it

        return make_text(write_text(context, step.chunks))

    return make


def _compile_text(written: str | list[str], chunks: Chunks | None, *, is_thought: bool) -> MakePart:
    if isinstance(written, list):
        if is_literal(written):
            return _Constant(make_text(tuple(written), is_thought=is_thought))
        return lambda context: make_text(tuple(fill_text(one, context) for one in written), is_thought=is_thought)
    if is_literal(written):
        return _Constant(make_text(divide(written, chunks), is_thought=is_thought))
    return lambda context: make_text(divide(fill_text(written, context), chunks), is_thought=is_thought)


def _compile_json(step: Json) -> MakePart:
    value = step.json_
    if value != "auto":
        if is_literal(value):
            return _compile_text(dump(value).decode(), step.chunks, is_thought=False)
        return lambda context: make_text(divide(dump(fill_value(value, context)).decode(), step.chunks))

    def make(context: Context) -> Part:
        from emulator.engine.reply.auto import write_json  # noqa: PLC0415  # only `auto` needs it

        return make_text(divide(write_json(context), step.chunks))

    return make


def _compile_media(
    kind: str, address: str, mime_type: str | None, signature: str | None, file: ScenarioFile
) -> MakePart:
    """Compile an `image` or `audio` step: from a file or URL, or generated for each answer (`auto`)."""

    def make_part(context: Context, data: str, mime: str) -> MediaPart:
        made = None if signature == "none" else signature
        if signature is None and signs_media(context.facts.model):
            salt = context.request.rng.id_bits(128, "signature", context.choice)
            made = sign(data, salt, context.request.inputs.seed)
        return MediaPart(data, mime, made)

    if address != "auto":
        data, loaded_mime = load_media(address, mime_type, file)
        return lambda context: make_part(context, data, loaded_mime)
    generate, mime = choose_generator(kind, mime_type)
    return lambda context: make_part(
        context, to_base64(generate(context.request.rng.random(kind, context.choice))), mime
    )


def _make_raw(value: Any) -> RawPart:
    if isinstance(value, str):
        data = value.encode("utf-8", "replace")
        return RawPart(data, data)
    data = dump(value)
    return RawPart(data, event(data))
