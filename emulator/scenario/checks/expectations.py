"""Whether what a rule is expected to do can be done."""

from collections.abc import Iterator

from emulator.errors import Problem
from emulator.scenario.grammar import ModelLoc
from emulator.scenario.rules import Rule, SequenceRule
from emulator.scenario.yaml import Source


def check_expect(rule: Rule, loc: ModelLoc, source: Source) -> Iterator[Problem]:
    """An `expect` says one thing, and no more than the rule's limit lets come true."""
    expect = rule.expect
    if expect is None:
        return
    at = (*loc, "expect")
    wanted = [one for one in (expect.times, expect.at_least) if one is not None]
    if not wanted and not expect.model_fields_set:
        yield source.problem(source.place(at), '"expect" must have "times" or "at_least"')
    if len(wanted) > 1:
        message = '"expect" has "times" or "at_least", not both'
        yield source.problem(source.key_place((*at, "at_least")), message)
        return
    limits = [rule.times] if rule.times is not None else []
    if isinstance(rule, SequenceRule) and rule.then == "exhaust":
        limits.append(len(rule.sequence))
    if wanted and limits and wanted[0] > min(limits):
        key = "times" if expect.times is not None else "at_least"
        message = f'"expect" can never be met: the rule is used up after {min(limits)}, and {wanted[0]} are expected'
        yield source.problem(source.place((*at, key)), message)
