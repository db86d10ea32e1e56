"""Tool calls: which function, with which arguments, signed or not."""

from collections.abc import Callable
from typing import Any

from emulator.engine.chunking import divide
from emulator.engine.context import Context
from emulator.engine.filling import fill_text, fill_value, is_literal
from emulator.engine.matching import suitable_tool
from emulator.engine.parts import CallPart
from emulator.engine.signatures import sign, signs_calls, text_of_call
from emulator.errors import AnswerError
from emulator.scenario.steps import Call
from emulator.values import dataclass
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
        """The part. What is drawn for it goes by its place among the calls."""
        id_, signature = _draw(self.id, self.signature, context, lambda: self.signed)
        return CallPart(self.name, self.arguments, id_, signature, self.pieces)


def compile_call(step: Call) -> Callable[[Context], CallPart]:
    """The maker of a call step."""
    ready = dump(step.with_).decode() if isinstance(step.with_, dict) and is_literal(step.with_) else None
    if ready is not None and step.call != "auto" and is_literal(step.call):
        pieces = None if step.chunks is None else divide(ready, step.chunks)
        return LiteralCall(step.call, ready, step.id, step.signature, pieces, text_of_call(step.call, ready))

    def make(context: Context) -> CallPart:
        name = _choose_tool(context) if step.call == "auto" else fill_text(step.call, context)
        arguments = _arguments(step.with_, name, context) if ready is None else ready
        id_, signature = _draw(step.id, step.signature, context, lambda: text_of_call(name, arguments))
        return CallPart(
            name, arguments, id_, signature, None if step.chunks is None else divide(arguments, step.chunks)
        )

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
    from emulator.engine.sampling import sample_arguments  # noqa: PLC0415  # the server starts quicker so

    made = sample_arguments(parameters, context.request.dice.random("call", context.choice, context.calls))
    return dump(made).decode()


def _draw(
    id_: str | None, signature: str | None, context: Context, signed: Callable[[], str]
) -> tuple[str, str | None]:
    """The id and the signature of the next call, those of the scenario if it gives any.

    Documented: only the first of parallel calls is signed; the quirk `signature_on_every_call` signs them all.
    """
    dice, choice, number = context.request.dice, context.choice, context.calls
    context.calls += 1
    if not id_:
        id_ = make_call_id(dice.id_bits(128, "call", choice, number))
    if signature is not None:
        return id_, None if signature == "none" else signature
    is_signed = not number or "signature_on_every_call" in context.request.quirks
    if not is_signed or not signs_calls(context.facts.model):
        return id_, None
    labels = ("signature", choice, number) if number else ("signature", choice)
    return id_, sign(signed(), dice.id_bits(128, *labels), context.request.occasion.seed)
