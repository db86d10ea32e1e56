"""Compiling template texts, with syntax errors explained in the words of the scenario language."""

import functools
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from emulator.budget import Budget
from emulator.scenario.templates import prices
from emulator.scenario.templates.failures import TemplateError
from emulator.scenario.templates.prices import new_budget
from emulator.scenario.templates.sandbox import GLOBALS, environment, evaluate, run
from emulator.suggestions import join, suggest_one

if TYPE_CHECKING:
    import jinja2
    from jinja2 import nodes


MAX_TOKENS = 20_000
"""How many names, numbers, texts and operators a template may have."""
_UNCOUNTED = frozenset(("data", "whitespace", "variable_begin", "variable_end"))
_LARGEST_CACHED = 4096
"""Characters of a template; of longer ones, 64 are kept compiled, of others 4,096."""


class Template:
    """A compiled template; made by `compile_template`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._compiled, self._expression, self.names = _compile_text(text)
        """The variables it takes from outside."""

    def render(self, context: Mapping[str, Any], budget: Budget | None = None) -> str:
        """The text with its expressions replaced, at the expense of a budget; raises TemplateError."""
        return run(lambda: self._compiled.generate(context), self.text, context, budget or new_budget())

    def evaluate(self, context: Mapping[str, Any], budget: Budget | None = None) -> Any:
        """The value of a text that is exactly one `{{ expression }}`, of its own type; else as `render`.

        Raises TemplateError.
        """
        if self._expression is None:
            return self.render(context, budget)
        return evaluate(self._expression, self.text, context, budget or new_budget())


def is_template(text: str) -> bool:
    """Whether a text is a template: it holds `{{` or `{%`."""
    return "{{" in text or "{%" in text


def explain_no_template(key: str) -> str:
    """The problem with a template as the value of a key whose value is needed when the scenario is read."""
    return f'"{key}" cannot be a template: its value is needed when the scenario is read'


def compile_template(text: str) -> Template:
    """Compile a text. Raises TemplateError when it is not a valid template."""
    made = _compile_or_explain(text) if len(text) <= _LARGEST_CACHED else _compile_large(text)
    if isinstance(made, Template):
        return made
    # A new one each time: an error that is raised keeps its traceback.
    raise TemplateError(*made)


def _compile_or_none(text: str) -> Template | tuple[str, str]:
    try:
        return Template(text)
    except TemplateError as error:
        return str(error), error.near


_compile_or_explain = functools.lru_cache(maxsize=4096)(_compile_or_none)
_compile_large = functools.lru_cache(maxsize=64)(_compile_or_none)


def unknown_names(text: str, known: Collection[str]) -> list[str]:
    """The variables of a template that are not known, sorted; raises TemplateError when it cannot be read."""
    return sorted(compile_template(text).names.difference(known))


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


def _compile_text(text: str) -> "tuple[jinja2.Template, jinja2.Template | None, frozenset[str]]":
    """A template, its expression alone if that is all there is, and the names it takes from outside; raises TemplateError."""
    import jinja2  # noqa: PLC0415 - jinja2 is slow to import

    # Jinja works out what is constant when it compiles, also without its optimizer; without a budget that is left for later.
    no_work = prices.current.set(Budget(0, 0))
    try:
        _check_length(text)
        tree = environment().parse(text)
        _check_statements(tree)
        names = _find_names(tree)
        return *_compile_tree(tree), names
    except jinja2.TemplateSyntaxError as error:
        raise _explain_syntax(error) from None
    except TemplateError:
        raise
    except Exception as error:  # noqa: BLE001  # Jinja and Python's compiler have limits of many kinds
        raise _explain_limit(error, text) from None
    finally:
        prices.current.reset(no_work)


def _check_length(text: str) -> None:
    """Raise TemplateError for a template of so many tokens that it would take seconds to compile."""
    tokens = (kind for _, kind, _ in environment().lexer.tokeniter(text, None) if kind not in _UNCOUNTED)
    if next(islice(tokens, MAX_TOKENS, None), None) is not None:
        raise TemplateError(f"this template has more than {MAX_TOKENS:,} words and signs; divide it")


def _check_statements(tree: "nodes.Template") -> None:
    """Raise TemplateError for tags that are not available."""
    from jinja2 import nodes  # noqa: PLC0415 - jinja2 is slow to import

    for node in tree.find_all(nodes.Stmt):
        if word := _FORBIDDEN.get(type(node).__name__):
            raise TemplateError(f'"{{% {word} %}}" is not available in a scenario', word)
    for loop in tree.find_all(nodes.For):
        if loop.recursive:
            raise TemplateError('a "recursive" loop is not available in a scenario', "recursive")
    for call in tree.find_all((nodes.Call, nodes.Filter, nodes.Test)):
        given = [keyword.key for keyword in getattr(call, "kwargs", ())]
        if twice := next((key for key in given if given.count(key) > 1), None):
            raise TemplateError(f'"{twice}" is given twice in one call', f"{twice}")


def _find_names(tree: "nodes.Template") -> frozenset[str]:
    from jinja2 import meta  # noqa: PLC0415 - jinja2 is slow to import

    return frozenset(meta.find_undeclared_variables(tree)).difference(GLOBALS)


def _compile_tree(tree: "nodes.Template") -> "tuple[jinja2.Template, jinja2.Template | None]":
    from jinja2 import nodes  # noqa: PLC0415 - jinja2 is slow to import

    sandbox = environment()
    single = _single_expression(tree)
    for loop in tree.find_all(nodes.For):
        counted = nodes.EnvironmentAttribute("count", lineno=loop.lineno)
        loop.iter = nodes.Call(counted, [loop.iter], [], None, None, lineno=loop.lineno)
    compiled = sandbox.from_string(tree)
    if single is None:
        return compiled, None
    keep = nodes.Assign(nodes.Name("result", "store", lineno=1), single, lineno=1)
    alone = nodes.Template([keep], lineno=1)
    alone.set_environment(sandbox)
    return compiled, sandbox.from_string(alone)


def _explain_limit(error: Exception, text: str) -> TemplateError:
    """What a template has too much of for Jinja or Python to read it."""
    match error:
        case RecursionError() | MemoryError() | SyntaxError():
            return TemplateError("this template is nested too deeply")
        case ValueError() if "digits" in str(error):
            longest = max(re.findall(r"[0-9_]+", text), key=len, default="")
            return TemplateError(f"a number in this template has {len(longest)} characters", longest[:40])
        case OverflowError():
            return TemplateError("a number in this template is too large")
    return TemplateError("this template cannot be read")


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
