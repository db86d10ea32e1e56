"""The recipe of docs/runners.md for Vitest does what it promises."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.frameworks

COMMAND = "npm install --save-dev openai vitest && npx vitest run"
UNANSWERED = """
import OpenAI from "openai";
import { test } from "./vertex.mjs";

test("does not notice", async ({ vertex }) => {
  const messages = [{ role: "user", content: "How was the match?" }];
  await new OpenAI(vertex).chat.completions
    .create({ model: "google/gemini-2.5-flash", messages })
    .catch(() => "never mind");
});

test("asks nothing", async ({ vertex }) => void vertex);
"""
# Between its two requests it waits for the other files to have asked as well.
BUSY = """
import { once } from "node:events";
import { connect } from "node:net";
import OpenAI from "openai";
import { expect } from "vitest";
import { test } from "./vertex.mjs";

test("the first request of a file is the first of its session", async ({ vertex }) => {
  const client = new OpenAI({ ...vertex, maxRetries: 0 });
  const ask = () =>
    client.chat.completions.create({ model: "google/gemini-2.5-flash", messages: [{ role: "user", content: "busy?" }] });
  await expect(ask()).rejects.toMatchObject({ status: 429 });
  await once(connect(process.env.GATE, "127.0.0.1"), "data");
  expect((await ask()).choices[0].message.content).toBe("Not any more.");
}, 60_000);
"""
OTHER = """
import OpenAI from "openai";
import { expect } from "vitest";
import { test as base } from "./vertex.mjs";

const test = base.extend({ scenario: "other.yaml" });

test("hears the other scenario", async ({ vertex }) => {
  const messages = [{ role: "user", content: "How is the weather?" }];
  const completion = await new OpenAI(vertex).chat.completions.create({ model: "google/gemini-2.5-flash", messages });
  expect(completion.choices[0].message.content).toBe("Something else.");
});
"""


@pytest.fixture
def compiled_reply(make_recipe: Callable[..., Any], make_node_folder: Callable[..., Path]) -> Any:
    """The folder of the recipe; Vitest is the last that runs on Node 20."""
    package = make_node_folder("vitest", ["openai@6", "vitest@4"])
    return make_recipe(package.parent / "node_modules", "Vitest")


def counts(output: str) -> str:
    """How many tests passed and failed."""
    found = re.search(r"(?m)^ +Tests +(.+)$", output)
    return found[1] if found else output


def test_recipe_passes(compiled_reply: Any) -> None:
    """Its tests pass as they stand, and the server ends with them: nothing else would let go of the output."""
    install, command = COMMAND.split(" && ")
    assert f"```sh\n{COMMAND}\n```" in compiled_reply.text
    assert install.split()[-2:] == ["openai", "vitest"]
    done = compiled_reply.run(command)
    assert (done.returncode, counts(done.stdout)) == (0, "2 passed (2)"), done.stdout


def test_unanswered_request_fails_its_test(compiled_reply: Any) -> None:
    """A miss that the code under test swallows fails the test that asked, and no other, with the whole report."""
    (compiled_reply.folder / "miss.test.mjs").write_text(UNANSWERED, "utf-8")
    done = compiled_reply.run("npx vitest run miss.test.mjs")
    assert (done.returncode, counts(done.stdout)) == (1, "1 failed | 1 passed (2)"), done.stdout
    assert "FAIL  miss.test.mjs > does not notice" in done.stdout
    assert 'nearest: "weather", <pushed for test-' in done.stdout
    assert 'last_user  MISS  wanted text containing "weather", got "How was the match?"' in done.stdout


def test_parallel_files_share_a_server_unseen(compiled_reply: Any, open_gate: Callable[[int], str]) -> None:
    """Files that run at the same time on the run's one server each have counters of their own."""
    for name in ("one", "two", "three"):
        (compiled_reply.folder / f"{name}.test.mjs").write_text(BUSY, "utf-8")
    done = compiled_reply.run(
        "npx vitest run --maxWorkers=3 one.test.mjs two.test.mjs three.test.mjs", GATE=open_gate(3)
    )
    assert (done.returncode, counts(done.stdout)) == (0, "3 passed (3)"), done.stdout


def test_a_file_can_have_a_scenario_of_its_own(compiled_reply: Any) -> None:
    """Another scenario is one line in the file that wants it."""
    (compiled_reply.folder / "other.yaml").write_text("rules: [{name: other, reply: Something else.}]", "utf-8")
    (compiled_reply.folder / "other.test.mjs").write_text(OTHER, "utf-8")
    done = compiled_reply.run("npx vitest run")
    assert (done.returncode, counts(done.stdout)) == (0, "3 passed (3)"), done.stdout
