"""Steps, compiled: each becomes a maker, which for a given request makes a part of the answer.

What does not depend on the request is made here, once.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from emulator.engine.reply.calls import LiteralCall, compile_call
from emulator.engine.reply.chunking import divide
from emulator.engine.reply.media import draw, load_media, to_base64
from emulator.engine.reply.parts import MediaPart, Part, RawPart, make_text
from emulator.engine.reply.templates import Context, fill_text, fill_value
from emulator.engine.signatures import sign, signs_media
from emulator.engine.timeline.directives import Directive, PaceChange
from emulator.engine.timeline.directives import Pause as PauseCue
from emulator.engine.timeline.faults import compile_fault_step
from emulator.engine.timeline.pace import compile_pace
from emulator.scenario.faults import Cut, Fail, Garble, Stall
from emulator.scenario.loading import ScenarioFile
from emulator.scenario.pace import Paced
from emulator.scenario.steps import Audio, Call, Chunks, Image, Json, Pause, Raw, Reply, Say, Step, Think
from emulator.scenario.templates.template import is_literal
from emulator.wire.json_text import dump
from emulator.wire.sse import event

StepFunction = Callable[[Context], Part | None]
"""What makes a part; None where a fault does not happen this time."""

_SIGNATURE = re.compile(r'"thought_signature"\s*:\s*"([^"]+)"')

# What `json: auto` makes when the request demands JSON but gives no schema.
_ANY_OBJECT = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


@dataclass(frozen=True, slots=True, eq=False)
class CompiledReply:
    """A reply ready to be made. Two that say the same are not one: each belongs to its rule."""

    makers: tuple[StepFunction, ...]
    calls: tuple[LiteralCall, ...] | None
    """Its calls, where its parts are the same for every request but for the ids and signatures of these."""
    by_use: bool = field(default=False, kw_only=True)
    """Whether it may matter how often the rule has answered before: a template can ask, and what goes wrong goes by it."""

    def make(self, context: Context) -> tuple[Part, ...]:
        """The parts of one choice. Raises AnswerError if the request does not give what a step needs."""
        return tuple([part for maker in self.makers if (part := maker(context)) is not None])


def compile_reply(reply: Reply, file: ScenarioFile) -> CompiledReply:
    """Compile a reply as it is written."""
    makers: list[StepFunction] = []
    for number, step in enumerate(_steps_of(reply)):
        written = step.pace if isinstance(step, Paced) else None
        if written is None:
            makers.append(_compile(step, file, str(number)))
        else:
            makers += [
                _cue(PaceChange(compile_pace(written))),
                _compile(step, file, str(number)),
                _cue(PaceChange(None)),
            ]
    if all(isinstance(maker, _Same | LiteralCall) for maker in makers):
        return CompiledReply(tuple(makers), tuple(maker for maker in makers if isinstance(maker, LiteralCall)))
    return CompiledReply(tuple(makers), None, by_use=any(_goes_by_use(step) for step in _steps_of(reply)))


def _goes_by_use(step: Step) -> bool:
    if isinstance(step, Cut | Fail | Garble | Stall) or (isinstance(step, Paced) and step.pace is not None):
        return True
    text = repr(step)
    return "{{" in text or "{%" in text


@dataclass(frozen=True, slots=True)
class _Same:
    """What makes the same part for every request."""

    part: Part

    def __call__(self, _context: Context) -> Part:
        return self.part


def find_signatures(replies: Iterable[Reply]) -> Iterator[str]:
    """The thought signatures that replies write themselves: of calls, of pictures and inside `raw`."""
    for step in (step for reply in replies for step in _steps_of(reply)):
        match step:
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


def _compile(step: Step, file: ScenarioFile, label: str) -> StepFunction:
    match step:
        case Say():
            return _text(step.say, step.chunks, is_thought=False)
        case Think():
            return _text(step.think, step.chunks, is_thought=True)
        case Json():
            return _json(step)
        case Call():
            return compile_call(step)
        case Image():
            return _media("image", step.image, step.mime_type, step.signature, file)
        case Audio():
            return _media("audio", step.audio, step.mime_type, "none", file)
        case Pause():
            return _cue(PauseCue(step.pause / 1000))
        case Fail() | Cut() | Stall() | Garble():
            return compile_fault_step(step, label)
        case Raw():
            return _raw(step)


def _cue(cue: Directive) -> StepFunction:
    return lambda _context: cue


def _text(written: str | list[str], chunks: Chunks | None, *, is_thought: bool) -> StepFunction:
    if isinstance(written, list):
        if is_literal(written):
            return _Same(make_text(tuple(written), is_thought=is_thought))
        return lambda context: make_text(tuple(fill_text(one, context) for one in written), is_thought=is_thought)
    if is_literal(written):
        return _Same(make_text(divide(written, chunks), is_thought=is_thought))
    return lambda context: make_text(divide(fill_text(written, context), chunks), is_thought=is_thought)


def _json(step: Json) -> StepFunction:
    value = step.json_
    if value != "auto":
        return _text(dump(value).decode(), step.chunks, is_thought=False) if is_literal(value) else _filled_json(step)

    def make(context: Context) -> Part:
        schema = context.facts.response_schema
        asked = _ANY_OBJECT if schema is None or schema[1] is None else schema[1]
        made = _sampler()(asked, context.request.rng.random("json", context.choice))
        return make_text(divide(dump(made).decode(), step.chunks))

    return make


@cache
def _sampler() -> Callable[[Any, Random], Any]:
    from emulator.engine.sampling.sampler import sample  # noqa: PLC0415  # the server starts quicker without it

    return sample


def _filled_json(step: Json) -> StepFunction:
    return lambda context: make_text(divide(dump(fill_value(step.json_, context)).decode(), step.chunks))


def _media(kind: str, address: str, mime_type: str | None, signature: str | None, file: ScenarioFile) -> StepFunction:
    if address != "auto":
        data, mime = load_media(address, mime_type, file)
        return lambda context: MediaPart(data, mime, _sign_media(context, signature, data))
    paint, mime = draw(kind, mime_type)

    def make(context: Context) -> Part:
        data = to_base64(paint(context.request.rng.random(kind, context.choice)))
        return MediaPart(data, mime, _sign_media(context, signature, data))

    return make


def _sign_media(context: Context, signature: str | None, data: str) -> str | None:
    if signature is not None:
        return None if signature == "none" else signature
    if not signs_media(context.facts.model):
        return None
    return sign(data, context.request.rng.id_bits(128, "signature", context.choice), context.request.inputs.seed)


def _raw(step: Raw) -> StepFunction:
    def make(context: Context) -> Part:
        value: Any = fill_value(step.raw, context)
        if isinstance(value, str):
            data = value.encode("utf-8", "replace")
            return RawPart(data, data)
        data = dump(value)
        return RawPart(data, event(data))

    return make
