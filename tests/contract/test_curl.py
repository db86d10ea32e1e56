"""curl through bash: the documented requests as commands, the documented answers to them, and the URLs around them.

The commands in curl/ are the documented ones with the host and the token behind variables; where documented, a backslash ends
each line inside the quoted body, so what is sent is not quite JSON. Beside them stand the documented answers.
"""

import json
import os
import re
import shutil
import struct
import subprocess
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import pytest

from emulator.api.emulator import Emulator

SCENARIOS = (
    "documented/two_cities.yaml",
    "documented/picture.yaml",
    "documented/green_shirt.yaml",
    "default.yaml",
)
COMMANDS = Path(__file__).with_name("curl")
THOUGHTS = Path(__file__).parents[2] / "scenarios" / "thoughts.yaml"


@dataclass(frozen=True)
class Answer:
    """What curl got."""

    status: int
    headers: dict[str, str]
    body: str
    complaint: str
    """What curl wrote to standard error."""


Run = Callable[[str], Answer]


@pytest.fixture
def run(vertex: Emulator, project: str, tmp_path: Path) -> Run:
    """Run a command line through bash, as a reader of the documentation would."""
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is not installed; these tests are about what a shell and curl send, so install it")
    # What is typed stays as documented: everything else that the tests want of curl stands in its configuration.
    (tmp_path / ".curlrc").write_text('silent\nshow-error\nnoproxy = "*"\ndump-header = "head"\n')
    variables = {
        "CURL_HOME": str(tmp_path),
        "ENDPOINT": "1234567890123456789",
        "LOCATION": "us-central1",
        "PATH": os.environ["PATH"],
        "PROJECT_ID": project,
        "TOKEN": vertex.api_key,
        "VERTEX": vertex.url,
    }

    def run(command: str) -> Answer:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )
        assert (tmp_path / "head").exists(), done.stderr
        # A head of status 100 may stand before the one that counts.
        first, *lines = (tmp_path / "head").read_text().strip().split("\n\n")[-1].splitlines()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return Answer(int(first.split()[1]), headers, done.stdout, done.stderr)

    return run


@pytest.fixture
def documented(run: Run) -> Run:
    """Run a documented command by the name of its file."""
    return lambda name: run((COMMANDS / f"{name}.sh").read_text("utf-8"))


def read_sorted(text: str) -> Any:
    """Parse JSON whose keys are in alphabetical order at every level."""

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        assert keys == sorted(keys)
        return dict(pairs)

    return json.loads(text, object_pairs_hook=check)


def read_chunks(answer: Answer) -> list[Any]:
    """Return the chunks of a stream that ends as documented."""
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    *events, done, rest = answer.body.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    assert all(event.startswith("data: {") for event in events)
    chunks = [read_sorted(event.removeprefix("data: ")) for event in events]
    *earlier, last = chunks
    assert not any("finish_reason" in chunk["choices"][0] or "usage" in chunk for chunk in earlier)
    assert last["choices"][0]["finish_reason"]
    assert last["usage"]
    return chunks


def mask(body: str) -> str:
    """Take id and time out of an answer, once they are seen to belong together as in the documented ones."""
    found = re.search(r'"created":\s*(\d+),\s*"id":\s*"([\w-]{22,23})"', body)
    assert found is not None
    # An id begins with the seconds of `created`.
    assert struct.unpack("<I", urlsafe_b64decode(f"{found[2]}==")[:4]) == (int(found[1]),)
    return body.replace(found[0], '"created":0,"id":""')


def read_documented(name: str) -> str:
    """Return a documented answer without id and time."""
    return mask((COMMANDS / name).read_text("utf-8"))


def test_story(documented: Run, journal: Callable[[], list[dict[str, Any]]]) -> None:
    """The first sample is answered; inside single quotes its model stays `google/${MODEL_ID}`, which counts as a model."""
    answer = documented("story")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json; charset=UTF-8")
    body = read_sorted(answer.body)
    assert body["model"] == "google/${MODEL_ID}"
    assert list(body) == ["choices", "created", "id", "model", "object", "system_fingerprint", "usage"]
    (choice,) = body["choices"]
    assert list(choice) == ["finish_reason", "index", "logprobs", "message"]
    assert list(choice["message"]) == ["content", "role"]
    assert journal()[0]["request"]["messages"] == [{"role": "user", "content": "Write a story about a magic backpack."}]
    assert "x-emulator-warning" not in answer.headers


