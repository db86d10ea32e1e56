"""`sample` makes values that satisfy the schemas which people really send."""

import json
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from emulator.engine.sampling.sampler import sample, sample_arguments
from emulator.errors import AnswerError

WEATHER = {
    "type": "object",
    "properties": {
        "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    },
    "required": ["location"],
}
# As a client's helper writes a pydantic model: strict, with $defs, a nullable field, an enum by reference.
STRICT = {
    "$defs": {
        "Column": {"enum": ["id", "status", "shipped_at"], "title": "Column", "type": "string"},
        "Condition": {
            "additionalProperties": False,
            "properties": {
                "column": {"$ref": "#/$defs/Column"},
                "operator": {"enum": ["=", ">", "<"], "type": "string"},
                "value": {
                    "anyOf": [
                        {"type": "string"},
                        {"type": "integer"},
                        {
                            "type": "object",
                            "properties": {"column_name": {"type": "string"}},
                            "required": ["column_name"],
                            "additionalProperties": False,
                        },
                    ]
                },
            },
            "required": ["column", "operator", "value"],
            "type": "object",
        },
    },
    "additionalProperties": False,
    "properties": {
        "columns": {"items": {"$ref": "#/$defs/Column"}, "type": "array"},
        "conditions": {"items": {"$ref": "#/$defs/Condition"}, "type": "array"},
        "first": {"$ref": "#/$defs/Condition", "description": "siblings of $ref count"},
        "limit": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": None},
    },
    "required": ["columns", "conditions", "first", "limit"],
    "title": "Query",
    "type": "object",
}
RECURSIVE = {
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "label": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                "parent": {"$ref": "#/$defs/Node"},
            },
            "required": ["label", "children", "next"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/Node",
}
ZOD = {
    "$ref": "#/definitions/Step",
    "$schema": "http://json-schema.org/draft-07/schema#",
    "definitions": {
        "Step": {
            "type": "object",
            "properties": {
                "kind": {"type": "string", "const": "step"},
                "at": {"type": "string", "format": "date-time"},
                "mail": {"type": "string", "format": "email", "minLength": 30},
                "pair": {
                    "type": "array",
                    "minItems": 2,
                    "maxItems": 2,
                    "items": [{"type": "string"}, {"type": "number"}],
                },
                "extra": {
                    "type": "object",
                    "additionalProperties": {"type": "number"},
                    "propertyNames": {"minLength": 2},
                },
                "score": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            },
            "required": ["kind", "at", "mail", "pair", "score"],
            "additionalProperties": False,
        }
    },
}
PET = {
    "type": "object",
    "properties": {"pet": {"oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}], "discriminator": {}}},
    "required": ["pet"],
    "$defs": {
        "Cat": {
            "type": "object",
            "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
            "required": ["kind"],
        },
        "Dog": {
            "type": "object",
            "properties": {"kind": {"const": "dog"}, "name": {"type": "string"}},
            "required": ["kind"],
        },
    },
}
SCHEMAS: dict[str, Any] = {
    "a tool": WEATHER,
    "a strict model": STRICT,
    "a recursive model": RECURSIVE,
    "a zod object": ZOD,
    "a union told apart by a constant": PET,
    "true": True,
    "nothing said": {},
    "types in a list": {"type": ["integer", "null"]},
    "a type hinted at": {"properties": {"a": {"minimum": 3}}, "required": ["a", "b"]},
    "a required name that is not described": {"type": "object", "required": ["x"], "properties": {}},
    "all of two objects": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer", "minimum": 5}}, "required": ["a"]},
            {"properties": {"a": {"maximum": 6}, "b": {"type": "boolean"}}, "required": ["b"]},
        ]
    },
    "keywords beside anyOf": {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "anyOf": [{"required": ["b"], "properties": {"b": {"type": "integer"}}}, {"required": ["c"]}],
    },
    "not a string": {"not": {"type": "string"}},
    "not one property": {"type": "object", "properties": {"a": {}, "b": {}}, "not": {"required": ["a"]}},
    "if, then, else": {
        "type": "object",
        "properties": {"kind": {"enum": ["a", "b"]}, "x": {"type": "integer"}, "y": {"type": "string"}},
        "required": ["kind"],
        "if": {"properties": {"kind": {"const": "a"}}},
        "then": {"required": ["x"]},
        "else": {"required": ["y"], "not": {"required": ["x"]}},
    },
    "dependent names": {"properties": {"a": True}, "required": ["a"], "dependentRequired": {"a": ["b", "c"]}},
    "a map": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 3},
    "named by a pattern": {
        "type": "object",
        "patternProperties": {"^x-\\d+$": {"type": "integer"}},
        "additionalProperties": False,
        "minProperties": 2,
    },
    "names of an enum": {"propertyNames": {"enum": ["p", "q"]}, "type": "object", "minProperties": 2},
    "few properties": {
        "type": "object",
        "properties": {"a": {}, "b": {}, "c": {}},
        "maxProperties": 2,
        "required": ["c"],
    },
    "a tuple": {
        "type": "array",
        "prefixItems": [{"type": "string"}, {"type": "integer"}],
        "items": False,
        "minItems": 2,
    },
    "distinct items": {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3},
    "distinct switches": {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 2},
    "a tuple that contains": {"type": "array", "prefixItems": [{"const": "a"}], "contains": {"type": "integer"}},
    "an array that contains": {
        "type": "array",
        "contains": {"const": 7},
        "minContains": 2,
        "items": {"type": "integer"},
    },
    "an exact length": {"type": "string", "pattern": "^[a-z]+$", "minLength": 30, "maxLength": 30},
    "two patterns": {
        "allOf": [{"pattern": "^[a-f]+[0-9]{2}$"}, {"pattern": "[ab]"}],
        "type": "string",
        "maxLength": 12,
    },
    "one character": {"type": "string", "minLength": 1, "maxLength": 1},
    "two characters": {"type": "string", "maxLength": 2},
    "a tail to add": {"type": "string", "pattern": "^a", "minLength": 10},
    "a head to add": {"type": "string", "pattern": "[^a]$", "minLength": 10},
    "no character": {"type": "string", "maxLength": 0},
    "a long text": {"type": "string", "minLength": 5000},
    "steps of a tenth": {"type": "number", "multipleOf": 0.1, "minimum": 0.25, "maximum": 0.45},
    "steps of seven": {"type": "integer", "multipleOf": 7, "exclusiveMinimum": 70, "maximum": 80},
    "two steps": {"allOf": [{"multipleOf": 4}, {"multipleOf": 6}], "type": "integer", "minimum": 1},
    "one integer": {"type": "integer", "exclusiveMinimum": 4, "maximum": 5},
    "below zero": {"type": "number", "maximum": -3.5},
    "huge": {"type": "integer", "minimum": 10**30},
    "narrow": {"type": "number", "exclusiveMinimum": 0.1, "exclusiveMaximum": 0.1001},
    "mixed enum": {"enum": [None, "a", 1, [2], {"b": 3}]},
    "enum narrowed by type": {"enum": ["a", 1], "type": "integer"},
    "pointer with escapes": {"$ref": "#/x~1y/a%20b", "x/y": {"a b": {"type": "integer"}}},
    "a format of many lengths": {
        "type": "object",
        "properties": {
            name: {"type": "string", "format": name, "minLength": 40, "maxLength": 200}
            for name in ("email", "hostname", "uri", "uri-reference", "json-pointer", "regex")
        },
    },
    "deep": {
        "type": "object",
        "properties": {"a": {"type": "object", "properties": {"b": {"type": "array", "items": {}}}}},
    },
}
HARD = "a" * 60 + "!"
FORMATS = (
    "date",
    "date-time",
    "time",
    "duration",
    "email",
    "uuid",
    "uri",
    "uri-reference",
    "hostname",
    "ipv4",
    "ipv6",
    "json-pointer",
    "relative-json-pointer",
    "regex",
)
PATTERNS = (
    r"^\d{3}-\d{2}-\d{4}$",
    r"^(\([0-9]{3}\))?[0-9]{3}-[0-9]{4}$",
    r"^[A-Z]{2,3}(?:-(?:foo|bar))*$",
    r"^(?<year>\d{4})-(?P<month>0[1-9]|1[0-2])$",
    r"^#[0-9a-fA-F]{6}$",
    r"^[^\s@]+@[^\s@]+\.[^\s@]+$",
    r"^(?=.*\d)[a-z\d]{8,}$",
    r"^(?!admin)[a-z]{3,8}$",
    r"^@[a-zA-Z0-9_]+$",
    r"(a|b|)c+?\b",
    r"^(['\"])\w+\1$",
    r"^[\u4e00-\u9fa5]{2,4}\x21$",
    r"^[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?$",
    r"^[]a\-z]{3}[^]a]$",
    r"\S",
    "^$|^x$",
)
WEIRD: dict[str, Any] = {
    "null": None,
    "a text": "string",
    "a list": [],
    "wrong keywords": {
        "type": 5,
        "properties": [],
        "required": {},
        "items": "x",
        "enum": 3,
        "anyOf": "no",
        "minItems": -1,
    },
    "wrong numbers": {"type": "number", "minimum": "a", "maximum": True, "multipleOf": 0, "exclusiveMinimum": True},
    "not a number": {"type": "number", "minimum": float("nan"), "maximum": float("inf")},
    "broken pattern": {"type": "string", "pattern": "(["},
    "unknown type": {"type": "date", "format": "nonsense"},
    "names of numbers": {"type": "object", "required": [1, None, "a"], "properties": {"a": 4}},
}


