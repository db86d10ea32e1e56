"""Terms: on what a request is answered, as far as it is the same whenever the same request comes."""

from typing import NamedTuple

from emulator.catalogue.quirks import QuirkName
from emulator.engine.compiling import Ruleset
from emulator.engine.dice import Surroundings
from emulator.engine.vetting import Verdict


class Terms(NamedTuple):
    """What scenario, server and the request's own headers say of its answer, and what Vertex says of the request."""

    rules: Ruleset
    around: Surroundings
    """What holds for all answers of its session."""
    surroundings: Surroundings
    """The same with the pace that the request asks for."""
    rulesets: tuple[Ruleset, ...]
    """The rules, and those that are asked when none of them answers."""
    seed: str | None
    quirks: frozenset[QuirkName]
    """Those that hold before a rule is chosen."""
    verdict: Verdict
    is_calm: bool
    """Whether the surroundings leave answers as they are."""
