"""Whatever a schema asks for, `sample` answers or refuses within its budget, and names the place."""

import json
import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from emulator.budget import AUTO_CHARACTERS
from emulator.engine.sampling.sampler import Sampling, sample
from emulator.errors import AnswerError

SECONDS = 3
"""Many times what the work of a budget takes on a slow machine; without the budget most of these take minutes or gigabytes."""
LONG = "a" * 60 + "!"
NEXT: dict[str, Callable[[Any], Any]] = {
    "allOf": lambda inner: {"allOf": [inner, inner]},
    "anyOf": lambda inner: {"anyOf": [inner, inner]},
    "oneOf": lambda inner: {"oneOf": [inner, inner]},
    "if": lambda inner: {"if": inner, "then": inner, "else": inner},
    "not": lambda inner: {"not": {"anyOf": [inner, inner]}},
    "required": lambda inner: {"type": "object", "required": ["a", "b"], "properties": {"a": inner, "b": inner}},
    "optional": lambda inner: {"type": "object", "properties": {"a": inner, "b": inner}},
    "items": lambda inner: {"type": "array", "minItems": 2, "items": inner},
    "contains": lambda inner: {"type": "array", "items": inner, "contains": inner, "minContains": 2},
    "names": lambda inner: {
        "type": "object",
        "minProperties": 2,
        "propertyNames": inner,
        "additionalProperties": inner,
    },
    "patterns": lambda inner: {"type": "object", "required": ["ab"], "patternProperties": {"a": inner, "b": inner}},
    "below": lambda inner: {
        "type": "object",
        "required": ["a"],
        "properties": {"a": inner},
        "anyOf": [{"properties": {"a": inner}}],
    },
}
LAST: tuple[Any, ...] = ({"type": "integer"}, {"not": {}}, {"type": "integer", "minimum": 3, "maximum": 2}, {})


def double(keyword: str, levels: int, last: Any) -> dict[str, Any]:
    """A schema of so many levels, each of which leads twice to the next."""
    levels_of = {f"d{n}": NEXT[keyword]({"$ref": f"#/$defs/d{n + 1}"}) for n in range(levels)}
    return {"$defs": {**levels_of, f"d{levels}": last}, "$ref": "#/$defs/d0"}


def enclose(schema: Any, times: int, wrap: Callable[[Any], Any]) -> Any:
    """A schema inside others."""
    for _ in range(times):
        schema = wrap(schema)
    return schema


def text(**keywords: Any) -> dict[str, Any]:
    """A schema of texts."""
    return {"type": "string", **keywords}


def array(items: Any, least: int, **keywords: Any) -> dict[str, Any]:
    """A schema of arrays of at least so many items."""
    return {"type": "array", "minItems": least, "items": items, **keywords}


