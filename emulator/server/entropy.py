"""Random bytes, many at a time: each time the system is asked costs as much as choosing a rule."""

import os

SIZE = 16
_STOCK = 4096


class Entropy:
    """A stock of random bytes, each of which is used once."""

    def __init__(self) -> None:
        self._stock = b""
        self._used = 0

    def draw(self) -> bytes:
        """The next 16 bytes."""
        if self._used >= len(self._stock):
            self._stock, self._used = os.urandom(_STOCK), 0
        self._used += SIZE
        return self._stock[self._used - SIZE : self._used]
