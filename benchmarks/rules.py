"""What many rules cost, when they are read and for each request: `python -m benchmarks.rules`."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.measuring import describe_machine, interleave, make_table, median
from emulator.engine.ruleset import Ruleset, compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import SystemClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.wire.urls import Target

ROUNDS = 31
REQUESTS = 20
READINGS = 5
TARGET = Target("v1", "p", "us-central1", "openapi")
HEADERS = [(b"authorization", b"Bearer x"), (b"content-type", b"application/json")]
FILLER = "The quick brown fox jumps over the lazy dog, and nobody asks it why. "
LONG = FILLER * (10_000 // len(FILLER))
HISTORY = [
    message
    for number in range(100)
    for message in (
        {"role": "user", "content": f"Tell me about station {number}, please."},
        {"role": "assistant", "content": f"Station {number} lies on the line to the north."},
    )
]

Row = tuple[str, ...]


def write_prose(number: int) -> str:
    """A rule that looks for words of the last user message."""
    return f"  - {{when: {{last_user: the weather in city {number}}}, reply: Rain.}}\n"


def write_model(number: int) -> str:
    """A rule for a model."""
    return f"  - {{when: {{model: google/gemini-test-{number}}}, reply: Rain.}}\n"


def write_mixed(number: int) -> str:
    """A rule that asks for several things."""
    return (
        f"  - name: case {number}\n"
        f"    when: {{model: google/gemini-3*, last_user: {{any_of: [weather in city {number}, rain in {number}]}}, turn: 1+}}\n"
        f"    reply: [{{say: Rain in {number}.}}]\n"
    )


def write_rules(count: int, write: Callable[[int], str] = write_prose) -> str:
    """A scenario of so many rules."""
    return "rules:\n" + "".join(write(number) for number in range(1000, 1000 + count))


def compile_text(text: str) -> Ruleset:
    """A scenario, read and compiled."""
    return compile_rules(read_text(text).scenarios)


def write_body(text: str, model: str, *before: Any) -> bytes:
    """A request that ends with a user's text."""
    return json.dumps({"model": model, "messages": [*before, {"role": "user", "content": text}]}).encode()


def time_requests(service: Service, body: bytes) -> Callable[[], float]:
    """Microseconds for a request, on average."""
    exchange = service.handle(TARGET, b"", HEADERS, body)
    if exchange.outcome.timeline.status != 200:  # noqa: PLR2004  # a status, as it is known
        raise SystemExit(exchange.outcome.timeline.body.decode())

    def measure() -> float:
        started = time.perf_counter()
        for _ in range(REQUESTS):
            service.handle(TARGET, b"", HEADERS, body)
        return (time.perf_counter() - started) / REQUESTS * 1e6

    return measure


def time_reading(text: str) -> Callable[[], float]:
    """Milliseconds to read, check and compile a scenario."""

    def measure() -> float:
        started = time.perf_counter()
        compile_text(text)
        return (time.perf_counter() - started) * 1e3

    return measure


def serve(count: int, write: Callable[[int], str]) -> Service:
    """A service with so many rules."""
    return Service(compile_text(write_rules(count, write)), Settings(), clock=SystemClock())


def measure_requests() -> Iterator[Row]:
    """A request by the number of rules, and by which of them answers."""
    subjects: dict[str, Callable[[], float]] = {}
    for count in (1, 51, 500):
        prose, models = serve(count, write_prose), serve(count, write_model)
        for which, number in {"first": 1000, "middle": 1000 + count // 2, "last": 999 + count}.items():
            if count == 1 and which != "first":
                continue
            words, model = f"What is the weather in city {number}?", f"google/gemini-test-{number}"
            known = "google/gemini-2.5-flash"
            subjects[f"{count} {which}: a short message"] = time_requests(prose, write_body(words, known))
            subjects[f"{count} {which}: by model"] = time_requests(models, write_body("Hello", model))
            subjects[f"{count} {which}: 200 messages before"] = time_requests(prose, write_body(words, known, *HISTORY))
            subjects[f"{count} {which}: a message of 10 kB"] = time_requests(prose, write_body(LONG + words, known))
    measured = {name: median(values) for name, values in interleave(subjects, ROUNDS).items()}
    kinds = [name.removeprefix("1 first: ") for name in subjects if name.startswith("1 first")]
    columns = [name.partition(":")[0] for name in subjects if name.endswith(kinds[0])]
    yield ("request, µs", *columns)
    for kind in kinds:
        yield (kind, *(f"{measured[f'{column}: {kind}']:.0f}" for column in columns))


def measure_reading() -> Iterator[Row]:
    """Reading, checking and compiling by the number of rules."""
    counts = (1, 50, 500, 2000)
    kinds = {"words of the last user message": write_prose, "a model": write_model, "several things": write_mixed}
    yield ("reading, ms", *map(str, counts))
    for kind, write in kinds.items():
        subjects = {str(count): time_reading(write_rules(count, write)) for count in counts}
        measured = interleave(subjects, READINGS)
        yield (kind, *(f"{median(measured[str(count)]):.1f}" for count in counts))


def main() -> None:
    """Measure everything and print the tables."""
    print(describe_machine())
    for measure in (measure_requests, measure_reading):
        head, *rows = measure()
        print(f"\n{make_table(head, rows)}")


if __name__ == "__main__":
    main()