CASES: dict[str, Any] = {
    "two patterns": text(allOf=[{"pattern": "^a{60}c$"}, {"pattern": "^(a*)*b$"}]),
    "enum beside a pattern": {"enum": [f"{'a' * 100}{n}" for n in range(50_000)], "pattern": "^(a|b){500}c$"},
    "a group again": text(pattern=r"(a{99999})(\1{99999})"),
    "groups again and again": text(pattern=r"(a{999})(\1{99})(\2{99})(\3{99})"),
    "a lookahead repeated": text(pattern="((?=a){99999}){99999}"),
    "nothing repeated": text(pattern="((((()){99999}){99999}){99999}){99999}"),
    "groups in groups": text(pattern="(" * 2000 + "a" + ")" * 2000),
    "a long pattern": text(pattern="a" * 200_000),
    "many branches of a pattern": text(pattern="|".join(f"ab{n}" for n in range(30_000))),
    "many classes": text(pattern=r"[\d\w\s\D\W\S]" * 3000 + "$x"),
    "many classes of Unicode": text(pattern=r"\pL" * 20_000),
    "classes without regard to case": text(pattern="(?i)" + "[\\x{0}-\\x{10ffff}]" * 5000),
    "a large class": text(pattern=f"[^{''.join(chr(0x100 + n) for n in range(20_000))}]{{1000}}"),
    "classes of rare characters": text(pattern="[^\x01-\x7f]" * 5000),
    "many states": {"const": "ab" * 50_000, "pattern": "(a|b)*a(a|b){900}c"},
    "many patterns": {"allOf": [text(pattern=f"^(a|b|c{n})+x{{500}}$") for n in range(3000)]},
    "many patterns of names": {
        "type": "object",
        "patternProperties": {f"^x{n}(a|b){{1,500}}$": {"type": "integer"} for n in range(1500)},
        "required": [f"y{n}" for n in range(900)],
    },
    "many patterns that are never there": {
        "type": "object",
        "minProperties": 1000,
        "patternProperties": {f"^x{n}[a-z]{{5}}$": False for n in range(300)},
    },
    "disjoint enums": {"allOf": [{"enum": list(range(20_000))}, {"enum": list(range(20_000, 40_000))}]},
    "disjoint enums of objects": {
        "allOf": [{"enum": [{"a": n} for n in range(20_000)]}, {"enum": [{"a": -1 - n} for n in range(20_000)]}]
    },
    "numbers of one hash": array({"enum": [n * (2**61 - 1) for n in range(20_000)]}, 900, uniqueItems=True),
    "an enum that is forbidden": {"enum": list(range(20_000)), "not": {"enum": list(range(20_000))}},
    "many texts": array(text(minLength=100_000), 1000),
    "many lists of texts": array(array(text(minLength=100_000), 1000), 19),
    "many long distinct texts": array(text(minLength=50_000, maxLength=50_000), 1000, uniqueItems=True),
    "many written texts": array(text(pattern="^[a-z]{1000}$"), 1000),
    "many constants": array({"const": "a" * 100_000}, 1000),
    "many defaults": array({"default": "a" * 100_000}, 1000),
    "many lists": array(array({"type": "integer"}, 1000), 1000),
    "many long numbers": array({"type": "integer", "minimum": 10**4000}, 1000),
    "many distinct numbers": array({"type": "integer", "minimum": 0, "maximum": 1010}, 1000, uniqueItems=True),
    "steps without a common one": {"allOf": [{"type": "integer", "multipleOf": 10**15 + n} for n in range(3000)]},
    "steps that are far apart": {"allOf": [{"multipleOf": 5e-324}, {"multipleOf": 1.7e308}], "minimum": 1e300},
    "examples of another type": {"type": "integer", "examples": [f"x{n}" for n in range(90_000)]},
    "a default with many items": {"type": "array", "uniqueItems": True, "default": [{"a": [n]} for n in range(30_000)]},
    "many properties": {"type": "object", "properties": {f"p{n}": text() for n in range(30_000)}},
    "many properties that cannot be": {
        "type": "object",
        "properties": {f"p{n}": {"type": "integer", "minimum": 2, "maximum": 1} for n in range(30_000)},
    },
    "many dependent properties": {
        "type": "object",
        "required": ["a0"],
        "dependentRequired": {f"a{n}": [f"a{n + 1}"] for n in range(20_000)},
    },
    "many objects in one": {"allOf": [{"type": "object", "properties": {f"p{n}": text()}} for n in range(20_000)]},
    "many branches": {"anyOf": [{}] * 500, "oneOf": [{}] * 500, "not": {}},
    "a long name": {"type": "object", "properties": {"aB" * 200_000: text()}, "required": ["aB" * 200_000]},
    "a long title and description": {"properties": {"a": text(title="x" * 10**6, description="such as x, " * 10**5)}},
    "a long reference": {"properties": {"a": {"$ref": "#" + "/a" * 500_000}}, "required": ["a"]},
    "references in a ring": {"allOf": [{"$ref": f"#/allOf/{(n + 1) % 3000}"} for n in range(3000)]},
    "references to each other": {
        "$defs": {
            f"d{n}": {"type": "object", "properties": {f"p{m}": {"$ref": f"#/$defs/d{m}"} for m in range(100)}}
            for n in range(100)
        },
        "$ref": "#/$defs/d0",
    },
    "a regular expression of many groups": {"enum": ["(" * 50 + "a{1,1000}" * 3000 + ")" * 50], "format": "regex"},
    "a long address": {"const": f"a@{'.'.join(['a' * 63] * 1500)}!", "format": "email"},
    "nothing unevaluated": enclose(
        {"type": "object", "properties": {"a": {}}, "required": ["a"]},
        20,
        lambda inner: {"anyOf": [inner], "unevaluatedProperties": False},
    ),
    "deep": enclose(text(), 200, lambda inner: {"type": "object", "required": ["a"], "properties": {"a": inner}}),
    **{f"{keyword} to {last}": double(keyword, 30, last) for keyword in NEXT for last in LAST},
}


def answer(schema: Any, seed: int = 0) -> tuple[str, float]:
    """The answer for a schema as JSON, or the text of its error; and the seconds of processor time."""
    random = Random(seed)  # noqa: S311  # to be repeated, not to be secret
    start = time.process_time()
    try:
        made = json.dumps(sample(schema, random))
    except AnswerError as error:
        made = str(error)
    return made, time.process_time() - start


