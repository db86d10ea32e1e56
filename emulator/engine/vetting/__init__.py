"""Vetting: what Vertex itself would refuse, before any rule is asked."""

from collections.abc import Callable
from dataclasses import dataclass

from emulator.engine.facts import Facts
from emulator.engine.vetting.case import DEFAULT_POLICY, Case, CaseCheck, KnownModels, Policy
from emulator.engine.vetting.history import check_arguments, check_end, check_order
from emulator.engine.vetting.malformed import refuse_malformed
from emulator.engine.vetting.media import check_audio_format, check_image_detail, check_media
from emulator.engine.vetting.messages import check_contents, check_messages, find_content_warnings
from emulator.engine.vetting.model import check_model, check_model_form
from emulator.engine.vetting.output import (
    check_candidates,
    check_context,
    check_fragments,
    check_max_tokens,
    check_modalities,
)
from emulator.engine.vetting.parameters import check_parameters
from emulator.engine.vetting.schemas import check_schemas
from emulator.engine.vetting.signatures import check_signatures, find_signature_warnings
from emulator.engine.vetting.thinking import check_thinking
from emulator.engine.vetting.tools import check_search, check_tools_with_json
from emulator.scenario.rules import Vetting
from emulator.wire.refusals import Refusal

__all__ = ["Check", "KnownModels", "Policy", "Verdict", "judge", "refuse_malformed", "vet"]

Check = Callable[[Facts], Refusal | None]
"""What vets a request as a whole."""

# Assumed: first what is asked, then the messages one by one, then how they fit together, and last what needs all of them.
_CHECKS: tuple[CaseCheck, ...] = (
    check_model_form,
    check_model,
    check_parameters,
    check_contents,
    check_messages,
    check_max_tokens,
    check_candidates,
    check_modalities,
    check_fragments,
    check_thinking,
    check_tools_with_json,
    check_search,
    check_schemas,
    check_media,
    check_audio_format,
    check_image_detail,
    check_arguments,
    check_order,
    check_end,
    check_signatures,
    check_context,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request: the refusal it meets, or the warnings with which it is answered."""

    refusal: Refusal | None = None
    warnings: tuple[str, ...] = ()


def vet(facts: Facts, policy: Policy = DEFAULT_POLICY) -> Refusal | None:
    """The refusal that a request meets, that of the first rule it breaks, or None."""
    return _vet(Case(facts, policy))


def judge(facts: Facts, policy: Policy, vetting: Vetting, check: Check | None = None) -> Verdict:
    """The verdict on a request that could be read.

    `enforce` refuses what Vertex refuses. `warn` answers it, with the first refusal it would have met as a warning. `off` does
    not look. In all three a body that is not JSON, or whose values have other JSON types than documented, is refused before,
    because there is nothing to answer. `check` takes the place of the checks of chat completions.
    """
    if vetting == "off":
        return Verdict()
    case = Case(facts, policy)
    refusal = _vet(case) if check is None else check(facts) or check_model(case)
    if refusal is None:
        return Verdict(warnings=find_signature_warnings(case) + find_content_warnings(case) if check is None else ())
    if vetting == "enforce":
        return Verdict(refusal)
    return Verdict(warnings=(f"Vertex refuses this ({refusal.rule}): {refusal.explanation}",))


def _vet(case: Case) -> Refusal | None:
    for check in _CHECKS:
        refusal = check(case)
        if refusal is not None:
            return refusal
    return None
