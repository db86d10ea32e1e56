"""Endpoints of one's own: which there are, and how their containers refuse a request."""

from collections.abc import Mapping

from emulator.engine.refusals import refuse, values_for
from emulator.scenario.rules import Endpoint, Family
from emulator.wire.errors import Refusal
from emulator.wire.urls import Target

_INVALID = "INVALID_ARGUMENT"


def refuse_endpoint(target: Target, endpoints: Mapping[str, Endpoint]) -> Refusal | None:
    """The 404 for an endpoint that the scenario does not name, once it names any; `openapi` is always there."""
    if target.is_openapi or not endpoints or target.endpoint in endpoints:
        return None
    named = ", ".join(f'"{name}"' for name in endpoints)
    explanation = f'endpoint "{target.endpoint}" is not under "endpoints" in the scenario, which has {named}'
    return refuse("self_deployed_endpoint_not_found", values_for(target), place="the URL", explanation=explanation)


def family_of(target: Target, endpoint: Endpoint | None) -> Family | None:
    """The family that an own endpoint is said to be, vLLM if nothing is said (assumed); None on the shared endpoint."""
    if target.is_openapi:
        return None
    return endpoint.family if endpoint else "vllm"


def refuse_in_container(refusal: Refusal, family: Family | None) -> Refusal:
    """An invalid request as the container refuses it, where there is one: the request got past Google to it.

    The flat object of vLLM is observed, that of TGI its source's (`error`, `error_type`, status 422); both texts are the emulator's.
    """
    if refusal.status != _INVALID or family not in {"vllm", "tgi"}:
        return refusal
    if family == "vllm":
        place, message = refusal.place, refusal.explanation or refusal.message
        return refuse("vllm_bad_request", {}, place=place, explanation=refusal.explanation, message=message)
    return Refusal(
        code=422,
        status=None,
        message=refusal.message,
        framing="object",
        flat={"error": f"Input validation error: {refusal.explanation or refusal.message}", "error_type": "validation"},
        rule=refusal.rule,
        place=refusal.place,
        explanation=refusal.explanation,
    )