def rng(seed: int) -> Random:
    """Give the randomness of a seed."""
    return Random(seed)  # noqa: S311  # to be repeated, not to be secret


def is_valid(value: Any, schema: Any) -> bool:
    """Judge a value by a validator that is not ours, formats included."""
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return bool(validator.is_valid(value))


@pytest.mark.parametrize("name", SCHEMAS)
def test_sample_is_valid(name: str) -> None:
    """A value satisfies its schema, whatever the seed."""
    schema = json.loads(json.dumps(SCHEMAS[name]))
    judged = schema
    if name == "a zod object":  # draft 7's tuple, as the validator of 2020-12 spells it
        judged = json.loads(json.dumps(schema).replace('"items": [', '"prefixItems": ['))
    for seed in range(25):
        value = sample(schema, rng(seed))
        assert is_valid(value, judged), value
        json.dumps(value, allow_nan=False)


@pytest.mark.parametrize("name", FORMATS)
def test_format_is_kept(name: str) -> None:
    """A text of a format satisfies a checker of that format."""
    for seed in range(25):
        assert is_valid(sample({"type": "string", "format": name}, rng(seed)), {"format": name})


@pytest.mark.parametrize("pattern", PATTERNS)
def test_pattern_is_matched(pattern: str) -> None:
    """A text matches the expression asked for."""
    for seed in range(25):
        text = sample({"type": "string", "pattern": pattern}, rng(seed))
        assert re.search(pattern.replace("(?<y", "(?P<y"), text), text


