"""Choosing the declared tool that fits a text best, by the word stems they share."""

import re
from collections.abc import Sequence

from emulator.engine.request.facts import Facts
from emulator.engine.request.options import ToolStems

_NAME_WEIGHT = 3
_SHORTEST_STEM = 3
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|\d+|[^\W\d_A-Za-z]+[^\W\d_]*")
# Function words, and words that any tool's name or description may have.
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a about all am an and any are as at be been but by can could current currently did do does don else for from
        function get gets give given gives had has have hello help here hey hi his how i if in into is it its just know
        let like ll look make me my need no not now of ok on one or our out per please re return returned returns s she
        should show so some t tell thank thanks that the their them then there these they this to today tool up us use
        used user uses using value ve want was we were what when where which who why will with would yes you your
        """,
    )
)


def best_tool(tools: Sequence[tuple[str, str]], text: str) -> int | None:
    """The index of the tool, given as (name, description), that shares the most words with the text.

    A word of the name weighs as much as three of the description; the first of equals wins. None when no tool shares a
    word that is no stop word.
    """
    return _choose([_tool_stems(name, description) for name, description in tools], text)


def suitable_tool(facts: Facts) -> int | None:
    """The index of the declared tool that fits the last user message best, if any does."""
    if not facts.tool_stems:
        facts.tool_stems += [_tool_stems(name, description) for name, description, _ in facts.tools]
    return _choose(facts.tool_stems, facts.last_user or "")


def _choose(tools: Sequence[ToolStems], text: str) -> int | None:
    stems = _stems(text)
    scores = [_NAME_WEIGHT * len(in_name & stems) + len(in_description & stems) for in_name, in_description in tools]
    best = max(scores, default=0)
    return scores.index(best) if best else None


def _tool_stems(name: str, description: str) -> ToolStems:
    in_name = _stems(name)
    return in_name, _stems(description) - in_name


def _stems(text: str) -> frozenset[str]:
    """The stems of a text's words without stop words; `weather_reports` and `reporting` share `report`."""
    words = (word.lower() for word in _WORD.findall(text))
    return frozenset(_stem(word) for word in words if word not in _STOP_WORDS)


def _stem(word: str) -> str:
    for ending, replacement in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", ""), ("e", "")):
        if word.endswith(ending) and not word.endswith("ss") and len(word) - len(ending) >= _SHORTEST_STEM:
            stem = word.removesuffix(ending) + replacement
            # A doubled consonant is written once: `book` of `booking`, but `plan` of `planning`.
            return stem[:-1] if stem[-1] == stem[-2] and stem[-1] not in "aeiouls" else stem
    return word
