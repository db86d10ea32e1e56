"""Recordings on disk: what is written is read again, byte for byte; files are whole; mistakes have their place."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.errors import StartError
from emulator.recording.recording import (
    MANIFEST,
    Frame,
    Manifest,
    RecordedAnswer,
    RecordedExchange,
    RecordedRequest,
    Recording,
    is_recording,
    read_exchange,
    write_exchange,
    write_manifest,
)

STARTED = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
MANIFEST_OF_TESTS = Manifest("vertex-emulator 1", STARTED, "http://127.0.0.1:1", {"project": 2})

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
layouts = st.fixed_dictionaries(
    {
        "separators": st.sampled_from([(",", ":"), (", ", ": "), (",", ": ")]),
        "ensure_ascii": st.just(True),
        "indent": st.none() | st.integers(0, 3),
    }
)
json_bodies = st.builds(lambda value, layout: json.dumps(value, **layout).encode(), values, layouts)
line_texts = st.lists(
    st.sampled_from(["", " ", "\t", "- a", "a: b", "  # no", "---", "'", '"\\', "\x85", "\r", "é", "😀"])
)
bodies = (
    st.binary(max_size=60)
    | texts.map(str.encode)
    | json_bodies
    | line_texts.map(lambda lines: "\n".join(lines).encode())
)
times = st.integers(0, 10**9).map(lambda microseconds: microseconds / 1e6)
headers = st.lists(st.tuples(st.sampled_from(["content-type", "x-goog-y"]), texts), max_size=3).map(tuple)
exchanges = st.builds(
    RecordedExchange,
    st.integers(1, 99999),
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # the strategy adds it
    st.builds(RecordedRequest, st.sampled_from(["GET", "POST"]), texts, texts, texts, headers, bodies),
    st.builds(
        RecordedAnswer,
        st.integers(0, 599),
        headers,
        times,
        st.lists(st.builds(Frame, times, bodies), max_size=4).map(tuple),
        st.sampled_from(["complete", "cut", "left", "unreachable"]),
        times,
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(exchange=exchanges)
def test_what_is_written_is_read_again(tmp_path: Path, exchange: RecordedExchange) -> None:
    """Every exchange comes back as it was: bodies byte for byte, times to the microsecond; and any YAML reader can read it."""
    path = write_exchange(tmp_path, exchange)
    read = read_exchange(path)
    assert (read.number, read.started, read.request) == (exchange.number, exchange.started, exchange.request)
    assert (read.answer.status, read.answer.headers, read.answer.end) == (
        exchange.answer.status,
        exchange.answer.headers,
        exchange.answer.end,
    )
    assert [frame.data for frame in read.answer.frames] == [frame.data for frame in exchange.answer.frames]
    for was, came in [
        (exchange.answer.head_at, read.answer.head_at),
        (exchange.answer.ended_at, read.answer.ended_at),
        *((was.at, came.at) for was, came in zip(exchange.answer.frames, read.answer.frames, strict=True)),
    ]:
        assert came == pytest.approx(was, abs=1e-6)
    assert yaml.safe_load(path.read_text("utf-8"))["number"] == exchange.number
    assert [each.name for each in tmp_path.iterdir() if each.suffix == ".tmp"] == []
    path.unlink()


def write(folder: Path, *numbers: int) -> None:
    """Write a recording with exchanges of these numbers."""
    folder.mkdir(exist_ok=True)
    write_manifest(folder, MANIFEST_OF_TESTS)
    for number in numbers:
        request = RecordedRequest("POST", "aiplatform.googleapis.com", f"/v1/{number}", "", (), b'{"a":[1,"\xc3\xa9"]}')
        frames = (Frame(0.0125, b'data: {"a":1}\n\n'), Frame(0.5, b"data: [DONE]\n\n"))
        answer = RecordedAnswer(200, (("content-type", "text/event-stream"),), 0.012, frames, "complete", 0.5)
        write_exchange(folder, RecordedExchange(number, STARTED, request, answer))


def test_a_person_can_read_it(tmp_path: Path) -> None:
    """JSON has indentation, a frame is a block."""
    write(tmp_path, 7)
    assert (tmp_path / "0007.yaml").read_text("utf-8") == Path(__file__).with_name("exchange.yaml").read_text("utf-8")
    assert (tmp_path / MANIFEST).read_text("utf-8").startswith("recording: 1\nwritten_by: vertex-emulator 1\n")


def test_exchanges_are_sorted_by_number(tmp_path: Path) -> None:
    """A recording has its exchanges in the order of their requests, also beyond four digits."""
    write(tmp_path, 10000, 2, 9999)
    recording = Recording.read(tmp_path)
    assert [each.number for each in recording.exchanges] == [2, 9999, 10000]
    assert recording.manifest == MANIFEST_OF_TESTS
    assert recording.exchanges[0].answer.body == b'data: {"a":1}\n\ndata: [DONE]\n\n'


def test_what_is_a_recording(tmp_path: Path) -> None:
    """A folder is a recording if it has a manifest."""
    assert not is_recording(tmp_path)
    write(tmp_path)
    assert is_recording(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("end: complete", "end: over", '0007.yaml:31: "end" is one of complete, cut, left, unreachable, not "over"'),
        ("  status: 200\n", "", '0007.yaml:17: "answer" has no "status"; if it was edited by hand, restore it or record again'),
        ("status: 200", "status: [200]", '0007.yaml:18: "status" is a text, not a list'),
        ("status: 200", "status: ok", '0007.yaml:18: "status" is a number, not "ok"'),
        ("head_at_ms: 12", "head_at_ms: -12", '0007.yaml:21: "head_at_ms" is a number, not "-12"'),
        ("started: 2026", "started: x2026", '0007.yaml:2: "started" is a time such as 2026-01-31T12:00:00Z, not "x2026-01-31T12:00:00.123456Z"'),
        ("layout: compact", "layout: nice", '0007.yaml:9: "layout" is one of compact, compact-ascii, spaced, spaced-ascii, not "nice"'),
        ("    {\n", "    {,\n", '0007.yaml:10: "json" is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)'),
        ("  host: aiplatform.googleapis.com", "  host: *a", "0007.yaml:5: no recording has aliases, or lists and mappings nested so deep"),
        ("request:", "request: [", "0007.yaml:5: the YAML cannot be read: did not find expected ',' or ']'"),
        ("", "", ""),
    ],
)  # fmt: skip
def test_mistakes_have_their_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    """What cannot be read is said in one sentence with file and line."""
    write(tmp_path, 7)
    path = tmp_path / "0007.yaml"
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    if not message:
        Recording.read(tmp_path)
        return
    with pytest.raises(StartError) as caught:
        Recording.read(tmp_path)
    assert str(caught.value) == f"{tmp_path}/{message}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty; restore it or record again"),
        ("[" * 9, "no recording has aliases, or lists and mappings nested so deep"),
        ("[" * 100_000, "the YAML cannot be read: exceeded maximum nesting depth"),
        ("- a\n", "the file is a mapping, not a list"),
        ("recording: 2\n", "the recording has format 2, and this version reads format 1"),
        ("recording: 1\nignor: []\n", 'recording.yaml:2: a recording has no "ignor"; did you mean "ignore"?'),
        (
            "recording: 1\n\0",
            "the YAML cannot be read: unacceptable character #x0000: control characters are not allowed",
        ),
    ],
)
def test_manifests_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    """A manifest that is something else is refused."""
    (tmp_path / MANIFEST).write_text(content, "utf-8")
    with pytest.raises(StartError) as caught:
        Recording.read(tmp_path)
    assert message in str(caught.value)


def test_two_files_with_one_number(tmp_path: Path) -> None:
    """A copied exchange is refused, because nobody knows which is meant."""
    write(tmp_path, 7)
    (tmp_path / "copy.yaml").write_bytes((tmp_path / "0007.yaml").read_bytes())
    with pytest.raises(StartError, match="exchange 7 is in another file of the recording too"):
        Recording.read(tmp_path)


def test_no_recording(tmp_path: Path) -> None:
    """A folder without a manifest cannot be read."""
    with pytest.raises(StartError, match=r"cannot read .*recording\.yaml: no such file or directory"):
        Recording.read(tmp_path)