def test_pattern_of_unicode_properties_is_written() -> None:
    """An expression that Python cannot judge is written as it was read."""
    assert re.fullmatch(r"[a-zA-Z]{3}\d", sample({"type": "string", "pattern": r"^\p{L}{3}\p{Nd}$"}, rng(0)))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (False, "#: the schema false allows no value"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "#: the minimum 5 is above the maximum 3"),
        (
            {"allOf": [{"type": "string"}, {"type": "integer"}]},
            "#/allOf/0: the types string and integer exclude each other",
        ),
        ({"type": "array", "minItems": 10**9}, "#: minItems 1000000000 is above 1000, the most items made"),
        ({"type": "string", "minLength": 10**9}, "#: minLength 1000000000 is above 100000, the longest text made"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "#: minLength 3 is above maxLength 2"),
        ({"type": "object", "minProperties": 10**9}, "#: more than 1000 properties are asked for"),
        (
            {"type": "string", "format": "date", "maxLength": 4},
            "#: no text of 0 to 4 characters was found for format date",
        ),
        (
            {"type": "object", "properties": {"a": {"type": "string", "pattern": "a^"}}, "required": ["a"]},
            '#/properties/a: no text of .* "a^"',
        ),
        ({"type": "integer", "multipleOf": 10, "minimum": 1, "maximum": 9}, "#: no integer lies within its bounds"),
        ({"$ref": "#/$defs/Nothing"}, r'#: \$ref "#/\$defs/Nothing" is not in the schema'),
        ({"$ref": "#"}, "#: it is recursive without end"),
        ({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, "#: it is recursive without end"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "#/properties/a: .* without end"),
        (
            {"type": "object", "required": ["x"], "additionalProperties": False},
            '#: property "x" is required but not allowed',
        ),
        ({"enum": []}, "#: no value satisfies enum"),
        (
            {"type": "array", "uniqueItems": True, "minItems": 3, "items": {"type": "boolean"}},
            "#/items: it has no value that differs from the other 2, as uniqueItems asks",
        ),
    ],
)
def test_contradiction_is_named(schema: Any, message: str) -> None:
    """A schema without values is refused with its place and the reason."""
    with pytest.raises(AnswerError) as raised:
        sample(schema, rng(0))
    text = str(raised.value)
    head, pattern = "cannot make a value for the schema at ", message.replace("^", r"\^")
    assert text.startswith(head)
    assert re.match(pattern, text.removeprefix(head)), text