def test_stream(documented: Run) -> None:
    """The streamed sample is answered by chunks with the documented keys."""
    for chunk in read_chunks(documented("story_streamed")):
        keys = ["choices", "created", "id", "model", "object", "system_fingerprint"]
        assert [key for key in chunk if key != "usage"] == keys
        assert (chunk["model"], chunk["object"]) == ("google/${MODEL_ID}", "chat.completion.chunk")
        assert chunk["system_fingerprint"] == ""
        assert chunk["choices"][0]["delta"].keys() == {"content", "role"}
        assert chunk["choices"][0]["logprobs"] is None


def test_own_model(documented: Run) -> None:
    """The samples for an endpoint of one's own are answered as by vLLM, with the endpoint for a model."""
    plain, streamed = documented("own_model"), documented("own_model_streamed")
    assert (plain.status, streamed.status) == (200, 200)
    body = json.loads(plain.body)
    assert list(body)[:4] == ["id", "object", "created", "model"]
    assert (body["id"].partition("-")[0], body["model"]) == ("chatcmpl", "1234567890123456789")
    assert body["choices"][0]["message"]["content"]
    *chunks, done, rest = streamed.body.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    read = [json.loads(chunk.removeprefix("data: "))["choices"][0] for chunk in chunks]
    assert [choice["delta"].get("role") for choice in read] == ["assistant"] + [None] * (len(read) - 1)
    assert [choice["finish_reason"] for choice in read] == [None] * (len(read) - 1) + ["stop"]


@pytest.mark.parametrize("name", ["image_url", "input_audio", "hello_world"])
def test_samples(documented: Run, journal: Callable[[], list[dict[str, Any]]], name: str) -> None:
    """These samples get a text; where their backslashes had to be dropped, a header and the journal say so."""
    answer = documented(name)
    assert answer.status == 200
    assert read_sorted(answer.body)["choices"][0]["message"]["content"]
    lenient = "\\\n" in (COMMANDS / f"{name}.sh").read_text("utf-8").partition("-d ")[2]
    assert ("x-emulator-warning" in answer.headers) == bool(journal()[0]["warnings"]) == lenient


def test_thoughts(run: Run, documented: Run) -> None:
    """The sample with `thinking_config` gets thoughts inside `<think>`, from a scenario that curl has pushed."""
    pushed = run(f'curl -T {quote(str(THOUGHTS))} "${{VERTEX}}/__emulator__/scenario?session=${{PROJECT_ID}}"')
    assert pushed.status == 204, pushed.body
    deltas = [chunk["choices"][0]["delta"] for chunk in read_chunks(documented("thoughts"))]
    thought = {"google": {"thought": True}}
    assert deltas == [
        {"content": "<think>The user asks for primes. ", "extra_content": thought, "role": "assistant"},
        {"content": "Two is the first.</think>", "extra_content": thought, "role": "assistant"},
        {"content": "Two, three and five.", "role": "assistant"},
    ]


def test_two_cities(documented: Run) -> None:
    """The streamed arguments are, byte for byte, the documented stream but for id and time."""
    answer = documented("two_cities")
    read_chunks(answer)
    assert mask(answer.body) == read_documented("two_cities.sse")


def test_picture(documented: Run) -> None:
    """The picture comes in the documented body: base64 in the slot for audio."""
    body = read_sorted(mask(documented("picture").body))
    audio = body["choices"][0]["message"]["audio"]
    assert b64decode(audio["data"], validate=True).startswith(b"\x89PNG\r\n")
    audio["data"] = "<BASE64_BYTES>"
    assert body == read_sorted(read_documented("picture.json"))


def test_green_shirt(documented: Run) -> None:
    """A tool result with a picture, sent so that the shell leaves it alone, gets the documented answer."""
    body = read_sorted(mask(documented("green_shirt").body))
    assert body == read_sorted(read_documented("green_shirt.json"))


