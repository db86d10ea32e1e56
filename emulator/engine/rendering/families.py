"""Families: which dialect a model answers in, whether it thinks, and where its thoughts stand."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from emulator.catalogue.models import ModelCard, ReasoningPlace, all_models, find_model, generation
from emulator.engine.refusals import refuse, values_for
from emulator.engine.reply.parts import CallPart, Part, TextPart, make_text
from emulator.scenario.rules import Endpoint, Family
from emulator.wire.dialects import GEMINI, GROK, LLAMA, R1, SGLANG, TGI, VLLM, Dialect
from emulator.wire.errors import Refusal
from emulator.wire.requests import ChatRequest
from emulator.wire.urls import Target
from emulator.wire.usage import Usage

_OWN_CALL_ID = re.compile(r"function-call-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_SWITCHES = ("thinking", "enable_thinking")


@dataclass(frozen=True, slots=True)
class AnswerStyle:
    """How a model speaks."""

    dialect: Dialect
    place: ReasoningPlace = "content"
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

    def keep_thoughts(self, parts: tuple[Part, ...], request: ChatRequest) -> tuple[Part, ...]:
        """The parts of a choice, without the thoughts of a model that does not think. Gemini's are kept: they may be hidden later."""
        if self.is_gemini or self.is_thinking(request):
            return parts
        return tuple(part for part in parts if not _is_thought(part))

    def put(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """The parts of a choice with thoughts where this model has them, and ids of calls as it makes them."""
        if self.is_gemini:
            return parts
        put: list[Part] = []
        calls = 0
        for part in parts:
            if isinstance(part, TextPart) and part.is_thought:
                put += self._put_thought(part)
            elif isinstance(part, CallPart):
                id_, signature = self.put_call(part.id, part.signature, part.name, calls)
                put.append(replace(part, id=id_, signature=signature))
                calls += 1
            else:
                put.append(part)
        return tuple(put)

    def _put_thought(self, part: TextPart) -> list[Part]:
        match self.place:
            case "think_tags":
                return [make_text(("<think>", *part.pieces, "</think>"))]
            case "open_think_tag":
                return [make_text((*part.pieces, "</think>"))]
            case "hidden":
                return []
            case _:
                return [part]

    def put_call(self, id_: str, signature: str | None, name: str, position: int) -> tuple[str, str | None]:
        """Id and signature of a call as this model has them: others than Gemini never sign, and an id of the scenario's own stays."""
        if self.is_gemini:
            return id_, signature
        found, form = _OWN_CALL_ID.fullmatch(id_), self.dialect.call_id
        if found is None or form is None:
            return id_, None
        return form.format(hex=found[1].replace("-", ""), name=name, position=position), None


def _is_thought(part: Part) -> bool:
    return isinstance(part, TextPart) and part.is_thought


@lru_cache(maxsize=512)
def choose_style(model: str, family: str | None) -> AnswerStyle:
    """The voice of a model: by its card, else by its publisher and name; on an own endpoint by the family that is named for it.

    Assumed: vLLM has a reasoning parser for its model, TGI has none; a model that nobody knows thinks.
    Assumed: a model that the catalogue lacks speaks as the first one of its publisher that thinks; the models of publishers that
    it lacks are served by SGLang. Where no publisher is named it is Google.
    """
    card = find_model(model)
    if family in {"vllm", "tgi"}:
        thinks = card is None or card.thinking
        if family == "vllm":
            return AnswerStyle(VLLM, "reasoning_content", thinks, switches=_SWITCHES)
        return AnswerStyle(TGI, "think_tags", thinks)
    if family is not None:
        card = _own(model, family) or _kin(lambda one: one.family == family)
        return _voice_of(card, family, model)
    if card is None and generation(model) is None:
        publisher, slash, name = model.partition("/")
        if slash and (publisher != "google" or name.startswith("gemma")):
            card = _kin(lambda one: one.id.startswith(f"{publisher}/") and generation(one.id) is None)
            return _voice_of(card, card.family if card else "", model)
    return _voice_of(card, card.family if card else "gemini", model)


def _own(model: str, family: str) -> ModelCard | None:
    """The card of a model of this family, named with or without its publisher."""
    return next((card for card in all_models() if card.family == family and model in {card.id, _name(card.id)}), None)


def _name(model: str) -> str:
    return model.partition("/")[2]


def _kin(is_kin: Callable[[ModelCard], bool]) -> ModelCard | None:
    """The first card that is asked for, rather one that thinks."""
    found = [card for card in all_models() if is_kin(card)]
    return next((card for card in found if card.thinking), found[0] if found else None)


def _voice_of(card: ModelCard | None, family: str, model: str) -> AnswerStyle:
    if family.startswith("gemini"):
        return AnswerStyle(GEMINI)
    if card is None:
        return AnswerStyle(SGLANG, "reasoning_content", switches=_SWITCHES)
    switches = (card.thinking_switch,) if card.thinking_switch else ()
    return AnswerStyle(
        _dialect_of(card, family, model), card.reasoning_in, card.thinking, card.thinks_by_default, switches
    )


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
    if family == "kimi":
        changes["call_id"] = "functions.{name}:{position}"
    return replace(SGLANG, **changes)


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
