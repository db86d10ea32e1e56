"""Tool calls of a reply: the function, its arguments, its id and its thought signature."""

from collections.abc import Callable
from dataclasses import dataclass

from emulator.catalogue.quirks import QuirkName
from emulator.engine.randomness import SeededRandom
from emulator.engine.reply.chunking import divide
from emulator.engine.reply.parts import CallPart
from emulator.engine.reply.templates import Context, fill_text, fill_value
from emulator.engine.request.tools import next_tool
from emulator.engine.signatures import sign_call, signs_calls, text_of_call
from emulator.errors import AnswerError
from emulator.scenario.steps import Call
from emulator.scenario.templates.template import is_literal
from emulator.wire.ids import make_call_id
from emulator.wire.json_text import dump


@dataclass(frozen=True, slots=True)
class LiteralCall:
    """A call whose name and arguments are known; only its id and signature depend on the request and on chance."""

    name: str
    arguments: str
    id: str | None
    signature: str | None
    """As the scenario writes it: `none` for no signature, None for a generated one."""
    pieces: tuple[str, ...] | None
    signed_text: str
    """The text that a generated signature signs."""

    def __call__(self, context: Context) -> CallPart:
        """The part for a choice, of which it is the next call."""
        request, number = context.request, context.calls
        context.calls += 1
        call_id, signature = self.draw(context.facts.model, request.rng, context.choice, number, request.quirks)
        return CallPart(self.name, self.arguments, call_id, signature, self.pieces)

    def draw(
        self, model: str, rng: SeededRandom, choice: int, number: int, quirks: frozenset[QuirkName] = frozenset()
    ) -> tuple[str, str | None]:
        """The id and signature of this call as the one with this number, from 0, of a choice.

        Documented: only the first of parallel calls is signed; the quirk `signature_on_every_call` signs them all.
        """
        signature = None if self.signature == "none" else self.signature
        if self.signature is None and (not number or "signature_on_every_call" in quirks) and signs_calls(model):
            labels = ("signature", choice, number) if number else ("signature", choice)
            signature = sign_call(self.signed_text, model, rng.id_bits(128, *labels), rng.seed)
        return self.id or make_call_id(rng.id_bits(128, "call", choice, number)), signature


def compile_call(step: Call) -> Callable[[Context], CallPart]:
    """Compile a `call` step; without templates and `auto` it is a `LiteralCall`."""
    literal = dump(step.with_).decode() if isinstance(step.with_, dict) and is_literal(step.with_) else None

    def make_literal(name: str, arguments: str) -> LiteralCall:
        pieces = None if step.chunks is None else divide(arguments, step.chunks)
        return LiteralCall(name, arguments, step.id, step.signature, pieces, text_of_call(name, arguments))

    if literal is not None and step.call != "auto" and is_literal(step.call):
        return make_literal(step.call, literal)

    def make(context: Context) -> CallPart:
        name = _choose_tool(context) if step.call == "auto" else fill_text(step.call, context)
        return make_literal(name, _make_arguments(step, name, context) if literal is None else literal)(context)

    return make


def _choose_tool(context: Context) -> str:
    """The tool that the request demands by name, else the one to call next."""
    facts = context.facts
    if facts.named_tool is not None:
        return facts.named_tool
    number = next_tool(facts, is_required=True)
    if number is None:
        raise AnswerError("a step says `call: auto`, but the request declares no tools")
    return facts.tools[number][0]


def _make_arguments(step: Call, name: str, context: Context) -> str:
    given = step.with_
    if given != "auto":
        return fill_text(given, context) if isinstance(given, str) else dump(fill_value(given, context)).decode()
    from emulator.engine.reply.auto import write_arguments  # noqa: PLC0415  # only `auto` needs it

    return write_arguments(name, context)
