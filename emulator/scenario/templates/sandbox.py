"""The sandbox of templates: Jinja without access to Python's internals or files, and with a work budget."""

import functools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from emulator.scenario.templates import budget
from emulator.scenario.templates.budget import MAX_OUTPUT, TemplateError, explain_failure
from emulator.scenario.templates.variables import explain_unknown
from emulator.suggestions import join, quote, suggest_one

GLOBALS = ("range", "dict", "namespace")
"""The global functions of Jinja that templates can call."""
_SIZED_FILTERS = {"batch", "center", "indent", "round", "slice", "tojson", "wordwrap"}
_LISTED = 8

if TYPE_CHECKING:
    import jinja2
    from jinja2 import StrictUndefined, nodes
    from jinja2.compiler import CodeGenerator, Frame
    from jinja2.runtime import Context
    from jinja2.sandbox import ImmutableSandboxedEnvironment
else:
    # jinja2 is slow to import: `environment` joins these classes to its own when the first template is compiled.
    CodeGenerator = ImmutableSandboxedEnvironment = StrictUndefined = object


class Unknown(StrictUndefined):
    """An undefined value, whose error message is in the words of the scenario language."""

    @property
    def _undefined_message(self) -> str:
        from jinja2.exceptions import SecurityError  # noqa: PLC0415 - as above
        from jinja2.utils import missing  # noqa: PLC0415 - as above

        name, owner = self._undefined_name, self._undefined_obj
        if issubclass(self._undefined_exception, SecurityError):
            return f'"{name}" may not be used in a template'
        if owner is missing:
            return explain_unknown(str(name), budget.known_names.get({}))
        if isinstance(owner, dict):
            keys = [key for key in owner if isinstance(key, str)]
            listed = f"only {join(map(quote, keys[:_LISTED]), 'and')}" if keys else "nothing"
            return f'there is no "{name}" in it, {listed}{suggest_one(str(name), keys)}'
        if isinstance(owner, list | tuple) and isinstance(name, int):
            return f"there is no item {name} in a list of {len(owner)}"
        kinds = {str: "a text", list: "a list", int: "a number", float: "a number", type(None): "nothing"}
        return f'{kinds.get(type(owner), type(owner).__name__)} has no "{name}"'


