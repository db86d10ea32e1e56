"""`python -m tests.fuzz`: the long run, or one case again."""

import argparse
import sys
import time

from tests.fuzz.fuzzers import FUZZERS, run_cases
from tests.fuzz.target import FlawError, running_server

LONG_RUN = {"bodies": 100_000, "heads": 20_000, "scenarios": 10_000, "templates": 20_000, "control": 10_000}


def main() -> int:
    """Run fuzzers, print what each of them saw, and return the exit status: 1 if there was a flaw."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"what to fuzz: {', '.join(FUZZERS)}; all if none is named"
    )
    parser.add_argument("--seed", default="1", help="other seeds make other cases (default: 1)")
    parser.add_argument("--cases", type=int, help="how many; by default as many as the long run has")
    parser.add_argument("--only", type=int, metavar="N", help="only case N")
    arguments = parser.parse_args()
    flaws = 0
    for name in arguments.names or FUZZERS:
        if name not in FUZZERS:
            parser.error(f"there is no fuzzer {name}; expected {', '.join(FUZZERS)}")
        count = arguments.cases or LONG_RUN[name]
        numbers = range(count) if arguments.only is None else range(arguments.only, arguments.only + 1)
        flaws += not _run(name, arguments.seed, numbers)
    return 1 if flaws else 0


def _run(name: str, seed: str, numbers: range) -> bool:
    start = time.monotonic()
    with running_server() as target:
        try:
            run_cases(name, seed, numbers, target)
        except FlawError as flaw:
            print(f"{name}: {flaw}", flush=True)
            return False
        seconds = time.monotonic() - start
        print(
            f"{name}: {len(numbers):,} cases in {seconds:.0f} s; {target.memory():.0f} MiB at the end, "
            f"slowest health check of another client {target.slowest_health:.2f} s",
            flush=True,
        )
    return True


if __name__ == "__main__":
    sys.exit(main())
