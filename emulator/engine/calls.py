"""Tool calls: which function, with which arguments, signed or not."""

from collections.abc import Callable
from typing import Any

from emulator.engine.chunking import divide
from emulator.engine.context import Context
from emulator.engine.filling import fill_text, fill_value, is_literal
from emulator.engine.matching import suitable_tool
from emulator.engine.parts import CallPart
from emulator.engine.signatures import sign_call, signs_calls
from emulator.errors import AnswerError
from emulator.scenario.steps import Call
from emulator.wire.ids import make_call_id
from emulator.wire.json_text import dump


def compile_call(step: Call) -> Callable[[Context], CallPart]:
    """The maker of a call step."""
    ready = dump(step.with_).decode() if isinstance(step.with_, dict) and is_literal(step.with_) else None

    def make(context: Context) -> CallPart:
        name = _choose_tool(context) if step.call == "auto" else fill_text(step.call, context)
        arguments = _arguments(step.with_, name, context) if ready is None else ready
        dice, number = context.request.dice, context.calls
        context.calls += 1
        return CallPart(
            name=name,
            arguments=arguments,
            id=step.id or make_call_id(dice.id_bits(128, "call", context.choice, number)),
            signature=_signature(step.signature, name, arguments, number, context),
            pieces=None if step.chunks is None else divide(arguments, step.chunks),
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


def _signature(scripted: str | None, name: str, arguments: str, number: int, context: Context) -> str | None:
    """Documented: only the first of parallel calls is signed; the quirk `signature_on_every_call` signs them all."""
    if scripted is not None:
        return None if scripted == "none" else scripted
    is_signed = not number or "signature_on_every_call" in context.request.quirks
    if not is_signed or not signs_calls(context.facts.model):
        return None
    labels = ("signature", context.choice, number) if number else ("signature", context.choice)
    return sign_call(name, arguments, context.request.dice.id_bits(128, *labels), context.request.occasion.seed)
