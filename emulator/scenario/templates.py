"""`{{ ... }}` in the strings of a scenario: compiled at load, evaluated in a sandbox whose work is bounded."""

import functools
import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from emulator.errors import AnswerError
from emulator.scenario.words import suggest_one

if TYPE_CHECKING:
    import jinja2

VARIABLES: dict[str, str] = {
    "model": "the model as sent, publisher included",
    "publisher": "the part of the model before the slash",
    "project": "the project id or number in the URL",
    "location": "the location in the URL",
    "endpoint": "the endpoint in the URL: `openapi` or an endpoint's id",
    "api_version": "`v1` or `v1beta1`",
    "stream": "whether the answer is streamed",
    "last_user": "the text of the last user message",
    "system": "the system messages, joined by line breaks",
    "turn": "how many user turns there are",
    "tool_result": "the last tool result: its JSON when it is JSON, else its text",
    "tool_results": "all tool results at the end of the conversation, each like `tool_result`",
    "tools": "the names of the declared tools",
    "messages": "the messages of the request",
    "request": "the whole body of the request",
    "captures": "the named groups of the rule's regular expressions; each is also a variable of its own",
    "fake": "made-up values from Faker, seeded: `fake.name()`, `fake.sentence()`",
    "use": "how many times the rule has answered in this session, from 1",
    "now": "the time as a datetime in UTC",
    "uuid": "a function that makes a UUID, seeded: `uuid()`",
    "choice": "the number of the choice, from 0, when the request asks for several with `n`",
}
"""The variables of templates, each with what it holds."""

MAX_OUTPUT = 1024 * 1024
"""How many characters a template may make."""

_EXPRESSION = re.compile(r"(?s)\{\{.*\}\}")


class TemplateError(AnswerError):
    """A template that cannot be read, or that failed for this request.

    `near` is the part of the text that is at fault, empty when that is not known.
    """

    def __init__(self, message: str, near: str = "") -> None:
        self.near = near
        super().__init__(message)


class Template:
    """A compiled template; made by `compile_template`."""

    def __init__(self, text: str, compiled: "jinja2.Template", expression: "jinja2.Template | None") -> None:
        self.text = text
        self._compiled = compiled
        self._expression = expression

    def render(self, context: Mapping[str, Any]) -> str:
        """The text with its expressions replaced; raises TemplateError."""
        from emulator.scenario.sandbox import run  # noqa: PLC0415 - jinja2 is only imported when a template is used

        return run(lambda: self._compiled.generate(context), self.text, context)

    def evaluate(self, context: Mapping[str, Any]) -> Any:
        """The value of a text that is exactly one `{{ expression }}`, of its own type; else as `render`.

        Raises TemplateError.
        """
        if self._expression is None:
            return self.render(context)
        from emulator.scenario.sandbox import evaluate  # noqa: PLC0415 - as above

        return evaluate(self._expression, self.text, context)


def is_template(text: str) -> bool:
    """Whether a text is a template: it holds `{{` or `{%`."""
    return "{{" in text or "{%" in text


@functools.lru_cache(maxsize=4096)
def compile_template(text: str) -> Template:
    """Compiles a text; raises TemplateError when it is not a template of the allowed kind."""
    from emulator.scenario.compiling import compile_text  # noqa: PLC0415 - jinja2 is only imported for a template

    compiled, expression = compile_text(text)
    return Template(text, compiled, expression)


def unknown_names(text: str, known: Collection[str]) -> list[str]:
    """The variables of a template that are not known, sorted; raises TemplateError when it cannot be read."""
    from emulator.scenario.compiling import list_names  # noqa: PLC0415 - jinja2 is only imported for a template

    return sorted(list_names(text).difference(known))


def explain_unknown(name: str, known: Collection[str]) -> str:
    """What to say of a variable that is not known."""
    return f'"{name}" is not known{suggest_one(name, known)}'


def strings_in(value: Any, loc: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text inside a value of dicts and lists, with the way to it; keys are not looked at."""
    if isinstance(value, str):
        yield loc, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings_in(item, (*loc, key))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from strings_in(item, (*loc, number))
