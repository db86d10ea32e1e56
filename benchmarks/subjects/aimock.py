"""Aimock, of npm: the fastest of the others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.situations import ARGUMENTS, PIECE, TOOL, Rule
from benchmarks.subjects import CACHE, Subject, install_from_npm, write_json

PACKAGE = "@copilotkit/aimock"
PROGRAM = CACHE / "npm" / "node_modules" / ".bin" / "llmock"


def _to_fixture(rule: Rule) -> dict[str, Any]:
    said = {"content": rule.text} if rule.text is not None else {"toolCalls": [{"name": TOOL, "arguments": ARGUMENTS}]}
    return {"match": {"userMessage": rule.topic}, "response": said}


def _serve(rules: Sequence[Rule], folder: Path, port: int) -> list[str]:
    file = write_json(folder / "fixtures.json", {"fixtures": [_to_fixture(rule) for rule in rules]})
    return [
        *("node", str(PROGRAM.resolve()), "--fixtures", file, "--port", str(port)),
        *("--chunk-size", str(PIECE), "--log-level", "silent"),
    ]


SUBJECT = Subject(name="aimock", install=lambda: install_from_npm(PACKAGE), command=_serve)
