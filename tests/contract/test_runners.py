"""The recipe of docs/runners.md for Node's test runner does what it promises."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator.api.emulator import Emulator

TITLE = "Node's test runner"
COMMAND = "npm install --save-dev openai && node --test"
UNANSWERED = """
import test from "node:test";
import OpenAI from "openai";
import { vertex } from "./vertex.mjs";

test("does not notice", async (t) => {
  const client = new OpenAI(await vertex(t, "weather.yaml"));
  const messages = [{ role: "user", content: "How was the match?" }];
  await client.chat.completions.create({ model: "google/gemini-2.5-flash", messages }).catch(() => "never mind");
});

test("asks nothing", async (t) => {
  await vertex(t, "weather.yaml");
});
"""
# Between its two requests it waits for the other files to have asked as well.
BUSY = """
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import test from "node:test";
import OpenAI from "openai";
import { vertex } from "./vertex.mjs";

test("the first request of a file is the first of its session", async (t) => {
  const client = new OpenAI({ ...(await vertex(t, "weather.yaml")), maxRetries: 0 });
  const ask = () =>
    client.chat.completions.create({ model: "google/gemini-2.5-flash", messages: [{ role: "user", content: "busy?" }] });
  await assert.rejects(ask, { status: 429 });
  await once(connect(process.env.GATE, "127.0.0.1"), "data");
  assert.equal((await ask()).choices[0].message.content, "Not any more.");
});
"""


@pytest.fixture
def compiled_reply(make_recipe: Callable[..., Any], node_openai: Path) -> Any:
    """The folder of the recipe."""
    return make_recipe(node_openai / "node_modules", TITLE)


def counts(output: str) -> dict[str, int]:
    """How many tests passed and failed, as either of Node's reporters says it."""
    return {name: int(number) for name, number in re.findall(r"(?m)^[#ℹ] (pass|fail) (\d+)$", output)}  # noqa: RUF001  # so it writes


def test_recipe_passes(compiled_reply: Any) -> None:
    """Its tests pass as they stand, and their server ends with them: nothing else would let go of the output."""
    install, command = COMMAND.split(" && ")
    assert f"```sh\n{COMMAND}\n```" in compiled_reply.text
    assert install.split()[-1] == "openai"
    done = compiled_reply.run(command)
    assert (done.returncode, counts(done.stdout)) == (0, {"pass": 2, "fail": 0}), done.stdout


def test_unanswered_request_fails_its_test(compiled_reply: Any) -> None:
    """A miss that the code under test swallows fails the test that asked, and no other, with the whole report."""
    (compiled_reply.folder / "miss.test.mjs").write_text(UNANSWERED, "utf-8")
    done = compiled_reply.run("node --test miss.test.mjs")
    assert (done.returncode, counts(done.stdout)) == (1, {"pass": 1, "fail": 1}), done.stdout
    assert re.search(r"(?m)^(not ok 1 -|✖) does not notice", done.stdout)
    assert 'nearest: "weather", <pushed for test-' in done.stdout
    assert 'last_user  MISS  wanted text containing "weather", got "How was the match?"' in done.stdout


def test_problem_of_a_scenario_is_told(compiled_reply: Any) -> None:
    """A mistake in a scenario fails the tests that use it, with line, column and the right spelling."""
    (compiled_reply.folder / "weather.yaml").write_text("rules: [{repyl: Hi}]", "utf-8")
    done = compiled_reply.run("node --test")
    assert (done.returncode, counts(done.stdout)) == (1, {"pass": 0, "fail": 2}), done.stdout
    assert ':1:10: unknown key "repyl" in a rule; did you mean "reply"?' in done.stdout


def test_server_that_cannot_start_is_told(compiled_reply: Any) -> None:
    """What keeps the server from starting stands in the output of the test runner."""
    done = compiled_reply.run("node --test", VERTEX_EMULATOR_TOKEN_LIFETIME="never")
    assert done.returncode == 1
    assert "VERTEX_EMULATOR_TOKEN_LIFETIME" in done.stdout
    assert "vertex-emulator did not start; its standard error says why" in done.stdout


def test_parallel_files_share_a_server_unseen(
    compiled_reply: Any, vertex: Emulator, open_gate: Callable[[int], str]
) -> None:
    """Files that run at the same time on one server each have counters of their own, and leave nothing behind."""
    (compiled_reply.folder / "bin" / "vertex-emulator").unlink()
    for name in ("one", "two", "three"):
        (compiled_reply.folder / f"{name}.test.mjs").write_text(BUSY, "utf-8")
    done = compiled_reply.run(
        "node --test --test-concurrency=3 one.test.mjs two.test.mjs three.test.mjs",
        VERTEX_EMULATOR_URL=vertex.url,
        GATE=open_gate(3),
    )
    assert (done.returncode, counts(done.stdout)) == (0, {"pass": 3, "fail": 0}), done.stdout
    assert len(vertex.journal) == 0
