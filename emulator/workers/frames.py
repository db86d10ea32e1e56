"""Messages on a socket between two processes: their length, then a pickle."""

import pickle
from collections.abc import Iterator
from struct import Struct
from typing import Any

_LENGTH = Struct("!Q")
_FORMAT = pickle.HIGHEST_PROTOCOL


def encode(message: Any) -> bytes:
    """A message as it is sent."""
    data = pickle.dumps(message, _FORMAT)
    return _LENGTH.pack(len(data)) + data


class Decoder:
    """Makes messages of the bytes that arrive, however they are cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """The messages that are complete now."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            yield pickle.loads(memoryview(buffer)[start + _LENGTH.size : end])  # noqa: S301  # from a process of this server
            start = end
        if start:
            del buffer[:start]
