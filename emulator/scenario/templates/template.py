"""Compiling template texts, with syntax errors explained in the words of the scenario language."""

import functools
import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from emulator.scenario.templates.budget import TemplateError
from emulator.scenario.templates.sandbox import GLOBALS, environment, evaluate, run
from emulator.suggestions import join, suggest_one

if TYPE_CHECKING:
    import jinja2
    from jinja2 import nodes


_EXPRESSION = re.compile(r"(?s)\{\{.*\}\}")


class Template:
    """A compiled template; made by `compile_template`."""

    def __init__(self, text: str, compiled: "jinja2.Template", expression: "jinja2.Template | None") -> None:
        self.text = text
        self._compiled = compiled
        self._expression = expression

    def render(self, context: Mapping[str, Any]) -> str:
        """The text with its expressions replaced; raises TemplateError."""
        return run(lambda: self._compiled.generate(context), self.text, context)

    def evaluate(self, context: Mapping[str, Any]) -> Any:
        """The value of a text that is exactly one `{{ expression }}`, of its own type; else as `render`.

        Raises TemplateError.
        """
        if self._expression is None:
            return self.render(context)

        return evaluate(self._expression, self.text, context)


def is_template(text: str) -> bool:
    """Whether a text is a template: it holds `{{` or `{%`."""
    return "{{" in text or "{%" in text


@functools.lru_cache(maxsize=4096)
def compile_template(text: str) -> Template:
    """Compile a text. Raises TemplateError when it is not a valid template."""
    compiled, expression = compile_text(text)
    return Template(text, compiled, expression)


def unknown_names(text: str, known: Collection[str]) -> list[str]:
    """The variables of a template that are not known, sorted; raises TemplateError when it cannot be read."""
    return sorted(list_names(text).difference(known))


def strings_in(value: Any, loc: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text inside a value of dicts and lists, with its location; keys are left out."""
    if isinstance(value, str):
        yield loc, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings_in(item, (*loc, key))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from strings_in(item, (*loc, number))


def is_literal(value: Any) -> bool:
    """Whether no string in a value is a template."""
    return not any(is_template(text) for _, text in strings_in(value))


_FORBIDDEN = {
    "Block": "block",
    "CallBlock": "call",
    "Extends": "extends",
    "FromImport": "from",
    "Import": "import",
    "Include": "include",
    "Macro": "macro",
}
"""Tags that need other files or allow unbounded recursion, by the names of their nodes."""


def compile_text(text: str) -> "tuple[jinja2.Template, jinja2.Template | None]":
    """A template, and its expression alone if that is all there is; raises TemplateError."""
    import jinja2  # noqa: PLC0415 - jinja2 is slow to import
    from jinja2 import nodes  # noqa: PLC0415 - as above

    sandbox = environment()
    tree = _parse(text)
    single = _single_expression(tree)
    for loop in tree.find_all(nodes.For):
        counted = nodes.EnvironmentAttribute("count", lineno=loop.lineno)
        loop.iter = nodes.Call(counted, [loop.iter], [], None, None, lineno=loop.lineno)
    try:
        compiled = sandbox.from_string(tree)
        if single is None:
            return compiled, None
        keep = nodes.Assign(nodes.Name("result", "store", lineno=1), single, lineno=1)
        alone = nodes.Template([keep], lineno=1)
        alone.set_environment(sandbox)
        return compiled, sandbox.from_string(alone)
    except jinja2.TemplateSyntaxError as error:
        raise _explain_syntax(error) from None
    except RecursionError:
        raise TemplateError("this template is nested too deeply") from None


def list_names(text: str) -> set[str]:
    """The variables a template takes from outside; raises TemplateError."""
    from jinja2 import meta  # noqa: PLC0415 - jinja2 is slow to import

    return set(meta.find_undeclared_variables(_parse(text))).difference(GLOBALS)


def _parse(text: str) -> "nodes.Template":
    import jinja2  # noqa: PLC0415 - jinja2 is slow to import
    from jinja2 import nodes  # noqa: PLC0415 - as above

    try:
        tree = environment().parse(text)
    except jinja2.TemplateSyntaxError as error:
        raise _explain_syntax(error) from None
    except RecursionError:
        raise TemplateError("this template is nested too deeply") from None
    for node in tree.find_all(nodes.Stmt):
        if word := _FORBIDDEN.get(type(node).__name__):
            raise TemplateError(f'"{{% {word} %}}" is not available in a scenario', word)
    for loop in tree.find_all(nodes.For):
        if loop.recursive:
            raise TemplateError('a "recursive" loop is not available in a scenario', "recursive")
    return tree


def _single_expression(tree: "nodes.Template") -> "nodes.Expr | None":
    from jinja2 import nodes  # noqa: PLC0415 - jinja2 is slow to import

    match tree.body:
        case [nodes.Output(nodes=[expression])] if not isinstance(expression, nodes.TemplateData):
            return expression
    return None


def _explain_syntax(error: "jinja2.TemplateSyntaxError") -> TemplateError:
    message = error.message or ""
    if found := re.match(r"No (filter|test) named '([^']*)'", message):
        kind, name = found.groups()
        known = environment().filters if kind == "filter" else environment().tests
        return TemplateError(f'there is no {kind} "{name}"{suggest_one(name, known)}', name)
    if found := re.match(r"Encountered unknown tag '([^']*)'", message):
        near = suggest_one(
            found[1], ("for", "if", "elif", "else", "endfor", "endif", "set", "endset", "with", "endwith")
        )
        return TemplateError(f'there is no tag "{{% {found[1]} %}}"{near}', found[1])
    if "looking for the following tags" in message:
        wanted = re.findall(r"'(end[^']*)'", message)
        lacking = join([f'"{{% {tag} %}}"' for tag in wanted[:1]] or ["an end"], "or")
        return TemplateError(f"the template ends too early: it lacks {lacking}")
    if found := re.search(r"got '([^']*)'", message) or re.match(r"unexpected '([^']*)'", message):
        token = {"end of print statement": "}}", "end of statement block": "%}"}.get(found[1], found[1])
        return TemplateError(f'this template cannot be read at "{token}"', token)
    if found := re.match(r"unexpected char (['\"])(.)\1", message):
        quoted = f"'{found[2]}'" if found[2] == '"' else f'"{found[2]}"'
        return TemplateError(f"this template cannot be read at {quoted}", found[2])
    if "end of template" in message:
        return TemplateError('the template ends too early: a "}}" or "%}" is missing')
    return TemplateError(f"this template cannot be read: {' '.join(message.split()).rstrip('.').lower()}")
