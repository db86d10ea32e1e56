"""What probes can expect: each kind of expectation, met and not met, and the difference that is told."""

import json
from typing import Any

import pytest

from emulator.recording.answers import Answer
from emulator.recording.attest.expectations import Expectation, check_value, find_differences
from emulator.recording.recording import Frame, RecordedAnswer
from emulator.recording.texts import fits_template, show_difference

JSON = (("content-type", "application/json; charset=UTF-8"),)
STREAM = (("content-type", "text/event-stream"),)
LEVEL = '[{\n  "error": {\n    "code": 400,\n    "message": "Thinking level is unsupported: THINKING_LEVEL_LOW",\n    "status": "INVALID_ARGUMENT"\n  }\n}\n]\n'
VALUES = {"MODEL_ID": "google/one", "LEVEL": "LOW"}


def answer(body: Any, status: int = 200, headers: Any = JSON) -> Answer:
    """An answer with a body of text or JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer(RecordedAnswer(status, headers, 0.0, (Frame(0.0, text.encode()),), "complete", 0.0))


def stream(*chunks: Any, end: str = "data: [DONE]\n\n") -> Answer:
    """A stream of chunks."""
    return answer("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end, headers=STREAM)


def call(number: int, arguments: str) -> Any:
    """A chunk with a fragment of a call."""
    part = {"id": f"call-{number}", "index": number, "function": {"name": "f", "arguments": arguments}}
    return {"choices": [{"delta": {"role": "assistant", "tool_calls": [part]}}]}


@pytest.mark.parametrize(
    ("expected", "found", "difference"),
    [
        ({}, answer({}), ""),
        ({}, answer(LEVEL, 400), "status: expected 200, found 400 thinking_level_unsupported: Thinking level is unsupported: THINKING_LEVEL_LOW"),
        ({"error": "thinking_level_unsupported"}, answer(LEVEL, 400), ""),
        ({"error": "thinking_level_unsupported"}, answer("<html>", 400), "body: expected an error object, found <html>"),
        (
            {"error": "thinking_level_unsupported"},
            answer(LEVEL.replace("LOW", "HIGH").replace("level is", "level was"), 400),
            'error.message: expected "Thinking level is unsupported: THINKING_LEVEL_LOW", found "Thinking level was unsupported: THINKING_LEVEL_HIGH"',
        ),
        ({"error": "missing_credentials"}, answer(LEVEL.replace("400", "401"), 401), 'error.status: expected "UNAUTHENTICATED", found "INVALID_ARGUMENT"'),
        ({"refusal": "INVALID_ARGUMENT", "shape": "array of one"}, answer(LEVEL, 400), ""),
        ({"refusal": "INVALID_ARGUMENT", "shape": "object"}, answer(LEVEL, 400), "shape of the error: expected a bare object, found an array of one"),
        ({"refusal": "NOT_FOUND"}, answer(LEVEL, 400), "error.status: expected NOT_FOUND, found 400 thinking_level_unsupported: Thinking level is unsupported: THINKING_LEVEL_LOW"),
        ({"headers": {"Content-Type": "application/json; charset=UTF-8", "alt-svc": "absent"}}, answer({}), ""),
        ({"headers": {"alt-svc": "present"}}, answer({}), "header alt-svc: expected such a key, found nothing"),
        ({"headers": {"vary": ["Origin"]}}, answer({}), 'header vary: expected ["Origin"], found []'),
        ({"body": {"model": {"is": "{MODEL_ID}"}}}, answer({"model": "google/one"}), ""),
        ({"body": {"choices.*.index": "integer"}}, answer({"choices": [{"index": 0}, {"index": "1"}]}), 'choices.1.index: expected integer, found "1"'),
        ({"body": {"choices.*.index": "integer"}}, answer({}), ""),
        ({"body": {"choices.0.index": "integer"}}, answer({}), "choices: expected integer, found nothing"),
        ({"body": {"a": "absent"}}, answer({"a": None}), "a: expected no such key, found null"),
        ({"body": {"a": "absent"}}, answer("words"), "body: expected a JSON object, found words"),
        ({"keys": {"": ["a", "b?"]}}, answer({"a": 1}), ""),
        ({"keys": {"": ["a", "b"]}}, answer({"b": 1, "a": 1}), "order of body: expected a, b, found b, a"),
        ({"keys": {"": ["a"]}}, answer({"a": 1, "c": 1}), "keys of body: expected a, found c too"),
        ({"sums": {"c": ["a", "b"]}}, answer({"a": 1, "c": 1}), ""),
        ({"sums": {"c": ["a", "b"]}}, answer({"a": 1, "b": 2, "c": 4}), "c: expected the sum of a, b (3), found 4"),
        ({"order": "alphabetical"}, answer({"a": {"c": 1, "b": 2}}), "order of body.a: expected alphabetical keys, found c before b"),
        ({"order": "alphabetical"}, stream({"a": 1, "b": 2}, {"b": 1, "a": 2}), "order of chunks.1: expected alphabetical keys, found b before a"),
        ({"time_id": True}, answer({"id": "bA-NacCPKoae_9MPsNCn6Qc", "created": 1770852204}), ""),
        ({"time_id": True}, answer({"id": "bA-NacCPKoae_9MPsNCn6Qc", "created": 1}), "id: expected the seconds of created, 1, found 1770852204"),
        ({"time_id": True}, answer({"id": "chatcmpl-1"}), 'id: expected base64 of seconds and three varints, found "chatcmpl-1"'),
        ({"complete": True}, stream({"choices": []}), ""),
        ({"complete": True}, stream({"choices": []}, end=""), 'end of the stream: expected [DONE], found data: {"choices": []}'),
        ({"complete": True}, answer("data: {}\r\n\r\ndata: [DONE]\r\n\r\n", headers=STREAM), r'events of the stream: expected "data: …\n\n" each, found "data: {}\r\n\r\ndata: [DONE]\r\n\r\n"'),
        ({"complete": True}, answer({}), 'header content-type: expected "text/event-stream", found "application/json; charset=UTF-8"'),
        ({"error_in_stream": "bare"}, stream({"choices": []}, end='{\n"error": {"code": 503}\n}\n'), ""),
        ({"error_in_stream": "bare"}, stream({"choices": []}, {"error": {"code": 503}}, end=""), "error in the stream: expected bare JSON without data:, found a data: event"),
        ({"body": {"joined.calls.*.arguments": "json"}}, stream(call(0, '{"a": '), call(1, "{"), call(0, "1}"), call(1, "}")), ""),
        ({"body": {"joined.calls.*.arguments": "json"}}, stream(call(0, "{")), 'joined.calls.0.arguments: expected JSON as text, found "{"'),
        ({"text": "a.*"}, answer("abc"), ""),
        ({"text": "a.*"}, answer("b"), "body: expected like a.*, found b"),
    ],
)  # fmt: skip
def test_differences(expected: Any, found: Answer, difference: str) -> None:
    """The smallest difference, or none."""
    differences = find_differences(Expectation.model_validate(expected), found, VALUES)
    assert [str(one) for one in differences[:1]] == ([difference] if difference else [])


@pytest.mark.parametrize(
    ("check", "fine", "wrong"),
    [
        ("text", "a", " "),
        ("string", "", 1),
        ("number", 1.5, True),
        ("boolean", False, 0),
        ("null", None, "null"),
        ("object", {}, []),
        ("list", [], {}),
        ("base64", "YQ==", "Y"),
        ("uuid4", "8b36824e-71b8-4f8f-b0d0-0b24b586dea9", "8b36824e-71b8-1f8f-b0d0-0b24b586dea9"),
        (1, 1, True),
        (None, None, 0),
        ({"like": "a.c"}, "abc", "abcd"),
        ({"unlike": ".*b.*"}, "ac", "abc"),
        ({"one_of": ["null", {"is": "a"}]}, "a", "b"),
        ({"at_least": 2}, 2, 1),
        ({"at_most": 2}, 2, 3),
        ({"length": 2}, [1, 2], [1]),
        ({"min_length": 2}, "abc", "a"),
    ],
)
def test_checks(check: Any, fine: Any, wrong: Any) -> None:
    """A value that passes, and one that does not."""
    assert check_value(check, fine, {}) is None
    assert check_value(check, wrong, {}) is not None


def test_texts_are_shown_where_they_differ() -> None:
    """What both have in common is left out, but for some characters."""
    old = f"{'a' * 80} one {'b' * 80}"
    assert show_difference(old, old.replace("one", "two")) == (
        f"…{'a' * 23} one {'b' * 23}…",
        f"…{'a' * 23} two {'b' * 23}…",
    )
    assert fits_template("{A} of {B}…", "1 of 2 and more", {"A": "1"})
    assert not fits_template("{A} of {B}", "1 of 2", {"A": "2"})
