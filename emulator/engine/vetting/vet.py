"""Vetting: what Vertex itself would refuse, before any rule is asked."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from emulator.engine.refusals import refuse, values_for
from emulator.engine.request.facts import Facts
from emulator.engine.vetting.case import DEFAULT_POLICY, Case, CaseCheck, Policy
from emulator.engine.vetting.history import check_arguments, check_end, check_order
from emulator.engine.vetting.media import check_audio_format, check_image_detail, check_media
from emulator.engine.vetting.messages import check_contents, check_messages, find_content_warnings
from emulator.engine.vetting.model import check_model, check_model_form
from emulator.engine.vetting.parameters import (
    check_candidates,
    check_context,
    check_fragments,
    check_max_tokens,
    check_modalities,
    check_parameters,
)
from emulator.engine.vetting.signatures import check_signatures, find_signature_warnings
from emulator.engine.vetting.thinking import check_thinking
from emulator.engine.vetting.tools import check_schemas, check_search, check_tools_with_json
from emulator.scenario.rules import Vetting
from emulator.wire.errors import Refusal
from emulator.wire.requests import MalformedRequestError
from emulator.wire.urls import Target


def refuse_malformed(error: MalformedRequestError, target: Target) -> Refusal:
    """The refusal of a body that is not JSON, or whose JSON has the wrong shape (status documented, texts assumed)."""
    if error.is_json:
        return refuse("generic_invalid_argument", values_for(target), place=error.place, explanation=error.explanation)
    message = f"Invalid JSON payload received. {error.explanation[:1].upper()}{error.explanation[1:]}\n{error.snippet}"
    return refuse(
        "invalid_json_payload", values_for(target), place=error.place, explanation=error.explanation, message=message
    )


Check = Callable[[Facts], Refusal | None]
"""What vets a request as a whole."""

_Subject = Literal["parameters", "messages", "enclosures", "calls"]
"""What a check looks at: all but the messages, all messages, what they enclose besides text, or calls and their results."""

# Assumed: first what is asked, then the messages one by one, then how they fit together, and last what needs all of them.
_CHECKS: tuple[tuple[CaseCheck, _Subject], ...] = (
    (check_model_form, "parameters"),
    (check_model, "parameters"),
    (check_parameters, "parameters"),
    (check_contents, "messages"),
    (check_messages, "messages"),
    (check_max_tokens, "parameters"),
    (check_candidates, "parameters"),
    (check_modalities, "parameters"),
    (check_fragments, "parameters"),
    (check_thinking, "parameters"),
    (check_tools_with_json, "parameters"),
    (check_search, "parameters"),
    (check_schemas, "parameters"),
    (check_media, "enclosures"),
    (check_audio_format, "enclosures"),
    (check_image_detail, "enclosures"),
    (check_arguments, "calls"),
    (check_order, "calls"),
    (check_end, "messages"),
    (check_signatures, "calls"),
    (check_context, "messages"),
)
_MOST_POLICIES = 8


@dataclass(frozen=True, slots=True)
class VettingResult:
    """What becomes of a request: the refusal it meets, or the warnings with which it is answered."""

    refusal: Refusal | None = None
    warnings: tuple[str, ...] = ()


_FINE = VettingResult()


def vet(facts: Facts, policy: Policy = DEFAULT_POLICY) -> Refusal | None:
    """The refusal that a request meets, that of the first rule it breaks, or None."""
    return _vet(Case(facts, policy))


def judge(facts: Facts, policy: Policy, vetting: Vetting, check: Check | None = None) -> VettingResult:
    """The verdict on a request that could be read.

    `enforce` refuses what Vertex refuses. `warn` answers it, with the first refusal it would have met as a warning. `off` does
    not look. In all three a body that is not JSON, or whose values have other JSON types than documented, is refused before,
    because there is nothing to answer. `check` takes the place of the checks of chat completions.
    """
    if vetting == "off":
        return _FINE
    case = Case(facts, policy)
    refusal = _vet(case) if check is None else check(facts) or check_model(case)
    if refusal is None:
        may_warn = check is None and case.may_have_calls
        return (
            VettingResult(warnings=find_signature_warnings(case) + find_content_warnings(case)) if may_warn else _FINE
        )
    if vetting == "enforce":
        return VettingResult(refusal)
    return VettingResult(warnings=(f"Vertex refuses this ({refusal.rule}): {refusal.explanation}",))


def _vet(case: Case) -> Refusal | None:
    passed = case.facts.vetted
    has_passed = case.policy in passed
    for check in _list_checks(has_passed, case.facts.may_enclose, case.may_have_calls):
        refusal = check(case)
        if refusal is not None:
            return refusal
    if not has_passed and len(passed) < _MOST_POLICIES:
        passed.add(case.policy)
    return None


@cache
def _list_checks(has_passed: bool, may_enclose: bool, may_have_calls: bool) -> tuple[CaseCheck, ...]:
    """Those that can find anything; what is wrong with the parameters has been looked for in other requests with the same."""
    asked = {"messages": True, "parameters": not has_passed, "enclosures": may_enclose, "calls": may_have_calls}
    return tuple(check for check, subject in _CHECKS if asked[subject])
