"""Choosing the declared tool that is called next, as `tools: auto` and `call: auto` do.

The rules, in order:

1. A tool that has been called since the last question is not called again.
2. A tool is needed if the question shares word stems with its name, description, parameters or their enum values, and not far fewer
   than with the tool it shares most with. Only greetings and thanks need none.
3. Of those that are needed, tools that read (get, list, search, ...) come first, then others, those that change something
   (set, delete, send, ...), and last those that take the answer: named as a class (`WeatherReport`), or as an end (final, answer,
   result, ...). The best fit of a kind comes first.
4. A lone tool, not counting tools that end the turn, is needed whatever the words.
5. One handoff a turn: agents do not hand a question to and fro. Where handoffs are all there is and no words decide, the first one
   is needed.
6. When no other tool is needed, a tool that takes the final answer is called.
7. Where a call is required and these rules name none, it is: the first tool, if nothing has been called; the one that reads like an
   end; one not yet called; the best fit again.
"""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

from emulator.engine.request.facts import Facts
from emulator.engine.request.options import ToolStems


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


MAX_QUESTION = 20_000
"""Characters at the beginning of a question of which the words are compared with those of tools."""
MAX_DESCRIPTION = 4_000
"""Characters at the beginning of a tool's name and description that are read."""
MAX_PARAMETERS = 100
"""Parameters of a tool, and values of an enum, of which the words are compared with those of questions."""
MAX_SMALL_TALK = 80
"""Characters up to which a question may be a mere greeting."""

_NAME_WEIGHT = 3
_SHORTEST_STEM = 3
_NEEDED_SHARE = 2
"""A tool is needed if it scores at least one part in so many of the best."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|\d+|[^\W\d_A-Za-z]+[^\W\d_]*")
# Function words, and words that any tool's name or description may have.
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a about agent all am an and another any are as at be been but by can could current currently did do does don else
        for from function get gets give given gives handle handles handoff had has have hello help here hey hi his how i
        if in into is it its just know let like ll look make me my need no not now of ok on one or our out per please
        question questions re request requests return returned returns s she should show so some t tell thank thanks that
        the their them then there these they this to today tool transfer up us use used user uses using value ve want was
        we were what when where which who why will with would yes you your
        """,
    )
)
_READING = _set(
    """
    get list search find look lookup read fetch query check show describe retrieve view load browse count
    calculate compute convert translate
    """
)
_CHANGING = _set(
    """
    set delete create send update remove add insert write edit put post book order pay buy cancel move rename
    save schedule turn make start stop run execute
    """
)
_ENDING = _set("final finish finished answer result response respond submit done complete output reply")
_CLASS_NAME = re.compile(r"(?:[A-Z][a-z0-9]+){1,10}")
_HANDOFF = re.compile(r"\A(?:transfer|hand_?off|delegate|escalate)", re.IGNORECASE)
_FINAL = re.compile(r"\bfinal\b[^.]{0,40}\b(?:answer|response|result|output)\b", re.IGNORECASE)
_SMALL_TALK = re.compile(
    r"\W*(?:(?:hi|hello|hey|howdy|thanks?|thank you|good (?:morning|afternoon|evening|night)|bye|goodbye|ok|okay|there"
    r"|how are you|very much|so much|a lot)\b\W*){1,5}",
    re.IGNORECASE,
)
# Words by which a question's language is known, for handoffs to an agent that speaks it.
_LANGUAGES = {
    "spanish": _set("hola gracias cómo está estás qué por favor quiero puedo dónde necesito buenos días"),
    "french": _set("bonjour merci comment vous êtes je suis quel quelle voudrais où salut est-ce"),
    "german": _set("hallo danke wie geht ich bitte und nicht möchte wo guten was ist"),
    "italian": _set("ciao grazie come stai sono vorrei dove perché buongiorno"),
    "portuguese": _set("olá obrigado obrigada você como está eu quero onde bom dia"),
}
_LEAST_FOREIGN_WORDS = 2
_CLASS, _END = 3, 4


class _Tool(NamedTuple):
    """A declared tool as the rules see it."""

    place: int
    score: int
    kind: int
    """0 for tools that read, 1 for others, 2 for those that change something, 3 for those named as a class, 4 for those that end the turn."""
    is_handoff: bool
    is_called: bool


def best_tool(tools: Sequence[tuple[str, str]], text: str) -> int | None:
    """The index of the tool, given as (name, description), that shares the most words with the text.

    A word of the name weighs as much as three of the description; the first of equals wins. None when no tool shares a
    word that is no stop word.
    """
    scores = _score([_tool_stems(name, description, None) for name, description in tools], text)
    best = max(scores, default=0)
    return scores.index(best) if best else None


