"""Errors for arguments and methods that do not exist, with the nearest that does, in place of Python's own."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from emulator.suggestions import suggest

P = ParamSpec("P")
R = TypeVar("R")


def explain_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function name the nearest of its arguments if it is called with one that it does not have. It then raises TypeError."""
    parameters = [*inspect.signature(function).parameters.values()]
    known = [one.name for one in parameters if one.kind in {one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD}]
    known = [name for name in known if name != "self"]
    named_only = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
    has_list = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    name = function.__qualname__.split(".")[-2] if function.__name__ == "__init__" else function.__name__
    most = len([one for one in parameters if one.kind in {one.POSITIONAL_OR_KEYWORD, one.POSITIONAL_ONLY}])

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        __tracebackhide__ = True
        unknown = next((name for name in kwargs if name not in known), None)
        if unknown is not None:
            listed = next(
                (f"; {one.name} are given without a name" for one in parameters if one.kind is one.VAR_POSITIONAL), ""
            )
            raise TypeError(f'{name}() has no argument "{unknown}"{suggest(unknown, known)}{listed}')
        if len(args) > most and named_only and not has_list:
            raise TypeError(f"{name}() takes {', '.join(named_only)} by name only: {name}(..., {named_only[0]}=...)")
        return function(*args, **kwargs)

    return call


def explain_attribute(owner: str, kind: type, name: str, elsewhere: str = "") -> AttributeError:
    """The error for an attribute that an object of this kind does not have: `elsewhere` says what to write instead, by default the nearest name."""
    public = [one for one in dir(kind) if not one.startswith("_")]
    return AttributeError(f'{owner} has no "{name}"{elsewhere or suggest(name, public)}')
