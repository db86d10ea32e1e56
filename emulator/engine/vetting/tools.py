"""Checks of tools: which are declared and chosen, and tools or search together with a JSON answer."""

import re

from emulator.catalogue.models import LEVELS_FROM
from emulator.engine.vetting.context import JsonPath, VettingContext
from emulator.wire.errors import Refusal

MAX_FUNCTIONS = 128
"""The most functions of a request (documented)."""
_FUNCTION_NAME = re.compile(r"[A-Za-z_][\w.-]{0,63}", re.ASCII)

_SEARCHES = ("google_search", "googleSearch", "google_search_retrieval", "googleSearchRetrieval")


def check_tools_with_json(context: VettingContext) -> Refusal | None:
    """Observed: before Gemini 3, functions and a JSON answer exclude each other. Assumed: not if tool_choice is none."""
    facts = context.facts
    if (
        not context.is_before(LEVELS_FROM)
        or not facts.tools
        or facts.tool_choice == ["none"]
        or not _asks_for_json(context)
    ):
        return None
    explanation = (
        f"tools are declared and response_format asks for JSON; {facts.model} does one or the other: "
        "leave one of them out, or take a model from Gemini 3 on"
    )
    return context.refuse("tools_with_json_mime", ("response_format",), explanation)


def check_search_with_json(context: VettingContext) -> Refusal | None:
    """Observed: on older models, Google Search and a JSON answer exclude each other. Assumed: on those before Gemini 3."""
    if not context.is_before(LEVELS_FROM) or not _searches(context) or not _asks_for_json(context):
        return None
    explanation = (
        f"web search is on and response_format asks for JSON; {context.facts.model} does one or the other: "
        "leave one of them out, or take a model from Gemini 3 on"
    )
    return context.refuse("controlled_generation_with_search", ("response_format",), explanation)


def _asks_for_json(context: VettingContext) -> bool:
    return bool(context.facts.request.get("response_format")) and "application/json" in context.facts.response_format


def _searches(context: VettingContext) -> bool:
    if context.facts.request.get("web_search_options") is not None:
        return True
    tools = context.facts.google.get("tools")
    return isinstance(tools, list) and any(
        isinstance(tool, dict) and tool.get(name) is not None for tool in tools for name in _SEARCHES
    )


def check_function_calling(context: VettingContext) -> Refusal | None:
    """Observed on the native route: a model that makes pictures refuses functions."""
    card = context.facts.card
    if card is None or card.tools or not context.facts.tools or not context.facts.target.is_openapi:
        return None
    explanation = f"functions are declared, which {card.id} does not call; leave them out, or take another model"
    return context.refuse("function_calling_unsupported", _path_of_tools(context), explanation)


def check_named_tool(context: VettingContext) -> Refusal | None:
    """Assumed: the function that `tool_choice` names has to be one of those that are declared; text unknown."""
    facts = context.facts
    names = [name for name, _, _ in facts.tools]
    if not context.is_gemini or facts.named_tool is None or not names or facts.named_tool in names:
        return None
    explanation = f'the function "{facts.named_tool}" is chosen, but the request declares {", ".join(names[:5])}'
    key = "tool_choice" if facts.request.get("tool_choice") is not None else "function_call"
    return context.refuse("generic_invalid_argument", (key,), explanation)


def check_function_names(context: VettingContext) -> Refusal | None:
    """Documented on native routes: what a function's name may look like; text unknown."""
    if not context.is_gemini:
        return None
    for number, (name, _, _) in enumerate(context.facts.tools):
        if _FUNCTION_NAME.fullmatch(name) is None:
            explanation = (
                f'the name of function {number} is "{name[:80]}"; it begins with a letter or underscore, goes on with letters, '
                "digits, underscores, dots or dashes, and has at most 64 of them"
            )
            return context.refuse("function_name_invalid", _path_of_tools(context), explanation)
    return None


def check_function_count(context: VettingContext) -> Refusal | None:
    """Documented on native routes: how many functions a request may declare; text unknown."""
    count = len(context.facts.tools)
    if not context.is_gemini or count <= MAX_FUNCTIONS:
        return None
    explanation = f"{count} functions are declared; expected at most {MAX_FUNCTIONS}"
    return context.refuse("too_many_functions", _path_of_tools(context), explanation)


def _path_of_tools(context: VettingContext) -> JsonPath:
    return ("tools",) if context.facts.request.get("tools") else ("functions",)
