"""Journal views: live selections of exchanges to read, filter, wait for and assert on."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict, Unpack, get_args

from emulator.engine.answer import Result
from emulator.engine.matching.conditions import Comparison, shorten, show
from emulator.engine.matching.json import find_difference, to_json
from emulator.engine.matching.misses import describe
from emulator.engine.matching.texts import DefaultOperator, compile_test
from emulator.redaction import clean_line, redact_json
from emulator.store.exchange import Exchange
from emulator.store.journal import Journal
from emulator.suggestions import suggest

__all__ = ["ExchangeFilter", "JournalView", "RequestFilter"]


class ExchangeFilter(TypedDict, total=False):
    """Filters on exchanges; texts are globs, and None filters nothing. Filters that are cheap to evaluate stand first."""

    session: str | None
    rule: str | None
    outcome: str | None
    status: int | None
    stream: bool | None
    model: str | None
    tool: str | None
    """The name of a function that the request declares."""


class RequestFilter(ExchangeFilter, total=False):
    """Filters that assertions accept: also those that read the whole request."""

    last_user: str | None
    """A part of the last user message, ignoring case."""
    body: Mapping[str, Any] | None
    """JSON that the request must contain: objects may have more keys, lists more items."""


@dataclass(frozen=True, slots=True)
class _Criterion:
    """One compiled filter; `got` formats the actual value and is only called for reports."""

    field: str
    wanted: str
    holds: Callable[[Exchange], bool]
    got: Callable[[Exchange], str]

    def compare(self, exchange: Exchange) -> Comparison:
        return Comparison(self.field, self.holds(exchange), self.wanted, self.got(exchange))


class JournalView:
    """A live view of the exchanges of one session, or of all, that match its filters; the oldest first."""

    def __init__(self, journal: Journal, session: str | None = None, criteria: Sequence[_Criterion] = ()) -> None:
        """`session` is a project id, None for all; `where` makes narrower views."""
        self._journal = journal
        self._session = session
        self._criteria = tuple(criteria)

    def __iter__(self) -> Iterator[Exchange]:
        """Iterate over the exchanges that have ended by now."""
        return (one for one in self._session_exchanges() if all(criterion.holds(one) for criterion in self._criteria))

    def __len__(self) -> int:
        """The number of exchanges that have ended by now."""
        return sum(1 for _ in self)

    def __getitem__(self, index: int) -> Exchange:
        """The exchange at an index; -1 is the last. Raises IndexError."""
        return tuple(self)[index]

    def __repr__(self) -> str:
        """The filters and the numbers of the exchanges."""
        return f"<{self._describe()}: {_numbers(list(self)) or 'none'}>"

    @property
    def last(self) -> Exchange:
        """The last exchange. Raises LookupError if there is none."""
        found = tuple(self)
        if not found:
            raise LookupError(f"there are no {self._describe()}; {self._total()}")
        return found[-1]

    def where(self, **wanted: Unpack[ExchangeFilter]) -> "JournalView":
        """A view of the exchanges that also match these filters. Raises ValueError for an unknown `outcome`."""
        __tracebackhide__ = True
        criteria = _compile("where", ExchangeFilter, wanted)
        return JournalView(self._journal, self._session, (*self._criteria, *criteria))

    def wait_for(self, n: int = 1, timeout: float = 5.0) -> tuple[Exchange, ...]:
        """Wait until there are `n` exchanges and return all. Raises TimeoutError after `timeout` seconds."""
        if not self._journal.wait_until(lambda: len(self) >= n, timeout):
            number = len(self)
            there = "there is 1" if number == 1 else f"there are {number or 'none'}"
            kinds = self._describe().replace("exchanges", "exchange", 1) if n == 1 else self._describe()
            raise TimeoutError(f"waited {timeout:g} seconds for {n} {kinds}; {there}, {self._total()}")
        return tuple(self)

    async def wait_for_async(
        self,
        n: int = 1,
        timeout: float = 5.0,  # noqa: ASYNC109  # as in `wait_for`, which must end its thread
    ) -> tuple[Exchange, ...]:
        """As `wait_for`, without blocking the event loop."""
        return await asyncio.get_running_loop().run_in_executor(None, partial(self.wait_for, n, timeout))

    def assert_sent(self, times: int | None = None, **wanted: Unpack[RequestFilter]) -> tuple[Exchange, ...]:
        """Assert that at least one exchange matches, or exactly `times`, and return those that do.

        Raises AssertionError with a comparison of the nearest exchange, and ValueError as `where` does.
        """
        __tracebackhide__ = True
        criteria = _compile("assert_sent", RequestFilter, wanted, ("times",))
        found = tuple(self)
        fitting = tuple(one for one in found if all(criterion.holds(one) for criterion in criteria))
        if fitting if times is None else len(fitting) == times:
            return fitting
        raise AssertionError(self._failure_report(found, fitting, criteria, times))

    def _session_exchanges(self) -> Sequence[Exchange]:
        return [one for one in self._journal if self._session in {None, one.session}]

    def _total(self) -> str:
        number = len(self._session_exchanges())
        return "nothing was sent" if not number else f"{number} {'was' if number == 1 else 'were'} sent in all"

    def _describe(self) -> str:
        of = [f"of session {self._session}"] if self._session is not None else []
        with_ = [" and ".join(f"{one.field} {one.wanted}" for one in self._criteria)] if self._criteria else []
        return " ".join(["exchanges", *of, *(f"with {one}" for one in with_)])

    def _failure_report(
        self, found: Sequence[Exchange], fitting: Sequence[Exchange], criteria: Sequence[_Criterion], times: int | None
    ) -> str:
        wanted = "at least one was" if times is None else "1 was" if times == 1 else f"{times} were"
        fits = "fits" if len(fitting) <= 1 else "fit"
        counted = f"{len(fitting) or 'none'} of the {len(found)} {self._describe()} {fits}, {wanted} expected"
        if not found:
            counted = f"there are no {self._describe()}, {wanted} expected; {self._total()}"
        lines = [counted]
        if fitting:
            lines.append(f"fitting: {_numbers(fitting)}")
        others = [one for one in found if one not in fitting]
        if others and (times is None or len(fitting) < times):
            compared = [(one, tuple(criterion.compare(one) for criterion in criteria)) for one in reversed(others)]
            nearest, differences = min(compared, key=lambda pair: sum(not one.holds for one in pair[1]))
            lines += [f"nearest: exchange {nearest.number}", *describe(differences)]
        return "\n".join(map(clean_line, lines))


def _compile(
    method: str, accepted: type[ExchangeFilter], conditions: Mapping[str, Any], others: Sequence[str] = ()
) -> list[_Criterion]:
    """Compile filters in the order of `accepted`: cheap ones first, as most exchanges fail at one of them. `others` are arguments beside them."""
    __tracebackhide__ = True
    fields = accepted.__annotations__
    for field in conditions:
        if field not in fields:
            raise TypeError(f'{method}() has no argument "{field}"{suggest(field, (*others, *fields))}')
    criteria = []
    for field in fields:
        value = conditions.get(field)
        if value is None:
            continue
        if field == "body":
            criteria.append(_body_criterion(value))
        elif field in _VALUE_FIELDS:
            criteria.append(_value_criterion(field, value, _VALUE_FIELDS[field]))
        else:
            criteria.append(_text_criterion(field, value))
    return criteria


_VALUE_FIELDS: Mapping[str, Callable[[Exchange], Any]] = {
    "status": lambda one: one.status,
    "stream": lambda one: one.stream,
}
_TEXT_FIELDS: Mapping[str, tuple[DefaultOperator, Callable[[Exchange], Sequence[str]]]] = {
    "session": ("glob", lambda one: (one.session,)),
    "rule": ("glob", lambda one: () if one.rule is None else (one.rule,)),
    "outcome": ("glob", lambda one: (one.result,)),
    "model": ("glob", lambda one: (one.model,)),
    "tool": ("glob", lambda one: one.tools),
    "last_user": ("contains", lambda one: () if one.last_user is None else (one.last_user,)),
}


def _text_criterion(field: str, value: str) -> _Criterion:
    __tracebackhide__ = True
    default, read = _TEXT_FIELDS[field]
    test = compile_test(value, default)
    results: tuple[str, ...] = get_args(Result)
    if field == "outcome" and not any(test.passes([result]) for result in results):
        raise ValueError(f'no exchange ends as "{value}"; expected {", ".join(results[:-1])} or {results[-1]}')

    def holds(one: Exchange) -> bool:
        # A name with brackets, such as that of a parametrized test, is a glob but matches itself too.
        values = read(one)
        return value in values or test.passes(values)

    return _Criterion(field, test.wanted, holds, lambda one: show(read(one)))


def _value_criterion(field: str, value: Any, read: Callable[[Exchange], Any]) -> _Criterion:
    return _Criterion(field, to_json(value), lambda one: bool(read(one) == value), lambda one: to_json(read(one)))


def _body_criterion(wanted: Mapping[str, Any]) -> _Criterion:
    part = dict(wanted)
    return _Criterion(
        "body",
        shorten(to_json(part)),
        lambda one: find_difference(one.request, part) is None,
        lambda one: find_difference(redact_json(one.request), redact_json(part)) or "all of it",
    )


def _numbers(exchanges: Sequence[Exchange]) -> str:
    return ", ".join(str(one.number) for one in exchanges)
