"""The package of clients/node, packed and installed by npm, with Node's test runner: the guides that show it do what they promise."""

import json
import re
import shutil
import tomllib
from collections.abc import Callable
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from emulator.api.emulator import Emulator

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients" / "node"
TITLE = "Node's test runner"
COMMAND = "npm install --save-dev openai vertex-openai-emulator && node --test"
UNANSWERED = """
import test from "node:test";
import OpenAI from "openai";
import { testSession } from "vertex-openai-emulator";

test("does not notice", async (t) => {
  const client = new OpenAI((await testSession(t, { scenario: "weather.yaml" })).openai());
  const messages = [{ role: "user", content: "How was the match?" }];
  await client.chat.completions.create({ model: "google/gemini-3.5-flash", messages }).catch(() => "never mind");
});

test("asks nothing", async (t) => {
  await testSession(t);
});
"""
FAILED = """
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";
import { testSession } from "vertex-openai-emulator";

test("fails by itself", async (t) => {
  const client = new OpenAI((await testSession(t, { scenario: "weather.yaml" })).openai());
  const messages = [{ role: "user", content: "How is the weather?" }];
  const completion = await client.chat.completions.create({ model: "google/gemini-3.5-flash", messages });
  assert.equal(completion.choices[0].message.content, "It is sunny.");
});
"""
ELSEWHERE = """
import test from "node:test";
import OpenAI from "openai";
import { testSession } from "vertex-openai-emulator";

test("misspells the model", async (t) => {
  const client = new OpenAI((await testSession(t)).openai());
  await client.chat.completions.create({ model: "google/gemini-3.5-flsh", messages: [{ role: "user", content: "Hi" }] });
});

test("has a fault behind the end", async (t) => {
  const rule = { reply: "Hi.", fault: { cut: "end", after_chunks: 30 } };
  const client = new OpenAI((await testSession(t, { scenario: { rules: [rule] } })).openai());
  const messages = [{ role: "user", content: "Hi" }];
  for await (const _ of await client.chat.completions.create({ model: "google/gemini-3.5-flash", messages, stream: true }));
});

test("is refused on purpose", async (t) => {
  const client = new OpenAI((await testSession(t, { refusals: ["malformed_*"] })).openai());
  await client.chat.completions.create({ model: "flash", messages: [{ role: "user", content: "Hi" }] }).catch(() => "as expected");
});
"""
FORGOTTEN = """
import test from "node:test";
import { testSession } from "vertex-openai-emulator";

test("does not await", async (t) => {
  const vertex = testSession(t);
  await fetch(`${vertex.baseURL}/chat/completions`);
});
"""
MISNAMED = """
import test from "node:test";
import { testSession } from "vertex-openai-emulator";

test("misspells", async (t) => {
  await testSession(t, { scenarios: "weather.yaml" });
});
"""
# Between its two requests it waits for the other files to have asked as well.
BUSY = """
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import test from "node:test";
import OpenAI from "openai";
import { testSession } from "vertex-openai-emulator";

test("the first request of a file is the first of its session", async (t) => {
  const client = new OpenAI((await testSession(t, { scenario: "weather.yaml" })).openai({ maxRetries: 0 }));
  const ask = () =>
    client.chat.completions.create({ model: "google/gemini-2.5-flash", messages: [{ role: "user", content: "busy?" }] });
  await assert.rejects(ask, { status: 429 });
  await once(connect(process.env.GATE, "127.0.0.1"), "data");
  assert.equal((await ask()).choices[0].message.content, "Not any more.");
});
"""
START = """
import test from "node:test";
import { startEmulator } from "vertex-openai-emulator";

test("starts", () => startEmulator({ startTimeout: Number(process.env.PATIENCE ?? 60000) }));
"""


@pytest.fixture
def recipe(make_recipe: Callable[..., Any], node_openai: Path) -> Any:
    """The folder of the recipe."""
    return make_recipe(node_openai / "node_modules", TITLE)


def counts(output: str) -> dict[str, int]:
    """How many tests passed and failed, as either of Node's reporters says it."""
    return {name: int(number) for name, number in re.findall(r"(?m)^[#ℹ] (pass|fail) (\d+)$", output)}  # noqa: RUF001  # so it writes


def test_recipe_passes(recipe: Any) -> None:
    """Its tests pass as they stand, and their server ends with them: nothing else would let go of the output."""
    install, command = COMMAND.split(" && ")
    assert f"```sh\n{COMMAND}\n```" in recipe.text
    assert install.split()[-2:] == ["openai", "vertex-openai-emulator"]
    done = recipe.run(command)
    assert (done.returncode, counts(done.stdout)) == (0, {"pass": 3, "fail": 0}), done.stdout


