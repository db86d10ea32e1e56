"""Requests as they were received: those that came last are remembered, for clients under test and load generators ask the same again."""

import os
from collections import OrderedDict
from collections.abc import Sequence

from emulator.engine.cues import Tempo
from emulator.engine.facts import Facts
from emulator.engine.lazy import Lazy
from emulator.scenario.rules import Endpoint
from emulator.server.bearer import Credentials, Sender, read_credentials, read_sender
from emulator.server.surroundings import read_asked_tempo
from emulator.wire.requests import parse_request
from emulator.wire.targets import Target

MOST_READINGS = 256
"""Requests that are remembered; the one unused for longest leaves first."""
MOST_BYTES = 2 * 1024 * 1024
"""The bytes that their bodies may have together."""
LARGEST_READING = 128 * 1024
"""The largest body that is remembered, in bytes: to look for a larger one takes too long."""

Headers = Sequence[tuple[bytes, bytes]]
Reading = tuple[Facts, tuple[str, ...]]
"""The facts of a request, and what had to be overlooked in it."""


class Received:
    """A request as it was received: what it says whoever answers, each worked out once and only if asked."""

    def __init__(self, target: Target, query: bytes, headers: Headers, body: bytes, readings: "Readings") -> None:
        self.target = target
        self.query = query
        self.headers = headers
        self.body = body
        self._readings = readings
        self._chat: Reading | None = None

    @Lazy
    def credentials(self) -> Credentials:
        """What it brings to prove who sent it."""
        return read_credentials(self.headers, self.query)

    @Lazy
    def sender(self) -> Sender:
        """What the journal may know of who sent it."""
        return read_sender(self.headers, self.credentials, self._readings.key)

    @Lazy
    def tempo(self) -> Tempo | None:
        """The pace that it asks for. Raises AnswerError for one that there is not."""
        return read_asked_tempo(self.headers)

    def read_chat(self, endpoint: Endpoint | None) -> Reading:
        """What it asks, as a chat request. Raises MalformedRequestError. Nobody may change facts that come from here, but a copy."""
        chat = self._chat
        # What a scenario says of an endpoint may have changed since.
        if chat is None or chat[0].endpoint is not endpoint:
            parsed = parse_request(self.body, strict_json=self._readings.strict_json)
            chat = self._chat = Facts(self.target, self.headers, parsed.request, endpoint), parsed.warnings
        return chat


class Readings:
    """The requests that a server remembers."""

    def __init__(self, *, strict_json: bool) -> None:
        self.strict_json = strict_json
        self.key = os.urandom(16)
        """What the journal tells senders apart by, without knowing their tokens."""
        self._known: OrderedDict[tuple[Target, bytes, bytes, Headers], Received] = OrderedDict()
        self._bytes = 0

    def find(self, target: Target, query: bytes, headers: Headers, body: bytes) -> Received:
        """The request if it is remembered, else a new one."""
        if len(body) > LARGEST_READING:
            return Received(target, query, headers, body, self)
        key = target, query, body, tuple(headers)
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        received = self._known[key] = Received(*key[:2], key[3], body, self)
        self._bytes += len(body)
        while len(self._known) > MOST_READINGS or self._bytes > MOST_BYTES:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= len(oldest.body)
        return received
