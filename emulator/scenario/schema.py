"""The JSON Schema of the language, for editors: completion, hover texts and a first check while typing."""

import ast
import inspect
import json
import sys
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any, get_args

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema

from emulator.catalogue import errors as catalogue
from emulator.catalogue.faults import FAULTS, GarbleName
from emulator.catalogue.finish_reasons import FINISH_REASONS
from emulator.catalogue.paces import PACES
from emulator.catalogue.quirks import QUIRKS
from emulator.scenario.rules import EXTENSION, Scenario
from emulator.scenario.types import Model
from emulator.scenario.yaml import Location


def describe_keys(model: type[Model]) -> dict[str, str]:
    """The docstrings below the fields of a model, inherited ones included, by the names of the fields.

    Pydantic's `use_attribute_docstrings` would read the sources whenever the models are imported.
    """
    found: dict[str, str] = {}
    for part in reversed(model.__mro__):
        found |= _read_docstrings(part.__module__).get(part.__name__, {}) if issubclass(part, Model) else {}
    return found


@cache
def _read_docstrings(module: str) -> dict[str, dict[str, str]]:
    """The docstrings below the fields of all classes of a module."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    found: dict[str, dict[str, str]] = {}
    for part in (part for part in tree.body if isinstance(part, ast.ClassDef)):
        for field, text in pairwise(part.body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(docstring))):
                    found.setdefault(part.name, {})[name] = inspect.cleandoc(docstring)
    return found


TITLE = "Scenario of the Vertex AI OpenAI endpoint emulator"
_DRAFT = "http://json-schema.org/draft-07/schema#"
_ABSENT: tuple[Any, ...] = (None, {}, [])


class _DescribedJsonSchema(GenerateJsonSchema):
    """Describes the keys of models by the docstrings below their fields."""

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        """The schema of a model."""
        model: type[Model] = schema["cls"]
        found = super().model_schema(schema)
        for name, docstring in describe_keys(model).items():
            key = model.model_fields[name].alias or name
            found["properties"][key]["description"] = docstring
        return found


def scenario_schema() -> dict[str, Any]:
    """The schema, in draft 07: what editors understand everywhere."""
    schema = Scenario.model_json_schema(ref_template=_REFERENCE, schema_generator=_DescribedJsonSchema)
    named = list_named_values()
    parts = schema.pop("$defs") | {"Scenario": schema}
    for part, key, values in _SUGGESTED:
        described = parts[part]["properties"][key]
        others = described.get("anyOf") or [{key: described[key] for key in ("type",) if key in described}]
        parts[part]["properties"][key] = {
            "anyOf": [{"$ref": _REFERENCE.format(model=values)}, *others],
            "description": described["description"],
        }
    tidy = {name: _describe_values(_tidy(part), named) for name, part in sorted(parts.items())}
    definitions = tidy | {name: _enumerate(values) for name, values in named.items()}
    top = definitions.pop("Scenario")
    # JSON files name their schema by a key, as they cannot have the comment that YAML files begin with.
    link = {"$schema": {"type": "string", "description": "The schema of this file, for editors."}}
    return {
        "$schema": _DRAFT,
        "title": TITLE,
        **top,
        "properties": link | top["properties"],
        "patternProperties": {
            f"^{EXTENSION}": {"description": "Anything, to be repeated by aliases; without a meaning of its own."}
        },
        "definitions": dict(sorted(definitions.items())),
    }


def list_named_values() -> dict[str, dict[str | int, str]]:
    """The catalogues whose names are offered in editors: for each definition of the schema, the names with their texts."""
    errors: dict[str | int, str] = {}
    for name in catalogue.names():
        if found := catalogue.find(name):
            what = f"{found.http_status} {found.status or ''}".strip()
            is_same = name == found.name
            errors[int(name) if name.isdecimal() else name] = (
                f"{what}: {found.when}" if is_same else f"{found.name}: {found.when}"
            )
    return {
        "ErrorName": errors,
        "FaultName": {fault.name: fault.effect for fault in FAULTS.values()},
        "FinishReason": dict(FINISH_REASONS.items()),
        "GarbleName": {name: FAULTS[name].effect for name in get_args(GarbleName)},
        "PaceName": {pace.name: pace.effect for pace in PACES.values()},
        "QuirkName": {quirk.name: quirk.effect for quirk in QUIRKS.values()},
        "TokenErrorName": {
            name: f"{found.http_status}: {found.when}"
            for name in catalogue.token_error_names()
            if not name.isdecimal() and (found := catalogue.find_token_error(name))
        },
    }


_REFERENCE = "#/definitions/{model}"
_SUGGESTED = (
    ("Fail", "fail", "ErrorName"),
    ("PlacedFail", "fail", "ErrorName"),
    ("Quota", "on_excess", "ErrorName"),
    ("Tokens", "fail", "TokenErrorName"),
    *((rule, "finish", "FinishReason") for rule in ("AnswerOptions", "ReplyRule", "SequenceRule", "ConversationRule")),
)
"""Keys of models whose values are usually, but need not be, of a catalogue."""


def _enumerate(values: Mapping[str | int, str]) -> dict[str, Any]:
    return {"enum": [*values], "enumDescriptions": [*values.values()]}


def _describe_values(part: Any, named: Mapping[str, Mapping[str | int, str]]) -> Any:
    """A part of the schema in which names of the catalogues refer to the definitions that have their texts."""
    if isinstance(part, list):
        return [_describe_values(item, named) for item in part]
    if not isinstance(part, dict):
        return part
    for name, values in named.items():
        if part.get("enum") == [*values]:
            reference = {"$ref": _REFERENCE.format(model=name)}
            # Beside a reference nothing else counts in this draft.
            return {"anyOf": [reference], "description": part["description"]} if "description" in part else reference
    return {key: _describe_values(value, named) for key, value in part.items()}


def schema_text() -> str:
    """The schema as the text of the file `scenarios/scenario.schema.json`."""
    return json.dumps(scenario_schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy(part: Any, loc: Location = ()) -> Any:
    """A part of pydantic's schema without what only programs need: null for absent keys, titles made of names."""
    if isinstance(part, list):
        return [_tidy(item, loc) for item in part]
    if not isinstance(part, dict):
        return part
    if loc[-1:] == ("properties",):
        return {name: _tidy(value, (*loc, name)) for name, value in part.items()}
    tidy = {key: _tidy(value, (*loc, key)) for key, value in part.items() if key != "title"}
    if "default" in tidy and (part["default"] in _ABSENT or isinstance(part["default"], dict)):
        del tidy["default"]
    return _allow_numbers(_merge_union(tidy))


def _merge_union(part: dict[str, Any]) -> dict[str, Any]:
    """A union without null, without unions directly inside it, and without itself when one branch is left.

    `oneOf` becomes `anyOf`: the branches exclude each other anyway, and editors offer the keys of all that still fit.
    """
    if "anyOf" not in part and "oneOf" not in part:
        return part
    branches: list[Any] = []
    for branch in part.pop("anyOf", None) or part.pop("oneOf"):
        branches += branch["anyOf"] if set(branch) == {"anyOf"} else [branch]
    branches = [branch for branch in branches if branch != {"type": "null"}]
    return branches[0] | part if len(branches) == 1 else {"anyOf": branches} | part


def _allow_numbers(part: dict[str, Any]) -> dict[str, Any]:
    """A text may be written as a number (`turn: 2`, `project: 123`): it is taken as text."""
    if part.get("type") == "string" and "enum" not in part and "const" not in part:
        return part | {"type": ["string", "number"]}
    return part
