"""Parsing of request bodies."""

import contextlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from emulator.wire.requests import (
    CHAT_REQUEST,
    MAX_VALUES,
    VERY_LARGE_BODY,
    MalformedRequestError,
    ParsedOptions,
    count_values,
    google_options,
    parse_request,
    parse_shape,
    read_request,
    write_place,
)

DOCUMENTED_STYLE = rb"""{ \
  "model": "google/gemini-2.0-flash-001", \
  "messages": [{ "role": "user", \
    "content": "a\\b" }] }"""


def test_unknown_keys_are_kept() -> None:
    """Unknown keys stay in the request."""
    body = {"model": "m", "user": "u", "messages": [{"role": "user", "content": "x", "odd": 1}], "logit_bias": {"1": 2}}
    assert read_request(json.dumps(body).encode()) == body


@pytest.mark.parametrize(
    "content",
    [
        None,
        "text",
        [{"type": "text", "text": "x"}],
        [{"type": "image_url", "image_url": "gs://b/x.jpg"}],
        [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}],
        [{"type": "input_audio", "input_audio": {"format": "audio/mp3", "data": "gs://b/x.mp3"}}],
        [{"type": "file", "file": {"file_id": "x"}}],
        [{"type": "text", "text": "x", "extra_content": {"google": {"thought": True}}}],
    ],
)
def test_every_content_form_is_read(content: Any) -> None:
    """All documented forms of content pass, and unknown parts too."""
    body = {"messages": [{"role": "user", "content": content}]}
    assert read_request(json.dumps(body).encode()) == body


def test_null_means_absent() -> None:
    """Null values of optional keys are accepted."""
    body = b'{"model":null,"messages":null,"n":null,"stream":null,"tools":null,"stop":null,"extra_body":null}'
    assert read_request(body)["n"] is None


def test_backslashes_before_line_ends_are_dropped_with_a_warning() -> None:
    """The documented curl samples send such bodies; backslashes inside strings stay."""
    parsed, _ = parse_request(DOCUMENTED_STYLE, ParsedOptions)
    assert parsed.request["messages"] == [{"role": "user", "content": "a\\b"}]
    assert parsed.warnings
    assert read_request(DOCUMENTED_STYLE.replace(b"\n", b"\r\n")) == parsed.request


def test_strict_json_names_the_line() -> None:
    """With --strict-json the same body is refused with its place."""
    with pytest.raises(MalformedRequestError) as caught:
        parse_request(DOCUMENTED_STYLE, ParsedOptions, strict_json=True)
    assert "line 1, column 3" in caught.value.explanation


def test_whole_numbers_may_have_a_point() -> None:
    """Programs in JavaScript, Lua or YAML do not tell 1.0 from 1; anything but a whole number is still refused."""
    body = b'{"model": "m", "n": 1.0, "max_tokens": 1e2, "max_completion_tokens": 5.0, "seed": -7.0, "messages": []}'
    read = read_request(body)
    written = [read.get(name) for name in ("n", "max_tokens", "max_completion_tokens", "seed")]
    assert written == [1, 100, 5, -7]
    assert {type(value) for value in written} == {int}
    for wrong in (b"1.5", b"true", b'"1"', b"[1.0]"):
        with pytest.raises(MalformedRequestError, match=r"n is .*; expected an integer"):
            read_request(b'{"n": %b}' % wrong)


def test_a_truncated_body_is_reported_as_such() -> None:
    """A truncated body gets another explanation than invalid JSON."""
    with pytest.raises(MalformedRequestError, match=r"ends at line 1, .* cut short by the shell"):
        read_request(b'{"messages": [{"content": "e.g., green')
    with pytest.raises(MalformedRequestError, match="not JSON at line 1, column 2"):
        read_request(b"{]")


@pytest.mark.parametrize(
    ("body", "explanation"),
    [
        ({"temperature": "hot"}, "temperature is a string; expected a number"),
        ({"n": "1"}, "n is a string; expected an integer"),
        ({"n": 1.5}, "n is a number; expected an integer"),
        ({"stream": "yes"}, "stream is a string; expected a boolean"),
        ({"messages": "hi"}, "messages is a string; expected a list"),
        ({"messages": ["hi"]}, "messages[0] is a string; expected an object"),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages[0].content is a number; expected a string or a list",
        ),
        ({"stop": 5}, "stop is a number; expected a string or a list"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}]},
            "messages[0].tool_calls[0].function.arguments is an object; expected a string",
        ),
        ([], "the body is a list; expected an object"),
    ],
)
def test_wrong_types_name_the_place(body: Any, explanation: str) -> None:
    """A value of the wrong type is refused with its place, what it is and what was expected."""
    with pytest.raises(MalformedRequestError) as caught:
        read_request(json.dumps(body).encode())
    assert caught.value.explanation == explanation
    assert caught.value.is_json


