"""The ways in which schemas can be satisfied together: every `$ref` followed, every `allOf` joined, one branch picked."""

from collections.abc import Callable, Iterator
from itertools import product

from emulator.engine.sampling.schemas import Document, Part

Parts = tuple[Part, ...]
Ranking = Callable[[list[Parts]], list[Parts]]
"""Puts the branches of an `anyOf`, `oneOf` or `if` in the order in which they are tried, and leaves hopeless ones out."""

_MOST_PARTS = 300


def expand(parts: Parts, document: Document, rank: Ranking) -> Iterator[Parts]:
    """Each way to satisfy all the schemas, as the flat list of schemas that then hold together.

    `oneOf`, `not` and a failing `if` are left for the finished value to be judged by. A schema that leads only to itself
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
        document.spend(part)
        if part.never or part.pointer in chain or len(done) > _MOST_PARTS:
            return
        if not part.keywords or any(part.pointer == other.pointer for other in done):
            continue
        done = (*done, part)
        chain |= {part.pointer}
        target = document.target(part)
        joined = part.each("allOf") + ((target,) if target else ())
        todo += tuple((inner, chain) for inner in joined)
        groups = _groups(part)
        if groups:
            for picks in product(*(rank(group) for group in groups)):
                picked = tuple((inner, chain) for pick in picks for inner in pick)
                yield from _expand(todo + picked, done, document, rank)
            return
    yield done


def _groups(part: Part) -> list[list[Parts]]:
    groups: list[list[Parts]] = [
        [(inner,) for inner in part.each(keyword)] for keyword in ("anyOf", "oneOf") if part.values(keyword)
    ]
    if part.has_schema("if"):
        then: Parts = (part.at("then"),) if part.has_schema("then") else ()
        otherwise: Parts = (part.at("else"),) if part.has_schema("else") else ()
        groups.append([(part.at("if"), *then), otherwise])
    return groups
