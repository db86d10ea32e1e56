"""docs/control.md and the table of the control path's operations say the same, and so does `openapi.json`."""

import re
from pathlib import Path

import httpx
from jsonschema import Draft202012Validator

from emulator.api.emulator import Emulator
from emulator.server.control import OPERATIONS, describe_control
from emulator.server.settings import CONTROL_PATH

GUIDE = (Path(__file__).parents[2] / "docs" / "control.md").read_text("utf-8")
ROWS = re.findall(r"(?m)^\| `([A-Z]+) /__emulator__/([\w.]+)(?:\?(\w+)=\w*)?` \| (.*) \|$", GUIDE)


def test_every_operation_is_documented_and_nothing_else() -> None:
    """The guide's table has a row for each operation."""
    documented = {(method, path) for method, path, _, _ in ROWS}
    assert documented == {(one.methods[0], one.path) for one in OPERATIONS}


def test_every_parameter_is_documented() -> None:
    """In the row of its operation or in a section."""
    for one in OPERATIONS:
        for parameter in one.parameters:
            assert re.search(rf"`{parameter.name}`|[?&]{parameter.name}=|`{parameter.name}=", GUIDE), (one, parameter)


def test_the_description_is_served_and_complete() -> None:
    """Each operation has an id of its own, its parameters and its answers; references lead somewhere."""
    with Emulator() as vertex:
        served = httpx.get(f"{vertex.url}{CONTROL_PATH}openapi.json").json()
        assert served == describe_control()
        operations = [one for path in served["paths"].values() for one in path.values()]
        assert len({one["operationId"] for one in operations}) == len(operations)
        assert len(operations) == sum(len(one.methods) for one in OPERATIONS)
        assert "#/components/schemas/Error" in str(served)
        Draft202012Validator.check_schema(served["components"]["schemas"]["Error"])
        validator = Draft202012Validator(served["components"]["schemas"]["Error"])
        for path, methods in served["paths"].items():
            required = [one["name"] for one in methods.get("get", {}).get("parameters", ()) if one["required"]]
            if required:
                answer = httpx.get(f"{vertex.url}{path}")
                assert answer.status_code == 400
                validator.validate(answer.json())
