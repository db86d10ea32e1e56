"""Stubllm, of PyPI: FastAPI on uvicorn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.situations import ARGUMENTS, TOOL, Rule
from benchmarks.subjects import Subject, install_from_pypi, python_of, write_json

NAME = "stubllm"


def _to_fixture(rule: Rule) -> dict[str, Any]:
    arguments = '{"city": "' + ARGUMENTS["city"] + '"}'
    said: dict[str, Any] = (
        {"content": rule.text}
        if rule.text is not None
        else {"tool_calls": [{"id": "call_1", "type": "function", "function": {"name": TOOL, "arguments": arguments}}]}
    )
    asked = {"provider": "openai", "messages": [{"role": "user", "content": {"contains": rule.topic}}]}
    return {"name": rule.topic, "match": asked, "response": {**said, "stream_chunk_delay_ms": 0}}


def _serve(rules: Sequence[Rule], folder: Path, port: int) -> list[str]:
    file = write_json(folder / "fixtures.json", {"fixtures": [_to_fixture(rule) for rule in rules]})
    program = str(python_of(NAME).with_name(NAME))
    return [program, "serve", "--fixture-file", file, "--port", str(port), "--log-level", "error"]


SUBJECT = Subject(name=NAME, install=lambda: install_from_pypi(NAME), command=_serve)
