"""The package of clients/node with Vitest, Jest and TypeScript: the recipes of docs/runners.md do what they promise."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.frameworks

SOURCES = Path(__file__).parents[1] / "node"
# The last that run on Node 20.
PACKAGES = ["openai@6", "vitest@4", "jest@30", "typescript@5", "@types/node@20"]
VITEST = "npm install --save-dev openai vertex-openai-emulator vitest && npx vitest run"
JEST = "npm install --save-dev openai vertex-openai-emulator jest && npx jest"
OWN_SERVERS = {"vitest": "vitest.config.mjs", "jest": "jest.config.js"}
"""The file of each recipe without which each test file has a server of its own."""

UNANSWERED = {
    "vitest": """
import OpenAI from "openai";
import { test } from "vertex-openai-emulator/vitest";

test("does not notice", async ({ vertex }) => {
  await vertex.push({ rules: [{ name: "weather", when: { last_user: "weather" }, expect: { times: 1 }, reply: "It rains." }] });
  const messages = [{ role: "user", content: "How was the match?" }];
  await new OpenAI(vertex.openai()).chat.completions
    .create({ model: "google/gemini-3.5-flash", messages })
    .catch(() => "never mind");
});

test("asks nothing", async ({ vertex }) => void vertex);
""",
    "jest": """
const { OpenAI } = require("openai");
const { useVertex } = require("vertex-openai-emulator/jest");

const vertex = useVertex();

test("does not notice", async () => {
  await vertex.push({ rules: [{ name: "weather", when: { last_user: "weather" }, expect: { times: 1 }, reply: "It rains." }] });
  const messages = [{ role: "user", content: "How was the match?" }];
  await new OpenAI(vertex.openai()).chat.completions
    .create({ model: "google/gemini-3.5-flash", messages })
    .catch(() => "never mind");
});

test("asks nothing", async () => {});
""",
}
# Between its two requests it waits for the other files to have asked as well.
BUSY = {
    "vitest": """
import { once } from "node:events";
import { connect } from "node:net";
import OpenAI from "openai";
import { testSession } from "vertex-openai-emulator";
import { expect, test } from "vitest";

test("the first request of a file is the first of its session", async (context) => {
  const vertex = await testSession(context, { scenario: "weather.yaml" });
  const client = new OpenAI(vertex.openai({ maxRetries: 0 }));
  const ask = () =>
    client.chat.completions.create({ model: "google/gemini-2.5-flash", messages: [{ role: "user", content: "busy?" }] });
  await expect(ask()).rejects.toMatchObject({ status: 429 });
  await once(connect(process.env.GATE, "127.0.0.1"), "data");
  expect((await ask()).choices[0].message.content).toBe("Not any more.");
}, 60_000);
""",
    "jest": """
const { once } = require("node:events");
const { connect } = require("node:net");
const { OpenAI } = require("openai");
const { useVertex } = require("vertex-openai-emulator/jest");

const vertex = useVertex({ scenario: "weather.yaml" });

test("the first request of a file is the first of its session", async () => {
  const client = new OpenAI(vertex.openai({ maxRetries: 0 }));
  const ask = () =>
    client.chat.completions.create({ model: "google/gemini-2.5-flash", messages: [{ role: "user", content: "busy?" }] });
  await expect(ask()).rejects.toMatchObject({ status: 429 });
  await once(connect(process.env.GATE, "127.0.0.1"), "data");
  expect((await ask()).choices[0].message.content).toBe("Not any more.");
}, 60_000);
""",
}
SERVER_SCENARIO = (
    "rules: [{when: {last_user: weather}, reply: It rains.}, {when: {last_user: busy}, reply: Not any more.}]"
)
FAILED = """
import { expect, test } from "vitest";
import { testSession } from "vertex-openai-emulator";

test("fails by itself", async (context) => {
  const vertex = await testSession(context);
  await fetch(`${vertex.baseURL}/nowhere`);
  expect(1).toBe(2);
});
"""
# Jest runs modules of the language only with a flag of Node's.
MODULE = """
import { OpenAI } from "openai";
import { EmulatorError, startEmulator } from "vertex-openai-emulator";
import { useVertex } from "vertex-openai-emulator/jest";

