"""The schema in an editor: completion, hover texts and marks, as yaml-language-server gives them."""

import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "node"
PACKAGE = "yaml-language-server@2"

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node and npm")


@dataclass
class Editor:
    """As much of an editor as the language server needs: it speaks the protocol over two pipes and waits for answers."""

    to_server: IO[bytes]
    from_server: IO[bytes]
    marks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def send(self, **message: Any) -> None:
        """Write one message."""
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.to_server.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.to_server.flush()

    def receive(self) -> dict[str, Any]:
        """Read the next message; keep marks, answer what the server asks of an editor."""
        length = 0
        while line := self.from_server.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        message = json.loads(self.from_server.read(length))
        assert isinstance(message, dict)
        if message.get("method") == "textDocument/publishDiagnostics":
            self.marks[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "id" in message and "method" in message:
            asked = message["params"]
            settings = [None] * len(asked["items"]) if message["method"] == "workspace/configuration" else None
            self.send(id=message["id"], result=settings)
        return message

    def ask(self, method: str, **params: Any) -> Any:
        """Send a request and return its result."""
        number = next(self.numbers)
        self.send(id=number, method=method, params=params)
        while True:
            message = self.receive()
            if message.get("id") == number and "method" not in message:
                return message["result"]

    def open(self, name: str, text: str) -> str:
        """Open a file that names the schema, beside the scenarios; return its address."""
        uri = (ROOT / "scenarios" / name).as_uri()
        schema = (ROOT / "scenarios" / "scenario.schema.json").as_uri()
        document = {
            "uri": uri,
            "languageId": "yaml",
            "version": 1,
            "text": f"# yaml-language-server: $schema={schema}\n{text}",
        }
        self.send(method="textDocument/didOpen", params={"textDocument": document})
        return uri

    def at(self, method: str, name: str, text: str) -> Any:
        """Ask about the place in a text that `|` marks."""
        line, column = next((number, row.index("|")) for number, row in enumerate(text.splitlines()) if "|" in row)
        uri = self.open(name, text.replace("|", ""))
        return self.ask(
            f"textDocument/{method}", textDocument={"uri": uri}, position={"line": line + 1, "character": column}
        )

    def find_marks(self, name: str, text: str) -> list[tuple[int, str]]:
        """The line (of the text, from 1) and message of each mark."""
        uri = self.open(name, text)
        while uri not in self.marks:
            self.receive()
        return [(mark["range"]["start"]["line"], mark["message"]) for mark in self.marks[uri]]


@pytest.fixture(scope="session")
def editor() -> Iterator[Editor]:
    """Install the language server once into the cache, and start it."""
    program = CACHE / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
    if not program.exists():
        install = ["npm", "install", "--prefix", str(CACHE), "--no-audit", "--no-fund", "--silent", PACKAGE]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"{PACKAGE} cannot be installed here: {done.stderr.strip()[-200:]}")
    with subprocess.Popen(["node", program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        editor = Editor(server.stdin, server.stdout)
        abilities = {
            "workspace": {"configuration": True},
            "textDocument": {"completion": {"completionItem": {"snippetSupport": True}}, "publishDiagnostics": {}},
        }
        editor.ask("initialize", processId=None, rootUri=ROOT.as_uri(), capabilities=abilities)
        editor.send(method="initialized", params={})
        yield editor
        editor.ask("shutdown")
        editor.send(method="exit", params={})


def labels(completion: Any) -> set[str]:
    """The labels of a completion's items."""
    return {item["label"] for item in completion["items"]}


def test_completes_conditions(editor: Editor) -> None:
    """Inside `when` the conditions are offered, with their meaning."""
    offered = editor.at("completion", "when.yaml", "rules:\n  - name: a\n    when:\n      |\n    reply: hi\n")
    assert {"last_user", "model", "after_tool", "not", "any"} <= labels(offered)
    assert "last_user" in {
        item["label"] for item in offered["items"] if "last user message" in str(item.get("documentation"))
    }


def test_completes_keys_of_a_rule(editor: Editor) -> None:
    """In a rule its keys are offered, answers of both kinds among them."""
    offered = editor.at("completion", "rule.yaml", "rules:\n  - name: a\n    |\n")
    assert {"when", "reply", "sequence", "times", "usage"} <= labels(offered)


def test_completes_steps(editor: Editor) -> None:
    """A new step of a reply is offered by its verb."""
    offered = editor.at("completion", "steps.yaml", "rules:\n  - reply:\n      - say: Hello\n      - |\n")
    assert {"say", "think", "call", "json", "image", "audio", "fail", "raw"} <= labels(offered)


def test_completes_accepted_values(editor: Editor) -> None:
    """Where only some values are accepted, they are offered."""
    offered = editor.at("completion", "values.yaml", "rules:\n  - sequence: [a]\n    then: |\n")
    assert {"repeat", "loop", "exhaust"} <= labels(offered)


@pytest.mark.parametrize(
    ("text", "name", "meaning"),
    [
        ("rules:\n  - reply:\n      fail: |\n", "resource_exhausted", "429 RESOURCE_EXHAUSTED"),
        ("rules:\n  - reply: a\n    fault: |\n", "reset_mid_stream", "reset in the middle"),
        ("rules:\n  - reply: a\n    quirks:\n      - |\n", "raw_newlines", "line"),
        ("rules:\n  - reply: a\n    pace: |\n", "slow-train", "a bad line"),
        ("rules:\n  - reply: a\n    finish: |\n", "content_filter", "filter"),
    ],
)
def test_completes_names_with_their_texts(editor: Editor, text: str, name: str, meaning: str) -> None:
    """Names of errors, faults, quirks, paces and finish reasons are offered with what they stand for."""
    offered = editor.at("completion", f"{name}.yaml", text)
    (item,) = (item for item in offered["items"] if item["label"] == name)
    assert meaning in json.dumps(item["documentation"])


def test_hover_tells_the_meaning(editor: Editor) -> None:
    """The reference of a key is shown when the pointer is on it."""
    hover = editor.at("hover", "hover.yaml", "rules:\n  - when:\n      last_|user: weather\n    reply: hi\n")
    assert "The text of the last user message." in hover["contents"]["value"]


def test_misspelt_key_is_marked(editor: Editor) -> None:
    """A misspelt key is marked on its line."""
    marks = editor.find_marks("misspelt.yaml", "rules:\n  - when:\n      last_usr: weather\n    reply: hi\n")
    assert [line for line, _ in marks] == [3]
    assert "last_usr" in marks[0][1]


def test_good_scenario_is_not_marked(editor: Editor) -> None:
    """What the reader accepts the editor accepts: short and long forms, numbers as text."""
    text = """\
scenario: good
seed: 7
rules:
  - when: {turn: 2, project: 123, tools: [a, {glob: b*}], header: {x-a: true}, last: [tool, function]}
    reply:
      - {think: Hm., chunks: {size: 3}}
      - {call: f, with: {x: 1}}
      - {json: {a: [1]}}
      - {fail: 429}
    usage: {prompt: 3}
  - sequence: [one, {say: two}, [{fail: UNAVAILABLE}]]
    then: loop
  - reply: {say: [a, b]}
  - {when: {last_user: [a, {regex: b}]}, reply: {one_of: [a, {weight: 2, reply: {fail: "{{ x }}"}}]}, finish: other}
x-mine: {anything: 1}
include: [a.yaml]
"""
    assert editor.find_marks("good.yaml", text) == []
