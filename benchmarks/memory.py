"""What a server needs: time until its first answer, memory idle, at most, and after very many requests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

from benchmarks.load import run_wrk
from benchmarks.measuring import interleave
from benchmarks.serving import Server
from benchmarks.situations import ONE_RULE, PLAIN
from benchmarks.subjects import Subject

CONNECTIONS = 16
EARLY = 0.1
"""The part of the requests after which all that is bounded has reached its bound."""


@dataclass(frozen=True)
class Footprint:
    """The memory of one server, in MiB, and after how many requests it was looked at."""

    idle: float
    early: float
    early_requests: int
    late: float
    late_requests: int
    peak: float
    errors: int

    @property
    def growth(self) -> float:
        """What came on top once everything had been used."""
        return self.late - self.early


def measure_starts(subjects: Sequence[Subject], folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds from the start of the process to its first right answer."""

    def start(subject: Subject) -> float:
        with Server(subject, ONE_RULE, folder / subject.name) as server:
            return server.started

    return interleave({subject.name: partial(start, subject) for subject in subjects}, rounds)


def measure_memory(
    subjects: Sequence[Subject], folder: Path, requests: int, patience: float, notify: Callable[[str], None]
) -> Mapping[str, Footprint]:
    """The memory of each, before and after plain requests; after `patience` seconds there are no more of them."""
    found = {}
    for subject in subjects:
        notify(f"memory: {subject.name}")
        found[subject.name] = _measure(subject, folder / subject.name, requests, patience)
    return found


def _measure(subject: Subject, folder: Path, requests: int, patience: float) -> Footprint:
    done = errors = 0
    last = perf_counter() + patience
    with Server(subject, ONE_RULE, folder) as server:
        url = f"http://127.0.0.1:{server.port}{subject.url(PLAIN)}"
        idle = server.memory()
        early, early_requests = 0.0, 0
        while done < requests and (not done or perf_counter() < last):
            load = run_wrk(url, PLAIN, connections=CONNECTIONS, seconds=1 if not early else 4, folder=folder)
            done, errors = done + load.requests, errors + load.errors
            if not early and (done >= requests * EARLY or perf_counter() >= last - patience * (1 - EARLY)):
                early, early_requests = server.memory(), done
        return Footprint(
            idle=idle,
            early=early,
            early_requests=early_requests,
            late=server.memory(),
            late_requests=done,
            peak=server.memory("VmHWM"),
            errors=errors,
        )
