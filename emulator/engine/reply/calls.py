"""Tool calls: which function, with which arguments, signed or not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emulator.catalogue.quirks import QuirkName
from emulator.engine.randomness import SeededRandom
from emulator.engine.reply.chunking import divide
from emulator.engine.reply.parts import CallPart
from emulator.engine.reply.templates import Context, fill_text, fill_value
from emulator.engine.request.tools import suitable_tool
from emulator.engine.signatures import sign, signs_calls, text_of_call
from emulator.errors import AnswerError
from emulator.scenario.steps import Call
from emulator.scenario.templates.template import is_literal
from emulator.wire.ids import make_call_id
from emulator.wire.json_text import dump


@dataclass(frozen=True, slots=True)
class LiteralCall:
    """A call that is written out: of its part only the id and the signature follow from the request and from chance."""

    name: str
    arguments: str
    id: str | None
    signature: str | None
    pieces: tuple[str, ...] | None
    signed: str
    """What is signed of it."""

    def __call__(self, context: Context) -> CallPart:
        """The part."""
        request, number = context.request, _count(context)
        id_, signature = self.draw(context.facts.model, request.rng, context.choice, number, request.quirks)
        return CallPart(self.name, self.arguments, id_, signature, self.pieces)

    def draw(
        self, model: str, rng: SeededRandom, choice: int, number: int, quirks: frozenset[QuirkName] = frozenset()
    ) -> tuple[str, str | None]:
        """Its id and its signature as the call of this number, from 0, of a choice."""
        is_drawn = self.signature is None and _is_signed(number, model, quirks)
        signature = _sign(self.signed, rng, choice, number) if is_drawn else _scripted(self.signature)
        return self.id or _draw_id(rng, choice, number), signature


def compile_call(step: Call) -> Callable[[Context], CallPart]:
    """The maker of a call step."""
    ready = dump(step.with_).decode() if isinstance(step.with_, dict) and is_literal(step.with_) else None
    if ready is not None and step.call != "auto" and is_literal(step.call):
        pieces = None if step.chunks is None else divide(ready, step.chunks)
        return LiteralCall(step.call, ready, step.id, step.signature, pieces, text_of_call(step.call, ready))

    def make(context: Context) -> CallPart:
        name = _choose_tool(context) if step.call == "auto" else fill_text(step.call, context)
        arguments = _arguments(step.with_, name, context) if ready is None else ready
        pieces = None if step.chunks is None else divide(arguments, step.chunks)
        return LiteralCall(name, arguments, step.id, step.signature, pieces, text_of_call(name, arguments))(context)

    return make


def _choose_tool(context: Context) -> str:
    """The tool that is demanded by name, else the one that suits the user's words best, else the first."""
    facts = context.facts
    if facts.named_tool is not None:
        return facts.named_tool
    if not facts.tools:
        raise AnswerError("a step says `call: auto`, but the request declares no tools")
    suitable = suitable_tool(facts)
    return facts.tools[suitable or 0][0]


def _arguments(given: dict[str, Any] | str, name: str, context: Context) -> str:
    if given != "auto":
        return fill_text(given, context) if isinstance(given, str) else dump(fill_value(given, context)).decode()
    parameters = next((parameters for tool, _, parameters in context.facts.tools if tool == name), None)
    from emulator.engine.sampling.sampler import sample_arguments  # noqa: PLC0415  # the server starts quicker so

    made = sample_arguments(parameters, context.request.rng.random("call", context.choice, context.calls))
    return dump(made).decode()


def _count(context: Context) -> int:
    """The number of the choice's next call."""
    context.calls += 1
    return context.calls - 1


def _draw_id(rng: SeededRandom, choice: int, number: int) -> str:
    return make_call_id(rng.id_bits(128, "call", choice, number))


def _is_signed(number: int, model: str, quirks: frozenset[QuirkName]) -> bool:
    """Documented: only the first of parallel calls is signed; the quirk `signature_on_every_call` signs them all."""
    return (not number or "signature_on_every_call" in quirks) and signs_calls(model)


def _sign(signed: str, rng: SeededRandom, choice: int, number: int) -> str:
    labels = ("signature", choice, number) if number else ("signature", choice)
    return sign(signed, rng.id_bits(128, *labels), rng.seed)


def _scripted(signature: str | None) -> str | None:
    return None if signature == "none" else signature