def test_readme_of_the_package_passes(make_recipe: Callable[..., Any], node_openai: Path) -> None:
    """The test that the package's own page shows passes; all its examples in JavaScript are files."""
    text = (CLIENT / "README.md").read_text("utf-8")
    assert f"```sh\n{COMMAND}\n```" in text
    assert text.count("```js\n") == text.count("```js\n// ") > 0
    done = make_recipe(node_openai / "node_modules", "", text).run("node --test")
    assert (done.returncode, counts(done.stdout)) == (0, {"pass": 1, "fail": 0}), done.stdout


def test_links_of_the_package_s_page_lead_somewhere() -> None:
    """Every link of the package's own page is to a file of the repository."""
    text = (CLIENT / "README.md").read_text("utf-8")
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)", text)
    assert targets
    assert all((CLIENT / target).exists() for target in targets)


def test_package_is_complete(node_client: Path) -> None:
    """It has the version of the emulator, the files that it exports, each with its types, and no others."""
    package = json.loads((node_client / "package.json").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert (package["name"], package["version"]) == (project["name"], project["version"])
    assert (node_client / "LICENSE").read_text("utf-8") == (ROOT / "LICENSE").read_text("utf-8")
    exported = set(re.findall(r'"\./([\w.-]+\.[cm](?:js|ts))"', json.dumps(package)))
    code = {path.name for path in node_client.glob("*.[cm]js")}
    types = {path.name for path in node_client.glob("*.d.[cm]ts")}
    assert {name.replace(".d.", ".").replace("ts", "js") for name in types} == code
    assert exported == code | types
    (packed,) = node_client.parents[1].glob("*.tgz")
    guide = (ROOT / "docs" / "runners.md").read_text("utf-8")
    assert set(re.findall(r"[\w.-]+\.tgz", guide.replace("./", ""))) == {packed.name}
    files = {path.name for path in node_client.iterdir()}
    assert files == exported | {"package.json", "LICENSE", "README.md"}


def test_package_does_what_it_documents(recipe: Any) -> None:
    """Sessions, scenarios, journal, verification, environment, sharing and stopping, by a program that calls all of it."""
    shutil.copy(Path(__file__).with_name("node") / "helper.test.mjs", recipe.folder)
    done = recipe.run("node --test helper.test.mjs")
    assert (done.returncode, counts(done.stdout)["fail"]) == (0, 0), done.stdout


def test_unanswered_request_fails_its_test(recipe: Any) -> None:
    """A miss that the code under test swallows fails the test that asked, and no other, with the report that the guide shows."""
    (recipe.folder / "miss.test.mjs").write_text(UNANSWERED, "utf-8")
    done = recipe.run("node --test --test-reporter=spec miss.test.mjs")
    assert (done.returncode, counts(done.stdout)) == (1, {"pass": 1, "fail": 1}), done.stdout
    shown = re.findall(r"(?ms)^```text\n✖ does not notice\n(.*?)^```$", recipe.text)[0].replace(
        "weather.test", "miss.test"
    )
    pattern = r"\s+".join(re.escape(word).replace("…", ".*?") for word in shown.split())
    printed = re.sub(r"<pushed for [^>]*>", "weather.yaml", done.stdout).replace(
        "Error [VerificationError]", "VerificationError"
    )
    assert re.search(pattern, printed, re.DOTALL), printed


def test_failed_test_shows_what_it_asked(recipe: Any) -> None:
    """A test that fails by itself shows its exchanges, and no other error."""
    (recipe.folder / "failed.test.mjs").write_text(FAILED, "utf-8")
    done = recipe.run("node --test --test-reporter=spec failed.test.mjs")
    assert (done.returncode, counts(done.stdout)) == (1, {"pass": 0, "fail": 1}), done.stdout
    assert '#1 "How is the weather?" -> "weather" 200 "It rains."' in done.stdout
    assert "VerificationError" not in done.stdout


def test_client_s_errors_are_told_if_its_test_passes(recipe: Any) -> None:
    """A test that passes shows what would fail in the cloud; what it expects to be refused is no error."""
    (recipe.folder / "elsewhere.test.mjs").write_text(ELSEWHERE, "utf-8")
    done = recipe.run("node --test --test-reporter=spec elsewhere.test.mjs")
    assert (done.returncode, counts(done.stdout)) == (0, {"pass": 3, "fail": 0}), done.stdout
    assert "there are warnings about its scenario:\nℹ fault behind the whole answer" in done.stdout  # noqa: RUF001  # so it writes
    assert re.findall("made errors:|error: [a-z_]+", done.stdout) == ["made errors:", "error: model_not_found"]
    assert 'did you mean "google/gemini-3.5-flash"?' in done.stdout


def test_report_has_its_lines_in_tap(recipe: Any) -> None:
    """TAP, which Node 20 writes where there is no terminal, shows the report of a failed test line by line."""
    (recipe.folder / "failed.test.mjs").write_text(FAILED, "utf-8")
    done = recipe.run("node --test --test-reporter=tap failed.test.mjs")
    first = re.search(r"(?m)^ *# exchanges of the session test-fails-by-itself-\w+:\n(.*)$", done.stdout)
    assert first is not None, done.stdout
    assert first[1].strip() == r'# \#1 "How is the weather?" -> "weather" 200 "It rains."'


def test_forgotten_await_is_told(recipe: Any) -> None:
    """A test that uses the promise as a session fails with what to write, before anything is asked."""
    (recipe.folder / "promise.test.mjs").write_text(FORGOTTEN, "utf-8")
    done = recipe.run("node --test --test-reporter=spec promise.test.mjs")
    assert (done.returncode, counts(done.stdout)["pass"]) == (1, 0), done.stdout
    said = 'testSession(...) returns a promise, which has no "baseURL"; await it: await testSession(...)'
    assert said in done.stdout, done.stdout


def test_unknown_option_fails_its_test(recipe: Any) -> None:
    """An option of another function fails the test, and is not left out in silence."""
    (recipe.folder / "option.test.mjs").write_text(MISNAMED, "utf-8")
    done = recipe.run("node --test --test-reporter=spec option.test.mjs")
    assert (done.returncode, counts(done.stdout)) == (1, {"pass": 0, "fail": 1}), done.stdout
    assert 'unknown option "scenarios" of testSession; did you mean "scenario"? its options: scenario' in done.stdout


def test_problem_of_a_scenario_is_told(recipe: Any) -> None:
    """A mistake in a scenario fails the test that uses it, with line, column and the right spelling."""
    (recipe.folder / "weather.yaml").write_text("rules: [{repyl: Hi}]", "utf-8")
    done = recipe.run("node --test")
    assert (done.returncode, counts(done.stdout)) == (1, {"pass": 1, "fail": 2}), done.stdout
    assert ':1:10: unknown key "repyl" in a rule; did you mean "reply"?' in done.stdout


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"VERTEX_EMULATOR_TOKEN_LIFETIME": "never"}, r"did not start; it ended with exit status 2; it said:\n.*TOKEN_LIFETIME"),
        ({"VERTEX_EMULATOR_COMMAND": "nowhere"}, 'the command "nowhere" is not found; install it'),
        ({"VERTEX_EMULATOR_COMMAND": "."}, '"." cannot be run: '),
        ({"VERTEX_EMULATOR_COMMAND": "echo"}, r'printed "serve --port 0 .*expected a line of JSON'),
        ({"VERTEX_EMULATOR_COMMAND": "./silent", "PATIENCE": "300"}, r'"\./silent serve" did not answer within 300 ms; it said:\nnot yet'),
        ({"VERTEX_EMULATOR_URL": "here"}, 'the URL of the emulator is "here"; expected one such as http://127.0.0.1:8080'),
        ({"VERTEX_EMULATOR_URL": "http://127.0.0.1:9"}, r"no emulator answers at http://127.0.0.1:9 \(ECONNREFUSED\); `url` or"),
    ],
)  # fmt: skip
def test_server_that_cannot_be_used_is_told(recipe: Any, environment: dict[str, str], said: str) -> None:
    """What keeps the server from starting or answering stands in the error of the test, with what to do."""
    (recipe.folder / "silent").write_text("#!/bin/sh\necho not yet >&2\nread forever\n", "utf-8")
    (recipe.folder / "silent").chmod(0o755)
    (recipe.folder / "start.test.mjs").write_text(START, "utf-8")
    done = recipe.run("node --test --test-reporter=spec start.test.mjs", **environment)
    assert (done.returncode, counts(done.stdout)) == (1, {"pass": 0, "fail": 1}), done.stdout
    assert re.search(said, re.sub(r"\n +", "\n", done.stdout), re.DOTALL), done.stdout


