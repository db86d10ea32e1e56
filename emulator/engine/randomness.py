"""Randomness that can be repeated: every exchange throws its own dice."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from random import Random
from typing import Any, NamedTuple

from pydantic_core import to_json

from emulator.catalogue.quirks import QuirkName
from emulator.engine.timeline.directives import CompiledPace, Fault
from emulator.wire.requests import ChatRequest

# A streamed answer and a plain one to the same request say the same.
_STREAMING_FIELDS = frozenset({"stream", "stream_options"})


@dataclass(frozen=True)
class Overrides:
    """What holds for all answers of a server, whatever its scenarios say."""

    quirks: frozenset[QuirkName] = frozenset()
    compiled_pace: CompiledPace | None = None
    """The pace of rules that have none."""
    asked: CompiledPace | None = None
    """The pace that the request itself asks for, which wins over all others."""
    faults: tuple[Callable[[Any], Fault | None], ...] = ()
    """What may happen to every answer; each is given the context of the answer's first choice."""
    speed: float = 1.0
    """How many times as fast everything is."""

    @cached_property
    def is_empty(self) -> bool:
        """Whether they leave answers as they are."""
        return not (self.quirks or self.faults or self.compiled_pace or self.asked)


class AnswerInputs(NamedTuple):
    """What the world outside gives to an answer, so that the engine needs no clock and no entropy of its own."""

    moment: float
    """Unix time in seconds."""
    seed: str | None
    """The seed, if one was given."""
    entropy: bytes
    """At least 16 random bytes, from which ids are made when there is no seed."""
    overrides: Overrides = Overrides()


class SeededRandom:
    """The random numbers of one exchange.

    What an answer says follows from the seed, the request and the position in a sequence alone, whatever came before. Ids do so
    too when a seed was given; else they are new each time.
    """

    def __init__(self, inputs: AnswerInputs, request: ChatRequest, position: int) -> None:
        self._inputs = inputs
        self.seed = inputs.seed
        """The seed, if one was given."""
        self._request = request
        self._position = position

    @cached_property
    def _content_key(self) -> bytes:
        asked = {key: value for key, value in self._request.items() if key not in _STREAMING_FIELDS}
        digest = blake2b(to_json(asked, inf_nan_mode="strings"), digest_size=16)
        digest.update(f"\0{self._inputs.seed or ''}\0{self._position}".encode())
        return digest.digest()

    def random(self, *labels: str | int) -> Random:
        """A generator for one purpose, told apart from others by its labels."""
        return Random(_hash(self._content_key, labels, 16))  # noqa: S311  # to be repeated, not to be secret

    def id_bits(self, count: int, *labels: str | int) -> int:
        """Random bits (a multiple of 8, 128 at most) for an id; those without labels are the answer's own."""
        if self.seed is not None:
            return _hash(self._content_key, ("id", *labels), count // 8)
        # What is random already need not be hashed, except to be used twice.
        entropy = self._inputs.entropy
        return _hash(entropy, labels, count // 8) if labels else int.from_bytes(entropy[: count // 8], "big")


def _hash(key: bytes, labels: tuple[str | int, ...], size: int) -> int:
    return int.from_bytes(blake2b(repr(labels).encode(), key=key, digest_size=size).digest(), "big")
