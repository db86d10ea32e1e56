"""The sandbox of templates: Jinja without access to Python's internals or files, and with a work budget."""

import functools
import json
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from datetime import date, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, cast

from emulator.budget import Budget, BudgetError
from emulator.scenario.templates import prices
from emulator.scenario.templates.failures import TOO_DEEP, TemplateError, explain_failure
from emulator.scenario.templates.prices import MAX_OUTPUT
from emulator.scenario.templates.variables import explain_unknown
from emulator.suggestions import join, quote, suggest_one

GLOBALS = ("range", "dict", "namespace")
"""The global functions of Jinja that templates can call."""
_known_names: ContextVar[Mapping[str, Any]] = ContextVar("known_names")
"""The variables of the template that is being evaluated."""
_LISTED = 8
_MAX_DATE = 256
"""How many characters `strftime` makes at most for one of its pattern."""

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
            return explain_unknown(str(name), _known_names.get({}))
        if isinstance(owner, dict):
            keys = [key for key in owner if isinstance(key, str)]
            listed = f"only {join(map(quote, keys[:_LISTED]), 'and')}" if keys else "nothing"
            return f'there is no "{name}" in it, {listed}{suggest_one(str(name), keys)}'
        if isinstance(owner, list | tuple) and isinstance(name, int):
            return f"there is no item {name} in a list of {len(owner)}"
        kinds = {str: "a text", list: "a list", int: "a number", float: "a number", type(None): "nothing"}
        return f'{kinds.get(type(owner), type(owner).__name__)} has no "{name}"'


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gteq": operator.ge,
    "lt": operator.lt,
    "lteq": operator.le,
    "in": lambda left, right: left in right,
    "notin": lambda left, right: left not in right,
}
"""The comparisons, by Jinja's names."""


