"""Faults of a rule, compiled: when each is triggered, and the error that a `fail` answers.

What a triggered fault does to an answer is in `emulator.engine.timeline.faults`, the language in `emulator.scenario.faults`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from emulator.catalogue.errors import CatalogueError, find
from emulator.catalogue.faults import FAULTS
from emulator.engine.error_answers import refuse, values_for
from emulator.engine.reply.parts import FailPart
from emulator.engine.reply.templates import Context, fill_text, fill_value
from emulator.engine.timeline.directives import Fault
from emulator.errors import AnswerError
from emulator.scenario.checks.faults import explain_unknown_error
from emulator.scenario.faults import (
    FIRST_STATUS,
    LAST_STATUS,
    Cut,
    Fail,
    FaultSetting,
    FaultTrigger,
    Garble,
    PlacedFail,
    SmallWrites,
    Stall,
    read_fault,
    read_status,
)
from emulator.scenario.templates.template import is_template
from emulator.suggestions import quote
from emulator.wire.errors import Refusal

CompiledFault = Callable[[Context], Fault | None]
"""Makes the fault of one answer; None if it is not triggered this time."""


def compile_faults(written: FaultSetting | None, label: str = "beside") -> tuple[CompiledFault, ...]:
    """Compile the faults of a rule or of a server; `label` seeds their chances differently from others."""
    if written is None:
        return ()
    several = written if isinstance(written, list) else [written]
    faults = [read_fault(FAULTS[one].written) if isinstance(one, str) else one for one in several]
    return tuple(_compile_fault(fault, f"{label} {number}") for number, fault in enumerate(faults))


def compile_fault_step(step: Fail | Cut | Stall | Garble, label: str) -> Callable[[Context], FailPart | Fault | None]:
    """Compile a fault that is a step of a reply; `label` seeds its chance differently from those of other steps."""
    if not isinstance(step, Fail):
        return _compile_fault(step, label)
    make_refusal = _compile_refusal(step)
    return lambda context: FailPart(make_refusal(context)) if _is_triggered(step, context, label) else None


def _compile_fault(fault: Cut | Stall | Garble | PlacedFail | SmallWrites, label: str) -> CompiledFault:
    if isinstance(fault, PlacedFail):
        make_refusal = _compile_refusal(fault)
        return lambda context: Fault(fault, make_refusal(context)) if _is_triggered(fault, context, label) else None
    made = Fault(fault)
    return lambda context: made if _is_triggered(fault, context, label) else None


def _is_triggered(trigger: FaultTrigger, context: Context, label: str) -> bool:
    """Whether `first`, `after`, `every` and `chance` all hold for this use of the rule.

    With a seed, chance follows from seed, label, project and use; without one it is new each time.
    """
    request = context.request
    use = request.use
    if trigger.first is not None and use > trigger.first:
        return False
    if trigger.after is not None and use <= trigger.after:
        return False
    if trigger.every is not None and use % trigger.every:
        return False
    if trigger.chance is None:
        return True
    labels = ("odds", label, use, request.facts.target.project)
    entropy = "" if request.inputs.seed is not None else request.inputs.entropy.hex()
    return request.rng.random(*labels, entropy).random() < trigger.chance


def _find_error(key: Any) -> CatalogueError:
    """The error of that name or number. Raises AnswerError if there is none."""
    if isinstance(key, bool) or not isinstance(key, int | str):
        raise AnswerError(f'"fail" makes {quote(key)}; it must be an HTTP status or the name of an error')
    if problem := explain_unknown_error(key):
        raise AnswerError(problem)
    found = find(key)
    if found is None:
        raise AnswerError(f"the error catalogue has no {quote(key)}")
    return found


def _fill_status(status: int | str | None, context: Context) -> int | None:
    """The HTTP status, its template filled in. Raises AnswerError for what is none."""
    if not isinstance(status, str):
        return status
    made = fill_value(status, context)
    found = read_status(made)
    if found is None:
        raise AnswerError(
            f'"status" makes {quote(made)}; it must be a whole number from {FIRST_STATUS} to {LAST_STATUS}'
        )
    return found


def _compile_refusal(fail: Fail) -> Callable[[Context], Refusal]:
    """Compile the error of a `fail`: a catalogue entry, with a message, details or a whole body of the scenario's own."""
    is_filled = isinstance(fail.fail, str) and is_template(fail.fail)
    known = None if is_filled else _find_error(fail.fail)
    headers = () if fail.retry_after_s is None else (("retry-after", str(fail.retry_after_s)),)

    def make(context: Context) -> Refusal:
        message = None if fail.message is None else fill_text(fail.message, context)
        values = values_for(context.facts.target, context.facts.model)
        error = known or _find_error(fill_value(fail.fail, context))
        refusal = refuse(error, values, message=message, details=fill_value(fail.details, context))
        refusal = replace(refusal, headers=headers, http_status=_fill_status(fail.status, context))
        if fail.body is None:
            return refusal
        body = fill_value(fail.body, context)
        if isinstance(body, str):
            is_html = body.lstrip().startswith("<")
            return replace(refusal, message=body, framing="html" if is_html else "text", flat=None)
        return replace(refusal, flat=body, framing="object")

    return make