@given(st.one_of(st.binary(), st.text().map(str.encode), st.from_regex(rb'[{}\[\]",:\\\n 0-9a-z]*', fullmatch=True)))
def test_no_bytes_make_any_other_error(body: bytes) -> None:
    """Any bytes are either parsed or raise MalformedRequestError."""
    with contextlib.suppress(MalformedRequestError):
        read_request(body)


def test_top_level_google_is_an_alias_below_extra_body() -> None:
    """`extra_body.google` wins over a top-level `google`."""
    request = read_request(b'{"google":{"a":1,"b":1},"extra_body":{"google":{"a":2}}}')
    assert google_options(request) == {"a": 2, "b": 1}
    assert google_options({}) == {}


def test_places_are_formatted() -> None:
    """Keys are joined by dots, numbers stand in brackets."""
    assert write_place(("messages", 3, "tool_calls", 0)) == "messages[3].tool_calls[0]"


_TEXTS = st.sampled_from(["", "hi", "größer", "user"])
_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, 1, True, 1.5, [], {}, ["role", "content"], [{"type": "text", "text": "x"}], "user"]
)
_MESSAGES = st.one_of(
    st.fixed_dictionaries({"role": _TEXTS, "content": _TEXTS}),
    st.dictionaries(st.sampled_from(["content", "role", "name", "tool_calls", "odd"]), _TEXTS | _ODD, max_size=3),
    _ODD,
)
_BESIDE = st.dictionaries(
    st.sampled_from(["model", "temperature", "stream", "n", "odd", "stop", "extra_body"]), _TEXTS | _ODD, max_size=3
)


@given(
    before=_BESIDE,
    messages=st.lists(_MESSAGES, max_size=3)
    | st.lists(_MESSAGES, max_size=1).map(lambda some: some[0] if some else ""),
    after=_BESIDE,
)
def test_parsing_equals_full_validation(before: dict[str, Any], messages: Any, after: dict[str, Any]) -> None:
    """For plain and other messages and any key order: the same values in the same order, or the same refusal."""
    body = json.dumps({**before, "messages": messages, **after}).encode()
    try:
        expected, refused = parse_shape(CHAT_REQUEST, body)[0], ""
    except MalformedRequestError as error:
        expected, refused = {}, str(error)
    if refused:
        with pytest.raises(MalformedRequestError) as caught:
            read_request(body)
        assert str(caught.value) == refused
        return
    parsed, _ = parse_request(body, ParsedOptions)
    assert json.dumps(parsed.request) == json.dumps(expected)
    if parsed.plain is not None:
        roles, texts = parsed.plain
        assert texts == [message["content"] for message in parsed.request["messages"] or ()]
        assert roles == {message["role"] for message in parsed.request["messages"] or ()}


def test_long_conversations_parse_alike_with_and_without_tool_calls() -> None:
    """The result equals full validation, wherever in the body a tool call is."""
    said: list[Any] = [{"role": "user", "content": "x" * 500}, {"role": "assistant", "content": "y" * 500}] * 20
    call = {"tool_calls": [{"function": {"arguments": "{}", "name": "f"}, "id": "1"}], "role": "assistant"}
    result = {"content": "1", "tool_call_id": "1", "role": "tool"}
    for messages in (said, [*said, call, result], [said[0], call, result, *said]):
        body = json.dumps({"temperature": 1, "messages": messages, "model": "m"}).encode()
        parsed, options = parse_request(body, ParsedOptions)
        assert json.dumps(parsed.request) == json.dumps(parse_shape(CHAT_REQUEST, body)[0])
        assert (parsed.plain is None) is (call in messages)
        assert json.loads(options.json) == {"temperature": 1, "messages": None, "model": "m"}


def test_requests_with_shared_options_do_not_share_mutable_values() -> None:
    """Changing a key of one request does not change the next."""
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
    first = read_request(body)
    first["model"], first["messages"] = "n", None
    assert read_request(body) == {"model": "m", "messages": [{"role": "user", "content": "x"}]}


@given(st.lists(st.sampled_from([b"\\", b"\n", b"\r", b"\r\n", b" ", b"a", b'"']), max_size=30))
def test_exactly_the_backslash_before_a_line_end_is_dropped(parts: list[bytes]) -> None:
    """As by a search for backslashes that a line end follows, in whatever order they stand."""
    body = b'{"model": "x", ' + b"".join(parts) + b'"n": 1}'
    reference = re.sub(rb"\\(?=\r?\n)", b"", body)
    try:
        expected = read_request(reference)
    except MalformedRequestError:
        with pytest.raises(MalformedRequestError):
            read_request(body)
    else:
        assert read_request(body) == expected