@pytest.mark.parametrize("name", WEIRD)
def test_weird_schema_is_survived(name: str) -> None:
    """Keywords that are no keywords count as absent."""
    json.dumps(sample(WEIRD[name], rng(0)), allow_nan=False)


def test_work_is_bounded() -> None:
    """A schema with endless combinations is refused, or answered, in reasonable time."""
    knot: dict[str, Any] = {f"k{n}": {"anyOf": [{"$ref": f"#/$defs/k{m}"} for m in range(8)]} for n in range(8)}
    with pytest.raises(AnswerError):
        sample({"$defs": knot, "$ref": "#/$defs/k0"}, rng(0))
    wide: dict[str, Any] = {
        f"w{level}": {"type": "object", "properties": {f"p{n}": {"$ref": f"#/$defs/w{level + 1}"} for n in range(10)}}
        for level in range(12)
    }
    wide["w12"] = {"type": "string"}
    assert len(json.dumps(sample({"$defs": wide, "$ref": "#/$defs/w0"}, rng(0)))) < 100_000


def test_pattern_that_cannot_be_read_is_absent() -> None:
    """What RE2 cannot read neither refuses a text nor says what a property of some name must be."""
    assert sample({"const": "b", "pattern": "(?=a)a"}, rng(0)) == "b"
    names = {
        "patternProperties": {"(?=a)a": False, "a{,3}": False},
        "properties": {"a": {"const": 1}},
        "required": ["a"],
    }
    assert sample({"type": "object", **names}, rng(0)) == {"a": 1}


def test_reference_to_the_network_is_not_followed() -> None:
    """What a reference to another document holds is not known, wherever the reference stands."""
    with pytest.raises(AnswerError, match="is not in the schema"):
        sample({"$ref": "http://192.0.2.1/schema"}, rng(0))
    assert sample({"const": 1, "not": {"type": "string", "$ref": "http://192.0.2.1/schema"}}, rng(0)) == 1


def test_large_schema_is_refused() -> None:
    """A document that is too large to be looked through is not looked through, however it got so large."""
    shared: dict[str, Any] = {"type": "string"}
    for _ in range(12):
        shared = {"type": "object", "properties": {f"p{n}": shared for n in range(10)}}
    with pytest.raises(AnswerError, match="#: it is too large"):
        sample(shared, rng(0))


@pytest.mark.parametrize(
    "schema",
    [
        {"const": HARD, "pattern": "^(a+)+$"},
        {"type": "string", "default": HARD, "pattern": "^(a+)+$"},
        {"type": "object", "propertyNames": {"pattern": "^(a+)+$"}, "required": [HARD]},
        {"patternProperties": {"^(a+)+$": {"type": "integer"}}, "properties": {HARD: {}}, "required": [HARD]},
    ],
    ids=json.dumps,
)
def test_hostile_pattern_takes_no_time(schema: Any) -> None:
    """A pattern on which a backtracking engine would never end is decided at once, wherever it stands."""
    try:
        sample(schema, rng(0))
    except AnswerError:
        assert "default" not in schema


def test_slow_expression_is_not_tried_in_vain() -> None:
    """An expression that fails slowly is only tried on texts written for it."""
    text = sample({"type": "string", "pattern": "^(a+)+$", "minLength": 60}, rng(0))
    assert set(text) == {"a"}
    assert len(text) >= 60