class Generator(CodeGenerator):
    """Jinja's code generator, except that `a ~ b` is charged to the budget."""

    def visit_Concat(self, node: "nodes.Concat", frame: "Frame") -> None:  # noqa: N802 - jinja2 names it
        """`a ~ b`, as Python."""
        self.write("environment.concatenate((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class Bounded(ImmutableSandboxedEnvironment):
    """Jinja with a budget."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.globals = {name: self.globals[name] for name in GLOBALS}
        self.filters = {name: _bounded(name, function) for name, function in self.filters.items()}
        self.filters["tojson"] = _bounded("tojson", _tojson)

    def concatenate(self, parts: Iterable[Any]) -> str:
        """`a ~ b`."""
        return str(budget.weigh("".join([budget.weigh(str(_finalize(part))) for part in parts])))

    def count(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items of a loop, each charged to the budget."""
        for item in items:
            budget.spend(budget.TURN)
            yield item

    def call_binop(self, context: "Context", operator: str, left: Any, right: Any) -> Any:
        """An operator whose result may be huge."""
        budget.check_operator(operator, left, right)
        return budget.weigh(super().call_binop(context, operator, left, right))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`format` and `format_map` of a text, with their widths checked."""
        wrapper = super().wrap_str_format(value)
        if wrapper is not None:
            budget.check_widths(value.__self__)
        return wrapper

    # The names of its own parameters are mangled, as in jinja2, to leave all others to keyword arguments.
    def call(__self, __context: "Context", __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063  # as jinja2 names them
        """A call of a function or method."""
        budget.spend(budget.TURN)
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str | bytes | int):
            budget.check_numbers(*args, *kwargs.values())
        if isinstance(owner, str):
            budget.measure(args)
            _check_growth(__obj.__name__, owner, *args)
        return budget.weigh(super().call(__context, __obj, *args, **kwargs))


def _check_growth(method: str, text: str, *args: Any) -> None:
    if method == "replace" and len(args) > 1:
        budget.check_product(len(text) + 1, len(str(args[1])))
    if method == "join" and args and hasattr(args[0], "__len__"):
        budget.check_product(len(text), len(args[0]))


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    from jinja2 import Environment  # noqa: PLC0415 - jinja2 is slow to import
    from jinja2.nodes import EvalContext  # noqa: PLC0415 - as above
    from jinja2.runtime import Context  # noqa: PLC0415 - as above

    internal = (Environment, EvalContext, Context)

    @functools.wraps(function)
    def apply(*args: Any, **kwargs: Any) -> Any:
        budget.spend(budget.TURN)
        values = [value for value in args if not isinstance(value, internal)]
        named = [*kwargs.values()]
        budget.measure([*values, *named])
        if name in _SIZED_FILTERS:
            budget.check_numbers(*values[1:], *named)
        if name == "format":
            budget.check_widths(str(values[0]))
        if name == "replace":
            _check_growth(name, str(values[0]), "", *values[2:3], *named)
        if name == "join":
            _check_growth(name, str([*values[1:2], *named, ""][0]), values[0])
        return budget.weigh(function(*args, **kwargs))

    return apply


def _tojson(value: Any, indent: int | None = None) -> str:
    """JSON in UTF-8, keys in the order in which they are written, nothing escaped for HTML."""
    separators = (", ", ": ") if indent is None else (",", ": ")
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, allow_nan=False)


def _finalize(value: Any) -> Any:
    """Check a value before it becomes text."""
    from jinja2 import Undefined  # noqa: PLC0415 - jinja2 is slow to import

    if callable(value) and not isinstance(value, Undefined):
        raise budget.BudgetError('it names a function without calling it; write "()" after the name')
    return budget.measure(value)


@functools.cache
def environment() -> "jinja2.Environment":
    """The environment of all templates, made when the first one is compiled."""
    from jinja2 import StrictUndefined  # noqa: PLC0415 - jinja2 is slow to import
    from jinja2.compiler import CodeGenerator  # noqa: PLC0415 - as above
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415 - as above

    class OurGenerator(Generator, CodeGenerator): ...

    class OurUndefined(Unknown, StrictUndefined): ...

    class Sandbox(Bounded, ImmutableSandboxedEnvironment):
        code_generator_class = OurGenerator

    # Not optimized: the optimizer would run filters at load, outside any budget.
    return Sandbox(
        undefined=OurUndefined, keep_trailing_newline=True, autoescape=False, optimized=False, finalize=_finalize
    )


def run(generate: Callable[[], Iterator[str]], text: str, context: Mapping[str, Any]) -> str:
    """The output of a template. Raises TemplateError."""

    def collect() -> str:
        pieces, length = [], 0
        for piece in generate():
            length += len(piece)
            if length > MAX_OUTPUT:
                raise budget.BudgetError(f"it makes more than {MAX_OUTPUT:,} characters")
            pieces.append(piece)
        return "".join(pieces)

    return str(_guard(collect, text, context))


def evaluate(expression: "jinja2.Template", text: str, context: Mapping[str, Any]) -> Any:
    """The value of a single expression with the types of JSON; other types become text. Raises TemplateError."""

    def find() -> Any:
        variables = expression.new_context(dict(context))
        for _ in expression.root_render_func(variables):
            pass
        return _as_json(_finalize(variables.vars["result"]))

    return _guard(find, text, context)


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise budget.BudgetError(f"JSON has no number {value}")
    return value if value is None or isinstance(value, bool | int | float) else budget.weigh(str(value))


def _guard(work: Callable[[], Any], text: str, context: Mapping[str, Any]) -> Any:
    tokens = budget.open_budget(context)
    try:
        return work()
    except Exception as error:
        raise TemplateError(f"the template {quote(text)} failed: {explain_failure(error)}") from error
    finally:
        budget.close_budget(tokens)
