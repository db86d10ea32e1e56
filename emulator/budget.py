"""The budget of work: what one request, template or scenario may make the engine do before it is told that it is too much.

One unit of work is about what a character costs to write; dearer things (a comparison, a turn of a loop, a call) are charged as several. Whoever is about to do
work spends its price first, so that nothing is paid for that the budget does not hold.

What an event loop does holds up everybody else. Work that begins there has a small part of each budget first; beyond it `LongWorkError` tells the
caller to begin again elsewhere, with all of it. The result is the same.
"""

AUTO_CHARACTERS = 1024 * 1024
"""How many characters an answer of `auto` may have."""
AUTO_WORK = 250_000
"""Units of work that making an answer of `auto` may cost, beside its characters: about 100 ms."""


SHORT_SHARE = 10
"""The part of a budget that work on an event loop may take is one in so many: some 10 ms."""


class LongWorkError(BaseException):
    """Work that should not be done on an event loop; it has changed nothing. No `Exception`, because it is no failure that anybody might report."""


class BudgetError(Exception):
    """The work costs more than its budget holds; the text ends a sentence that says what did."""


class Budget:
    """Units of work and characters that are left.

    `spend` and `write` raise `BudgetError` as soon as a bound is passed, before the work is done. A short budget raises `LongWorkError`
    once more than a part of the work is done.
    """

    __slots__ = ("_reserve", "characters", "work")

    def __init__(self, work: int, characters: int, *, is_short: bool = False) -> None:
        self.work = work
        self.characters = characters
        self._reserve = work - work // SHORT_SHARE if is_short else 0

    @property
    def is_short(self) -> bool:
        """Whether more than a part of the work raises `LongWorkError`."""
        return self._reserve > 0

    def spend(self, units: int, message: str = "it does too much work") -> None:
        """Take units of work."""
        self.work -= units
        if self.work < self._reserve:
            if self.work < 0:
                raise BudgetError(message)
            raise LongWorkError

    def write(self, count: int, message: str = "") -> None:
        """Take characters of the result."""
        self.characters -= count
        if self.characters < 0:
            raise BudgetError(message or "it makes too long a text")
