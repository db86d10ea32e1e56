"""Requests as they were received: those that came last are remembered, for clients under test and load generators ask the same again."""

import os
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any

from emulator.engine.lazy import Lazy
from emulator.engine.request.facts import Facts
from emulator.engine.timeline.directives import CompiledPace
from emulator.scenario.rules import Endpoint
from emulator.server.authentication import read_credentials, read_sender
from emulator.server.overrides import PACE_HEADER, read_requested_pace
from emulator.wire.requests import MOST_MANNERS, parse_request
from emulator.wire.urls import Target

MOST_READINGS = 256
"""Requests that are remembered; the one unused for longest leaves first."""
MOST_BYTES = 2 * 1024 * 1024
"""The bytes that their bodies may have together."""
LARGEST_READING = 128 * 1024
"""The largest body that is remembered, in bytes: to look for a larger one takes too long."""

_SHORT, _END, _STEP = 4096, 512, 61
"""Of bodies: the bytes of one that is looked up whole; of a longer one those of its ends, and of how many between one is looked at."""

MOST_ENVELOPES = 256
"""Senders, each as its headers tell, that are remembered."""

Headers = Sequence[tuple[bytes, bytes]]
Reading = tuple[Facts, tuple[str, ...]]
"""The facts of a request, and what had to be overlooked in it."""


_TELLING = frozenset({b"authorization", b"host", b"x-goog-api-key", PACE_HEADER})
_VERTEX = b"x-vertex-ai"


class Envelope:
    """What the headers and the query of a request tell, which is the same for all that a client sends."""

    def __init__(self, headers: Headers, query: bytes, key: bytes) -> None:
        self._headers = headers
        self.credentials = read_credentials(headers, query)
        """What it brings to prove who sent it."""
        self.sender = read_sender(headers, self.credentials, key)
        """What the journal may know of who sent it."""
        self.vertex = tuple([pair for pair in headers if pair[0][: len(_VERTEX)].lower() == _VERTEX])
        """The headers of Vertex's own."""
        self.passes_until = 0.0
        """Until when (Unix time) its credentials are known to pass; for the one who checks them."""

    @Lazy
    def compiled_pace(self) -> CompiledPace | None:
        """The pace that it asks for. Raises AnswerError for one that there is not."""
        return read_requested_pace(self._headers)


class Received:
    """A request as it was received: what it says whoever answers, each worked out once and only if asked."""

    def __init__(self, target: Target, headers: Headers, body: bytes, envelope: Envelope, readings: "Readings") -> None:
        self.target = target
        self.headers = headers
        self.body = body
        self.envelope = envelope
        self.sender = envelope.sender
        self._readings = readings
        self._chat: Reading | None = None

    @property
    def compiled_pace(self) -> CompiledPace | None:
        """The pace that it asks for. Raises AnswerError for one that there is not."""
        return self.envelope.compiled_pace

    def read_chat(self, endpoint: Endpoint | None) -> Reading:
        """What it asks, as a chat request. Raises MalformedRequestError. Nobody may change facts that come from here, but a copy."""
        chat = self._chat
        # What a scenario says of an endpoint may have changed since.
        if chat is None or chat[0].endpoint is not endpoint:
            parsed = parse_request(self.body, strict_json=self._readings.strict_json)
            common = self._readings.find_common(self.target, self.envelope, parsed.manner, endpoint)
            facts = Facts(self.target, self.headers, parsed.request, endpoint, common, said=parsed.said)
            chat = self._chat = facts, parsed.warnings
        return chat


class Readings:
    """The requests that a server remembers."""

    def __init__(self, *, strict_json: bool) -> None:
        self.strict_json = strict_json
        self.key = os.urandom(16)
        """What the journal tells senders apart by, without knowing their tokens."""
        self._known: OrderedDict[tuple[Target, bytes, Hashable, Headers], Received] = OrderedDict()
        self._bytes = 0
        self._envelope = lru_cache(MOST_ENVELOPES)(Envelope)
        self.open = lru_cache(MOST_ENVELOPES)(self._open)
        """What headers and query tell."""
        self._common = lru_cache(MOST_MANNERS)(_begin_common)

    def _open(self, headers: Headers, query: bytes) -> Envelope:
        """The same for all whose headers differ in others than are read here only."""
        telling = [pair for pair in headers if pair[0] in _TELLING or pair[0][: len(_VERTEX)].lower() == _VERTEX]
        return self._envelope(tuple(telling), query, self.key)

    def find_common(
        self, target: Target, envelope: Envelope, manner: bytes, endpoint: Endpoint | None
    ) -> dict[str, Any]:
        """What the facts of a request have in common with others."""
        # An endpoint that is remembered lives, so no other has its number.
        common = self._common(target, envelope.vertex, manner, id(endpoint))
        common.setdefault("endpoint", endpoint)
        return common

    def find(self, target: Target, query: bytes, headers: Headers, body: bytes) -> Received:
        """The request if it is remembered, else a new one."""
        if len(body) > LARGEST_READING:
            return Received(target, headers, body, self.open(tuple(headers), query), self)
        key = target, query, body if len(body) <= _SHORT else _sample(body), tuple(headers)
        known = self._known.get(key)
        if known is None:
            self._bytes += len(body)
        else:
            self._known.move_to_end(key)
            if known.body == body:
                return known
        # Of bodies with the same sample, which are equally long, the last is remembered.
        received = self._known[key] = Received(target, key[3], body, self.open(key[3], query), self)
        while len(self._known) > MOST_READINGS or self._bytes > MOST_BYTES:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= len(oldest.body)
        return received


def _sample(body: bytes) -> Hashable:
    """What a long body is looked up by, because to hash all of it takes too long: its length, its ends, some bytes between."""
    return len(body), body[:_END], body[-_END:], body[::_STEP]


def _begin_common(_target: Target, _vertex: Headers, _manner: bytes, _endpoint: int) -> dict[str, Any]:
    return {}
