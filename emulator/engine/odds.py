"""Odds: whether a fault happens this time."""

from emulator.engine.context import Context
from emulator.scenario.faults import Odds


def happens(odds: Odds, context: Context, label: str) -> bool:
    """Whether all that is said about when it happens holds; `label` tells this fault from others of the same reply.

    With a seed, chance follows from seed, project, request and use; without one it is new each time.
    """
    request = context.request
    use = request.use
    if odds.first is not None and use > odds.first:
        return False
    if odds.after is not None and use <= odds.after:
        return False
    if odds.every is not None and use % odds.every:
        return False
    if odds.chance is None:
        return True
    labels = ("odds", label, use, request.facts.target.project)
    entropy = "" if request.occasion.seed is not None else request.occasion.entropy.hex()
    return request.dice.random(*labels, entropy).random() < odds.chance
