"""A value for a JSON Schema: the branches of the schema are tried one by one, and each value made for one is validated.

A JSON Schema sampler of our own, as the known ones need a model's help or a test runner's, and make nothing that looks plausible.
Numbers and strings are made in modules of their own, objects and arrays here.
"""

from collections.abc import Collection, Hashable, Iterable, Iterator
from itertools import chain
from random import Random
from typing import Any, NamedTuple

from emulator.budget import AUTO_CHARACTERS, AUTO_WORK, Budget, BudgetError
from emulator.engine.sampling.branches import MinimalDepths, expand
from emulator.engine.sampling.keywords import TYPES, measure
from emulator.engine.sampling.numbers import make_number
from emulator.engine.sampling.patterns import Patterns
from emulator.engine.sampling.schema import (
    Document,
    Part,
    Parts,
    TooLarge,
    contradiction,
    escape,
    largest,
    pointer_of,
    smallest,
)
from emulator.engine.sampling.strings import make_string, write_name
from emulator.engine.sampling.validity import Validity
from emulator.errors import AnswerError
from emulator.suggestions import quote

MOST_ITEMS = 1_000
MOST_PROPERTIES = 1_000
_MANY_VALUES = 300
_MOST_LEVELS = 40
_FULL_LEVELS = 4
"""So many levels of objects and arrays have all of their optional properties."""
_MOST_BRANCHES = 24
_ATTEMPTS = 8
_ATTEMPTS_FOR_UNIQUE = 60
_USUAL_ITEMS = 2
_VALUE = 80
_CONTAINER = 100
_SCHEMA = 4
"""Units of work to make a value, an object or array besides, and to look at a schema for it."""
_NAME_TRIES = 30
_LONGEST_NAME = 60
_ANNOTATIONS = ("title", "description", "default", "example", "examples")
_ANY_OBJECT = Part("#(object)", {"type": "object"})
_ANY_NAME = Part("#(name)", {"type": "string"})


class Sampling:
    """What the values made for one request share: their budget, and warnings of what of their schemas is not kept to."""

    def __init__(self, *, is_short: bool = False) -> None:
        self.budget = Budget(AUTO_WORK, AUTO_CHARACTERS, is_short=is_short)
        self.warnings: list[str] = []


def sample(schema: Any, random: Random, sampling: Sampling | None = None) -> Any:
    """A JSON value that satisfies the schema: all properties near the top, only the required ones further down.

    The same schema and the same state of `random` give the same value.

    Raises:
        AnswerError: No value was found within the budget; the message names the place in the schema and what is wrong there.
    """
    return _sample(schema, (), random, sampling or Sampling())


def sample_arguments(parameters: Any, random: Random, sampling: Sampling | None = None) -> dict[str, Any]:
    """Arguments for a tool that declares those `parameters` (a JSON Schema); empty when it declares none.

    Raises:
        AnswerError: As of `sample`, or the parameters allow no object.
    """
    if not isinstance(parameters, dict) or not parameters:
        return {}
    made = _sample(parameters, (_ANY_OBJECT,), random, sampling or Sampling())
    return made if isinstance(made, dict) else {}


_JUDGING = 8
"""The part of the work of an `auto` value that judging a given one may take."""