class Generator(CodeGenerator):
    """Jinja's code generator, but that what Jinja leaves to Python is charged to the budget: `a ~ b`, comparisons, slices and keys."""

    def visit_Concat(self, node: "nodes.Concat", frame: "Frame") -> None:  # noqa: N802 - jinja2 names it
        """`a ~ b`, as Python."""
        self.write("environment.concatenate((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_Compare(self, node: "nodes.Compare", frame: "Frame") -> None:  # noqa: N802 - as above
        """`a < b < c`, as Python; what stands behind the second operand is only worked out when it is needed."""
        self.write("environment.compare(")
        self.visit(node.expr, frame)
        for part in node.ops:
            self.write(f", ({part.op!r}, lambda: ")
            self.visit(part.expr, frame)
            self.write(")")
        self.write(")")

    def visit_Getitem(self, node: "nodes.Getitem", frame: "Frame") -> None:  # noqa: N802 - as above
        """`a[b]` or `a[b:c]`, as Python."""
        from jinja2 import nodes  # noqa: PLC0415 - jinja2 is slow to import

        is_slice = isinstance(node.arg, nodes.Slice)
        self.write("environment.part(" if is_slice else "environment.getitem(")
        self.visit(node.node, frame)
        parts = (node.arg.start, node.arg.stop, node.arg.step) if isinstance(node.arg, nodes.Slice) else (node.arg,)
        for part in parts:
            self.write(", ")
            if part is None:
                self.write("None")
            else:
                self.visit(part, frame)
        self.write(")")

    def visit_Dict(self, node: "nodes.Dict", frame: "Frame") -> None:  # noqa: N802 - as above
        """`{a: b}`, as Python."""
        self.write("{")
        for pair in node.items:
            self.write("environment.check_key(")
            self.visit(pair.key, frame)
            self.write("): ")
            self.visit(pair.value, frame)
            self.write(", ")
        self.write("}")


class Bounded(ImmutableSandboxedEnvironment):
    """Jinja with a budget, and without any attribute, method, filter or function that has no price."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})
    count = staticmethod(prices.count)
    check_key = staticmethod(prices.check_key)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.globals = {name: self.globals[name] for name in GLOBALS}
        self.filters = {name: _priced(name, function) for name, function in self.filters.items() if _price_of(name)}
        self.filters["tojson"] = _priced("tojson", _tojson)
        self.filters["random"] = _priced("random", functools.wraps(self.filters["random"])(_random))
        self.tests = {
            name: _priced_test(name, cast("Callable[..., Any]", function)) for name, function in self.tests.items()
        }

    def concat(self, parts: Iterable[str]) -> str:
        """The text of a block, such as `{% set x %}...{% endset %}`."""
        held = list(parts)
        prices.spend(sum(map(len, held)))
        return "".join(held)

    def concatenate(self, parts: Iterable[Any]) -> str:
        """`a ~ b`."""
        prices.spend(prices.TURN)
        return str(prices.weigh("".join([prices.weigh(str(_finalize(part))) for part in parts])))

    def compare(self, left: Any, *operands: tuple[str, Callable[[], Any]]) -> Any:
        """`a < b < c`."""
        result: Any = True
        for name, find in operands:
            right = find()
            prices.spend(prices.OPERATION)
            prices.check_comparison(name, left, right)
            result = _OPERATORS[name](left, right)
            if not result:
                return result
            left = right
        return result

    def part(self, value: Any, start: Any, stop: Any, step: Any) -> Any:
        """`a[b:c]`."""
        prices.check_slice(value, slice(start, stop, step))
        return value[start:stop:step]

    def call_binop(self, context: "Context", operator: str, left: Any, right: Any) -> Any:
        """An operator whose result may be huge."""
        prices.check_operator(operator, left, right)
        return prices.weigh(super().call_binop(context, operator, left, right))

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`a[b]`."""
        prices.spend(prices.ITEM)
        return super().getitem(obj, prices.check_key(argument))

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`a.b`."""
        prices.spend(prices.ITEM)
        if type(obj) is dict and attribute in obj and not hasattr(dict, attribute):
            return obj[attribute]
        prices.spend(2 * prices.TURN)
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether an attribute is one of those that templates may use."""
        if not super().is_safe_attribute(obj, attr, value):
            return False
        if isinstance(obj, tuple) and attr in getattr(obj, "_fields", ()):
            return True
        for kind, methods in prices.METHODS.items():
            if isinstance(obj, kind):
                return attr in methods
        return isinstance(obj, _open_types()) or getattr(type(obj), "is_open_to_templates", False) is True

    # The names of its own parameters are mangled, as in jinja2, to leave all others to keyword arguments.
    def call(__self, __context: "Context", __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063  # as jinja2 names them
        """A call of a function or method."""
        prices.spend(prices.CALL + len(args) + len(kwargs))
        # Jinja passes the names of blocks and loops to functions that ask for them.
        named = {key: value for key, value in kwargs.items() if key not in ("_loop_vars", "_block_vars")}
        method = getattr(__obj, "__wrapped__", __obj)
        owner = getattr(method, "__self__", None)
        if owner is not None and (price := _price_method(owner, method.__name__)) is not None:
            args = tuple([prices.hold(one) for one in args])
            prices.spend(prices.size_of([*args, *named.values()]) >> 3)
            prices.spend(price(owner, *args, **named))
        elif args or named:
            size = prices.size_of([*args, *named.values()])
            prices.spend(size * (_MAX_DATE if isinstance(owner, date | time | timedelta) else 1))
        made = super().call(__context, __obj, *args, **kwargs)
        return prices.Items(made) if hasattr(made, "__next__") else prices.weigh(made)


def _price_method(owner: Any, name: str) -> "prices.Price | None":
    for kind, methods in prices.METHODS.items():
        if isinstance(owner, kind):
            return methods.get(name)
    return None


@functools.cache
def _open_types() -> tuple[type, ...]:
    """The types all of whose public attributes templates may use."""
    from jinja2 import Undefined  # noqa: PLC0415 - jinja2 is slow to import
    from jinja2.runtime import LoopContext  # noqa: PLC0415 - as above
    from jinja2.utils import Namespace  # noqa: PLC0415 - as above

    return (date, time, timedelta, tzinfo, LoopContext, Namespace, Undefined)


def _price_of(name: str) -> "prices.Price | None":
    return prices.LOOKED_THROUGH.get(name) or prices.PASSED_ON.get(name)


@functools.cache
def _internal_types() -> tuple[type, ...]:
    from jinja2 import Environment  # noqa: PLC0415 - jinja2 is slow to import
    from jinja2.nodes import EvalContext  # noqa: PLC0415 - as above
    from jinja2.runtime import Context  # noqa: PLC0415 - as above

    return (Environment, EvalContext, Context)


def _split_internal(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Jinja's own arguments of a filter or test, which come first, and those of the template."""
    own = sum(isinstance(value, _internal_types()) for value in args[:1])
    return args[:own], args[own:]


def _priced(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    price = _price_of(name)
    looks_through = name in prices.LOOKED_THROUGH

    @functools.wraps(function)
    def apply(*args: Any, **kwargs: Any) -> Any:
        prices.spend(prices.CALL)
        own, values = _split_internal(args)
        if looks_through:
            values = tuple([prices.hold(value) for value in values])
            kwargs = {key: prices.hold(value) for key, value in kwargs.items()}
            for value in (*values, *kwargs.values()):
                prices.size_of(value)
        if price is not None:
            prices.spend(price(*values, **kwargs))
        made = function(*own, *values, **kwargs)
        return prices.Items(made, values) if hasattr(made, "__next__") else prices.weigh(made)

    return apply


def _priced_test(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    compared = {"==": "eq", "eq": "eq", "equalto": "eq", "!=": "ne", "ne": "ne", "in": "in"}.get(name)
    looks_through = name in (">", "gt", "greaterthan", ">=", "ge", "<", "lt", "lessthan", "<=", "le", "upper", "lower")

    @functools.wraps(function)
    def apply(*args: Any, **kwargs: Any) -> Any:
        prices.spend(2 * prices.OPERATION)
        _, values = _split_internal(args)
        if compared is not None and len(values) > 1:
            prices.check_comparison(compared, values[0], values[1])
        elif looks_through:
            prices.size_of([*values, *kwargs.values()])
        return function(*args, **kwargs)

    return apply


def _tojson(value: Any, indent: int | None = None) -> str:
    """JSON in UTF-8, keys in the order in which they are written, nothing escaped for HTML."""
    separators = (", ", ": ") if indent is None else (",", ": ")
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, allow_nan=False)


def _random(context: "Context", items: Any) -> Any:
    """An item at random, by the generator of `fake`: the same request gets the same one."""
    fake, held = context.parent.get("fake"), prices.hold(items)
    if fake is None:
        raise BudgetError('"random" cannot be used here')
    if not held:
        raise BudgetError("nothing is to be chosen from: it is empty")
    return held[fake.random_int(0, len(held) - 1)]


def _finalize(value: Any) -> Any:
    """Check a value before it becomes text."""
    if isinstance(value, str):
        prices.spend(len(value))
        return value
    if isinstance(value, int | float | None):
        return value
    from jinja2 import Undefined  # noqa: PLC0415 - jinja2 is slow to import
    from jinja2.utils import Namespace  # noqa: PLC0415 - as above

    if isinstance(value, Namespace):
        raise BudgetError("a namespace is no text; write one of its attributes")
    if callable(value) and not isinstance(value, Undefined):
        raise BudgetError('it names a function without calling it; write "()" after the name')
    prices.spend(prices.size_of(value))
    return value


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

    # Not optimized: what the optimizer works out at load has no budget and would fail.
    return Sandbox(
        undefined=OurUndefined, keep_trailing_newline=True, autoescape=False, optimized=False, finalize=_finalize
    )


def run(generate: Callable[[], Iterator[str]], text: str, context: Mapping[str, Any], budget: Budget) -> str:
    """The output of a template. Raises TemplateError."""

    def collect() -> str:
        pieces, length = [], 0
        for piece in generate():
            length += len(piece)
            if length > MAX_OUTPUT:
                raise BudgetError(f"it makes more than {MAX_OUTPUT:,} characters")
            pieces.append(piece)
        return _without_surrogates("".join(pieces))

    return str(_guard(collect, text, context, budget))


def evaluate(expression: "jinja2.Template", text: str, context: Mapping[str, Any], budget: Budget) -> Any:
    """The value of a single expression with the types of JSON; other types become text. Raises TemplateError."""

    def find() -> Any:
        variables = expression.new_context(dict(context))
        for _ in expression.root_render_func(variables):
            pass
        return _as_json(_finalize(variables.vars["result"]))

    return _guard(find, text, context, budget)


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {_without_surrogates(str(key)): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise BudgetError(f"JSON has no number {value}")
    if value is None or isinstance(value, bool | int | float):
        return value
    return _without_surrogates(prices.weigh(str(value)))


def _without_surrogates(text: str) -> str:
    """A text with U+FFFD for each half of a character, which has no encoding."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _guard(work: Callable[[], Any], text: str, context: Mapping[str, Any], budget: Budget) -> Any:
    tokens = prices.current.set(budget), _known_names.set(context)
    try:
        return work()
    except Exception as error:
        reason = TOO_DEEP if isinstance(error, RecursionError) else explain_failure(error)
        raise TemplateError(f"the template {quote(text)} failed: {reason}") from error
    finally:
        prices.current.reset(tokens[0])
        _known_names.reset(tokens[1])