def test_something_else_at_the_url_is_told(recipe: Any) -> None:
    """A server that is no emulator is told from one."""
    (recipe.folder / "start.test.mjs").write_text(START, "utf-8")
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        Thread(target=server.serve_forever).start()
        try:
            done = recipe.run(
                "node --test start.test.mjs", VERTEX_EMULATOR_URL=f"http://127.0.0.1:{server.server_port}"
            )
        finally:
            server.shutdown()
    assert done.returncode == 1
    assert "is no emulator" in done.stdout


def test_parallel_files_share_a_server_unseen(recipe: Any, vertex: Emulator, open_gate: Callable[[int], str]) -> None:
    """Files that run at the same time on one server each have counters of their own, and leave nothing behind."""
    (recipe.folder / "bin" / "vertex-emulator").unlink()
    for name in ("one", "two", "three"):
        (recipe.folder / f"{name}.test.mjs").write_text(BUSY, "utf-8")
    done = recipe.run(
        "node --test --test-concurrency=3 one.test.mjs two.test.mjs three.test.mjs",
        VERTEX_EMULATOR_URL=vertex.url,
        GATE=open_gate(3),
    )
    assert (done.returncode, counts(done.stdout)) == (0, {"pass": 3, "fail": 0}), done.stdout
    assert len(vertex.journal) == 0
