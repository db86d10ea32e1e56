"""Checks of request parameters (the model, `max_tokens`, `n`, sampling, `modalities`, cached content, unknown keys) and of the context size."""

import re
from collections.abc import Collection
from functools import cache
from typing import Any

from emulator.catalogue.errors import entry
from emulator.catalogue.models import MAX_CHOICES, ModelCard, all_models, find_model, generation
from emulator.engine.request.history import SYSTEM_ROLES
from emulator.engine.vetting.context import JsonPath, VettingContext
from emulator.suggestions import did_you_mean, find_near, quote
from emulator.wire.errors import Refusal
from emulator.wire.requests import ChatRequest
from emulator.wire.urls import find_missing_id


def check_model_form(context: VettingContext) -> Refusal | None:
    """Observed: a model without publisher and a resource path are refused; assumed: all that is not `publisher/model` is.

    Own endpoints need no publisher.
    """
    model = context.facts.model
    publisher, slash, name = model.partition("/")
    if not context.facts.target.is_openapi or (publisher and slash and name and "/" not in name):
        return None
    if model and not slash and "bare_models" in context.policy.quirks:
        return None
    given = f'"{model}"' if model else "nothing"
    explanation = (
        f'model is {given}; the openapi endpoint expects "<publisher>/<model>", such as "google/gemini-3.5-flash"'
    )
    return context.refuse("malformed_publisher_model", ("model",), explanation, MODEL=model)


def check_model(context: VettingContext) -> Refusal | None:
    """A model that does not exist, no more, or not there, is not found (observed); only looked at under `--models known`.

    Documented: a retired Grok answers 400, whatever models are answered.
    """
    card, model = find_model(context.facts.model), context.facts.model
    if not context.facts.target.is_openapi:
        return None
    if card is not None and card.retired == "confirmed" and card.family == "grok":
        explanation = f'the model "{model}" has been retired{_since(card)}; take a newer one'
        return context.refuse("generic_invalid_argument", ("model",), explanation)
    if context.policy.models == "any":
        return None
    if card is None:
        near = _find_meant(model, _list_models())
        what = f"is not in the catalogue; {did_you_mean(near)}" if near else "is not in the catalogue"
    elif card.retired:
        what = f"has been retired{_since(card)}"
    elif not _is_served(context, card):
        what = f"is not served in {context.facts.target.location}, only in {', '.join(card.locations)}"
    else:
        return None
    explanation = f'the model "{model}" {what}{" " if what.endswith("?") else "; "}`vertex-emulator models` lists those that are answered'
    return context.refuse("publisher_model_not_found", ("model",), explanation)


def describe_not_found(context: VettingContext) -> str:
    """Say why Vertex would not find the model or the endpoint of a request that is answered; empty if it would.

    That is a part of the URL that is missing, a location, an endpoint or a model that is misspelt, and, where any model is answered, one that is gone or
    served in other locations.
    That a model is gone has to be known; of a day in the past on which it was announced to be, nothing is said.
    """
    target, model = context.facts.target, context.facts.model
    if (part := find_missing_id(target)) is not None:
        return f"the {part} in the URL is {quote(getattr(target, part))}, as if the program had none"
    if misspelt := explain_location(target.location):
        return misspelt
    if not target.is_openapi:
        if context.policy.has_endpoints or find_near(target.endpoint, ["openapi"]) is None:
            return ""
        return f'"{target.endpoint}" is answered as the id of a deployed endpoint; {did_you_mean("endpoints/openapi")}'
    if context.policy.models == "known":
        return ""
    card = find_model(model)
    if card is None:
        number = generation(model)
        if number is not None and number < _FIRST_GENERATION:
            return f"Vertex no longer answers for {model}: all of Gemini 1 has been retired; take a newer model"
        near = _find_meant(model, _list_models())
        return (
            f'the model "{model}" is not in the catalogue, and `--models known` refuses it; {did_you_mean(near)}'
            if near
            else ""
        )
    if card.retired == "confirmed":
        return f"Vertex no longer answers for {card.id}, which has been retired{_since(card)}; take a newer model"
    if card.retired is None and not _is_served(context, card):
        location, served = target.location, ", ".join(card.locations)
        return f"Vertex has no {card.id} in {location} and answers 404; it is served in {served}"
    return ""


