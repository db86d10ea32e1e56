"""Questions to the journal: a view of some of its exchanges that can be read, narrowed, waited for and held to account."""

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
from emulator.store.exchange import Exchange
from emulator.store.journal import Journal
from emulator.suggestions import suggest

__all__ = ["JournalView", "Sent", "Wanted"]

_SEVERAL = 2


class Wanted(TypedDict, total=False):
    """What can be wanted of exchanges; texts may have `*` and `?`, and None wants nothing. What is cheap to ask stands first."""

    session: str | None
    rule: str | None
    outcome: str | None
    status: int | None
    stream: bool | None
    model: str | None
    tool: str | None
    """A function that the request declares."""


class Sent(Wanted, total=False):
    """What can be asserted of exchanges."""

    last_user: str | None
    """Is in the last user message, case ignored."""
    body: Mapping[str, Any] | None
    """JSON that the request contains: objects may have more keys, lists more items."""


@dataclass(frozen=True, slots=True)
class _Demand:
    """One thing that is wanted of an exchange; what it got is worked out only to be shown."""

    field: str
    wanted: str
    holds: Callable[[Exchange], bool]
    got: Callable[[Exchange], str]

    def compare(self, exchange: Exchange) -> Comparison:
        return Comparison(self.field, self.holds(exchange), self.wanted, self.got(exchange))


class JournalView:
    """The exchanges of a session, or of all, that fit what is asked: a live view, the oldest exchange first."""

    def __init__(self, journal: Journal, session: str | None = None, demands: Sequence[_Demand] = ()) -> None:
        """`session` is a project id, None for all; narrower views come from `where`."""
        self._journal = journal
        self._session = session
        self._demands = tuple(demands)

    def __iter__(self) -> Iterator[Exchange]:
        """Those that have ended by now; more may follow."""
        return (one for one in self._ours() if all(demand.holds(one) for demand in self._demands))

    def __len__(self) -> int:
        """How many there are by now."""
        return sum(1 for _ in self)

    def __getitem__(self, index: int) -> Exchange:
        """One of them; -1 is the last. Raises IndexError."""
        return tuple(self)[index]

    def __repr__(self) -> str:
        """What it holds, in short."""
        return f"<{self._kinds()}: {_numbers(list(self)) or 'none'}>"

    @property
    def last(self) -> Exchange:
        """The last one. Raises LookupError if there is none."""
        found = tuple(self)
        if not found:
            raise LookupError(f"there are no {self._kinds()}; {_sent(len(self._ours()))}")
        return found[-1]

    def where(self, **wanted: Unpack[Wanted]) -> "JournalView":
        """Those of them that fit. Raises ValueError for an `outcome` that there is not."""
        __tracebackhide__ = True
        demands = _compile("where", Wanted, wanted)
        return JournalView(self._journal, self._session, (*self._demands, *demands))

    def wait_for(self, n: int = 1, timeout: float = 5.0) -> tuple[Exchange, ...]:
        """Wait until there are `n` of them and return them all. Raises TimeoutError after `timeout` seconds."""
        if not self._journal.wait_until(lambda: len(self) >= n, timeout):
            number = len(self)
            there = "there is 1" if number == 1 else f"there are {number or 'none'}"
            kinds = self._kinds().replace("exchanges", "exchange", 1) if n == 1 else self._kinds()
            raise TimeoutError(f"waited {timeout:g} seconds for {n} {kinds}; {there}, {_sent(len(self._ours()))}")
        return tuple(self)

    async def wait_for_async(
        self,
        n: int = 1,
        timeout: float = 5.0,  # noqa: ASYNC109  # the same as its twin, whose thread it must end
    ) -> tuple[Exchange, ...]:
        """Do the same without holding up the event loop."""
        return await asyncio.get_running_loop().run_in_executor(None, partial(self.wait_for, n, timeout))

    def assert_sent(self, times: int | None = None, **wanted: Unpack[Sent]) -> tuple[Exchange, ...]:
        """Assert that some of them fit, or as many as `times` says, and return those.

        Raises AssertionError, which shows what the nearest exchange has instead, and ValueError as `where`.
        """
        __tracebackhide__ = True
        demands = _compile("assert_sent", Sent, wanted)
        found = tuple(self)
        fitting = tuple(one for one in found if all(demand.holds(one) for demand in demands))
        if fitting if times is None else len(fitting) == times:
            return fitting
        raise AssertionError(self._complain(found, fitting, demands, times))

    def _ours(self) -> Sequence[Exchange]:
        return [one for one in self._journal if self._session in {None, one.session}]

    def _kinds(self) -> str:
        of = [f"of session {self._session}"] if self._session is not None else []
        with_ = [" and ".join(f"{one.field} {one.wanted}" for one in self._demands)] if self._demands else []
        return " ".join(["exchanges", *of, *(f"with {one}" for one in with_)])

    def _complain(
        self, found: Sequence[Exchange], fitting: Sequence[Exchange], demands: Sequence[_Demand], times: int | None
    ) -> str:
        wanted = "at least one was" if times is None else "1 was" if times == 1 else f"{times} were"
        fits = "fits" if len(fitting) < _SEVERAL else "fit"
        counted = f"{len(fitting) or 'none'} of the {len(found)} {self._kinds()} {fits}, {wanted} expected"
        if not found:
            counted = f"there are no {self._kinds()}, {wanted} expected; {_sent(len(self._ours()))}"
        lines = [counted]
        if fitting:
            lines.append(f"fitting: {_numbers(fitting)}")
        others = [one for one in found if one not in fitting]
        if others and (times is None or len(fitting) < times):
            compared = [(one, tuple(demand.compare(one) for demand in demands)) for one in reversed(others)]
            nearest, differences = min(compared, key=lambda pair: sum(not one.holds for one in pair[1]))
            lines += [f"nearest: exchange {nearest.number}", *describe(differences)]
        return "\n".join(lines)


