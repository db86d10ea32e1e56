"""How many steps down a schema forces a value, so that recursion is always led towards its end."""

from emulator.engine.sampling.patterns import matches
from emulator.engine.sampling.schemas import Document, Part, listed, members, slots, types_of

ENDLESS = 65
"""The height of a schema that never ends, or not within what is made: 64 steps, `$ref`s and branches included."""


class Heights:
    """The heights of the schemas of one document, each worked out once."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._fits: dict[tuple[str, int], bool] = {}
        self._heights: dict[str, int] = {}

    def of(self, part: Part) -> int:
        """The least number of steps below the schema, or ENDLESS.

        Raises:
            AnswerError: A `$ref` on the way points to nothing.
        """
        if part.pointer not in self._heights:
            low, high = 0, ENDLESS
            if self._can_end(part, ENDLESS - 1):
                high = ENDLESS - 1
                while low < high:
                    middle = (low + high) // 2
                    low, high = (low, middle) if self._can_end(part, middle) else (middle + 1, high)
            self._heights[part.pointer] = high
        return self._heights[part.pointer]

    def is_endless(self, part: Part) -> bool:
        """Whether no value of the schema can be finished."""
        return not self._can_end(part, ENDLESS - 1)

    def _can_end(self, part: Part, steps: int) -> bool:
        """Whether a value can be finished in so many steps; every hop costs one, so this ends even where schemas do not."""
        if part.never or steps < 0:
            return False
        if not part.keywords:
            return True
        key = (part.pointer, steps)
        if key not in self._fits:
            self._fits[key] = self._reaches(part, steps - 1)
        return self._fits[key]

    def _reaches(self, part: Part, steps: int) -> bool:
        target = self._document.target(part)
        needed = list(part.each("allOf")) + ([target] if target else [])
        if listed(part) is None:
            needed += self._forced_children(part)
        if not all(self._can_end(inner, steps) for inner in needed):
            return False
        groups = [group for group in (part.each("anyOf"), part.each("oneOf")) if group]
        return all(any(self._can_end(inner, steps) for inner in group) for group in groups)

    @staticmethod
    def _forced_children(part: Part) -> list[Part]:
        kinds = types_of(part)
        if kinds == ("object",):
            return [inner for name in part.names("required") for inner in members(part, name, matches)]
        if kinds == ("array",) and part.count("minItems"):
            return list(slots(part, 0))
        return []