_FIRST_GENERATION = 2.0
"""The first Gemini that may not be retired (documented: the last of 1.5 ended in September 2025)."""
_LEAST_LIKENESS = 0.75
"""How like a known word a word must be to be taken for its misspelling, from 0 to 1."""
LONGEST_NAME = 100
"""Characters of the longest name that is compared with known ones, which takes long for many words."""
_NUMBER = re.compile("[0-9]")
_LOCATION = re.compile("[a-z0-9-]+")
_WORD = re.compile("[a-z]+")
_SEPARATORS = re.compile("[^a-z0-9/]+")


def explain_location(location: str) -> str:
    """Say that a location is misspelt or stands for none; empty if it is known, or may be newer than the catalogue."""
    known = _list_locations()
    if location in known:
        return ""
    near = _find_meant(location, known)
    if near is None and _LOCATION.fullmatch(location):
        return ""
    return f'no location is called "{location}"; {did_you_mean(near) if near else "they are called global, us-central1, ..."}'


@cache
def _list_locations() -> tuple[str, ...]:
    return tuple(dict.fromkeys(["global", "us", "eu", *(one for card in all_models() for one in card.locations)]))


@cache
def _list_models() -> tuple[str, ...]:
    return tuple(one.id for one in all_models())


@cache
def _words_of(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word for one in names for word in _WORD.findall(one))


def _find_meant(name: str, known: tuple[str, ...]) -> str | None:
    """The known name that an unknown one is a misspelling of; None if it may be one that is newer than the catalogue.

    A misspelt name has other separators than a known one, no number, or a word that is nearly one of theirs; a newer one has other numbers
    or other words.
    """
    if len(name) > LONGEST_NAME:
        return None
    bare = _SEPARATORS.sub("", name.lower())
    if same := next((one for one in known if _SEPARATORS.sub("", one.lower()) == bare), None):
        return same
    words = _words_of(known)
    corrected = _WORD.sub(lambda found: found[0] if found[0] in words else _correct(found[0], words), name)
    is_misspelt = corrected != name or _NUMBER.search(name) is None
    return find_near(corrected, known) if is_misspelt else None


def _correct(word: str, known: Collection[str]) -> str:
    """The known word that a word is nearly; itself if there is none. Hardly anybody mistakes the first letter."""
    from difflib import get_close_matches  # noqa: PLC0415  # only models that are not known need it

    return next(iter(get_close_matches(word, [one for one in known if one[0] == word[0]], 1, _LEAST_LIKENESS)), word)


def _since(card: ModelCard) -> str:
    return f" since {card.retires}" if card.retires else ""


def _is_served(context: VettingContext, card: ModelCard) -> bool:
    """Whether a model is found: in the location of the path, and at the global host in the global one too (observed on native routes)."""
    locations = card.locations
    is_global = context.policy.is_global_host and "global" in locations
    return not locations or is_global or context.facts.target.location in locations


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


_NO_PENALTY = frozenset({"frequency_penalty", "presence_penalty"})


def check_refused_parameters(context: VettingContext) -> Refusal | None:
    """Parameters that a model refuses (documented for Gemini, observed for Llama 3.1 405B).

    Assumed: a default value, such as a penalty of 0 or no stop sequence, is not refused.
    """
    card = context.facts.card
    if card is None or not card.refused_parameters or not context.facts.target.is_openapi:
        return None
    for name in card.refused_parameters:
        value = context.facts.request.get(name)
        if value is None or value is False or value in ("", []) or (name in _NO_PENALTY and value == 0):
            continue
        kind = "penalty_unsupported" if name in _NO_PENALTY else "generic_invalid_argument"
        explanation = f"{name} is given, which {card.id} does not take; leave it out"
        return context.refuse("stop_sequences_unsupported" if name == "stop" else kind, (name,), explanation)
    return None