const vertex = useVertex({ scenario: "weather.yaml" });
const outside = (() => {
  try {
    return vertex.project;
  } catch (error) {
    return error.message;
  }
})();

test("has a session inside, but not outside", async () => {
  const client = new OpenAI(vertex.openai());
  const messages = [{ role: "user", content: "busy?" }];
  const completion = await client.chat.completions.create({ model: "google/gemini-3.5-flash", messages });
  expect(completion.choices[0].message.content).toBe("Not any more.");
  expect(outside).toContain("only while a test runs");
  await expect(startEmulator({ url: "here" })).rejects.toThrow(EmulatorError);
});
"""


@pytest.fixture
def modules(make_node_folder: Callable[..., Path]) -> Path:
    """The node_modules that the runners and TypeScript are in."""
    return make_node_folder("javascript", PACKAGES).parent / "node_modules"


@pytest.fixture(params=["vitest", "jest"])
def runner(request: pytest.FixtureRequest) -> str:
    """The command of a test runner."""
    name: str = request.param
    return name


@pytest.fixture
def recipe(make_recipe: Callable[..., Any], modules: Path, runner: str) -> Any:
    """The folder of the recipe for a test runner."""
    return make_recipe(modules, runner.capitalize())


def run(recipe: Any, runner: str, *words: str, **environment: str) -> Any:
    """Run tests."""
    return recipe.run(
        " ".join(["npx", *runner.split(), *(["run"] if runner == "vitest" else []), *words]), **environment
    )


def counts(output: str) -> str:
    """How many tests passed and failed, as either runner says it, in one form."""
    found = re.search(r"(?m)^ *Tests:? +(.+)$", output)
    return re.sub(r" \| |, ", ", ", re.sub(r" \((\d+)\)| total|, \d+ total", "", found[1])) if found else output


@pytest.mark.parametrize("is_shared", [True, False])
def test_recipe_passes(recipe: Any, runner: str, is_shared: bool) -> None:
    """Its tests pass as they stand, with one server or one for each file, which end with them: nothing else would let go of the output."""
    wanted = {"vitest": VITEST, "jest": JEST}[runner]
    assert f"```sh\n{wanted}\n```" in recipe.text
    assert wanted.split(" && ")[0].split()[-3:] == ["openai", "vertex-openai-emulator", runner]
    if not is_shared:
        (recipe.folder / OWN_SERVERS[runner]).unlink()
        (recipe.folder / "package.json").write_text("{}", "utf-8")
    done = recipe.run(wanted.split(" && ")[1])
    assert (done.returncode, counts(done.stdout)) == (0, "2 passed"), done.stdout


def test_unanswered_request_fails_its_test(recipe: Any, runner: str) -> None:
    """A miss that the code under test swallows fails the test that asked, and no other, with the whole report."""
    name = {"vitest": "miss.test.mjs", "jest": "miss.test.js"}[runner]
    (recipe.folder / name).write_text(UNANSWERED[runner], "utf-8")
    done = run(recipe, runner, name)
    assert (done.returncode, counts(done.stdout)) == (1, "1 failed, 1 passed"), done.stdout
    assert re.search(r"(FAIL +miss\.test\.mjs >|●) does not notice", done.stdout), done.stdout
    assert 'last_user  MISS  wanted text containing "weather", got "How was the match?"' in done.stdout
    assert re.search(r'"weather", .*: never answered, expected once', done.stdout)
    assert '#1 "How was the match?" -> miss 418' in done.stdout


def test_parallel_files_share_a_server_unseen(recipe: Any, runner: str, open_gate: Callable[[int], str]) -> None:
    """Files that run at the same time on the run's one server each have counters of their own."""
    suffix = {"vitest": "mjs", "jest": "js"}[runner]
    names = [f"{name}.test.{suffix}" for name in ("one", "two", "three")]
    for name in names:
        (recipe.folder / name).write_text(BUSY[runner], "utf-8")
    # The servers count themselves.
    command = recipe.folder / "bin" / "vertex-emulator"
    command.write_text(command.read_text("utf-8").replace("exec", "echo started >> started.txt\nexec"), "utf-8")
    done = run(recipe, runner, "--maxWorkers=3", *names, GATE=open_gate(3))
    assert (done.returncode, counts(done.stdout)) == (0, "3 passed"), done.stdout
    assert (recipe.folder / "started.txt").read_text("utf-8") == "started\n"


