"""Values made to measure for a JSON Schema: `sample` for answers, `sample_arguments` for tool calls."""

from random import Random
from typing import Any

from emulator.engine.sampling.sampler import Sampler
from emulator.engine.sampling.schema import Document, Part, contradiction
from emulator.engine.sampling.state import Spot

__all__ = ["sample", "sample_arguments"]

_OBJECT = Part("#(object)", {"type": "object"})


def sample(schema: Any, random: Random) -> Any:
    """A JSON value that satisfies the schema: all properties near the top, only the required ones further down.

    The same schema and the same state of `random` give the same value.

    Raises:
        AnswerError: No value was found; the message names the place in the schema and what is contradictory.
    """
    document = Document(schema)
    return _make((document.root,), document, random)


def sample_arguments(parameters: Any, random: Random) -> dict[str, Any]:
    """Arguments for a tool that declares those `parameters` (a JSON Schema); empty when it declares none.

    Raises:
        AnswerError: The parameters allow no object.
    """
    if not isinstance(parameters, dict) or not parameters:
        return {}
    document = Document(parameters)
    made = _make((document.root, _OBJECT), document, random)
    return made if isinstance(made, dict) else {}


def _make(parts: tuple[Part, ...], document: Document, random: Random) -> Any:
    try:
        return Sampler(document, random).make(parts, Spot())
    except RecursionError:
        raise contradiction("#", "it nests too deeply") from None
