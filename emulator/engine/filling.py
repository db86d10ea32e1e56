"""Templates in what a scenario gives, filled in for a request."""

from functools import lru_cache
from typing import Any

from emulator.engine.context import Context
from emulator.scenario.templates import Template, compile_template, is_template, strings_in


@lru_cache(maxsize=4096)
def _compiled(text: str) -> Template:
    return compile_template(text)


def is_literal(value: Any) -> bool:
    """Whether no string in a value is a template."""
    return not any(is_template(text) for _, text in strings_in(value))


def fill_text(text: str, context: Context) -> str:
    """A text with its template filled in. Raises TemplateError."""
    return _compiled(text).render(context.variables()) if is_template(text) else text


def fill_value(value: Any, context: Context) -> Any:
    """JSON with its templates filled in; a string that is one expression keeps the type of its value. Raises TemplateError."""
    match value:
        case str():
            return _compiled(value).evaluate(context.variables()) if is_template(value) else value
        case dict():
            return {key: fill_value(one, context) for key, one in value.items()}
        case list():
            return [fill_value(one, context) for one in value]
        case _:
            return value
