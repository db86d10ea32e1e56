"""Programs written for the real service run unchanged."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).with_name("programs")
SKY = Path(__file__).with_name("sky.yaml")
BLUE = "Because of Rayleigh scattering."


def test_documented_samples(programs: Any) -> None:
    """The documented Python programs: plain and streamed, sync and async, refreshing itself, and from the environment alone."""
    done = programs.run("--fallback", "default", SKY, "--", sys.executable, PROGRAMS / "samples.py")
    answers = done.answers
    assert answers.pop("structured") == ["name", "participants"]
    assert answers == dict.fromkeys(("plain", "streamed", "plain_async", "streamed_async", "refreshed"), BLUE)
    assert done.err == "vertex-emulator: 6 requests and 5 token requests, 0 misses, 0 refusals, 0 leaks\n"
    assert done.left == []


def test_examples_of_openai_python(programs: Any) -> None:
    """What its examples show of chat completions: streams, raw responses, the module as a client, parsing, tools, errors; no rule is needed."""
    done = programs.run("--", sys.executable, PROGRAMS / "openai_examples.py")
    assert set(done.answers.values()) == {True}
    assert done.err == "vertex-emulator: 11 requests and 3 token requests, 0 misses, 1 refusal, 0 leaks\n"


def test_http_clients(programs: Any) -> None:
    """urllib, requests, httpx, aiohttp and google-auth's session; host names with many labels; strict verification of the certificate."""
    done = programs.run("--verify", "--auth", "issued", SKY, "--", sys.executable, PROGRAMS / "http_clients.py")
    assert set(done.answers.values()) == {BLUE}
    assert ", 0 misses, 0 refusals, 0 leaks" in done.err


def test_credentials_of_users_and_machines(programs: Any) -> None:
    """A user's credentials are refreshed through the proxy, and with --metadata a machine's are there."""
    code = "import os, runpy; os.environ['FILE'] = os.path.join(os.path.dirname(os.environ['%s']), '%s'); runpy.run_path('%s')"
    program = code % ("GOOGLE_APPLICATION_CREDENTIALS", "authorized-user.json", PROGRAMS / "other_credentials.py")
    done = programs.run("--metadata", "--", sys.executable, "-c", program)
    assert done.answers == {"user": "ya29.", "machine": "ya29."}


def test_curl_with_gcloud(programs: Any) -> None:
    """The documented command line, with its $(gcloud auth print-access-token), through bash."""
    done = programs.run(SKY, "--project", "blue", "--", "bash", PROGRAMS / "chat.sh")
    events = [line.removeprefix("data: ") for line in done.out.splitlines() if line]
    assert events[-1] == "[DONE]"
    assert "".join(json.loads(event)["choices"][0]["delta"]["content"] for event in events[:-1]) == BLUE


def test_java(programs: Any) -> None:
    """HttpURLConnection and java.net.http, with --java."""
    if shutil.which("java") is None:
        pytest.skip("java is not installed")
    done = programs.run("--java", SKY, "--", "java", PROGRAMS / "Clients.java")
    assert [json.loads(line)["choices"][0]["message"]["content"] for line in done.out.splitlines()] == [BLUE, BLUE]
    assert "Picked up JAVA_TOOL_OPTIONS" in done.err
