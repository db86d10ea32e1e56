"""Values are judged as `jsonschema` judges them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from emulator.budget import AUTO_WORK, Budget
from emulator.engine.sampling.patterns import Patterns
from emulator.engine.sampling.schema import Document
from emulator.engine.sampling.validity import Validity
from tests.engine.sampling.test_sample_property import NAMES, documents

values = st.recursive(
    st.none() | st.booleans() | st.integers(-6, 6) | st.sampled_from([0.5, 1.0, 2.5, "", "a", "ab", "red", "12", "x"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from((*NAMES, "e")), inner, max_size=3),
    max_leaves=6,
)


def is_valid(value: Any, schema: Any) -> bool:
    """Judge by our validator."""
    budget = Budget(AUTO_WORK, 0)
    document = Document(schema, budget, Patterns(budget, []))
    return Validity(document).is_valid(value, document.root)


@settings(max_examples=4 * settings().max_examples)
@given(documents, values)
def test_values_are_judged_as_by_jsonschema(schema: dict[str, Any], value: Any) -> None:
    """Formats apart, of which each validator has its own idea."""
    text = repr(schema)
    if "format" not in text and "multipleOf" not in text:
        assert is_valid(value, schema) == Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"const": 1}, 1.0, True),
        ({"enum": [[1, {"a": 0}]]}, [1.0, {"a": 0}], [True, {"a": 0}]),
        ({"const": 2**70}, float(2**70), 2**70 + 1),
        ({"uniqueItems": True}, [1, True, "1", [1], {"1": 1}], [{"a": 1, "b": 2}, {"b": 2, "a": 1.0}]),
        ({"multipleOf": 0.1}, 0.3, 0.35),
        ({"minimum": 0.1, "maximum": 0.1}, 0.1, 0.1000001),
        ({"contains": {"type": "string"}, "minContains": 0, "maxContains": 1}, [], ["a", "b"]),
        ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, 1, 3),
        ({"if": {"minimum": 2}, "then": {"maximum": 3}}, 1, 4),
        ({"not": {"$ref": "http://192.0.2.1/schema", "type": "string"}}, 1, "a"),
        (
            {"allOf": [{"properties": {"a": {}}}], "if": {"required": ["b"]}, "unevaluatedProperties": False},
            {"a": 1},
            {"a": 1, "c": 2},
        ),
        (
            {"anyOf": [{"properties": {"a": {"type": "string"}}}, {}], "unevaluatedProperties": False},
            {"a": "x"},
            {"a": 1},
        ),
        ({"patternProperties": {"^(?=a)": False, "^b": False}}, {"a": 1}, {"b": 1}),
        ({"type": "integer"}, 2.0, 2.5),
        ({"anyOf": [{"$ref": "#"}, {"type": "integer"}], "maxLength": 1}, 5, "ab"),
    ],
)
def test_corners(schema: Any, valid: Any, invalid: Any) -> None:
    """What is easily done wrong."""
    assert is_valid(valid, schema)
    assert not is_valid(invalid, schema)
