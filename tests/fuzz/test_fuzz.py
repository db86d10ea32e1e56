"""A short run of every fuzzer; the long one is `python -m tests.fuzz`."""

import pytest

from tests.fuzz.fuzzers import run_cases
from tests.fuzz.target import FlawError, running_server

SHORT_RUN = {"bodies": 1000, "heads": 400, "scenarios": 150, "templates": 400, "control": 500}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT_RUN)
def test_nothing_that_arrives_hurts_the_server(name: str) -> None:
    """Every case gets an answer that makes sense, and the server stays quiet, small and quick for others."""
    with running_server() as target:
        run_cases(name, "1", range(SHORT_RUN[name]), target)


def test_a_flaw_names_the_command_that_shows_it_again() -> None:
    """What is found can be looked at."""
    with running_server() as target:
        target.process.kill()
        target.process.wait()
        with pytest.raises(FlawError, match=r"again: python -m tests\.fuzz control --seed 7 --only 5"):
            run_cases("control", "7", range(5, 9), target)
