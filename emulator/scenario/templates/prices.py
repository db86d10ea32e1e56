"""What the operations of templates cost, charged to a budget before they are carried out.

Jinja's own sandbox limits only `range`. Here every operator, method and filter that templates may use has its price: about what its result and its work come
to, worked out from its arguments. What has no price is not available.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from decimal import Decimal
from string import Formatter
from typing import Any

from emulator.budget import Budget, BudgetError, LongWorkError
from emulator.scenario.templates.failures import TOO_DEEP

WORK = 10_000_000
"""Units of work that the templates of one answer may cost together; about 100 ms on a slow machine."""
MAX_OUTPUT = 1024 * 1024
"""How many characters a template may make, and how long a text or list on the way may be."""
TURN = 200
"""Units of a turn of a loop; an attribute of what is no mapping costs two."""
CALL = 1000
"""Units of a call or a filter, beside what it does."""
OPERATION = 100
"""Units of an operator, a comparison or a test."""
ITEM = 10
"""Units of an item of a list or mapping that is looked at."""
MAX_DEPTH = 300
"""How deeply the values that a template makes may be nested."""
MAX_BITS = 4096
"""How many bits a whole number may have."""
_CONTAINER = 300
"""Units of a list or mapping that is looked through."""
_READ = 3
_MAX_DIGITS = 1200
_MAX_PRECISION = 300
_SHORT_TEXT, _SHORT_PART = 30_000, 100
_HASH_MODULUS = 2**61 - 1

current: ContextVar[Budget | None] = ContextVar("current", default=None)
"""The budget of the template that is being evaluated."""


def new_budget(*, is_short: bool = False) -> Budget:
    """A budget for the templates of one answer."""
    return Budget(WORK, MAX_OUTPUT, is_short=is_short)


def spend(units: int) -> None:
    """Charge units of work to the template that is being evaluated. Raises BudgetError when none are left."""
    budget = current.get()
    if budget is not None:
        budget.spend(units)


def refuse_if_short() -> None:
    """Raise LongWorkError if the template that is being evaluated may not take long."""
    budget = current.get()
    if budget is not None and budget.is_short:
        raise LongWorkError


def too_long() -> BudgetError:
    """The error of a text or list that is too long."""
    return BudgetError(f"it makes a value of more than {MAX_OUTPUT:,} characters or items")


def weigh(value: Any) -> Any:
    """Charge for the length of a new value and return it."""
    if isinstance(value, str | bytes | list | tuple | dict | set):
        if len(value) > MAX_OUTPUT:
            raise too_long()
        spend(len(value) >> 1)
    elif isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise BudgetError("it makes a number of too many digits")
    return value


def size_of(value: Any) -> int:
    """Charge for looking at everything inside a value, and return about how long it is as text.

    What is shared counts as often as it occurs. Raises BudgetError for what is nested too deeply.
    """
    pending: list[tuple[Any, int]] = [([value], -1)]
    size = read = 0
    while pending:
        items, depth = pending.pop()
        if depth == MAX_DEPTH:
            raise BudgetError(TOO_DEEP)
        # Charged before it is looked through, for each item and for the texts that were looked at so far.
        spend(_CONTAINER + len(items) * ITEM + (read >> _READ))
        read = 0
        size += 2 * len(items)
        for found in items:
            kind = type(found)
            if kind is int or kind is float or kind is bool:
                size += 8
            elif kind is str or isinstance(found, (str, bytes)):
                size += len(found)
                read += len(found)
            elif isinstance(found, dict):
                pending.append(([*found, *found.values()], depth + 1))
            elif isinstance(found, list | tuple | set | frozenset | _VIEWS):
                pending.append((list(found), depth + 1))
            else:
                size += _size_of_scalar(found)
    spend(read >> _READ)
    return size


def _size_of_scalar(value: Any) -> int:
    if isinstance(value, Decimal):
        return 28 + (abs(value.adjusted()) if value.is_finite() else 0)
    if isinstance(value, range):
        spend(len(value))
        return len(value) * 8
    return 8


_EMPTY: dict[Any, Any] = {}
_VIEWS = type(_EMPTY.keys()) | type(_EMPTY.values()) | type(_EMPTY.items())


class Items:
    """An iterator whose items are charged as they are taken; it knows how many iterators are behind it, because a long chain of them overflows the stack."""

    __slots__ = ("_items", "_price", "depth")

    def __init__(self, items: Iterator[Any], sources: Iterable[Any] = (), price: int = ITEM) -> None:
        self._items = items
        self._price = price
        self.depth: int = 1 + max((one.depth for one in sources if isinstance(one, Items)), default=0)
        if self.depth > MAX_DEPTH:
            raise BudgetError(TOO_DEEP)

    def __iter__(self) -> "Items":
        return self

    def __next__(self) -> Any:
        spend(self._price)
        return next(self._items)


def count(items: Iterable[Any]) -> Iterator[Any]:
    """The items of a loop, each charged to the budget."""
    for item in items:
        spend(TURN)
        yield item


def hold(value: Any) -> Any:
    """A value whose length is known: the items of an iterator as a list."""
    if hasattr(value, "__next__"):
        held = []
        for item in value:
            spend(ITEM)
            held.append(item)
        return held
    return list(value) if isinstance(value, _VIEWS) else value


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple | dict | set | range | _VIEWS) else 0


def _times(value: Any) -> int:
    """A number that says how often or how wide."""
    return max(math.ceil(value), 0) if isinstance(value, int | float) and math.isfinite(value) else 0


def check_operator(operator: str, left: Any, right: Any) -> None:
    """Charge for an operator; raise BudgetError before it makes something huge."""
    spend(OPERATION)
    sized = (str, bytes, list, tuple)
    match operator:
        case "*":
            for value, times in ((left, right), (right, left)):
                if isinstance(value, sized) and isinstance(times, int) and len(value) * times > MAX_OUTPUT:
                    raise BudgetError(f"it repeats something to more than {MAX_OUTPUT:,} characters or items")
        case "+" if isinstance(left, sized) and isinstance(right, sized) and len(left) + len(right) > MAX_OUTPUT:
            raise too_long()
        case "%" if isinstance(left, str | bytes):
            spend(CALL + _price_percent(left, right))
            return
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * max(right, 1) if operator == "**" else left.bit_length() + right.bit_length()
        if bits > MAX_BITS:
            raise BudgetError("it makes a number of too many digits")
    elif not isinstance(left, (*sized, int, float)) or not isinstance(right, (*sized, int, float)):
        size_of(left)
        size_of(right)


def check_comparison(operator: str, left: Any, right: Any) -> None:
    """Charge for a comparison."""
    simple = int | float | None
    if isinstance(left, simple) and isinstance(right, simple):
        return
    if operator in ("in", "notin"):
        if isinstance(left, str | simple) and not isinstance(right, str):
            spend(_length(right) * (1 + (_length(left) >> 4)))
            return
        if isinstance(left, str) and isinstance(right, str):
            spend(_price_search(right, left))
            return
    elif isinstance(left, str) and isinstance(right, str):
        spend(min(len(left), len(right)) >> _READ)
        return
    size_of(left)
    size_of(right)


def check_slice(value: Any, part: slice) -> None:
    """Charge for a part of a text or list."""
    if isinstance(value, str | bytes | list | tuple):
        spend(ITEM + (len(range(*part.indices(len(value)))) >> 2))


def check_key(key: Any) -> Any:
    """A key of a mapping, charged; a deeply nested one would overflow the stack when it is hashed."""
    if not isinstance(key, str | int | float | None):
        size_of(key)
    return key


def _price_percent(text: str | bytes, values: Any) -> int:
    """About how long the result of `text % values` is."""
    written = text if isinstance(text, str) else text.decode("latin-1")
    size = size_of(values)
    if isinstance(values, dict):
        keys = re.findall(r"%\(([^()]*)\)", written)
        sizes = {key: size_of(values[key]) for key in set(keys) if key in values}
        size = sum(sizes.get(key, 0) for key in keys) + (written.count("%") - len(keys)) * size
    return len(text) + size + sum(map(_price_width, re.findall(r"%(?:\([^)]*\))?([^a-zA-Z%]*)", written)))


def _price_width(spec: str) -> int:
    """The numbers in a format, which are widths; one that is only known when it runs is refused."""
    widths = re.findall(r"[0-9]+", spec)
    if "*" in spec or "{" in spec or any(len(width) > 5 for width in widths):  # noqa: PLR2004  # 99,999 is wide enough
        raise BudgetError("a width in it is too large")
    return sum(map(int, widths))


def _price_format(text: str, values: Any, named: Any) -> int:
    """About how long the result of `text.format(*values, **named)` is."""
    sizes: dict[str, int] = {}
    size, following = len(text), 0
    for _literal, field, spec, _conversion in Formatter().parse(text):
        if field is None:
            continue
        name = re.split(r"[.\[]", field, maxsplit=1)[0]
        if not name:
            name, following = str(following), following + 1
        if name not in sizes:
            where = values if name.isdecimal() else named
            key = int(name) if name.isdecimal() else name
            try:
                sizes[name] = size_of(where[key])
            except LookupError:
                sizes[name] = 0
        size += sizes[name] + _price_width(spec or "") + _price_date(spec or "")
        spend(2 * TURN + (len(field) << 2))
    return size


def _price_date(pattern: str) -> int:
    return 256 * len(pattern) if "%" in pattern else 0


def _price_search(text: str, part: Any) -> int:
    """The work of looking for a part: linear, but for parts of middling length in short texts."""
    length = _length(part)
    quadratic = len(text) * length >> 3 if len(text) < _SHORT_TEXT and length < _SHORT_PART else 0
    return (len(text) >> _READ) + quadratic


def _search(text: str, part: Any = "", *_bounds: Any) -> int:
    return _price_search(text, part)


def _search_backwards(text: str, part: Any = None, *_rest: Any, **_named: Any) -> int:
    return 4 * len(text) + (len(text) * _length(part) >> 3)


def _split(text: str, *args: Any, **named: Any) -> int:
    part = args[0] if args else named.get("sep")
    return 4 * len(text) + _price_search(text, part)


def _strip(text: str, chars: Any = None) -> int:
    return len(text) * (1 + (_length(chars) >> 1))


def _replace(text: str, old: Any = "", new: Any = "", count: Any = None) -> int:
    if not isinstance(old, str) or not isinstance(new, str):
        return 0
    spend(_price_search(text, old))
    found = text.count(old)
    return len(text) + (found if not isinstance(count, int) or count < 0 else min(found, count)) * len(new)


def _join(separator: str, items: Any = ()) -> int:
    return size_of(items) + len(separator) * _length(items)


def _translate(text: str, table: Any = None) -> int:
    values = table.values() if isinstance(table, dict) else table if isinstance(table, list | tuple) else ()
    spend(_length(table))
    return len(text) * max((_length(value) for value in values), default=1) + 5 * len(text)


def _expand_tabs(text: str, tabsize: Any = 8) -> int:
    return len(text) + text.count("\t") * _times(tabsize)


def _pad(text: str, width: Any = 0, *_fill: Any) -> int:
    return max(len(text), _times(width))


def _linear(text: Any, *_args: Any, **_named: Any) -> int:
    return _length(text)


def _short(_value: Any, *_args: Any, **_named: Any) -> int:
    return 0


def _affix(_text: str, part: Any = "", *_bounds: Any) -> int:
    return size_of(part)


def _compare_items(items: Any, *_args: Any, **_named: Any) -> int:
    return size_of(items)


Price = Callable[..., int]

METHODS: dict[type, dict[str, Price]] = {
    str: {
        **dict.fromkeys(("capitalize", "casefold", "encode", "lower", "swapcase", "title", "upper"), _linear),
        **dict.fromkeys(("isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower"), _linear),
        **dict.fromkeys(("isnumeric", "isprintable", "isspace", "istitle", "isupper"), _linear),
        **dict.fromkeys(("center", "ljust", "rjust", "zfill"), _pad),
        **dict.fromkeys(("count", "find", "index", "partition"), _search),
        **dict.fromkeys(("rfind", "rindex", "rpartition", "rsplit"), _search_backwards),
        **dict.fromkeys(("strip", "lstrip", "rstrip"), _strip),
        **dict.fromkeys(("startswith", "endswith", "removeprefix", "removesuffix"), _affix),
        "expandtabs": _expand_tabs,
        "format": lambda text, *values, **named: _price_format(text, values, named),
        "format_map": lambda text, named: _price_format(text, (), named),
        "join": _join,
        "replace": _replace,
        "split": _split,
        "splitlines": lambda text, *_args, **_named: 4 * len(text),
        "translate": _translate,
        # Of Markup, which `| escape` makes.
        **dict.fromkeys(("striptags", "unescape"), lambda text, *_args: _price_tags(text)),
    },
    bytes: {"decode": _linear, "hex": lambda text, *_args: 4 * len(text)},
    list: {"copy": _linear, "count": _compare_items, "index": _compare_items},
    tuple: {"count": _compare_items, "index": _compare_items},
    dict: {
        **dict.fromkeys(("copy", "items", "keys", "values"), _linear),
        "get": lambda _mapping, key=None, *_rest: 0 if isinstance(key, str) else size_of(key),
    },
    int: dict.fromkeys(("bit_count", "bit_length", "is_integer"), _short),
    float: dict.fromkeys(("hex", "is_integer"), _short),
}
"""The methods of values that templates may call, each with its price: units for the value and the arguments."""


def _price_tags(text: Any) -> int:
    written = str(text)
    return 4 * len(written) + (written.count("<") * len(written) >> 4)


def _sort(items: Any, *_args: Any, **_named: Any) -> int:
    return _unhashed(items) + (size_of(items) * max(_length(items), 1).bit_length() >> 1)


def _unhashed(items: Any) -> int:
    """Work for whole numbers that all have the same hash."""
    many = items if isinstance(items, list | tuple | range) else ()
    large = sum(isinstance(item, int) and abs(item) >= _HASH_MODULUS for item in many)
    return large * large


def _sum(items: Any, attribute: Any = None, start: Any = 0) -> int:
    return size_of(items) * (_length(items) if isinstance(start, list | tuple) else 1) + _length(attribute)


def _join_items(items: Any, d: Any = "", attribute: Any = None) -> int:
    return _text(items) + (_length(str(d)) + _length(attribute)) * _length(items)


def _tojson(value: Any, indent: Any = None) -> int:
    if indent is None:
        return size_of(value)
    if not isinstance(indent, int):
        raise BudgetError('the "indent" of "tojson" must be a whole number')
    pending, widths = [(value, 1)], 0
    while pending:
        found, depth = pending.pop()
        if isinstance(found, dict | list | tuple):
            items = list(found.values()) if isinstance(found, dict) else list(found)
            widths += (len(items) + 1) * depth
            pending += [(item, depth + 1) for item in items]
    return size_of(value) + widths * _times(indent)


def _wordwrap(s: Any, width: Any = 79, _break: Any = True, wrapstring: Any = None, *_rest: Any, **_named: Any) -> int:
    text, step = str(s), max(_times(width), 1)
    lines = 2 * len(text) // step + len(text.splitlines()) + 2
    longest = max(map(len, text.split()), default=0)
    return 20 * len(text) + lines * (1 + _length(wrapstring)) + (longest * longest // step >> 2)


def _indent(s: Any, width: Any = 4, *_rest: Any, **_named: Any) -> int:
    return len(str(s).splitlines()) * (len(width) if isinstance(width, str) else _times(width)) + len(str(s))


def _round(_value: Any, precision: Any = 0, *_rest: Any, **_named: Any) -> int:
    if isinstance(precision, int | float) and abs(precision) > _MAX_PRECISION:
        raise BudgetError(f"{precision} is too large here")
    return 0


def _int(value: Any, *_rest: Any, **_named: Any) -> int:
    if isinstance(value, str) and len(value) > _MAX_DIGITS:
        raise BudgetError("it makes a number of too many digits")
    return 0


def _urlize(value: Any, *args: Any, **named: Any) -> int:
    text = str(value)
    added = 40 + sum(size_of(one) for one in (*args, *named.values()))
    return 40 * len(text) + len(text.split()) * added


def _groups(items: Any, *args: Any, **_named: Any) -> int:
    """`batch` and `slice`: how many items a group has, or how many groups there are."""
    return _length(items) * ITEM + (_times(args[0]) if args else 0) * ITEM


def _listed(items: Any, *_args: Any, **_named: Any) -> int:
    return _length(items) * 2


def _text(value: Any, *_args: Any, **_named: Any) -> int:
    return _length(value) if isinstance(value, str) else size_of(value)


def _of_text(factor: int) -> Price:
    return lambda value, *_args, **_named: factor * _text(value)


LOOKED_THROUGH: dict[str, Price] = {
    **dict.fromkeys(("abs", "filesizeformat"), _short),
    **dict.fromkeys(("float", "lower", "upper", "truncate"), _text),
    **dict.fromkeys(("capitalize", "escape", "e", "forceescape", "xmlattr"), _of_text(6)),
    **dict.fromkeys(("title", "urlencode", "wordcount"), _of_text(25)),
    **dict.fromkeys(("dictsort", "groupby", "max", "min", "sort", "unique"), _sort),
    "center": lambda value, width=80: max(_text(value), _times(width)),
    "format": lambda value, *args, **named: _price_percent(str(value), named or args),
    "indent": _indent,
    "int": _int,
    "join": _join_items,
    "pprint": _of_text(60),
    "replace": lambda s, old="", new="", count=None: _replace(str(s), str(old), str(new), count),
    "round": _round,
    "striptags": _price_tags,
    "sum": _sum,
    "tojson": _tojson,
    "trim": lambda value, chars=None: _strip(str(value), chars),
    "urlize": _urlize,
    "wordwrap": _wordwrap,
}
"""Prices of the filters that look through all of their arguments."""

PASSED_ON: dict[str, Price] = {
    **dict.fromkeys(("attr", "count", "d", "default", "first", "last", "length"), _short),
    **dict.fromkeys(("map", "reject", "rejectattr", "select", "selectattr", "items"), _short),
    **dict.fromkeys(("list", "random", "reverse"), _listed),
    **dict.fromkeys(("batch", "slice"), _groups),
    **dict.fromkeys(("safe", "string"), _text),
}
"""Prices of the filters that pass on what is in their arguments."""
