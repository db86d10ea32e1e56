"""The branches of a schema: the ways to satisfy its `allOf`, `anyOf`, `oneOf` and `if`, and how deep each must nest."""

from collections.abc import Callable, Iterator
from itertools import product

from emulator.engine.sampling.schema import Document, Part, Parts

_MOST_PARTS = 300
_MOST_STEPS = 64
_STEP = 12
"""Units of work for a schema that is added to a branch."""
_ENDLESS = _MOST_STEPS + 1
Ranking = Callable[[list[Parts]], list[Parts]]
"""Puts the branches of an `anyOf`, `oneOf` or `if` in the order in which they are tried, and leaves hopeless ones out."""


def expand(parts: Parts, document: Document, rank: Ranking) -> Iterator[Parts]:
    """Each way to satisfy all the schemas, as the flat list of schemas that then hold together.

    `oneOf`, `not` and a failing `if` are left to the validation of the finished value. A schema that leads only to itself
    has no way.
    """
    yield from _expand(tuple((part, frozenset[str]()) for part in parts), (), document, rank)


def _expand(
    todo: tuple[tuple[Part, frozenset[str]], ...], done: Parts, document: Document, rank: Ranking
) -> Iterator[Parts]:
    """`todo` carries for each schema the pointers of those that led to it without going down into the value."""
    while todo:
        (part, chain), *others = todo
        todo = tuple(others)
        document.budget.spend(_STEP + _STEP * part.width + len(done) // 4 + len(part.pointer) // 32)
        if part.never or part.pointer in chain or len(done) > _MOST_PARTS:
            return
        if not part.keywords or any(part.pointer == other.pointer for other in done):
            continue
        done = (*done, part)
        chain |= {part.pointer}
        todo += tuple((inner, chain) for inner in document.conjuncts(part))
        groups: list[list[Parts]] = [[(inner,) for inner in group] for group in part.alternatives]
        if "if" in part.keywords:
            then, otherwise = ((part.at(keyword),) if keyword in part.keywords else () for keyword in ("then", "else"))
            groups.append([(part.at("if"), *then), otherwise])
        if groups:
            for picks in product(*(rank(group) for group in groups)):
                picked = tuple((inner, chain) for pick in picks for inner in pick)
                yield from _expand(todo + picked, done, document, rank)
            return
    yield done


class MinimalDepths:
    """How deep the smallest value of each schema of a document nests, `$ref`s and branches counted as levels too."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._fits: dict[tuple[str, int], bool] = {}
        self._depths: dict[str, int] = {}

    def of(self, part: Part) -> int:
        """The least number of levels below the schema, or 65 where 64 do not do.

        Raises:
            AnswerError: A `$ref` on the way points to nothing.
        """
        if part.pointer not in self._depths:
            low, high = 0, _ENDLESS
            if not self.is_endless(part):
                high = _MOST_STEPS
                while low < high:
                    middle = (low + high) // 2
                    low, high = (low, middle) if self._fits_in(part, middle) else (middle + 1, high)
            self._depths[part.pointer] = high
        return self._depths[part.pointer]

    def is_endless(self, part: Part) -> bool:
        """Whether no value of the schema can be finished."""
        return not self._fits_in(part, _MOST_STEPS)

    def _fits_in(self, part: Part, steps: int) -> bool:
        """Whether a value can be finished in so many steps; each level takes one, so this ends even where schemas do not."""
        if part.never or steps < 0:
            return False
        if not part.keywords:
            return True
        key = (part.pointer, steps)
        if key not in self._fits:
            self._document.budget.spend(_STEP + 4 * part.width)
            needed = self._document.conjuncts(part)
            if part.listed is None:
                needed += self._required_children(part)
            self._fits[key] = all(self._fits_in(inner, steps - 1) for inner in needed) and all(
                any(self._fits_in(inner, steps - 1) for inner in group) for group in part.alternatives
            )
        return self._fits[key]

    def _required_children(self, part: Part) -> Parts:
        if part.types == ("object",):
            return tuple(inner for name in part.required for inner in self._document.property_schemas(part, name))
        if part.types == ("array",) and part.keywords.get("minItems"):
            return part.item_schemas(0)
        return ()
