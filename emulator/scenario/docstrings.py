"""What the models say of their keys: the docstrings below the fields, read from the source when somebody asks."""

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from emulator.validation.models import Model


def describe_keys(model: type[Model]) -> dict[str, str]:
    """The docstrings below the fields of a model, those that it inherits among them, by the fields' names."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        found |= _read(one.__module__).get(one.__name__, {}) if issubclass(one, Model) else {}
    return found


@cache
def _read(module: str) -> dict[str, dict[str, str]]:
    """The docstrings below the fields of all classes of a module."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {part.name: dict(_read_class(part)) for part in tree.body if isinstance(part, ast.ClassDef)}


def _read_class(part: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(part.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                yield name, inspect.cleandoc(said)
