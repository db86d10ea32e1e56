"""The budget of work: what one request, template or scenario may make the engine do before it is told that it is too much.

One unit of work is about what a character costs to write; dearer things (a comparison, a turn of a loop, a call) are charged as several. Whoever is about to do
work spends its price first, so that nothing is paid for that the budget does not hold.
"""

AUTO_CHARACTERS = 1024 * 1024
"""How many characters an answer of `auto` may have."""
AUTO_WORK = 250_000
"""Units of work that making an answer of `auto` may cost, beside its characters: about 100 ms."""


class BudgetError(Exception):
    """The work costs more than its budget holds; the text ends a sentence that says what did."""


class Budget:
    """Units of work and characters that are left.

    `spend` and `write` raise `BudgetError` as soon as a bound is passed, before the work is done.
    """

    __slots__ = ("characters", "work")

    def __init__(self, work: int, characters: int) -> None:
        self.work = work
        self.characters = characters

    def spend(self, units: int, message: str = "it does too much work") -> None:
        """Take units of work."""
        self.work -= units
        if self.work < 0:
            raise BudgetError(message)

    def write(self, count: int, message: str = "") -> None:
        """Take characters of the result."""
        self.characters -= count
        if self.characters < 0:
            raise BudgetError(message or "it makes too long a text")
