"""Checks of request parameters (the model, `max_tokens`, `n`, `modalities`, streamed arguments, unknown keys) and of the context size."""

from emulator.catalogue.errors import entry
from emulator.catalogue.models import MAX_CHOICES, find_model
from emulator.engine.vetting.context import VettingContext
from emulator.wire.errors import Refusal
from emulator.wire.requests import ChatRequest


def check_model_form(context: VettingContext) -> Refusal | None:
    """Observed: a model without publisher is refused; absent or empty assumed to be so too. Own endpoints need none."""
    model = context.facts.model
    publisher, slash, name = model.partition("/")
    if not context.facts.target.is_openapi or (publisher and slash and name):
        return None
    if model and not slash and "bare_models" in context.policy.quirks:
        return None
    given = f'"{model}"' if model else "nothing"
    explanation = (
        f'model is {given}; the openapi endpoint expects "<publisher>/<model>", such as "google/gemini-2.5-flash"'
    )
    return context.refuse("malformed_publisher_model", ("model",), explanation, MODEL=model)


def check_model(context: VettingContext) -> Refusal | None:
    """Observed: a model that does not exist, or no more, is not found. Only looked at under `--models known`."""
    if context.policy.models == "any" or not context.facts.target.is_openapi:
        return None
    card = find_model(context.facts.model)
    if card is not None and not card.retired:
        return None
    what = "is not in the catalogue" if card is None else "has been retired"
    explanation = f'the model "{context.facts.model}" {what}; `vertex-emulator models` lists those that are answered'
    return context.refuse("publisher_model_not_found", ("model",), explanation)


_KNOWN = frozenset(ChatRequest.__annotations__)


def check_unknown_parameters(context: VettingContext) -> Refusal | None:
    """Documented: parameters that are not known are ignored. The quirk refuses them as the Gemini API does (observed)."""
    if "unknown_fields_refused" not in context.policy.quirks:
        return None
    unknown = next((key for key in context.facts.request if key not in _KNOWN), None)
    if unknown is None:
        return None
    explanation = f'"{unknown}" is no parameter; the quirk unknown_fields_refused is on, so take it out'
    return context.refuse("unknown_field_gemini_api", (unknown,), explanation, FIELD=unknown)


def check_max_tokens(context: VettingContext) -> Refusal | None:
    """Observed: Gemini's limit on tokens lies between 1 and what the model can write. Others refuse less than 1 (assumed)."""
    request, card = context.facts.request, context.facts.card
    for key, value in (
        ("max_tokens", request.get("max_tokens")),
        ("max_completion_tokens", request.get("max_completion_tokens")),
    ):
        if value is None:
            continue
        most = card.max_output_tokens if card is not None and context.is_gemini else None
        if value >= 1 and (most is None or value <= most):
            continue
        if not context.is_gemini:
            return context.refuse("generic_invalid_argument", (key,), f"{key} is {value}; expected 1 or more")
        beyond = entry("max_output_tokens_range").defaults["MAX_PLUS_1"] if most is None else most + 1
        explanation = f"{key} is {value}; expected 1 to {int(beyond) - 1}"
        return context.refuse("max_output_tokens_range", (key,), explanation, VALUE=value, MAX_PLUS_1=beyond)
    return None


def check_candidates(context: VettingContext) -> Refusal | None:
    """Observed: some models make only one choice; of the others a number out of range is refused."""
    count = context.facts.request.get("n")
    if count is None or count == 1:
        return None
    card = context.facts.card
    most = MAX_CHOICES if card is None or card.max_candidates is None else card.max_candidates
    if 1 <= count <= most:
        return None
    if most == 1 and count > 1:
        explanation = f"n is {count}; {context.facts.model} makes one choice, so leave n out"
        return context.refuse("candidate_count_one", ("n",), explanation, N=count)
    explanation = f"n is {count}; expected 1 to {most}"
    return context.refuse("candidate_count_range", ("n",), explanation, N=count, MAX_PLUS_1=most + 1)


def check_modalities(context: VettingContext) -> Refusal | None:
    """Assumed: Gemini refuses kinds of output that it cannot make. Only where the catalogue knows the model."""
    if not context.is_gemini or not context.facts.request.get("modalities"):
        return None
    card = find_model(context.facts.model)
    if card is None:
        return None
    for at, kind in enumerate(context.facts.modalities):
        if (kind == "image" and not card.image_output) or (kind == "audio" and card.audio_output is False):
            explanation = (
                f'modalities asks for "{kind}", which {card.id} cannot make; ask for text, or take another model'
            )
            return context.refuse("generic_invalid_argument", ("modalities", at), explanation)
    return None


def check_streamed_arguments(context: VettingContext) -> Refusal | None:
    """Observed: arguments can only be sent in fragments in a stream."""
    if (
        context.facts.stream
        or not context.is_gemini
        or context.facts.google.get("stream_function_call_arguments") is not True
    ):
        return None
    explanation = "stream_function_call_arguments is set but stream is not; set stream to true, or leave it out"
    keys = ("extra_body", "google", "stream_function_call_arguments")
    return context.refuse("unary_with_stream_function_call_arguments", keys, explanation)


def check_prompt_length(context: VettingContext) -> Refusal | None:
    """Observed: a prompt that is longer than the model can read is refused. Its tokens are the emulator's estimate."""
    card = context.facts.card
    most = card.context_tokens if card is not None else None
    if most is None or not context.is_gemini or context.facts.prompt_tokens <= most:
        return None
    tokens = context.facts.prompt_tokens
    explanation = f"the prompt has about {tokens} tokens, {context.facts.model} reads {most}; shorten the conversation"
    return context.refuse("input_tokens_exceeded", ("messages",), explanation, N=tokens, LIMIT=most)