@pytest.mark.parametrize(
    ("item", "place"),
    [
        ('{"messages": [{"role": "user", "content": "a"}, %s]}', "messages[1]"),
        ('{"messages": [{"content": [{"text": "a"}, %s]}]}', "messages[0].content[1]"),
        ('{"messages": [{"tool_calls": [{"id": "a"}, %s]}]}', "messages[0].tool_calls[1]"),
        ('{"tools": [{"type": "function"}, %s]}', "tools[1]"),
        ('{"functions": [{"name": "f"}, %s]}', "functions[1]"),
        ('{"stop": ["a", %s]}', "stop[1]"),
        ('{"modalities": ["a", %s]}', "modalities[1]"),
    ],
)
def test_a_list_is_read_up_to_its_first_wrong_item(item: str, place: str) -> None:
    """A million wrong items cost no more than one, and the report is the same."""

    def count_errors(number: int) -> int:
        body = (item % ", ".join(["1"] * number)).encode()
        with pytest.raises(ValidationError) as found:
            CHAT_REQUEST.validator.validate_json(body)
        with pytest.raises(MalformedRequestError) as malformed:
            read_request(body)
        assert malformed.value.place == place
        return found.value.error_count()

    assert count_errors(1000) == count_errors(1)


TEXTS = st.text(st.sampled_from('a"\\,[{\n\u00e9'), max_size=6)
VALUES = st.recursive(
    TEXTS | st.integers(-3, 3) | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
)


def _count(value: Any) -> int:
    """The containers of a value, and the items and fields behind the first of each."""
    if not isinstance(value, list | dict):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(len(value) - 1, 0) + sum(map(_count, inner))


@given(VALUES, st.integers(0, 40))
def test_values_are_counted_outside_of_texts(value: Any, padding: int) -> None:
    """Whatever stands in texts, and wherever the pieces end that are counted one by one."""
    body = b" " * (1024 * 1024 - padding) + json.dumps(value).encode()
    assert count_values(body) == _count(value)


@pytest.mark.parametrize("run", [b"\\" * 3_000_001, b"\\\\" * 1_048_577, b"x" * 1_048_575 + b'\\"'])
def test_escapes_at_the_end_of_a_piece_are_not_cut(run: bytes) -> None:
    """A quote behind an odd number of backslashes ends nothing."""
    body = b'["' + (run if not run.endswith(b"\\") or len(run) % 2 == 0 else run + b"\\") + b'", 1]'
    assert count_values(body) == 2


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
LARGE = {
    "model": "google/gemini-2.5-flash",
    "n": 1.0,
    "temperature": 1,
    "unknown": {"b": [1, None], "a": 1e999},
    "messages": [
        {"content": "Hi", "role": "user"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": [{"text": "x", "type": "text"}]},
        {"role": "user", "content": "x" * VERY_LARGE_BODY},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
}


def test_a_very_large_body_is_read_like_any_other() -> None:
    """The same values in the same order."""
    body = json.dumps(LARGE).replace("Infinity", "1e999").encode()
    found, expected = parse_shape(CHAT_REQUEST, body)[0], CHAT_REQUEST.validator.validate_json(body)
    assert json.dumps(found) == json.dumps(expected)
    assert read_request(body) == expected


@pytest.mark.parametrize(
    ("body", "explanation"),
    [
        (b'{"messages": [{"role": "user"}, {"role": 2}]', "messages[1].role is a number; expected a string"),
        (
            b'{"messages": [{"role": "user", "content": [{"type": "text"}, {"type": []}]}]',
            "messages[0].content[1].type is a list; expected a string",
        ),
        (b'{"tools": [{}, 3]', "tools[1] is a number; expected an object"),
        (b'{"x":\n\n1 2', "not JSON at line 3, column 3: expected `,` or `}`"),
        (b'{"x": NaN', "not JSON at line 1, column 7: expected value"),
    ],
)
def test_a_very_large_body_is_refused_like_any_other(body: bytes, explanation: str) -> None:
    """With the same place and words."""
    explanations = []
    for more in (b', "y": 1}', b', "y": "' + b"y" * VERY_LARGE_BODY + b'"}'):
        with pytest.raises(MalformedRequestError) as refused:
            parse_shape(CHAT_REQUEST, body + more)
        explanations.append(refused.value.explanation)
    assert explanations == [explanation] * 2


def test_a_body_of_too_many_values_is_refused_before_it_is_read() -> None:
    """Millions of values take much more memory and time than their bytes."""
    few, many = (b'{"x": [' + b"1," * count + b"1]}" for count in (MAX_VALUES - 2, MAX_VALUES - 1))
    assert len(parse_shape(CHAT_REQUEST, few)[0]["x"]) == MAX_VALUES - 1  # type: ignore[typeddict-item]  # an unknown key
    with pytest.raises(MalformedRequestError, match=f"more than {MAX_VALUES:,} values") as refused:
        parse_shape(CHAT_REQUEST, many)
    assert refused.value.is_json
