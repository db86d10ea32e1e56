"""A browser, an emulator with something of everything, and a page that remembers what it asked for."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAIError
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from emulator import Emulator
from emulator.inspector.app import STATIC
from tests.store.conftest import redis_url

__all__ = ["redis_url"]

SCENARIO = """
scenario: weather desk
quota: {requests_per_minute: 60, tokens_per_minute: 100000, per: session}
rules:
  - {name: greet, when: {last_user: hello}, expect: {times: 2}, reply: "Hi there, how can I help?"}
  - {name: call the weather, when: {tools: get_weather, after_tool: false}, reply: {call: get_weather, with: {city: Oslo}}}
  - {name: tell the weather, when: {after_tool: get_weather}, reply: It is four degrees in Oslo., sets: told}
  - name: story
    when: {last_user: story}
    reply: [{say: "Once upon a time there was a lighthouse. "}, {pause: 300}, {say: "It shone."}]
    pace: {first_token_ms: 100, every_ms: 50}
  - name: broken line
    when: {last_user: long}
    reply: "A first sentence. A second sentence. A third that nobody gets. A fourth."
    pace: {first_token_ms: 50, every_ms: 50}
    fault: {cut: reset, after_chunks: 2}
  - name: held
    when: {last_user: hold}
    reply: [{say: "A part of it. "}, {say: "The rest."}]
    fault: {stall: forever, after_chunks: 1}
  - {name: busy, when: {last_user: busy}, times: 3, reply: {fail: 429}}
  - {name: picture, when: {last_user: picture}, reply: [{image: auto}]}
  - {name: sound, when: {last_user: sound}, reply: [{audio: auto}]}
  - {name: template, when: {last_user: template}, reply: "{{ nothing_of_this_name }}"}
  - {name: jokes, when: {last_user: joke}, sequence: [Knock knock., "Who is there?", Silence.], then: loop}
  - {name: farewell, when: {last_user: bye}, requires: told, reply: Goodbye.}
"""
GEMINI = "google/gemini-2.5-flash"
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
Ask = Callable[..., Any]
# Browsers are slow where other work is done.
expect.set_options(timeout=15_000)


def asker(vertex: Emulator) -> Ask:
    """A function that sends one request and returns the answer, or the error."""

    def ask(messages: Any, project: str = "demo", **options: Any) -> Any:
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        client = vertex.openai(project=project, max_retries=0)
        try:
            answer = client.chat.completions.create(model=options.pop("model", GEMINI), messages=messages, **options)
            return list(answer) if options.get("stream") else answer
        except (OpenAIError, OSError, RuntimeError) as error:
            return error
        except Exception as error:
            # A stream that is cut raises what httpx raises.
            if "httpx" in type(error).__module__:
                return error
            raise

    return ask


@pytest.fixture
def vertex() -> Iterator[Emulator]:
    """An emulator with something of everything."""
    scenario = SCENARIO.replace(
        '  - {name: template, when: {last_user: template}, reply: "{{ nothing_of_this_name }}"}\n', ""
    )
    with Emulator(scenario) as running:
        yield running


@pytest.fixture
def ask(vertex: Emulator) -> Ask:
    """Sends one request to the emulator."""
    return asker(vertex)


def weather_dialogue(ask: Ask) -> None:
    """Two exchanges: a question with a tool, and the answer to its result."""
    question = [
        {"role": "system", "content": "You are a weather desk."},
        {"role": "user", "content": "How is the weather in Oslo?"},
    ]
    call = ask(question, tools=TOOLS).choices[0].message
    result = {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": '{"celsius": 4}'}
    ask([*question, call.model_dump(exclude_none=True), result], tools=TOOLS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or Playwright's, without a window.

    While it is there, this thread has a running event loop: the tests of other modules, which run their own, must not meet it.
    """
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        if path is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no Chromium is installed")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Seen:
    """What a page has asked for and complained about."""

    urls: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
def seen() -> Seen:
    """Filled by `page`."""
    return Seen()


@pytest.fixture
def page(browser: Browser, vertex: Emulator, seen: Seen) -> Iterator[Page]:
    """A page of the emulator's; afterwards it must have asked no other host, and have no complaint."""
    context = browser.new_context(
        base_url=vertex.url,
        viewport={"width": 1280, "height": 800},
        permissions=["clipboard-read", "clipboard-write"],
        locale="en-GB",
        timezone_id="UTC",
    )
    context.set_default_timeout(15_000)
    page = context.new_page()

    def note(request: Request) -> None:
        seen.urls.append(request.url)

    page.on("request", note)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("console", lambda line: seen.complaints.append(line.text) if line.type == "error" else None)
    yield page
    context.close()
    assert [url for url in seen.urls if not url.startswith((vertex.url, "data:"))] == []
    # What the server refuses on purpose is reported too.
    assert [one for one in seen.complaints if "status of 4" not in one and "ERR_" not in one] == []


def static_size() -> int:
    """Bytes of all files of the page."""
    return sum(path.stat().st_size for path in STATIC.rglob("*") if path.is_file())
