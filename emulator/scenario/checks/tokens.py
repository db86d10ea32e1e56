"""Whether what a scenario says of tokens can be done."""

from collections.abc import Iterator

from emulator.catalogue.errors import find_token_error, token_error_names
from emulator.errors import Problem
from emulator.scenario.grammar import ModelLoc
from emulator.scenario.rules import Tokens
from emulator.scenario.yaml import Source
from emulator.suggestions import find_near, join, quote

_LONGEST_KEY = 100


def check_tokens(tokens: Tokens, loc: ModelLoc, source: Source) -> Iterator[Problem]:
    """Every problem of a scenario's `tokens`."""
    if tokens.fail is None:
        if tokens.times is not None:
            message = '"times" says how many token requests fail, but there is no "fail" that says how'
            yield source.problem(source.key_place((*loc, "times")), message)
        return
    text = str(tokens.fail)
    if len(text) <= _LONGEST_KEY and find_token_error(tokens.fail) is not None:
        return
    known = token_error_names()
    near = None if text.isdecimal() else find_near(text, known)
    numbers = [name for name in known if name.isdecimal()]
    hint = f'did you mean "{near}"?' if near else f"use {join(numbers, 'or')}, or a name such as {known[0]}"
    message = f"the token endpoints have no error {quote(tokens.fail)}; {hint}"
    yield source.problem(source.place((*loc, "fail")), message)
