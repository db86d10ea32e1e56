"""Vetting: refuse what Vertex itself would refuse, before any rule is tried.

To add a refusal: describe its error body in `catalogue/errors.json`, write a function `check_...` in the module of its subject
here in `vetting/`, add it to `_CHECKS` below, and a request that causes it to `CASES` in `tests/engine/vetting/test_refusals.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from emulator.catalogue.errors import entry
from emulator.engine.error_answers import refuse, values_for
from emulator.engine.request.facts import Facts
from emulator.engine.vetting.context import Check, VettingContext, VettingPolicy
from emulator.engine.vetting.history import check_arguments, check_last_message, check_order, find_repeated_ids
from emulator.engine.vetting.media import check_audio_format, check_image_detail, check_media, check_mime_type
from emulator.engine.vetting.messages import check_has_messages, check_messages, find_content_warnings
from emulator.engine.vetting.parameters import (
    check_cache_model,
    check_cache_with_tools,
    check_cached_content,
    check_candidates,
    check_max_tokens,
    check_modalities,
    check_model,
    check_model_form,
    check_prompt_length,
    check_ranges,
    check_refused_parameters,
    check_streamed_arguments,
    check_unknown_parameters,
    describe_not_found,
    find_parameter_warnings,
)
from emulator.engine.vetting.schemas import (
    check_any_of,
    check_any_of_arrays,
    check_parameter_types,
    check_property_types,
    check_response_schema,
    check_schemas,
)
from emulator.engine.vetting.signatures import check_signatures, find_signature_warnings
from emulator.engine.vetting.thinking import check_thinking
from emulator.engine.vetting.tools import (
    check_function_calling,
    check_function_count,
    check_function_names,
    check_named_tool,
    check_search_with_json,
    check_tools_with_json,
)
from emulator.scenario.rules import Vetting
from emulator.wire.errors import Refusal
from emulator.wire.requests import MalformedRequestError
from emulator.wire.urls import Target

_Input = Literal["options", "messages", "media", "calls"]
"""What a check reads: everything except the messages, the messages, their media parts, or tool calls and results."""

# In the order in which they run. Assumed: the model, single messages, the other options, then how messages fit together and what needs all.
_CHECKS: tuple[tuple[Check, _Input], ...] = (
    (check_model_form, "options"),
    (check_model, "options"),
    (check_unknown_parameters, "options"),
    (check_has_messages, "messages"),
    (check_messages, "messages"),
    (check_max_tokens, "options"),
    (check_candidates, "options"),
    (check_refused_parameters, "options"),
    (check_ranges, "options"),
    (check_modalities, "options"),
    (check_streamed_arguments, "options"),
    (check_thinking, "options"),
    (check_tools_with_json, "options"),
    (check_search_with_json, "options"),
    (check_function_calling, "options"),
    (check_named_tool, "options"),
    (check_function_count, "options"),
    (check_function_names, "options"),
    (check_schemas, "options"),
    (check_parameter_types, "options"),
    (check_property_types, "options"),
    (check_any_of, "options"),
    (check_any_of_arrays, "options"),
    (check_response_schema, "options"),
    (check_cached_content, "options"),
    (check_cache_model, "options"),
    (check_cache_with_tools, "messages"),
    (check_mime_type, "media"),
    (check_media, "media"),
    (check_audio_format, "media"),
    (check_image_detail, "media"),
    (check_arguments, "calls"),
    (check_order, "calls"),
    (check_last_message, "messages"),
    (check_signatures, "calls"),
    (check_prompt_length, "messages"),
)

RouteCheck = Callable[[Facts], Refusal | None]
"""The check of a route other than chat completions."""
_MAX_POLICIES = 8


@dataclass(frozen=True, slots=True)
class VettingResult:
    """The refusal that a request gets, or the warnings with which it is answered."""

    refusal: Refusal | None = None
    warnings: tuple[str, ...] = ()
    not_found: str = ""
    """Why Vertex would not find the model or the endpoint, which is one of the warnings."""


_PASSED = VettingResult()


def vet(facts: Facts, policy: VettingPolicy, vetting: Vetting, check: RouteCheck | None = None) -> VettingResult:
    """Vet a request that could be read.

    `enforce` refuses what Vertex refuses, and warns of what is known to be refused on other routes only, which `strict` refuses too.
    `warn` answers with a warning in place of the first refusal. `off` does not look. In all of them a body that is not JSON, or whose
    values have other JSON types than documented, is refused before, because there is nothing to answer. `check` replaces the checks of
    chat completions.
    """
    if vetting == "off":
        return _PASSED
    context = VettingContext(facts, policy)
    if check is None:
        result = _vet_chat(context, is_strict=vetting == "strict")
    else:
        refusal = check(facts) or check_model(context)
        result = _PASSED if refusal is None else VettingResult(refusal)
    if vetting == "warn" and (refusal := result.refusal) is not None:
        return VettingResult(warnings=(f"Vertex refuses this ({refusal.rule}): {refusal.explanation}",))
    return result


def _vet_chat(context: VettingContext, *, is_strict: bool) -> VettingResult:
    """The refusal of the first check that a chat request fails; if it fails none, what is to be warned of."""
    passed, key = context.facts.vetted, (context.policy, is_strict)
    known = passed.get(key)
    of_options, of_messages = list[str](), list[str]()
    for check, reads in _applicable_checks(known is not None, context.facts.may_have_media, context.may_have_calls):
        refusal = check(context)
        if refusal is None:
            continue
        if is_strict or not entry(refusal.rule).strict_only:
            return VettingResult(refusal)
        warnings = of_options if reads == "options" else of_messages
        warnings.append(f"Vertex refuses this on other routes ({refusal.rule}): {refusal.explanation}")
    if known is None:
        not_found = describe_not_found(context)
        warnings = [*((not_found,) if not_found else ()), *find_parameter_warnings(context), *of_options]
        known = VettingResult(None, tuple(warnings), not_found) if warnings else _PASSED
        if len(passed) < _MAX_POLICIES:
            passed[key] = known
    if context.may_have_calls:
        of_messages += find_repeated_ids(context)
        of_messages += find_signature_warnings(context)
        of_messages += find_content_warnings(context)
    return replace(known, warnings=(*known.warnings, *of_messages)) if of_messages else known


@cache
def _applicable_checks(
    has_passed: bool, may_have_media: bool, may_have_calls: bool
) -> tuple[tuple[Check, _Input], ...]:
    """The checks whose input the request has; `has_passed` says that requests with the same options have passed already."""
    has = {"messages": True, "options": not has_passed, "media": may_have_media, "calls": may_have_calls}
    return tuple((check, reads) for check, reads in _CHECKS if has[reads])


def refuse_malformed(error: MalformedRequestError, target: Target) -> Refusal:
    """The refusal of a body that is not JSON, or whose JSON has the wrong shape (status documented, texts assumed)."""
    if error.is_json:
        return refuse("generic_invalid_argument", values_for(target), place=error.place, explanation=error.explanation)
    message = f"Invalid JSON payload received. {error.explanation[:1].upper()}{error.explanation[1:]}\n{error.snippet}"
    return refuse(
        "invalid_json_payload", values_for(target), place=error.place, explanation=error.explanation, message=message
    )
