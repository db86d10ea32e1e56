"""What the pytest plugin and its server cost: `python -m benchmarks.plugin`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measuring import describe_machine, interleave, make_table, median, median_difference

ROOT = Path(__file__).parents[1]
ROUNDS = 31
SEEDS = ("1", "2", "3")
TESTS = 300

ONE_TEST = "def test_it():\n    pass\n"
MANY_TESTS = f"""
import pytest

@pytest.mark.parametrize("number", range({TESTS}))
class TestBoth:
    def test_without(self, number):
        pass

    def test_with(self, number, vertex):
        pass
"""
STOPWATCH = """
import json, time
import pytest

taken = {}

def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.callspec.params["number"])

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    started = time.perf_counter()
    result = yield
    taken.setdefault(item.originalname, []).append(time.perf_counter() - started)
    return result

def pytest_unconfigure():
    with open("taken.json", "w") as file:
        json.dump(taken, file)
"""
START = """
import json, time
times = [time.perf_counter()]
from emulator.api.emulator import Emulator
times.append(time.perf_counter())
emulator = Emulator()
times.append(time.perf_counter())
emulator.start()
times.append(time.perf_counter())
emulator.stop()
print(json.dumps([after - before for before, after in zip(times, times[1:])]))
"""

Row = tuple[str, str, str]


def run_python(folder: str, *arguments: str, **variables: str) -> str:
    """What a Python of its own prints, which keeps compiled files as Python does by itself."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", **variables}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout


def run_pytest(folder: str, *arguments: str, **variables: str) -> float:
    """Run pytest with this plugin and none of the others that happen to be installed; the seconds that takes."""
    installed = {entry.name for entry in entry_points(group="pytest11")}
    if "vertex" not in installed:
        raise SystemExit("pytest does not know the plugin; pip install -e .")
    others = [f"-pno:{name}" for name in sorted(installed - {"vertex"})]
    started = time.perf_counter()
    run_python(folder, "-m", "pytest", "-q", f"--rootdir={folder}", *others, *arguments, **variables)
    return time.perf_counter() - started


def measure_bystanders(folder: str) -> Iterator[Row]:
    """What a run costs that has the plugin and does not use it."""
    Path(folder, "test_one.py").write_text(ONE_TEST, "utf-8")
    subjects = {
        "without": lambda: run_pytest(folder, "-pno:vertex", "test_one.py"),
        "with": lambda: run_pytest(folder, "test_one.py"),
    }
    measured = interleave(subjects, ROUNDS)
    yield "pytest, one test, with `-p no:vertex`", in_ms(median(measured["without"])), ""
    yield "the same with the plugin, unused", in_ms(median(measured["with"])), ""
    yield "- the difference", in_ms(median_difference(measured["with"], measured["without"])), "15"


def measure_start(folder: str) -> Iterator[Row]:
    """How long the server of a session takes, in a fresh process."""
    parts = [json.loads(run_python(folder, "-c", START)) for _ in range(ROUNDS + 1)][1:]
    imports, making, starting = (median(part) for part in zip(*parts, strict=True))
    yield "imports, once for each process", in_ms(imports), ""
    yield "reading the scenarios, `Emulator()`", in_ms(making), ""
    yield "listening, `start()`", in_ms(starting), ""
    yield "- both, until requests are answered", in_ms(median(part[1] + part[2] for part in parts)), "150"


def measure_fixture(folder: str) -> Iterator[Row]:
    """What the fixture `vertex` costs a test that sends nothing; tests with and without it take turns."""
    Path(folder, "test_many.py").write_text(MANY_TESTS, "utf-8")
    Path(folder, "stopwatch.py").write_text(STOPWATCH, "utf-8")
    run_pytest(folder, "-pstopwatch", "test_many.py")
    taken = json.loads(Path(folder, "taken.json").read_text("utf-8"))
    # The first one starts the server.
    without, with_ = taken["test_without"][1:], taken["test_with"][1:]
    yield "a test without the fixture", in_ms(median(without)), ""
    yield "the same with `vertex`", in_ms(median(with_)), ""
    yield "- the difference", in_ms(median_difference(with_, without)), "3"


def measure_crowds(folder: str) -> Iterator[Row]:
    """How long the tests take that hold whether anything is shared; they say so if it is."""
    crowd, threads = str(ROOT / "tests/pytest_plugin/test_crowd.py"), str(ROOT / "tests/api/test_threads.py")
    shuffled = [run_pytest(folder, crowd, SHUFFLE_SEED=seed) for seed in SEEDS]
    threaded = [run_pytest(folder, threads) for _ in SEEDS]
    yield f"500 tests, 2 workers, {len(SEEDS)} random orders: all pass", in_ms(median(shuffled)), ""
    yield "50 threads, 50 projects: nothing is mixed up", in_ms(median(threaded)), ""


def in_ms(seconds: float) -> str:
    """Milliseconds, as precise as they mean something."""
    return f"{seconds * 1000:.0f}" if seconds > 1 / 100 else f"{seconds * 1000:.2f}"


def main() -> None:
    """Measure everything and print the table."""
    rows: list[Row] = []
    with TemporaryDirectory() as folder:
        for measure in (measure_bystanders, measure_start, measure_fixture, measure_crowds):
            rows += measure(folder)
    print(f"{describe_machine()}\n")
    print(make_table(("what", "median, ms", "at most"), rows))


if __name__ == "__main__":
    main()