def explain_misfit(schema: Any, value: Any) -> str:
    """Say where a JSON value does not satisfy a schema, such as `"days" is missing`; empty if it does, or if judging it takes too much work."""
    budget = Budget(AUTO_WORK // _JUDGING, AUTO_CHARACTERS)
    try:
        document = Document(schema, budget, Patterns(budget, []))
        validity, part, where = Validity(document, with_formats=False), document.root, ""
        if validity.is_valid(value, part):
            return ""
        while isinstance(value, dict):
            missing = next((name for name in part.required if name not in value), None)
            if missing is not None:
                return f"{quote(f'{where}{missing}')} is missing"
            wrong = next(
                (
                    (name, one)
                    for name, each in value.items()
                    for one in document.property_schemas(part, name)
                    if not validity.is_valid(each, one)
                ),
                None,
            )
            if wrong is None:
                break
            name, part = wrong
            value, where = value[name], f"{where}{name}."
        return f"{quote(where.removesuffix('.'))} does not fit" if where else "it does not fit"
    except (BudgetError, AnswerError, TooLarge, RecursionError):
        return ""


def _sample(schema: Any, others: Parts, random: Random, sampling: Sampling) -> Any:
    sampler: _Sampler | None = None
    try:
        document = Document(schema, sampling.budget, Patterns(sampling.budget, sampling.warnings))
        sampler = _Sampler(document, random)
        return sampler.make((document.root, *others), _Position())
    except RecursionError:
        raise contradiction("#", "it nests too deeply") from None
    except TooLarge as error:
        raise contradiction(error.pointer, str(error)) from None
    except BudgetError as error:
        raise contradiction(sampler.pointer if sampler else "#", str(error)) from None


class _Position(NamedTuple):
    """Where in the value something is made, and how complete it is to be."""

    depth: int = 0
    """Objects and arrays around it."""
    trail: frozenset[str] = frozenset()
    """The pointers of the schemas of all that is around it."""
    name: str = ""
    """The name of the nearest property around it."""
    is_minimal: bool = False
    """Only what must be there: nesting is deep, or a recursive schema is inside itself."""
    is_retry: bool = False
    """An earlier attempt was not valid: leave defaults and examples, take optional properties at random."""

    def below(self, parts: Iterable[Part]) -> "_Position":
        """The position of something inside a value of these schemas."""
        return self._replace(depth=self.depth + 1, trail=self.trail | {part.pointer for part in parts})

    def named(self, name: str) -> "_Position":
        """The position of the property of that name."""
        return self._replace(name=name)


class _Sampler:
    """One sampling: makes values of schemas inside the document, out of one source of randomness."""

    def __init__(self, document: Document, random: Random) -> None:
        self._document = document
        self._depths = MinimalDepths(document)
        self._validity = Validity(document)
        self._random = random
        self._spend = document.budget.spend
        self._made = 0
        self._failed: dict[tuple[str, ...], str] = {}
        self.pointer = "#"
        """Where the schema stands for which a value was last asked."""

    def make(self, parts: Parts, position: _Position, avoided: Collection[Hashable] = ()) -> Any:
        """A value that satisfies all the schemas and whose key is none of those avoided.

        Raises:
            AnswerError: No value was found.
            BudgetError: The budget is spent.
        """
        self._made += 1
        self.pointer = pointer = parts[0].pointer
        self._spend(_VALUE + _SCHEMA * len(parts))
        if position.depth > _MOST_LEVELS:
            raise contradiction(pointer, f"it nests deeper than {_MOST_LEVELS} levels, or without end")
        key = tuple(part.pointer for part in parts)
        if key in self._failed:
            raise AnswerError(self._failed[key])
        try:
            return self._make(parts, position, avoided)
        except AnswerError as error:
            if not avoided:
                self._failed[key] = str(error)
            raise

    def _make(self, parts: Parts, position: _Position, avoided: Collection[Hashable]) -> Any:
        if position.depth >= _FULL_LEVELS or self._made > _MANY_VALUES or self._is_recursive(parts, position):
            position = position._replace(is_minimal=True)
        failure: AnswerError | None = None
        branches = expand(parts, self._document, lambda group: self._ranked(group, position))
        for number, branch in enumerate(branches):
            if number >= _MOST_BRANCHES:
                break
            types = self._types(branch)
            if not types:
                reason = f"the types {_show_types(branch)} exclude each other"
                failure = failure or contradiction(pointer_of(branch, "type"), reason)
            for type_ in types:
                try:
                    for value, is_given in self._candidates(branch, type_, position, avoided):
                        if (not avoided or self._document.key(value) not in avoided) and self._is_valid(value, parts):
                            return self._write(value) if is_given else value
                except AnswerError as error:
                    failure = failure or error
        raise failure or contradiction(parts[0].pointer, self._explain(parts, avoided))

    def _explain(self, parts: Parts, avoided: Collection[Hashable]) -> str:
        """What is most likely contradictory where nothing could even be tried or nothing was valid."""
        if any(part.never for part in parts):
            return "the schema false allows no value"
        if avoided:
            return f"it has no value that differs from the other {len(avoided)}, as uniqueItems asks"
        if any(self._depths.is_endless(part) for part in parts):
            return "it is recursive without end, or none of its branches can be satisfied"
        present = dict.fromkeys(key for part in parts for key in part.keywords if key not in _ANNOTATIONS)
        return f"no value satisfies {', '.join(present) or 'it'} together"

    def _is_valid(self, value: Any, parts: Parts) -> bool:
        return all(self._validity.is_valid(value, part) for part in parts)

    def _is_recursive(self, parts: Parts, position: _Position) -> bool:
        """Whether the schemas force the value into a schema that it is already inside of."""
        seen: set[str] = set()

        def recurs(part: Part) -> bool:
            self._spend(_SCHEMA * (1 + part.width))
            if part.pointer in position.trail:
                return True
            if part.pointer in seen:
                return False
            seen.add(part.pointer)
            if any(recurs(inner) for inner in self._document.conjuncts(part)):
                return True
            return any(all(recurs(inner) for inner in group) for group in part.alternatives)

        return any(recurs(part) for part in parts)

    def _ranked(self, group: list[Parts], position: _Position) -> list[Parts]:
        """Branches at random, null last and recursion after that; the least deep first when only the minimum is wanted."""
        branches = [branch for branch in group if not any(self._depths.is_endless(part) for part in branch)]
        self._random.shuffle(branches)
        if position.is_minimal:
            return sorted(branches, key=lambda branch: max((self._depths.of(part) for part in branch), default=0))
        return sorted(branches, key=lambda branch: (self._is_recursive(branch, position), _is_null(branch)))

    def _types(self, branch: Parts) -> list[str]:
        """The types that all the schemas allow, in the order in which they are tried."""
        self._spend(_SCHEMA * len(branch))
        allowed = [part.types for part in branch]
        types = [type_ for type_ in TYPES if all(_allows(each, type_) for each in allowed)]
        if all(each == TYPES for each in allowed):
            hinted = [hint for part in branch if (hint := part.hinted_type()) is not None] or ["string"]
            return sorted(types, key=lambda type_: type_ not in hinted)
        nulls = ["null"] if "null" in types else []
        types = [type_ for type_ in types if type_ != "null"]
        if "integer" in types and "number" in types:
            types.remove("integer")
        self._random.shuffle(types)
        return types + nulls

    def _candidates(
        self, branch: Parts, type_: str, position: _Position, avoided: Collection[Hashable]
    ) -> Iterator[tuple[Any, bool]]:
        """Values of one type that are worth validating, the best looking first, and whether the schema gives them."""
        lists = [values for part in branch if (values := part.listed) is not None]
        if lists:
            self._spend(2 * len(lists[0]))
            chosen = [value for value in lists[0] if value is not None or type_ == "null"]
            yield from ((value, True) for value in self._random.sample(chosen, len(chosen)))
            return
        if not position.is_retry and not avoided:
            yield from ((value, True) for value in self._shown(branch))
        tries = _ATTEMPTS_FOR_UNIQUE if avoided else _ATTEMPTS
        for attempt in range(tries):
            if attempt:
                is_minimal = position.is_minimal or attempt == tries - 1
                position = position._replace(is_retry=True, is_minimal=is_minimal)
            yield self._build(branch, type_, position), False

    def _shown(self, branch: Parts) -> Iterator[Any]:
        """Defaults, then examples in random order; what is null or empty shows nothing."""
        defaults = [part.keywords["default"] for part in branch if "default" in part.keywords]
        examples = [part.keywords["example"] for part in branch if "example" in part.keywords]
        examples += [example for part in branch for example in part.keywords.get("examples", ())]
        self._spend(2 * len(examples))
        for value in [*defaults, *self._random.sample(examples, len(examples))]:
            if value is not None and value not in ("", [], {}):
                yield value

    def _write(self, value: Any) -> Any:
        """The value, once its length is taken from the budget."""
        budget = self._document.budget
        count, characters = measure(value, min(budget.work, budget.characters))
        self._spend(count)
        budget.write(characters, "it makes too long a text")
        return value

    def _build(self, branch: Parts, type_: str, position: _Position) -> Any:
        match type_:
            case "null":
                return None
            case "boolean":
                return self._random.random() < 0.5  # noqa: PLR2004  # as often true as false
            case "integer" | "number":
                budget, whole = self._document.budget, type_ == "integer"
                number = make_number(
                    branch, position.name, self._random, budget, whole=whole, is_retry=position.is_retry
                )
                return self._write(number)
            case "string":
                text = make_string(branch, position.name, self._random, self._document, is_retry=position.is_retry)
                return self._write(text)
            case "array":
                return self._make_array(branch, position)
            case _:
                return self._make_object(branch, position)

    def _below(self, position: _Position, parts: Parts) -> _Position:
        self._spend(_CONTAINER + len(position.trail) // 4)
        return position.below(parts)

    def _make_array(self, parts: Parts, position: _Position) -> list[Any]:
        """An array: all items of a tuple, one or two of a list, only what must be there when nesting is deep.

        Raises:
            AnswerError: The items that must be there cannot be made.
        """
        least, most = largest(parts, "minItems"), smallest(parts, "maxItems", MOST_ITEMS)
        if least > MOST_ITEMS:
            reason = f"minItems {least} is above {MOST_ITEMS}, the most items made"
            raise TooLarge(pointer_of(parts, "minItems"), reason)
        prefix = max((len(part.keywords.get("prefixItems", ())) for part in parts), default=0)
        contained = [part for part in parts if "contains" in part.keywords]
        wanted = max((part.keywords.get("minContains", 1) for part in contained), default=0)
        # What must be contained comes after the items that are described one by one, if there is room.
        first = min(prefix, max(most - wanted, 0)) if wanted else 0
        least = max(least, first + wanted)
        if least > most:
            reason = f"minItems {least} is above maxItems {most}"
            raise contradiction(pointer_of(parts, "minItems", "maxItems"), reason)
        inner = self._below(position, parts)
        length = prefix
        if not inner.is_minimal and (inner.is_retry or any("items" in part.keywords for part in parts)):
            fewest, usual = 0 if inner.is_retry else 1, 1 if inner.depth > _USUAL_ITEMS else _USUAL_ITEMS
            length = max(length, self._random.randint(fewest, usual))
        is_unique = any("uniqueItems" in part.keywords for part in parts)
        made: list[Any] = []
        taken: set[Hashable] = set()
        for index in range(min(max(least, length), most)):
            self._spend(_SCHEMA * len(parts))
            item = tuple(schema for part in parts for schema in part.item_schemas(index))
            if index >= least and self._leads_back(item, inner):
                break
            if first <= index < first + wanted:
                item += tuple(part.at("contains") for part in contained)
            try:
                made.append(self.make(item or (Part(f"{parts[0].pointer}/items"),), inner, taken))
            except AnswerError:
                if index < least:
                    raise
                break
            if is_unique:
                taken.add(self._document.key(made[-1]))
        return made

    def _make_object(self, parts: Parts, position: _Position) -> dict[str, Any]:
        """An object, its properties in the order of the schemas.

        Raises:
            AnswerError: A property that must be there cannot be made or is not allowed.
        """
        least, most = largest(parts, "minProperties"), smallest(parts, "maxProperties", MOST_PROPERTIES)
        required = list(dict.fromkeys(name for part in parts for name in part.required))
        needed = max(least, len(required))
        if needed > MOST_PROPERTIES:
            reason = f"more than {MOST_PROPERTIES} properties are asked for"
            raise TooLarge(pointer_of(parts, "minProperties"), reason)
        if needed > most:
            reason = f"maxProperties {most} is below the {needed} properties that must be there"
            raise contradiction(pointer_of(parts, "maxProperties"), reason)
        inner = self._below(position, parts)
        made = {name: self._make_required(name, parts, inner) for name in required}
        named = list(dict.fromkeys(name for part in parts for name in part.mapping("properties")))
        optional = [name for name in named if name not in made]
        for name in optional:
            if len(made) < most and self._is_wanted(name, parts, inner):
                self._add(made, name, parts, inner)
        wanted = least
        # A map without named properties gets one.
        values = [part.at("additionalProperties") for part in parts if part.is_map]
        if values and not made and not named and not inner.is_minimal and not self._is_recursive(tuple(values), inner):
            wanted = max(least, 1)
        names = chain(optional, self._other_names(parts, inner))
        while len(made) < min(wanted, most) and (other := next(names, None)) is not None:
            if other not in made:
                self._add(made, other, parts, inner)
        if len(made) < least:
            reason = f"minProperties {least}, but only {len(made)} could be made"
            raise contradiction(pointer_of(parts, "minProperties"), reason)
        order = {name: index for index, name in enumerate(dict.fromkeys([*named, *made]))}
        made = dict(sorted(made.items(), key=lambda each: order[each[0]]))
        self._add_dependent(made, parts, inner)
        return made

    def _add_dependent(self, made: dict[str, Any], parts: Parts, inner: _Position) -> None:
        """Add what `dependentRequired` asks for besides the properties that are there."""
        pending = list(made)
        for name in pending:
            for other in (other for part in parts for other in part.mapping("dependentRequired").get(name, ())):
                if other not in made:
                    made[other] = self._make_required(other, parts, inner)
                    pending.append(other)

    def _leads_back(self, parts: Parts, position: _Position) -> bool:
        """Whether something that need not be there is inside its own schema, or could not be finished."""
        return self._is_recursive(parts, position) or any(self._depths.is_endless(part) for part in parts)

    def _make_required(self, name: str, parts: Parts, inner: _Position) -> Any:
        schemas = self._property_schemas(name, parts)
        if any(part.never for part in schemas) or not self._is_allowed_name(name, parts):
            raise contradiction(pointer_of(parts, "required"), f'property "{name}" is required but not allowed')
        self._document.budget.write(len(name))
        return self.make(schemas, inner.named(name))

    def _property_schemas(self, name: str, parts: Parts) -> Parts:
        """What the schemas together ask of a property; a schema that allows everything when they say nothing."""
        self._spend(_SCHEMA * len(parts))
        found = tuple(schema for part in parts for schema in self._document.property_schemas(part, name))
        return found or (Part(f"{pointer_of(parts, 'required')}/properties/{escape(name)}"),)

    def _is_allowed_name(self, name: str, parts: Parts) -> bool:
        return self._is_valid(name, _name_schemas(parts))

    def _is_wanted(self, name: str, parts: Parts, inner: _Position) -> bool:
        """Whether an optional property is put in: near the top, unless it leads back into what is around it."""
        if inner.is_minimal or self._leads_back(self._property_schemas(name, parts), inner):
            return False
        return not inner.is_retry or self._random.random() < 0.5  # noqa: PLR2004  # as often as not

    def _add(self, made: dict[str, Any], name: str, parts: Parts, inner: _Position) -> None:
        """Put a property in that need not be there, if it can be made."""
        schemas = self._property_schemas(name, parts)
        if any(part.never for part in schemas) or not self._is_allowed_name(name, parts):
            return
        try:
            self._document.budget.write(len(name))
            made[name] = self.make(schemas, inner.named(name))
        except AnswerError:
            return

    def _other_names(self, parts: Parts, inner: _Position) -> Iterator[str]:
        """Names for properties that the schemas do not name, as far as they may have any."""
        if any("unevaluatedProperties" in part.keywords for part in parts):
            return
        name_schemas = _name_schemas(parts)
        written = dict.fromkeys(pattern for part in parts for pattern in part.mapping("patternProperties"))
        patterns = [pattern for pattern in written if self._document.patterns.find(pattern, "") is not None]
        taken: set[Hashable] = set()
        for attempt in range(MOST_PROPERTIES + _NAME_TRIES):
            for pattern in patterns:
                yield from list(self._document.patterns.write(pattern, self._random, 1, _LONGEST_NAME))[:2]
            if not name_schemas:
                name = write_name(self._random)
                yield f"{name}_{attempt}" if attempt > _NAME_TRIES else name
                continue
            try:
                name = self.make((*name_schemas, _ANY_NAME), inner, taken)
            except AnswerError:
                return
            taken.add(name)
            yield name


def _name_schemas(parts: Parts) -> Parts:
    return tuple(part.at("propertyNames") for part in parts if "propertyNames" in part.keywords)


def _show_types(branch: Parts) -> str:
    return " and ".join(dict.fromkeys("/".join(part.types) for part in branch if part.types != TYPES))


def _is_null(branch: Parts) -> bool:
    return any(part.types == ("null",) or part.listed == [None] for part in branch)


def _allows(types: tuple[str, ...], type_: str) -> bool:
    return type_ in types or (type_ == "integer" and "number" in types)
