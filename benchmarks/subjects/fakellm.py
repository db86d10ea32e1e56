"""Fakellm, of PyPI: FastAPI on uvicorn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.situations import ARGUMENTS, TOOL, Rule
from benchmarks.subjects import Subject, install_from_pypi, python_of, write_json

NAME = "fakellm"


def _to_rule(rule: Rule) -> dict[str, Any]:
    said: dict[str, Any] = (
        {"content": rule.text} if rule.text is not None else {"tool_calls": [{"name": TOOL, "arguments": ARGUMENTS}]}
    )
    return {"name": rule.topic, "when": {"messages_contain": rule.topic}, "respond": said}


def _serve(rules: Sequence[Rule], folder: Path, port: int) -> list[str]:
    file = write_json(folder / "fakellm.yaml", {"rules": [_to_rule(rule) for rule in rules]})
    return [str(python_of(NAME).with_name(NAME)), "serve", "--config", file, "--port", str(port)]


SUBJECT = Subject(
    name=NAME,
    install=lambda: install_from_pypi(NAME),
    command=_serve,
    note="sleeps 10 ms after each chunk and logs each request, neither of which can be turned off",
)