_RANGES: tuple[tuple[str, str, float, float, str], ...] = (
    ("temperature", "temperature", 0.0, 2.0001, "2.0001"),
    ("top_p", "topP", 0.0, 1.0001, "1.0001"),
    ("frequency_penalty", "frequencyPenalty", -2.0, 2.0, "2"),
    ("presence_penalty", "presencePenalty", -2.0, 2.0, "2"),
)
MAX_STOP_SEQUENCES = 5
"""The most stop sequences of a request to Gemini (documented)."""


def check_ranges(context: VettingContext) -> Refusal | None:
    """Documented on native routes: the ranges of sampling parameters and the number of stop sequences; texts assumed."""
    if not context.is_gemini:
        return None
    request, card = context.facts.request, context.facts.card
    stop = request.get("stop")
    if isinstance(stop, list) and len(stop) > MAX_STOP_SEQUENCES:
        explanation = f"stop has {len(stop)} sequences; expected at most {MAX_STOP_SEQUENCES}"
        values: dict[str, Any] = {
            "PARAMETER": "stopSequences",
            "VALUE": len(stop),
            "LOWEST": 0,
            "HIGHEST": MAX_STOP_SEQUENCES + 1,
        }
        return context.refuse("parameter_out_of_range", ("stop",), explanation, **values)
    for name, native, lowest, beyond, written in _RANGES:
        value = request.get(name)
        is_number = isinstance(value, int | float) and not (card is not None and name in card.ignored_parameters)
        if is_number and not lowest <= value < beyond:  # type: ignore[operator]  # a number, as just asked
            explanation = f"{name} is {value}; expected {lowest:g} to less than {beyond:g}"
            values = {"PARAMETER": native, "VALUE": value, "LOWEST": f"{lowest:g}", "HIGHEST": written}
            return context.refuse("parameter_out_of_range", (name,), explanation, **values)
    return None


def find_parameter_warnings(context: VettingContext) -> tuple[str, ...]:
    """Warn of parameters that the model accepts without effect (documented)."""
    facts, card = context.facts, context.facts.card
    if card is None or not facts.target.is_openapi:
        return ()
    warnings = [
        f"{card.id} accepts {name}, but it has no effect"
        for name in card.ignored_parameters
        if facts.request.get(name) is not None
    ]
    if not card.streams_arguments and facts.stream and facts.google.get("stream_function_call_arguments") is True:
        warnings.append(f"{card.id} has no stream_function_call_arguments; arguments come in one piece")
    return tuple(warnings)


_CACHE_NAME = re.compile(r"projects/[^/]+/locations/([^/]+)/cachedContents/([^/]+)")


def check_cached_content(context: VettingContext) -> Refusal | None:
    """Documented: a cache is used in the location where it was made; the error for another one is assumed."""
    if not context.is_gemini:
        return None
    written = context.facts.google.get("cached_content")
    found = _CACHE_NAME.fullmatch(written) if isinstance(written, str) else None
    if found is None or found[1] == context.facts.target.location:
        return None
    explanation = (
        f"the cache is in {found[1]}, the request goes to {context.facts.target.location}; use it where it was made"
    )
    return context.refuse(
        "cached_content_not_found", ("extra_body", "google", "cached_content"), explanation, CACHE=found[2]
    )


def check_cache_model(context: VettingContext) -> Refusal | None:
    """Documented for the native route: some models have no explicit caches; texts unknown."""
    card = context.facts.card
    if not context.is_gemini or card is None or card.explicit_caching or not context.facts.google.get("cached_content"):
        return None
    explanation = f"{card.id} has no explicit caches; leave cached_content out"
    return context.refuse("cached_content_unsupported", ("extra_body", "google", "cached_content"), explanation)


def check_cache_with_tools(context: VettingContext) -> Refusal | None:
    """Observed on the native route: a cache has its own system message and tools, so that the request may have none."""
    facts = context.facts
    if not context.is_gemini or not facts.google.get("cached_content"):
        return None
    if facts.tools or facts.request.get("tool_choice") is not None:
        given: JsonPath = ("tools",) if facts.tools else ("tool_choice",)
    elif not SYSTEM_ROLES.isdisjoint(facts.roles):
        given = ("messages",)
    else:
        return None
    explanation = (
        "cached_content is used together with a system message, tools or tool_choice; put these into the cache"
    )
    return context.refuse("cached_content_with_tools", given, explanation)


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
