"""Whatever schema hypothesis thinks of, `sample` gives a valid value or an AnswerError."""

import json
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from emulator.engine.sampling.sampler import sample
from emulator.errors import AnswerError

NAMES = ("a", "b", "name", "node")
counts = st.integers(0, 4)
bounds = st.integers(-20, 20) | st.floats(-20, 20, allow_nan=False).map(lambda number: round(number, 2))
scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "red", "2024-01-01"])
formats = st.sampled_from(["date", "date-time", "email", "uuid", "uri", "ipv4", "hostname", "unknown"])
patterns = st.sampled_from(["^a", "^[a-z]+$", r"^\d{2,}$", "x|y", "^(ab)*$", "[^a-z]"])


def rng(seed: int) -> Random:
    """Give the randomness of a seed."""
    return Random(seed)  # noqa: S311  # to be repeated, not to be secret


def optional(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any selection of these keywords."""
    return st.fixed_dictionaries({}, optional=keywords)


def typed(name: str, **keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A schema of one type with any selection of its keywords."""
    return optional(**keywords).map(lambda chosen: {"type": name, **chosen})


def contain(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Schemas of objects and arrays whose parts have these schemas."""
    named = st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    some = st.lists(inner, min_size=1, max_size=3)
    an_object = {
        "properties": named,
        "required": st.lists(st.sampled_from(NAMES), unique=True, max_size=3),
        "additionalProperties": inner,
        "minProperties": counts,
        "maxProperties": counts,
        "propertyNames": st.just({"maxLength": 4}) | st.just({"pattern": "^[a-z]"}),
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "e$"]), inner, max_size=1),
        "dependentRequired": st.just({"a": ["b"]}),
    }
    an_array = {
        "items": inner,
        "prefixItems": some,
        "minItems": counts,
        "maxItems": counts,
        "uniqueItems": st.booleans(),
        "contains": inner,
    }
    return typed("object", **an_object) | typed("array", **an_array)


def deepen(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas made of schemas."""
    some = st.lists(inner, min_size=1, max_size=3)
    mixed = optional(anyOf=some, oneOf=some, allOf=some, title=st.just("City"), default=scalars)
    joined = st.tuples(inner, mixed).map(lambda two: {**(two[0] if isinstance(two[0], dict) else {}), **two[1]})
    conditional = st.fixed_dictionaries({"if": inner}, optional={"then": inner, "else": inner})
    negated = st.fixed_dictionaries({"not": inner}, optional={"type": st.sampled_from(["string", "integer", "object"])})
    return contain(inner) | joined | conditional | negated | mixed


leaves: st.SearchStrategy[Any] = (
    st.booleans()
    | st.just({})
    | typed("string", minLength=counts, maxLength=counts, pattern=patterns, format=formats)
    | typed("integer", minimum=bounds, maximum=bounds, multipleOf=st.sampled_from([1, 2, 3, 0.5]))
    | typed("number", minimum=bounds, exclusiveMaximum=bounds, multipleOf=st.sampled_from([0.1, 0.01, 2.5, 7]))
    | st.builds(lambda values: {"enum": values}, st.lists(scalars, min_size=1, max_size=4))
    | st.builds(lambda value: {"const": value}, scalars)
    | st.builds(
        lambda kinds: {"type": kinds}, st.lists(st.sampled_from(["string", "null", "number", "array"]), min_size=1)
    )
    | st.sampled_from([{"$ref": "#/$defs/one"}, {"$ref": "#/$defs/two"}, {"$ref": "#/$defs/free"}])
)
schemas = st.recursive(leaves, deepen, max_leaves=8)
# What a $ref points to is an object or array, so that no schema leads to itself for the same value: of that the
# validator has no opinion, it overflows.
targets = contain(schemas)
documents = st.builds(
    lambda root, one, two: {
        **(root if isinstance(root, dict) else {"allOf": [root]}),
        "$defs": {"one": one, "two": two, "free": {"type": "string"}},
    },
    schemas,
    targets,
    targets,
)


@given(documents, st.integers(0, 3))
def test_sample_is_valid_or_refused(schema: dict[str, Any], seed: int) -> None:
    """A value that is given satisfies the schema, and the same seed gives it again."""
    try:
        value = sample(schema, rng(seed))
    except AnswerError as error:
        assert str(error).startswith("cannot make a value for the schema at #")  # noqa: PT017  # not every schema fails
        return
    assert value == sample(json.loads(json.dumps(schema)), rng(seed))
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert [error.message for error in validator.iter_errors(value)] == []


plain = st.recursive(
    st.sampled_from(
        [
            {"type": "string"},
            {"type": "integer", "minimum": 3},
            {"type": "number", "multipleOf": 0.5},
            {"type": "boolean"},
            {"enum": ["a", "b"]},
            {"type": "string", "format": "date-time"},
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            {"$ref": "#/$defs/Tree"},
        ]
    ),
    lambda inner: (
        st.builds(lambda items: {"type": "array", "items": items, "minItems": 1}, inner)
        | st.builds(lambda branches: {"anyOf": branches}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(
            lambda properties: {
                "type": "object",
                "properties": properties,
                "required": sorted(properties),
                "additionalProperties": False,
            },
            st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
        )
    ),
    max_leaves=12,
)
TREE = {
    "type": "object",
    "properties": {"leaf": {"type": "string"}, "branches": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
    "required": ["leaf", "branches"],
}


@given(plain, st.integers(0, 3))
def test_sample_of_a_plain_schema_is_never_refused(schema: dict[str, Any], seed: int) -> None:
    """Schemas without contradictions always have a value."""
    document = {**schema, "$defs": {"Tree": TREE}}
    assert Draft202012Validator(document).is_valid(sample(document, rng(seed)))
