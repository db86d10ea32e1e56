"""Reading what wrk writes."""

import pytest

from benchmarks.load import MARK, read_output

OUTPUT = f"""Running 2s test @ http://127.0.0.1:8080/v1/chat/completions
  1 threads and 16 connections
  2540 requests in 2.00s, 1.07MB read
  Non-2xx or 3xx responses: 3
Requests/sec:   1270.00

{MARK}{{"requests": 2540, "microseconds": 2000000, "bytes": 1121976, "median": 900, "slowest": 4000, "refused": 3, "broken": 1}}
"""


def test_result_is_found_in_what_wrk_writes() -> None:
    """The script's line is read, wherever it stands, and times come out in seconds."""
    load = read_output(OUTPUT)
    assert (load.requests, load.seconds, load.rate) == (2540, 2.0, 1270.0)
    assert (load.median, load.slowest) == (0.0009, 0.004)


def test_refused_and_broken_requests_are_errors() -> None:
    """Whatever went wrong is counted."""
    assert read_output(OUTPUT).errors == 4


def test_output_without_a_result_is_shown() -> None:
    """If the script did not get so far, its output says why."""
    with pytest.raises(ValueError, match="unable to connect"):
        read_output("unable to connect to 127.0.0.1:8080\n")