def test_deep_schema_is_refused_kindly() -> None:
    """Nesting beyond all reason is no crash."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(400):
        schema = {"not": {"not": schema}}
    with pytest.raises(AnswerError):
        sample({"type": "object", "properties": {"a": schema}, "required": ["a"]}, rng(0))


def test_optional_properties_stop_where_nesting_gets_deep() -> None:
    """An answer looks complete near its top and ends further down."""
    schema: dict[str, Any] = {"type": "object", "properties": {"x": {"type": "integer"}}}
    for _ in range(6):
        schema = {"type": "object", "properties": {"x": {"type": "integer"}, "inner": schema}}
    value, depth = sample(schema, rng(0)), 0
    while value:
        value, depth = value.get("inner"), depth + 1
    assert depth == 4


def test_recursion_does_not_come_round() -> None:
    """What is optional in a recursive schema is left out, what is required is kept short."""
    value = sample(RECURSIVE, rng(0))
    assert value == {"label": value["label"], "children": [], "next": None}


def test_google_spelling_is_understood() -> None:
    """Upper-case types, nullable, and counts written as texts mean what they mean to Google."""
    schema = {
        "type": "OBJECT",
        "properties": {
            "names": {"type": "ARRAY", "items": {"type": "STRING"}, "minItems": "3", "maxItems": "3"},
            "count": {"type": "INTEGER", "nullable": True},
            "kind": {"type": "STRING", "format": "enum", "enum": ["A", "B"]},
        },
        "required": ["names", "count", "kind"],
    }
    value = sample(schema, rng(1))
    assert len(value["names"]) == 3
    assert isinstance(value["count"], int)
    assert value["kind"] in ("A", "B")


def test_draft_4_bounds_are_understood() -> None:
    """`exclusiveMinimum: true` excludes the minimum."""
    schema = {"type": "integer", "minimum": 1, "exclusiveMinimum": True, "maximum": 3, "exclusiveMaximum": True}
    assert {sample(schema, rng(seed)) for seed in range(20)} == {2}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "default": "x"}, "x"),
        ({"type": "string", "default": 5, "examples": ["y"]}, "y"),
        ({"type": "object", "example": {"a": 1}}, {"a": 1}),
        ({"type": "string", "format": "date", "example": "no date", "examples": ["2024-02-29"]}, "2024-02-29"),
    ],
)
def test_default_and_example_are_preferred(schema: Any, expected: Any) -> None:
    """What the schema shows is used if it is valid."""
    assert sample(schema, rng(0)) == expected


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("location", r".+, [A-Z]{2}"),
        ("userEmail", r"\S+@example\.(com|net|org)"),
        ("name", r"\w+ \w+"),
        ("start_date", r"\d{4}-\d\d-\d\d"),
        ("unit", "celsius"),
        ("participants", r"\w+ \w+"),
        ("color", r"[a-z]+"),
        ("user_id", r"[a-z]+ [a-z]+"),
        ("firstName", r"\w+"),
    ],
)
def test_names_make_texts_plausible(name: str, pattern: str) -> None:
    """A property gets a text that suits its name."""
    value = sample({"type": "object", "properties": {name: {"type": "string"}}}, rng(3))[name]
    assert re.fullmatch(pattern, value), value


def test_description_gives_an_example() -> None:
    """The example that a description gives is used."""
    assert sample(WEATHER, rng(0))["location"] == "San Francisco, CA"


def test_name_makes_a_number_plausible() -> None:
    """A number suits its property's name, unless the bounds say otherwise."""
    schema = {
        "type": "object",
        "properties": {"year": {"type": "integer"}, "birth_year": {"type": "integer", "minimum": 1, "maximum": 9}},
    }
    value = sample(schema, rng(0))
    assert 1990 <= value["year"] <= 2030
    assert 1 <= value["birth_year"] <= 9


@pytest.mark.parametrize("parameters", [None, {}, [], "no", {"type": "object"}, {"type": "OBJECT", "properties": {}}])
def test_no_parameters_no_arguments(parameters: Any) -> None:
    """A tool that declares nothing is called with nothing."""
    assert sample_arguments(parameters, rng(0)) == {}


def test_arguments_are_an_object() -> None:
    """Arguments satisfy the parameters, and are an object even where the type is left open."""
    assert set(sample_arguments(WEATHER, rng(0))) == {"location", "unit"}
    assert isinstance(sample_arguments({"anyOf": [{"type": "string"}, WEATHER]}, rng(0)), dict)
    with pytest.raises(AnswerError, match="the types string and object exclude each other"):
        sample_arguments({"type": "string"}, rng(0))


def test_same_seed_same_value_in_every_process() -> None:
    """Neither the process nor the order of its sets changes a value."""
    program = (
        "import json, sys; from random import Random; from emulator.engine.sampling.sampler import sample\n"
        "print(json.dumps([sample(each, Random(7)) for each in json.load(sys.stdin)]))"
    )
    schemas = json.dumps(list(SCHEMAS.values()))
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            input=schemas,
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[3],
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {json.dumps([sample(each, rng(7)) for each in json.loads(schemas)]) + "\n"}


def test_shared_parts_change_nothing() -> None:
    """A schema built of one shared object gives what its spelt-out copy gives."""
    part = {"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 5, "maxLength": 4}]}
    shared = {"type": "object", "properties": {"a": part, "b": part}, "allOf": [{"properties": {"a": part}}]}
    copied = json.loads(json.dumps(shared))
    assert [sample(shared, rng(n)) for n in range(9)] == [sample(copied, rng(n)) for n in range(9)]
