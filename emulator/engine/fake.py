"""Made-up names, sentences and addresses: Faker, imported when first used and seeded for every use."""

import inspect
import sys
from collections.abc import Callable
from random import Random
from threading import local
from typing import Any

from emulator.budget import BudgetError
from emulator.scenario.templates.prices import Items, hold, refuse_if_short, size_of, spend

MAX_SIZE = 10_000
"""The largest number that an argument of a word of `fake` may have if it says how much is made."""
_LOCALE = "en_US"
_PER_THREAD = local()

_WORD = 7_000
"""Units of work of a word, about 70 microseconds."""
_DEAR = {
    "binary": 1,
    "csv": 40,
    "dsv": 40,
    "fixed_width": 40,
    "image": 400,
    "json": 40,
    "json_bytes": 40,
    "profile": 40,
}
_DEAR |= {"psv": 40, "pydict": 10, "pystruct": 10, "tar": 400, "tsv": 40, "xml": 40, "zip": 400}
"""How many words' work an item of these is."""
_CHARACTERS = frozenset(
    ("digits", "left_digits", "length", "max_chars", "max_nb_chars", "min_chars", "min_file_size", "right_digits")
)
"""Arguments that count characters."""
_VALUES = frozenset(
    (
        *("center", "day", "end", "end_date", "end_datetime", "max", "max_value", "maximum_age", "min", "min_value"),
        *("minimum_age", "month", "radius", "start", "start_date", "start_datetime", "step", "year", "elements"),
        *("height", "width", "build_from", "build_to", "version_from", "version_to", "number", "ge", "le"),
        *("chance_of_getting_true", "truth_probability"),
        *("precision", "ext_word_list", "text", "string_format", "value", "letters", "date_start", "date_end"),
    )
)
"""Arguments whose numbers say what is made, not how much."""


def seeded_faker(random: Random) -> Any:
    """This thread's Faker, seeded with the next 64 bits of `random`; good until the thread next asks for it.

    To make one takes some 30 ms, so a thread makes one and seeds it again for each use.
    """
    if not hasattr(_PER_THREAD, "faker"):
        from faker.factory import Factory  # noqa: PLC0415  # slow to import

        _PER_THREAD.faker = Factory.create(_LOCALE, use_weighting=True)
    _PER_THREAD.faker.seed_instance(random.getrandbits(64))
    return _PER_THREAD.faker


class Fake:
    """The template variable `fake`: the public methods of Faker's providers, and nothing that could change Faker for others.

    `make_random` is called at the first use, for the random numbers that seed Faker.
    """

    is_open_to_templates = True

    def __init__(self, make_random: Callable[[], Random]) -> None:
        self._make_random = make_random
        self._faker: Any = None

    def __getattr__(self, name: str) -> Any:
        """Get the provider method of that name, as a function that charges for its work.

        Raises:
            AttributeError: No provider has a public method of that name.
        """
        if self._faker is None:
            if "faker" not in sys.modules:
                # To import it takes a tenth of a second.
                refuse_if_short()
            self._faker = seeded_faker(self._make_random())
        if not name.startswith("_"):
            for provider in self._faker.providers:
                method = getattr(provider, name, None)
                if inspect.ismethod(method) or inspect.isfunction(method):
                    return _priced(name, method)
        raise AttributeError(name)


def _priced(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def make(*args: Any, **kwargs: Any) -> Any:
        if not args and not kwargs and name not in _DEAR:
            spend(_WORD)
            return _charge_items(method())
        args = tuple([hold(one) for one in args])
        kwargs = {key: hold(value) for key, value in kwargs.items()}
        spend(_price(name, inspect.signature(method).bind(*args, **kwargs)))
        return _charge_items(method(*args, **kwargs))

    return make


def _charge_items(made: Any) -> Any:
    return Items(made, price=_WORD) if hasattr(made, "__next__") else made


def _price(name: str, bound: inspect.BoundArguments) -> int:
    """Units of work of a call. Raises BudgetError when an argument asks for too much."""
    given = dict(bound.arguments)
    bound.apply_defaults()
    size, unit = 1, _WORD * _DEAR.get(name, 1)
    only_characters = True
    for key, value in bound.arguments.items():
        if key in given:
            # Faker goes through texts and lists with regular expressions and choices, character by character.
            spend(size_of(value) * 10)
        if key in _VALUES:
            continue
        largest = max(map(abs, _numbers_in(value)), default=0)
        if largest > MAX_SIZE and (key in given or name in _DEAR):
            raise BudgetError(f'{key} may be {MAX_SIZE:,} at most in "fake.{name}"')
        if largest > 1:
            size *= int(largest)
            only_characters = only_characters and key in _CHARACTERS
    return unit + size * (100 if only_characters else unit) if size > 1 else unit


def _numbers_in(value: Any) -> list[float]:
    """The numbers in an argument and, for what is a list or mapping, inside it."""
    pending, found = [value], list[float]()
    while pending:
        one = pending.pop()
        if isinstance(one, int | float) and not isinstance(one, bool):
            found.append(one)
        elif isinstance(one, dict):
            pending += one.values()
        elif isinstance(one, list | tuple | set):
            pending += one
    return found
