"""The JSON Schema of the language: the committed file is current, draft 07, and agrees with the reader.

`UPDATE_EXPECTED=1 pytest tests/scenario/test_schema.py` writes the file anew.
"""

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from emulator.errors import ScenarioError
from emulator.scenario.loading import read_paths
from emulator.scenario.schema import scenario_schema, schema_text
from emulator.scenario.yaml import Composer, parse

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted((ROOT / "scenarios").rglob("*.yaml"))
# Cases of `broken` whose mistake is one of shape, which a schema can see.
SHAPES = ["accepted_values", "answers", "misspelt_at_top", "misspelt_in_rule", "misspelt_in_when", "misspelt_step"]
SHAPES += ["misspelt_test", "misspelt_usage", "wrong_kinds", "misplaced_keys", "empty_values", "no_value"]


def test_committed_schema_is_current() -> None:
    """The file that editors read is the one the models give; `vertex-emulator schema` prints it."""
    path = ROOT / "scenarios" / "scenario.schema.json"
    if os.environ.get("UPDATE_EXPECTED"):
        path.write_text(schema_text(), "utf-8")
    assert path.read_text("utf-8") == schema_text()


def test_schema_is_valid_draft_07() -> None:
    """The schema follows the draft it names."""
    schema = scenario_schema()
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    jsonschema.Draft7Validator.check_schema(schema)


def parts(value: Any) -> list[dict[str, Any]]:
    """All mappings inside a schema."""
    found = [value] if isinstance(value, dict) else []
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return found + [part for child in children for part in parts(child)]


def test_schema_has_no_noise() -> None:
    """No null is offered where a key is left out, no class name is shown as a title, all keys are described."""
    schema = scenario_schema()
    assert not [part for part in parts(schema) if part.get("type") == "null" or part.get("default", "") is None]
    assert not [part for part in parts(schema["definitions"]) if isinstance(part.get("title"), str)]
    models = [schema, *(part for part in schema["definitions"].values() if "enum" not in part)]
    lacking = [name for model in models for name, part in model["properties"].items() if "description" not in part]
    assert lacking == []
    assert all(model["additionalProperties"] is False for model in models)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_our_scenarios_fit_the_schema(path: Path) -> None:
    """What the reader accepts, the schema accepts, and each scenario names it for editors."""
    validator = jsonschema.Draft7Validator(scenario_schema())
    text = path.read_text("utf-8")
    assert [error.message for error in validator.iter_errors(parse(text, path.name).data)] == []
    first, name = text.splitlines()[0].split("$schema=")
    assert first == "# yaml-language-server: "
    assert (path.parent / name).resolve() == ROOT / "scenarios" / "scenario.schema.json"


@pytest.mark.parametrize("name", SHAPES)
def test_mistakes_of_shape_are_seen_by_both(name: str) -> None:
    """What the reader refuses for its shape, the schema refuses too."""
    path = Path(__file__).parent / "broken" / f"{name}.yaml"
    with pytest.raises(ScenarioError):
        read_paths([path])
    composer = Composer(yaml.parse(path.read_text("utf-8"), Loader=yaml.CSafeLoader))
    root = composer.compose()
    assert root is not None
    assert list(jsonschema.Draft7Validator(scenario_schema()).iter_errors(composer.build(root)))


def test_schema_text_is_json_with_a_line_end() -> None:
    """The text is what it says, ready to be written to a file."""
    assert json.loads(schema_text()) == scenario_schema()
    assert schema_text().endswith("}\n")