def test_green_shirt_cut_short(documented: Run, journal: Callable[[], list[dict[str, Any]]]) -> None:
    """As documented, quotes inside the quotes make the shell cut the body short; the refusal says so."""
    answer = documented("green_shirt_broken")
    assert answer.status == 400
    (framed,) = json.loads(answer.body)
    assert framed["error"]["status"] == "INVALID_ARGUMENT"
    assert "before its json does; was it cut short by the shell?" in framed["error"]["message"].lower()
    assert "cut short by the shell" in answer.headers["x-emulator-explanation"]
    # The rest of the body went to curl as another address.
    assert answer.complaint
    assert len(journal()) == 1


CHAT = "curl ${VERTEX}/%s -H \"Authorization: Bearer ${TOKEN}\" -d '%s'"
HELLO = '{"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "hello"}]}'


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize("location", ["us-central1", "global", "us", "eu"])
def test_locations(run: Run, version: str, location: str) -> None:
    """Both versions answer in every kind of location."""
    path = f"{version}/projects/${{PROJECT_ID}}/locations/{location}/endpoints/openapi/chat/completions"
    answer = run(CHAT % (path, HELLO))
    assert answer.status == 200
    assert read_sorted(answer.body)["model"] == "google/gemini-2.5-flash"


@pytest.mark.parametrize(
    "body", [HELLO, HELLO.replace("google/", ""), HELLO.replace('"google/gemini-2.5-flash"', '""')]
)
def test_own_endpoint(run: Run, body: str) -> None:
    """An endpoint of one's own wants no publisher in the model, nor a model."""
    answer = run(
        CHAT % ("v1/projects/${PROJECT_ID}/locations/us-central1/endpoints/${ENDPOINT}/chat/completions", body)
    )
    assert answer.status == 200


def test_query_is_ignored(run: Run) -> None:
    """A query is junk, as some published notebooks send it, and changes nothing."""
    path = "v1/projects/${PROJECT_ID}/locations/us-central1/endpoints/openapi/chat/completions?/chat/completions"
    assert run(CHAT % (path, HELLO)).status == 200


OPENAPI = "${VERTEX}/v1/projects/p/locations/us-central1/endpoints/openapi"


@pytest.mark.parametrize(
    "command",
    [
        f"curl {OPENAPI}/models",
        f"curl {OPENAPI}/chat/completions",
        f"curl -X PUT -d '{HELLO}' {OPENAPI}/chat/completions",
        f"curl -d '{HELLO}' {OPENAPI}/chat/completions//",
        f"curl -d '{HELLO}' ${{VERTEX}}/v1/chat/completions",
        "curl ${VERTEX}/",
    ],
    ids=["models", "get", "put", "slashes", "openai", "root"],
)
def test_not_found(run: Run, command: str) -> None:
    """What nothing routes, or routes by another method, is Google's page, with or without credentials."""
    answer = run(command)
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=UTF-8")
    assert answer.body.startswith("<!DOCTYPE html>")
    assert "Error 404" in answer.body


def test_refusal_is_laid_out_as_observed(run: Run) -> None:
    """Without credentials comes an array of one error object, with these line breaks and indents."""
    answer = run(f"curl -d '{HELLO}' {OPENAPI}/chat/completions")
    assert (answer.status, answer.headers["content-type"]) == (401, "application/json; charset=UTF-8")
    assert answer.body.startswith('[{\n  "error": {\n    "code": 401,\n    "message": "Request is missing required')
    assert answer.body.endswith("\n  }\n}\n]\n")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "ends at line 1"),
        ("hello", "not JSON"),
        ('{"messages": [}', "not JSON"),
        ('{"model": "google/a", "messages": "hi"}', "messages is a string; expected a list"),
        ("[]", "the body is a list; expected an object"),
    ],
    ids=["empty", "text", "broken", "shape", "list"],
)
def test_unusable_bodies(run: Run, body: str, said: str) -> None:
    """A body that cannot be used is a 400 that tells why, never a failure of the server."""
    answer = run(CHAT % ("v1/projects/${PROJECT_ID}/locations/global/endpoints/openapi/chat/completions", body))
    (framed,) = json.loads(answer.body)
    assert (answer.status, framed["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert said in answer.headers["x-emulator-explanation"]
