"""What is measured under load: situations, numbers of rules and of connections; and how."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import Self

from benchmarks.asking import Sampling, WrongAnswerError, ask, check
from benchmarks.load import run_wrk
from benchmarks.measuring import interleave
from benchmarks.serving import Server
from benchmarks.situations import (
    HISTORY,
    LONG_STREAM,
    MANY_RULES,
    ONE_RULE,
    PICTURE,
    PLAIN,
    PLAIN_SAME,
    SOME_RULES,
    STREAM,
    STREAM_SAME,
    TOOL_CALL,
    Rule,
    Situation,
)
from benchmarks.subjects import Subject, UnavailableError

ANSWERS = 3
"""A run takes at least as long as so many answers, one after the other: some sleep between chunks."""


@dataclass(frozen=True)
class Case:
    """A situation, asked on some connections of a server with some rules."""

    situation: Situation
    rules: Sequence[Rule] = MANY_RULES
    connections: int = 16

    @property
    def name(self) -> str:
        """What `--only` looks at."""
        return f"{self.situation.name}-{len(self.rules)}-c{self.connections}"

    @property
    def title(self) -> str:
        """What people read."""
        rules = f"{len(self.rules)} rules" if len(self.rules) > 1 else "1 rule"
        return f"{self.situation.title}, {rules}, {self.connections} {'connection' if self.connections == 1 else 'connections'}"


CASES = (
    *(Case(situation, rules) for situation in (PLAIN, STREAM) for rules in (SOME_RULES, MANY_RULES)),
    *(Case(situation, connections=number) for situation in (PLAIN, STREAM) for number in (1, 64)),
    *(Case(situation, ONE_RULE) for situation in (PLAIN, STREAM, HISTORY)),
    *(Case(situation) for situation in (LONG_STREAM, TOOL_CALL, PICTURE)),
)
"""No request of a case is like another, except the picture's."""
SAME_CASES = (Case(PLAIN_SAME), Case(STREAM_SAME))
"""The same request again and again: what is told in a footnote."""


@dataclass
class Rates:
    """Answers per second of each case and subject, one for each round, and what was seen of their quality."""

    of: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    """What was wrong with a subject's answers; their number, for errors that wrk counted."""
    refused: list[str] = field(default_factory=list)
    """What a subject could not answer, so that it was not measured."""
    shares: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """How much of a processor the load generator took, likewise."""
    right: int = 0
    """How many answers were looked at and right."""

    def complain(self, subject: Subject, case: Case, text: str) -> None:
        """Keep something that was wrong."""
        self.wrong.setdefault(subject.name, []).append(f"{case.title}: {text}")


class Field:
    """All servers that are measured, started when they are needed for the first time."""

    def __init__(self, subjects: Sequence[Subject], folder: Path, *, seconds: float, pinned: bool) -> None:
        self._subjects = subjects
        self._folder = folder
        self._seconds = seconds
        self._pinned = pinned
        self._stack = ExitStack()
        self._servers: dict[tuple[str, int], Server] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def measure(self, cases: Sequence[Case], rounds: int, notify: Callable[[str], None]) -> Rates:
        """Measure all cases and subjects in turn, round after round."""
        rates = Rates()
        runs: dict[str, Callable[[], float]] = {}
        keys: dict[str, tuple[Case, Subject]] = {}
        for case in cases:
            for subject in self._subjects:
                try:
                    self._try(case, subject)
                except UnavailableError as why:
                    notify(f"not measured: {why}")
                    rates.refused.append(str(why))
                    continue
                name = f"{case.name} {subject.name}"
                keys[name] = case, subject
                runs[name] = partial(self._run, name, case, subject, rates, notify)
        for name, measured in interleave(runs, rounds).items():
            case, subject = keys[name]
            rates.of.setdefault(case.name, {})[subject.name] = measured
        return rates

    def _server(self, case: Case, subject: Subject, stack: ExitStack) -> Server:
        folder = self._folder / subject.name / str(len(case.rules))
        cpus = (0,) if self._pinned and not subject.spreads else ()
        return stack.enter_context(Server(subject, case.rules, folder, cpus))

    def _find(self, case: Case, subject: Subject, stack: ExitStack) -> Server:
        """The server for a case: a fresh one that ends with the stack, if requests are heavy."""
        if case.situation.heavy:
            return self._server(case, subject, stack)
        key = subject.name, len(case.rules)
        if key not in self._servers:
            self._servers[key] = self._server(case, subject, self._stack)
        return self._servers[key]

    def _try(self, case: Case, subject: Subject) -> None:
        """Raise UnavailableError if a subject does not answer a case as it should."""
        situation = case.situation
        with ExitStack() as stack:
            port = self._find(case, subject, stack).port
            try:
                check(ask(port, subject.url(situation), situation), situation, subject.chunks(situation))
            except (OSError, HTTPException, WrongAnswerError) as error:
                raise UnavailableError(f"{subject.name}, {situation.title}: {error}") from None

    def _run(self, name: str, case: Case, subject: Subject, rates: Rates, notify: Callable[[str], None]) -> float:
        situation, url, chunks = case.situation, subject.url(case.situation), subject.chunks(case.situation)
        folder = self._folder / subject.name
        with ExitStack() as stack:
            server = self._find(case, subject, stack)
            load = partial(
                run_wrk,
                f"http://127.0.0.1:{server.port}{url}",
                situation,
                connections=case.connections,
                folder=folder,
                cpus=(1,) if self._pinned else (),
            )
            if situation.heavy:
                load(seconds=1)
            began = perf_counter()
            with Sampling(server.port, url, situation, chunks) as sampling:
                seconds = max(self._seconds, ceil((perf_counter() - began) * ANSWERS))
                result = load(seconds=seconds)
        rates.right += sampling.right
        rates.shares.setdefault(case.name, {}).setdefault(subject.name, []).append(result.processor)
        for wrong in sampling.wrong:
            rates.complain(subject, case, wrong)
        if result.errors:
            rates.complain(subject, case, f"{result.refused} refused, {result.broken} broken")
        notify(f"{name}: {result.rate:,.0f}/s, half within {result.median * 1e3:.2f} ms")
        return result.rate
