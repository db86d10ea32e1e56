"""Faults and failures of a rule, compiled: for each request, whether they happen, and what a failure answers."""

from collections.abc import Callable
from dataclasses import replace

from emulator.catalogue.errors import find
from emulator.catalogue.faults import FAULTS
from emulator.engine.context import Context
from emulator.engine.cues import Fault
from emulator.engine.filling import fill_text, fill_value
from emulator.engine.odds import happens
from emulator.engine.parts import FailPart
from emulator.engine.refusing import refuse, values_for
from emulator.errors import AnswerError
from emulator.scenario.faults import Cut, Fail, FaultSetting, Garble, PlacedFail, SmallWrites, Stall, read_fault
from emulator.wire.refusals import Refusal

Mishap = Callable[[Context], Fault | None]
"""What makes a fault; None where it does not happen this time."""


def compile_faults(written: FaultSetting | None, label: str = "beside") -> tuple[Mishap, ...]:
    """The faults that stand beside an answer; `label` tells their odds from those of others."""
    if written is None:
        return ()
    several = written if isinstance(written, list) else [written]
    faults = [read_fault(FAULTS[one].written) if isinstance(one, str) else one for one in several]
    return tuple(compile_fault(fault, f"{label} {number}") for number, fault in enumerate(faults))


def compile_fault(fault: Cut | Stall | Garble | PlacedFail | SmallWrites, label: str) -> Mishap:
    """One fault; `label` tells it from others of the same reply."""
    if isinstance(fault, PlacedFail):
        answer = _refusal(fault)
        return lambda context: Fault(fault, answer(context)) if happens(fault, context, label) else None
    ready = Fault(fault)
    return lambda context: ready if happens(fault, context, label) else None


def compile_mishap(step: Fail | Cut | Stall | Garble, label: str) -> Callable[[Context], FailPart | Fault | None]:
    """A step that is one of these."""
    if not isinstance(step, Fail):
        return compile_fault(step, label)
    answer = _refusal(step)
    return lambda context: FailPart(answer(context)) if happens(step, context, label) else None


def _refusal(fail: Fail) -> Callable[[Context], Refusal]:
    error = find(fail.fail)
    if error is None:
        raise AnswerError(f'the error catalogue has no "{fail.fail}"')
    headers = () if fail.retry_after_s is None else (("retry-after", str(fail.retry_after_s)),)

    def make(context: Context) -> Refusal:
        message = None if fail.message is None else fill_text(fail.message, context)
        values = values_for(context.facts.target, context.facts.model)
        refusal = refuse(error, values, message=message, details=fail.details)
        refusal = replace(refusal, headers=headers, http_status=fail.status)
        if fail.body is None:
            return refusal
        body = fill_value(fail.body, context)
        if isinstance(body, str):
            return replace(
                refusal, message=body, framing="html" if body.lstrip().startswith("<") else "text", flat=None
            )
        return replace(refusal, flat=body, framing="object")

    return make
