"""Recorded from a second emulator by real clients, and played without it: the same bytes, the same output."""

import asyncio
import base64
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest

from emulator import Emulator
from emulator.recording.generalize import generalize
from emulator.recording.recording import Recording
from emulator.server.settings import Settings
from tests.contract.conftest import _node as _node  # noqa: PLC0414  # a fixture
from tests.contract.conftest import node_openai as node_openai  # noqa: PLC0414  # a fixture
from tests.recording.conftest import TOKEN, RecordingServer

MODEL = "google/gemini-3.5-flash"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256))).decode()
TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
    for name in ("get_weather", "get_wind")
]
ANEW = re.compile(r'"(id|created|thought_signature)": ?("[^"]*"|\d+)')
"""What a scenario makes anew each time."""


def talk(base_url: str) -> list[Any]:
    """What a program with openai-python says: everything that comes, errors included."""
    said: list[Any] = []
    with openai.OpenAI(api_key=TOKEN, base_url=base_url, max_retries=1) as client:

        def ask(content: Any, **options: Any) -> Any:
            return client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": content}], **options
            )

        def stream(content: str, most: int = 1000) -> None:
            pieces: list[Any] = []
            try:
                with ask(content, stream=True) as chunks:
                    for chunk in chunks:
                        pieces.append(chunk.model_dump_json(exclude_none=True))
                        if len(pieces) == most:
                            break
            except openai.OpenAIError as error:
                pieces.append([type(error).__name__, str(error)])
            said.append(pieces)

        said.append(ask("number 7").model_dump_json(exclude_none=True))
        said.append(ask("retry, please").choices[0].message.content)
        for text in ("slowly, please", "cut this", "story"):
            stream(text)
        stream("slowly, and no further", most=3)
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        said.append(ask([{"type": "text", "text": "What is in this picture?"}, picture]).choices[0].message.content)
        with pytest.raises(openai.BadRequestError) as refused:
            ask("number 1", n=99)
        said.append(refused.value.body)
        with pytest.raises(openai.APIConnectionError):
            ask("gone")
        messages: list[Any] = [{"role": "user", "content": "How is the weather?"}]
        for _ in range(3):
            answer = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
            message = answer.choices[0].message
            said.append(message.model_dump_json(exclude_none=True))
            messages.append(message.model_dump(exclude_none=True))
            messages += [
                {"role": "tool", "tool_call_id": call.id, "content": '{"degrees": 3}'}
                for call in message.tool_calls or ()
            ]
    return said


def assert_played(folder: Path, vertex: Emulator) -> None:
    """The bytes that were recorded have been played in their order, and nothing else."""
    played = sorted(vertex.journal, key=lambda exchange: exchange.number)
    recorded = Recording.read(folder).exchanges
    assert [one.outcome.timeline.body for one in played] == [one.answer.body for one in recorded]
    assert vertex.verify(strict=True).problems == ()


def test_python(recording: RecordingServer) -> None:
    """A program says the same without the service; tools keep their signatures over three turns."""
    said = talk(recording.base_url())
    recording.close()
    folder = recording.recorder.folder
    assert {exchange.answer.end for exchange in Recording.read(folder).exchanges} == {"complete", "cut", "left"}
    assert "thought_signature" in said[-3]
    with Emulator(folder) as vertex:
        assert talk(vertex.session("another-project").base_url) == said
        assert_played(folder, vertex)


def test_node(recording: RecordingServer, node_openai: Path) -> None:  # the fixture
    """A program for Node says the same without the service."""
    script = Path(__file__).with_name("talk.mjs")

    def run(base_url: str) -> str:
        environment = {**os.environ, "BASE_URL": base_url, "PACKAGES": str(node_openai)}
        done = subprocess.run(
            ["node", script], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = run(recording.base_url())
    recording.close()
    folder = recording.recorder.folder
    with Emulator(folder) as vertex:
        assert run(vertex.session("another-project").base_url) == said
        assert_played(folder, vertex)


def test_two_hundred_at_once(recording: RecordingServer) -> None:
    """Of many parallel requests each gets its own bytes again, whatever their order."""

    async def run(base_url: str) -> list[str]:
        async with openai.AsyncOpenAI(api_key=TOKEN, base_url=base_url, max_retries=0, timeout=120) as client:

            async def ask(number: int) -> str:
                answer = await client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": f"number {number}"}]
                )
                return answer.model_dump_json()

            return await asyncio.gather(*map(ask, range(200)))

    said = asyncio.run(run(recording.base_url()))
    recording.close()
    folder = recording.recorder.folder
    with Emulator(folder) as vertex:
        assert asyncio.run(run(vertex.session("another-project").base_url)) == said
        assert vertex.verify(strict=True).problems == ()


def test_the_scenario_made_of_it(recording: RecordingServer, tmp_path: Path) -> None:
    """The same program runs against the scenario that is made of its recording, and says the same but for ids and signatures."""
    said = talk(recording.base_url())
    recorded = recording.read()
    made, checked = generalize(recorded)
    assert checked.differences == ()
    file = tmp_path / "made.yaml"
    file.write_text(made.text, "utf-8")
    with Emulator(file, settings=Settings(pace="instant")) as vertex:
        again = talk(vertex.session("another-project").base_url)
        assert vertex.verify().problems == ()

    def without_identity(one: Any) -> Any:
        texts = one if isinstance(one, list) else [one]
        # Where the client left, the scenario's answer may end.
        return [
            ANEW.sub("", re.sub(r',?"usage":\{.*\}(?=\}$)|,?"finish_reason":"stop",?', "", str(text))) for text in texts
        ]

    assert list(map(without_identity, again)) == list(map(without_identity, said))


def test_a_sweep_of_a_recording(recording: RecordingServer, tmp_path: Path) -> None:
    """`sweep` lets things go wrong with recorded answers."""
    talk(recording.base_url())
    recording.close()
    program = tmp_path / "program.py"
    program.write_text(
        "import openai\n"
        "client = openai.OpenAI(max_retries=2)\n"
        f"chunks = client.chat.completions.create(model={MODEL!r}, stream=True,"
        " messages=[{'role': 'user', 'content': 'slowly, please'}])\n"
        "print(''.join(chunk.choices[0].delta.content or '' for chunk in chunks))\n"
    )
    command = [sys.executable, "-m", "emulator", "sweep", "--only", "duplicate_chunk", "--only", "503_once"]
    done = subprocess.run(
        [*command, "--timeout", "100", str(recording.recorder.folder), "--", sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert re.search(r"503_once +survived", done.stdout)
    assert re.search(r"duplicate_chunk +wrong answer", done.stdout)