def _compile(method: str, accepted: type[Wanted], conditions: Mapping[str, Any]) -> list[_Demand]:
    """What is wanted, the cheap things first, for most exchanges fail at one."""
    __tracebackhide__ = True
    fields = accepted.__annotations__
    for field in conditions:
        if field not in fields:
            raise TypeError(f'{method}() has no argument "{field}"{suggest(field, tuple(fields))}')
    demands = []
    for field in fields:
        value = conditions.get(field)
        if value is None:
            continue
        if field == "body":
            demands.append(_on_body(value))
        elif field in _VALUES:
            demands.append(_on_value(field, value, _VALUES[field]))
        else:
            demands.append(_on_text(field, value))
    return demands


_VALUES: Mapping[str, Callable[[Exchange], Any]] = {"status": lambda one: one.status, "stream": lambda one: one.stream}
_TEXTS: Mapping[str, tuple[DefaultOperator, Callable[[Exchange], Sequence[str]]]] = {
    "session": ("glob", lambda one: (one.session,)),
    "rule": ("glob", lambda one: () if one.rule is None else (one.rule,)),
    "outcome": ("glob", lambda one: (one.result,)),
    "model": ("glob", lambda one: (one.model,)),
    "tool": ("glob", lambda one: one.tools),
    "last_user": ("contains", lambda one: () if one.last_user is None else (one.last_user,)),
}


def _on_text(field: str, value: str) -> _Demand:
    __tracebackhide__ = True
    short, read = _TEXTS[field]
    test = compile_test(value, short)
    results: tuple[str, ...] = get_args(Result)
    if field == "outcome" and not any(test.passes([result]) for result in results):
        raise ValueError(f'no exchange ends as "{value}"; expected {", ".join(results[:-1])} or {results[-1]}')

    def holds(one: Exchange) -> bool:
        # A name that holds brackets, as parametrized tests have, means itself too.
        values = read(one)
        return value in values or test.passes(values)

    return _Demand(field, test.wanted, holds, lambda one: show(read(one)))


def _on_value(field: str, value: Any, read: Callable[[Exchange], Any]) -> _Demand:
    return _Demand(field, to_json(value), lambda one: bool(read(one) == value), lambda one: to_json(read(one)))


def _on_body(wanted: Mapping[str, Any]) -> _Demand:
    part = dict(wanted)
    return _Demand(
        "body",
        shorten(to_json(part)),
        lambda one: find_difference(one.request, part) is None,
        lambda one: find_difference(one.request, part) or "all of it",
    )


def _sent(number: int) -> str:
    return "nothing was sent" if not number else f"{number} {'was' if number == 1 else 'were'} sent in all"


def _numbers(exchanges: Sequence[Exchange]) -> str:
    return ", ".join(str(one.number) for one in exchanges)
