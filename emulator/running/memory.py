"""The garbage collector of a process that does nothing but serve."""

import gc


def tune_collector() -> None:
    """Leave what was loaded alone, and look for cycles rarely: answers make hardly any, and a look holds up every stream.

    With a thousand streams the default settings make pauses of 20 to 80 ms (benchmarks/pacing.py). Not for processes of others.
    """
    # The little garbage of loading is kept with the rest: finding it would take as long as reading a scenario.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()
