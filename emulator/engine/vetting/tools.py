"""Tools beside other demands that the model cannot meet at the same time."""

from emulator.catalogue.models import LEVELS_FROM
from emulator.engine.vetting.case import Case
from emulator.wire.refusals import Refusal

_SEARCHES = ("google_search", "googleSearch", "google_search_retrieval", "googleSearchRetrieval")


def check_tools_with_json(case: Case) -> Refusal | None:
    """Observed: before Gemini 3, functions and a JSON answer exclude each other. Assumed: not if tool_choice is none."""
    facts = case.facts
    if not case.is_before(LEVELS_FROM) or not facts.tools or facts.tool_choice == ["none"] or not _asks_for_json(case):
        return None
    explanation = (
        f"tools are declared and response_format asks for JSON; {facts.model} does one or the other: "
        "leave one of them out, or take a model from Gemini 3 on"
    )
    return case.refuse("tools_with_json_mime", ("response_format",), explanation)


def check_search(case: Case) -> Refusal | None:
    """Observed: on older models, Google Search and a JSON answer exclude each other. Assumed: on those before Gemini 3."""
    if not case.is_before(LEVELS_FROM) or not _searches(case) or not _asks_for_json(case):
        return None
    explanation = (
        f"web search is on and response_format asks for JSON; {case.facts.model} does one or the other: "
        "leave one of them out, or take a model from Gemini 3 on"
    )
    return case.refuse("controlled_generation_with_search", ("response_format",), explanation)


def _asks_for_json(case: Case) -> bool:
    return bool(case.facts.request.get("response_format")) and "application/json" in case.facts.response_format


def _searches(case: Case) -> bool:
    if case.facts.request.get("web_search_options") is not None:
        return True
    tools = case.facts.google.get("tools")
    return isinstance(tools, list) and any(
        isinstance(tool, dict) and tool.get(name) is not None for tool in tools for name in _SEARCHES
    )
