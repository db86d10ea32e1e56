"""Requests as facts: those that came last are remembered, for clients under test and load generators ask the same again and again."""

from collections import OrderedDict
from collections.abc import Sequence

from emulator.engine.facts import Facts
from emulator.scenario.rules import Endpoint
from emulator.wire.requests import parse_request
from emulator.wire.targets import Target

MOST_READINGS = 256
"""Requests that are remembered; the one unused for longest leaves first."""
LARGEST_READING = 8 * 1024
"""The largest body that is remembered, in bytes."""

Reading = tuple[Facts, tuple[str, ...]]
"""The facts of a request, and what had to be overlooked in it."""


class Readings:
    """What the chat requests of a server are about. Nobody may change facts that come from here, but a copy of them."""

    def __init__(self, *, strict_json: bool) -> None:
        self._strict_json = strict_json
        self._known: OrderedDict[tuple[Target, bytes, tuple[tuple[bytes, bytes], ...]], Reading] = OrderedDict()

    def read(
        self, target: Target, headers: Sequence[tuple[bytes, bytes]], body: bytes, endpoint: Endpoint | None
    ) -> Reading:
        """Read a request, or remember it. Raises MalformedRequestError."""
        if len(body) > LARGEST_READING:
            return self._read(target, headers, body, endpoint)
        key = (target, body, tuple(headers))
        known = self._known.get(key)
        # What a scenario says of an endpoint may have changed since.
        if known is not None and known[0].endpoint is endpoint:
            self._known.move_to_end(key)
            return known
        read = self._known[key] = self._read(target, headers, body, endpoint)
        if len(self._known) > MOST_READINGS:
            self._known.popitem(last=False)
        return read

    def _read(
        self, target: Target, headers: Sequence[tuple[bytes, bytes]], body: bytes, endpoint: Endpoint | None
    ) -> Reading:
        parsed = parse_request(body, strict_json=self._strict_json)
        return Facts(target, headers, parsed.request, endpoint), parsed.warnings
