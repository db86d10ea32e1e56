"""Cassettes of VCR.py and HAR files as recordings, and files that are neither."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from emulator.cli.commands import main
from emulator.recording.recording import Recording, exchange_files

IMPORTS = Path(__file__).with_name("imports")
CASES = sorted(path for path in IMPORTS.iterdir() if path.suffix != ".txt")
STARTED = 1_769_860_800
"""When the files of these tests were changed last: the only time that a cassette has."""


def import_file(file: Path, folder: Path) -> Any:
    """Import a file into a folder."""
    return CliRunner().invoke(main, ["record", "--import", str(file), "--to", str(folder)], catch_exceptions=False)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_files_of_other_programs(case: Path, tmp_path: Path) -> None:
    """A file becomes the exchanges that stand beside it, without secrets."""
    copy = tmp_path / case.name
    copy.write_bytes(case.read_bytes())
    os.utime(copy, (STARTED, STARTED))
    done = import_file(copy, tmp_path / "out")
    assert done.exit_code == 0
    assert done.stderr.startswith("vertex-emulator: 2 exchanges recorded in ")
    assert done.stderr.endswith(("; not recorded: 1 to oauth2.googleapis.com\n", "; not recorded: 1 to example.com\n"))
    content = "---\n".join(path.read_text("utf-8") for path in exchange_files(tmp_path / "out"))
    for secret in ("secret-of-the-run", "blue-sky", "ada@corp", "key_of_the_run"):
        assert secret not in content
    expected = case.with_suffix(".txt")
    if os.environ.get("UPDATE_EXPECTED"):
        expected.write_text(content, "utf-8")
    assert content == expected.read_text("utf-8")


def har(**parts: Any) -> str:
    """A HAR file with one entry, of which some parts are others."""
    entry = {
        "startedDateTime": "2026-01-31T12:00:00Z",
        "request": {"method": "GET", "url": "https://aiplatform.googleapis.com/", "headers": []},
        "response": {"status": 200, "headers": [], "content": {"text": "x"}},
    }
    return json.dumps({"log": {"entries": [{**entry, **parts}]}})


def test_base64_of_a_cassette(tmp_path: Path) -> None:
    """A body that stands there as base64 is decoded."""
    request = {"method": "GET", "uri": "https://aiplatform.googleapis.com/"}
    response = {"status": 200, "body": {"base64_string": base64.b64encode(b"hello").decode()}}
    file = tmp_path / "cassette.json"
    file.write_text(json.dumps({"interactions": [{"request": request, "response": response}]}), "utf-8")
    assert import_file(file, tmp_path / "out").exit_code == 0
    assert Recording.read(tmp_path / "out").exchanges[0].answer.body == b"hello"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- a\n", 'FILE is neither a cassette of VCR.py, which has "interactions", nor a HAR file, which has a "log"'),
        ('{"a": 1}', 'FILE is neither a cassette of VCR.py, which has "interactions", nor a HAR file, which has a "log"'),
        ('{"a": 1', "FILE:1:8: the JSON cannot be read: Expecting ',' delimiter"),
        ("a: [", "FILE:2:1: the YAML cannot be read: did not find expected node content"),
        ("a: !!python/object:x y", "FILE:1:4: the YAML cannot be read: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object:x'"),
        ("interactions: {}", "FILE: its interaction list is a mapping, and should be a list"),
        ("interactions: [1]", "FILE: interaction 1 cannot be imported: it should be a mapping, and is 1"),
        ("interactions: [{request: {}}]", "FILE: interaction 1 cannot be imported: its response should be a mapping, and is missing"),
        ("interactions: [{request: {}, response: {}}]", "FILE: interaction 1 cannot be imported: its request has no method or no URL"),
        ("interactions: [{request: {method: GET, uri: 'https://aiplatform.googleapis.com/'}, response: {}}]", "FILE: interaction 1 cannot be imported: its status should be a number, and is missing"),
        ("interactions: []", "FILE has no exchange with Vertex AI, only none at all; nothing was imported"),
        (har(request={"method": "GET", "url": "https://example.com/"}), "FILE has no exchange with Vertex AI, only 1 to example.com; nothing was imported"),
        (har(startedDateTime=None), 'FILE: entry 1 cannot be imported: it has no "startedDateTime"'),
        (har(timings={"wait": "x"}), "FILE: entry 1 cannot be imported: its wait should be a number, and is a text"),
        (har(response={"status": 200, "headers": 1, "content": {}}), "FILE: entry 1 cannot be imported: its headers should be a list, and are 1"),
        (har(response={"status": 200, "content": {"encoding": "base64", "text": "?"}}), "FILE: entry 1 cannot be imported: the text of its response is not base64"),
        (har(response={"status": 200, "content": {"_file": "a"}}), "FILE: entry 1 cannot be imported: the body of its response is in another file; save the HAR file with its content embedded"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_imported(tmp_path: Path, content: str, message: str) -> None:
    """What cannot be read is said in one sentence with its place, and nothing is written."""
    file = tmp_path / "file"
    file.write_text(content, "utf-8")
    done = import_file(file, tmp_path / "out")
    assert (done.exit_code, done.stderr) == (1, f"vertex-emulator: {message.replace('FILE', str(file))}\n")
    assert not (tmp_path / "out").exists()
