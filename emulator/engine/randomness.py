"""Reproducible randomness: each exchange derives its random numbers from seed, request and reply position."""

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

# Left out of the hash, so that a request gets the same content streamed and plain.
_STREAMING_FIELDS = frozenset({"stream", "stream_options"})


@dataclass(frozen=True)
class Overrides:
    """Quirks, pace, faults and speed set for all answers of a server or session, on top of its scenarios."""

    quirks: frozenset[QuirkName] = frozenset()
    compiled_pace: CompiledPace | None = None
    """The pace of rules that have none."""
    requested_pace: CompiledPace | None = None
    """The pace from the request's `x-emulator-pace` header, which wins over all others."""
    faults: tuple[Callable[[Any], Fault | None], ...] = ()
    """Faults of every answer; each is called with the context of the answer's first choice."""
    speed: float = 1.0
    """Factor by which all delays are shortened."""

    @cached_property
    def is_empty(self) -> bool:
        """Whether they change nothing but the speed."""
        return not (self.quirks or self.faults or self.compiled_pace or self.requested_pace)


class AnswerInputs(NamedTuple):
    """External inputs of an answer (time, seed, entropy, overrides); the engine reads no clock and no global random."""

    moment: float
    """Unix time in seconds."""
    seed: str | None
    """The seed, if one was given."""
    entropy: bytes
    """At least 16 random bytes, from which ids are made when there is no seed."""
    overrides: Overrides = Overrides()


class SeededRandom:
    """The random numbers of one exchange.

    Content depends only on the seed, the request and the reply's position in a sequence. Ids do too if a seed was given; otherwise
    they come from the entropy and differ each time.
    """

    def __init__(self, inputs: AnswerInputs, request: ChatRequest, position: int) -> None:
        self._inputs = inputs
        self.seed = inputs.seed
        """The seed, if one was given."""
        self._request = request
        self._position = position

    @cached_property
    def _content_key(self) -> bytes:
        request = {key: value for key, value in self._request.items() if key not in _STREAMING_FIELDS}
        digest = blake2b(to_json(request, inf_nan_mode="strings"), digest_size=16)
        digest.update(f"\0{self._inputs.seed or ''}\0{self._position}".encode())
        return digest.digest()

    def random(self, *labels: str | int) -> Random:
        """A generator for one purpose, identified by its labels."""
        return Random(_hash(self._content_key, labels, 16))  # noqa: S311  # must be reproducible, not secret

    def id_bits(self, count: int, *labels: str | int) -> int:
        """Random bits (a multiple of 8, at most 128) for an id; without labels, for the answer's own id."""
        if self.seed is not None:
            return _hash(self._content_key, ("id", *labels), count // 8)
        # Entropy is hashed only to derive further ids from it.
        entropy = self._inputs.entropy
        return _hash(entropy, labels, count // 8) if labels else int.from_bytes(entropy[: count // 8], "big")


def _hash(key: bytes, labels: tuple[str | int, ...], size: int) -> int:
    return int.from_bytes(blake2b(repr(labels).encode(), key=key, digest_size=size).digest(), "big")
