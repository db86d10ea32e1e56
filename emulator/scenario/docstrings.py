"""What the models say of their keys: the docstrings below the fields, read from the source when somebody asks."""

import ast
import inspect
from functools import cache
from itertools import pairwise

from pydantic import BaseModel

from emulator.scenario.model import Model


@cache
def describe_keys(model: type[BaseModel]) -> dict[str, str]:
    """The docstrings below the fields of a model, those that it inherits among them, by the fields' names."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if issubclass(one, Model):
            found |= _read(one)
    return found


def _read(model: type[Model]) -> dict[str, str]:
    (tree,) = ast.parse(inspect.getsource(model)).body
    found = {}
    for field, text in pairwise(ast.iter_child_nodes(tree)):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                found[name] = inspect.cleandoc(said)
    return found