@pytest.mark.parametrize("name", CASES)
def test_work_of_a_nasty_schema_is_bounded(name: str) -> None:
    """There is an answer of a size that can be sent, or an error that names a place and can be read."""
    made, seconds = answer(CASES[name])
    assert seconds < SECONDS
    if made.startswith("cannot"):
        assert made.startswith("cannot make a value for the schema at #")
        assert len(made) < 1200
    else:
        assert len(made) < 1.2 * AUTO_CHARACTERS


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a group again", "#: the pattern takes too much work"),
        ("many texts", "#/items: it does too much work"),
        ("many lists of texts", "#/items/items: it does too much work"),
        ("many constants", "#/items: it makes too long a text"),
        ("many properties", "#: it is too large"),
        ("disjoint enums", "#: it does too much work"),
    ],
)
def test_error_beyond_the_budget_names_the_place(name: str, message: str) -> None:
    """The schema for which a value was being made."""
    assert answer(CASES[name])[0] == f"cannot make a value for the schema at {message}"


def test_values_of_one_request_share_a_budget() -> None:
    """Several choices together make no more than one may."""
    schema, sampling = array(text(minLength=1000), 100), Sampling()
    sample(schema, Random(0), sampling)  # noqa: S311  # samples are no secrets
    sampling.budget.spend(sampling.budget.work * 9 // 10)
    with pytest.raises(AnswerError, match="at #/items: it does too much work"):
        sample(schema, Random(0), sampling)  # noqa: S311  # samples are no secrets
    assert len(sample(schema, Random(0), Sampling())) == 100  # noqa: S311  # samples are no secrets


@pytest.mark.parametrize(
    "schema",
    [
        text(pattern="^(?=.*[0-9])[a-z0-9]{8,}$"),
        {"type": "object", "patternProperties": {r"^(a)\1$": {}}, "required": ["aa"]},
        text(pattern=r"^\pL{1,1000}$"),
    ],
    ids=json.dumps,
)
def test_pattern_that_re2_cannot_read_is_warned_of(schema: Any) -> None:
    """It counts as absent where values are judged, and the answer says so."""
    sampling = Sampling()
    sample(schema, Random(0), sampling)  # noqa: S311  # samples are no secrets
    assert len(set(sampling.warnings)) == 1
    assert sampling.warnings[0].startswith('RE2 cannot read the pattern "^')


def test_ordinary_large_answers_fit() -> None:
    """A list of a hundred records of ten required properties is no more than people ask for."""
    record = {f"field_{n}": text() if n % 2 else {"type": "integer"} for n in range(10)}
    schema = array({"type": "object", "properties": record, "required": [*record]}, 100)
    assert len(sample(schema, Random(0))) == 100  # noqa: S311  # samples are no secrets


steps = st.sampled_from(sorted(NEXT))
nasty_leaves = st.sampled_from(
    [
        *LAST,
        text(),
        text(minLength=5000),
        text(pattern=r"^(\w+\s?)*$"),
        text(pattern=r"(a{999}){99}"),
        text(pattern=r"((a)\2{999}){999}"),
        {"enum": list(range(2000))},
        {"const": LONG, "pattern": "^(a+)+$"},
        array({"type": "integer"}, 200, uniqueItems=True),
        {"type": "number", "multipleOf": 1e-300, "minimum": 1e300},
    ]
)


@settings(max_examples=settings().max_examples * 2 // 5)
@given(st.lists(steps, min_size=1, max_size=24), nasty_leaves, st.integers(0, 3))
def test_work_of_any_doubling_schema_is_bounded(keywords: list[str], last: Any, seed: int) -> None:
    """Whatever doubles at each step: a valid answer or an error with a place, in time, and again the same."""
    levels = {f"d{n}": NEXT[each]({"$ref": f"#/$defs/d{n + 1}"}) for n, each in enumerate(keywords)}
    schema = {"$defs": {**levels, f"d{len(keywords)}": last}, "$ref": "#/$defs/d0"}
    made, seconds = answer(schema, seed)
    assert seconds < SECONDS
    assert made == answer(schema, seed)[0]
    if made.startswith("cannot make"):
        assert made.startswith("cannot make a value for the schema at #")
    elif len(keywords) <= 6:  # beyond it a validator that judges along each path takes too long
        assert Draft202012Validator(schema).is_valid(json.loads(made))
