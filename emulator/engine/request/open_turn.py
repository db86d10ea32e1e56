"""The open turn: the user's question that is being answered, the tool calls made since, and their results.

Some frameworks write calls and results as plain text. A user message that reports one ("Observation: ...", "For context: ...") is
therefore no question, and a tool that a text after the question says was called counts as called. The wordings are those of
smolagents and Google's ADK.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from emulator.engine.request.history import MODEL_ROLES, SYSTEM_ROLES, calls_of, is_result, text_of
from emulator.wire.requests import Message

MAX_TOLD = 20_000
"""Characters at the beginning of a text that are searched for calls it tells of."""

MAX_TASK = 4_000
"""Characters of a question that are read as a task."""

_REPORT = re.compile(
    r"\s*(?P<context>for context\b)?(?(context)|(?:observations?|(?:tool|function)[ _-](?:results?|responses?|outputs?)|<(?:tool|function)_\w+>)"
    r"[>:]+\s*)",
    re.IGNORECASE,
)
_TOLD_CALL = re.compile(r"""['"]name['"]:\s*['"]([\w.-]{1,128})['"]|\bcalled tool `([\w.-]{1,128})`""")


# Words of instructions about the form of the answer, which are no part of what is asked.
_FORM_WORDS = re.compile(r"\b(?:json|schema|well-formatted)\b", re.IGNORECASE)
_FORM_LINE = re.compile(r"\s{0,20}(?:respond|return|reply|answer|output)\b.{0,200}\bfields?\b", re.IGNORECASE)
_FORM_MARK = re.compile(r"\[\[ ## \w{1,64} ## \]\]|\A\s{0,20}New task:\s{0,4}", re.IGNORECASE)
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*|[.!?\n]")


def _without_form(text: str) -> str:
    """A text without instructions about the form of the answer: code blocks, JSON, sentences that speak of JSON, marks of DSPy and smolagents."""
    text = _FORM_MARK.sub("", text)
    text = "\n".join(block for number, block in enumerate(text.split("```")) if number % 2 == 0)
    kept: list[str] = []
    depth = 0
    for line in text.split("\n"):
        stripped = line.strip()
        if depth > 0 or stripped == "{" or stripped.startswith(('{"properties"', '{"type"', '{"$defs"')):
            depth += stripped.count("{") - stripped.count("}")
        elif not _FORM_LINE.match(line):
            kept.append("".join(one for one in _SENTENCE.findall(line) if not _FORM_WORDS.search(one)))
    return "\n".join(kept).strip()


@dataclass(frozen=True)
class OpenTurn:
    """A question and what has been done about it so far."""

    question: str
    """The text of the last user message that is no report; empty if there is none."""
    called: tuple[str, ...]
    """The names of the tools called since, in order."""
    results: tuple[tuple[str, str], ...]
    """Their results: the tool's name (empty if it is not known) and the text."""

    @cached_property
    def task(self) -> str:
        """The beginning of the question without instructions about the form of the answer; the question if nothing else is left."""
        question = self.question[:MAX_TASK].strip()
        return _without_form(question) or question


def read_open_turn(messages: Sequence[Message]) -> OpenTurn:
    """Read the open turn off a request's messages."""
    start, question = len(messages), ""
    for number in range(len(messages) - 1, -1, -1):
        message = messages[number]
        role = message.get("role")
        if role in MODEL_ROLES or role in SYSTEM_ROLES or is_result(message) or _REPORT.match(text := text_of(message)):
            if question:
                break
            continue
        start, question = number, f"{text}\n\n{question}" if question else text
        # A message of its own may say nothing but what the answer is to look like (Genkit).
        if _without_form(text[:MAX_TASK]):
            break
    else:
        start = start if question else 0
    called: list[str] = []
    results: list[tuple[str, str]] = []
    names: dict[str | None, str] = {}
    for number in range(start, len(messages)):
        message = messages[number]
        role = message.get("role")
        if is_result(message):
            name = names.get(message.get("tool_call_id")) or message.get("name") or ""
            results.append((name, text_of(message)))
        elif role in MODEL_ROLES:
            calls = calls_of(message, number)
            called += [call.name for call in calls]
            names.update({call.id: call.name for call in calls})
            if not calls:
                called += _told(text_of(message))
        elif number > start and role not in SYSTEM_ROLES:
            text = text_of(message)
            called += _told(text)
            if (report := _REPORT.match(text)) and not report["context"]:
                results.append((called[-1] if called else "", text[report.end() :]))
    return OpenTurn(question, tuple(called), tuple(results))


def _told(text: str) -> list[str]:
    return [first or second for first, second in _TOLD_CALL.findall(text[:MAX_TOLD])]