def next_tool(facts: Facts, *, is_required: bool = False) -> int | None:
    """The index of the tool to call next, by the rules above; None if none is needed.

    With `is_required` there is always one if any is declared.
    """
    turn = facts.open_turn
    if not facts.tool_stems:
        facts.tool_stems += [_tool_stems(*tool) for tool in facts.tools]
    scores = _score(facts.tool_stems, turn.question)
    called = frozenset(turn.called)
    tools = [
        _Tool(
            index,
            scores[index],
            _kind_of(name, description),
            hands_off(name),
            name in called,
        )
        for index, (name, description, _) in enumerate(facts.tools)
    ]
    # The handoff need not be among the tools of the agent that was handed the question.
    found = _needed_tool(tools, turn.question, was_handed_off=any(map(hands_off, turn.called)))
    is_first = is_required and not called and not _is_small_talk(turn.question)
    if found is None and is_first:
        found = min(
            (tool for tool in tools if tool.kind != _END), key=lambda tool: (tool.is_handoff, tool.kind), default=None
        )
    if found is None:
        found = next((tool for tool in tools if not tool.is_called and _takes_final_answer(facts, tool)), None)
    if found is None and is_required and tools:
        unused = [tool for tool in tools if not tool.is_called]
        ends = [tool for tool in tools if tool.kind >= _CLASS]
        found = max(
            [tool for tool in ends if not tool.is_called] or ends or unused or tools,
            key=lambda tool: (tool.kind == _END, tool.score),
        )
    return None if found is None else found.place


def _needed_tool(tools: Sequence[_Tool], question: str, *, was_handed_off: bool) -> _Tool | None:
    """The first tool that the question needs and that has not been called."""
    working = [tool for tool in tools if tool.kind != _END]
    best = max((tool.score for tool in working), default=0)
    needed = [tool for tool in working if tool.score and tool.score * _NEEDED_SHARE >= best]
    if not needed and not _is_small_talk(question):
        own = [tool for tool in working if not tool.is_handoff]
        # A lone tool, or the first handoff where there is nothing else.
        needed = own if len(own) == 1 else [] if own else working[:1]
    needed += [tool for tool in tools if tool.kind == _END and tool.score and tool.score * _NEEDED_SHARE >= best]
    if was_handed_off:
        needed = [tool for tool in needed if not tool.is_handoff]
    unused = [tool for tool in needed if not tool.is_called]
    return min(unused, key=lambda tool: (tool.kind, -tool.score, tool.place), default=None)


def _is_small_talk(question: str) -> bool:
    return len(question) < MAX_SMALL_TALK and _SMALL_TALK.fullmatch(question) is not None


def _takes_final_answer(facts: Facts, tool: _Tool) -> bool:
    name, description, _ = facts.tools[tool.place]
    return tool.kind == _END and (
        _FINAL.search(name.replace("_", " ")) is not None or _FINAL.search(description[:MAX_DESCRIPTION]) is not None
    )


def _kind_of(name: str, description: str) -> int:
    words = [word.lower() for word in islice((match[0] for match in _WORD.finditer(name[:MAX_DESCRIPTION])), 20)]
    if words and words[0] in _READING:
        return 0
    if not _ENDING.isdisjoint(words) or _FINAL.search(description[:MAX_DESCRIPTION]):
        return _END
    if words and words[0] in _CHANGING:
        return 2
    return _CLASS if _CLASS_NAME.fullmatch(name) else 1


def _score(tools: Sequence[ToolStems], text: str) -> list[int]:
    text = text[:MAX_QUESTION]
    stems = _stems(text)
    words = frozenset(re.findall(r"[^\W\d_]+", text.lower()))
    stems |= {_stem(language) for language, known in _LANGUAGES.items() if len(words & known) >= _LEAST_FOREIGN_WORDS}
    return [_NAME_WEIGHT * len(in_name & stems) + len(in_description & stems) for in_name, in_description in tools]


def _tool_stems(name: str, description: str, parameters: Any) -> ToolStems:
    in_name = _stems(name[:MAX_DESCRIPTION])
    return in_name, (_stems(description[:MAX_DESCRIPTION]) | _stems(_parameter_words(parameters))) - in_name


def _parameter_words(parameters: Any) -> str:
    """The names of the parameters, and the values of their enums."""
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    if not isinstance(properties, dict):
        return ""
    words: list[str] = []
    for name, schema in islice(properties.items(), MAX_PARAMETERS):
        words.append(name[:MAX_PARAMETERS])
        inner = schema.get("items") if isinstance(schema, dict) and isinstance(schema.get("items"), dict) else schema
        values = inner.get("enum") if isinstance(inner, dict) else None
        if isinstance(values, list):
            words += [value[:MAX_PARAMETERS] for value in values[:MAX_PARAMETERS] if isinstance(value, str)]
    return " ".join(words)


def hands_off(name: str) -> bool:
    """Whether a tool hands the conversation to another agent, by its name."""
    return _HANDOFF.match(name) is not None


def takes_answer(name: str, description: str) -> bool:
    """Whether the arguments of a tool are the answer: it reads like an end, or is named as a class, not as something to do."""
    return _kind_of(name, description) >= _CLASS


def shared_stems(one: str, other: str) -> int:
    """How many word stems two texts share, stop words aside."""
    return len(_stems(one[:MAX_QUESTION]) & _stems(other[:MAX_QUESTION]))


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
