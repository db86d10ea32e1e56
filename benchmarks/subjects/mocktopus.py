"""Mocktopus, of PyPI: aiohttp."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.situations import ARGUMENTS, TOOL, Rule
from benchmarks.subjects import Subject, install_from_pypi, python_of, write_json

NAME = "mocktopus"


def _to_rule(rule: Rule) -> dict[str, Any]:
    function = {"name": TOOL, "arguments": json.dumps(ARGUMENTS)}
    said: dict[str, Any] = (
        {"content": rule.text}
        if rule.text is not None
        else {"tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    )
    return {"type": "llm.openai", "when": {"messages_contains": rule.topic}, "respond": said}


def _serve(rules: Sequence[Rule], folder: Path, port: int) -> list[str]:
    file = write_json(folder / "scenario.yaml", {"version": 1, "rules": [_to_rule(rule) for rule in rules]})
    return [str(python_of(NAME).with_name(NAME)), "serve", "--scenario", file, "--port", str(port)]


SUBJECT = Subject(
    name=NAME,
    install=lambda: install_from_pypi(NAME),
    command=_serve,
    piece=5,
    note="sleeps 20 ms after each chunk, which cannot be turned off; its chunks have 5 characters",
)
