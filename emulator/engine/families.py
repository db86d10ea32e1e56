"""Model families: the dialect of a model's answers, whether it thinks, where its thoughts go, and what the ids of its tool calls look like.

Also the refusals of endpoints of one's own, in the format of their containers.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from emulator.catalogue.models import ModelCard, ReasoningPlace, all_models, find_model, generation
from emulator.engine.error_answers import refuse, values_for
from emulator.scenario.rules import Endpoint, Family
from emulator.wire.dialects import GEMINI, GPT_OSS, GROK, LLAMA, R1, SGLANG, TGI, VLLM, Dialect
from emulator.wire.errors import Refusal
from emulator.wire.requests import ChatRequest
from emulator.wire.urls import Target
from emulator.wire.usage import Usage

_GENERATED_CALL_ID = re.compile(r"function-call-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_SWITCHES = ("thinking", "enable_thinking")


@dataclass(frozen=True, slots=True)
class AnswerStyle:
    """How a model writes its answers."""

    dialect: Dialect
    reasoning_in: ReasoningPlace = "content"
    thinks: bool = True
    """Whether it can think."""
    thinks_by_default: bool = True
    switches: tuple[str, ...] = ()
    """The keys of `chat_template_kwargs` that turn thinking on or off."""

    @property
    def is_gemini(self) -> bool:
        """Whether it is a Gemini model, whose thinking has rules of its own."""
        return self.dialect is GEMINI

    def is_thinking(self, request: ChatRequest) -> bool:
        """Whether it thinks about a request (switches documented: maas-thinking), at the top of the body or in `extra_body`."""
        if not self.thinks:
            return False
        for holder in (request, request.get("extra_body") or {}):
            options = holder.get("chat_template_kwargs")
            if isinstance(options, dict):
                for switch in self.switches:
                    if isinstance(options.get(switch), bool):
                        return bool(options[switch])
        return self.thinks_by_default

    def adapt_call(self, call_id: str, signature: str | None, name: str, position: int) -> tuple[str, str | None]:
        """Id and signature of a tool call as this model writes them: only Gemini signs; ids written in a scenario stay."""
        if self.is_gemini:
            return call_id, signature
        found, form = _GENERATED_CALL_ID.fullmatch(call_id), self.dialect.call_id
        if found is None or form is None:
            return call_id, None
        return form.format(hex=found[1].replace("-", ""), name=name, position=position), None


def choose_style(model: str, family: str | None) -> AnswerStyle:
    """The style of a model: from its card, else from its publisher and name; on an own endpoint from the family that is given for it.

    Assumed: vLLM has a reasoning parser for its model, TGI has none; an unknown model thinks. A model that the catalogue lacks has the
    style of the first one of its publisher that thinks; models of publishers that it lacks are served by SGLang. Without a publisher
    it is Google's.
    """
    card = find_model(model)
    if family in {"vllm", "tgi"}:
        thinks = card is None or card.thinking
        if family == "vllm":
            return AnswerStyle(VLLM, "reasoning_content", thinks, switches=_SWITCHES)
        return AnswerStyle(TGI, "think_tags", thinks)
    if family is not None:
        # Own endpoints may name a model with or without its publisher.
        named = (one for one in all_models() if one.family == family and model in {one.id, one.id.partition("/")[2]})
        card = next(named, None) or _find_representative(lambda one: one.family == family)
    elif card is not None:
        family = card.family
    else:
        family = "gemini"
        publisher, slash, name = model.partition("/")
        if generation(model) is None and slash and (publisher != "google" or name.startswith("gemma")):
            card = _find_representative(
                lambda one: one.id.startswith(f"{publisher}/") and not one.family.startswith("gemini")
            )
            family = card.family if card else ""
    if family.startswith("gemini"):
        return AnswerStyle(GEMINI)
    if card is None:
        return AnswerStyle(SGLANG, "reasoning_content", switches=_SWITCHES)
    switches = (card.thinking_switch,) if card.thinking_switch else ()
    dialect = _dialect_of(card, family, model)
    return AnswerStyle(dialect, card.reasoning_in, card.thinking, card.thinks_by_default, switches)


def _find_representative(fits: Callable[[ModelCard], bool]) -> ModelCard | None:
    """The first fitting card that thinks, else the first fitting one."""
    found = [card for card in all_models() if fits(card)]
    return next((card for card in found if card.thinking), found[0] if found else None)


def _dialect_of(card: ModelCard, family: str, model: str) -> Dialect:
    if family == "llama":
        return LLAMA
    if family == "grok":
        fingerprint = "fp_" + blake2b(model.encode("utf-8", "replace"), digest_size=5).hexdigest()
        return replace(GROK, body={"system_fingerprint": fingerprint}, chunk={"system_fingerprint": fingerprint})
    if card.reasoning_in == "think_tags" and card.matched_stop is None:
        return R1
    changes: dict[str, Any] = {"finished": {"matched_stop": card.matched_stop}}
    if card.reasoning_in == "open_think_tag":
        changes["body"] = {}
    if family == "gemma":
        changes["usage"] = Usage.to_gemma
    if family == "gpt-oss":
        return replace(GPT_OSS, **changes)
    if family == "kimi":
        changes["call_id"] = "functions.{name}:{position}"
    return replace(SGLANG, **changes)


def family_of(target: Target, endpoint: Endpoint | None) -> Family | None:
    """The family given for an own endpoint, vLLM if none is given (assumed); None on the shared endpoint."""
    if target.is_openapi:
        return None
    return endpoint.family if endpoint else "vllm"


def refuse_endpoint(target: Target, endpoints: Mapping[str, Endpoint]) -> Refusal | None:
    """The 404 for an endpoint that the scenario does not name, once it names any; `openapi` always exists."""
    if target.is_openapi or not endpoints or target.endpoint in endpoints:
        return None
    named = ", ".join(f'"{name}"' for name in endpoints)
    explanation = f'endpoint "{target.endpoint}" is not under "endpoints" in the scenario, which has {named}'
    return refuse("self_deployed_endpoint_not_found", values_for(target), place="the URL", explanation=explanation)


def refuse_in_container(refusal: Refusal, family: Family | None) -> Refusal:
    """The refusal of an invalid request as the container of an own endpoint writes it; other refusals are Google's and stay.

    The flat object of vLLM is observed, that of TGI its source's (`error`, `error_type`, status 422); both texts are the emulator's.
    """
    if refusal.status != "INVALID_ARGUMENT" or family not in {"vllm", "tgi"}:
        return refusal
    text = refusal.explanation or refusal.message
    if family == "vllm":
        return refuse("vllm_bad_request", {}, place=refusal.place, explanation=refusal.explanation, message=text)
    return Refusal(
        code=422,
        status=None,
        message=refusal.message,
        framing="object",
        flat={"error": f"Input validation error: {text}", "error_type": "validation"},
        rule=refusal.rule,
        place=refusal.place,
        explanation=refusal.explanation,
    )