def test_setup_of_the_guide(recipe: Any, runner: str) -> None:
    """The setup that the guide shows gives the server scenarios and options, and all tests use it."""
    config = recipe.folder / OWN_SERVERS[runner]
    text = config.read_text("utf-8").replace("vertex-openai-emulator/setup", "./vertex.setup.mjs")
    config.write_text(text, "utf-8")
    guide = (Path(__file__).parents[3] / "docs" / "runners.md").read_text("utf-8")
    setup = re.findall(r"(?ms)^```js\n// vertex\.setup\.mjs\n(.*?)^```$", guide)[0]
    (recipe.folder / "vertex.setup.mjs").write_text(setup, "utf-8")
    # The same without scenarios of the tests' own.
    (recipe.folder / "weather.yaml").write_text(SERVER_SCENARIO, "utf-8")
    for test in recipe.folder.glob("weather.test.*"):
        source = re.sub(r'scenario: "weather.yaml"|\n  await vertex.push.*', "", test.read_text("utf-8"))
        assert "yaml" not in source
        assert "push" not in source
        test.write_text(source, "utf-8")
    done = run(recipe, runner)
    assert (done.returncode, counts(done.stdout)) == (0, "2 passed"), done.stdout


@pytest.mark.parametrize("runner", ["vitest"], indirect=True)
def test_failed_test_of_vitest_shows_what_it_asked(recipe: Any, runner: str) -> None:
    """A test that fails by itself shows its exchanges, and no other error."""
    (recipe.folder / "failed.test.mjs").write_text(FAILED, "utf-8")
    done = run(recipe, runner, "failed.test.mjs")
    assert (done.returncode, counts(done.stdout)) == (1, "1 failed"), done.stdout
    assert re.search(r"#1 GET .*/nowhere -> unrouted 404", done.stdout), done.stdout
    assert "VerificationError" not in done.stdout


@pytest.mark.parametrize("runner", ["jest"], indirect=True)
def test_jest_runs_modules_of_the_language(recipe: Any, runner: str) -> None:
    """With Node's flag, tests that are ES modules use the package as one."""
    (recipe.folder / "module.test.mjs").write_text(MODULE, "utf-8")
    config = {"testMatch": ["**/module.test.mjs"], "globalSetup": "vertex-openai-emulator/setup"}
    (recipe.folder / "jest.config.js").write_text(f"module.exports = {json.dumps(config)}", "utf-8")
    done = run(recipe, runner, NODE_OPTIONS="--experimental-vm-modules")
    assert (done.returncode, counts(done.stdout)) == (0, "1 passed"), done.stdout


@pytest.mark.parametrize("runner", ["vitest"], indirect=True)
@pytest.mark.parametrize(
    ("names", "is_lib_checked"), [(["types.mts", "types.cts"], True), (["vitest_types.mts"], False)]
)
def test_types(recipe: Any, names: list[str], is_lib_checked: bool) -> None:
    """TypeScript takes what the package documents, for both kinds of modules, and refuses what it does not have.

    The declarations themselves are checked where those of Vitest, which have mistakes of their own, are not among them.
    """
    for name in names:
        shutil.copy(SOURCES / name, recipe.folder)
    options = {
        "strict": True,
        "noEmit": True,
        "target": "es2022",
        "module": "nodenext",
        "types": ["node"],
        "skipLibCheck": not is_lib_checked,
        "exactOptionalPropertyTypes": True,
    }
    (recipe.folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": names}), "utf-8")
    done = recipe.run("npx tsc --project tsconfig.json")
    assert (done.returncode, done.stdout) == (0, "")
