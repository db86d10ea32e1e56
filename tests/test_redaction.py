"""Redaction and clean lines: secrets planted anywhere never show, ordinary content stays, and what is shown is one short line."""

import json
import string
import time
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic_core import from_json

from emulator.redaction import (
    MAX_HOST,
    REDACTED,
    clean_host,
    clean_line,
    is_secret_field,
    redact,
    redact_answer,
    redact_json,
    redact_raw,
    redact_request,
)
from emulator.wire.json_text import dump

BASE64 = st.text(string.ascii_letters + string.digits + "+/", min_size=24, max_size=60)
WORD = st.text(string.ascii_letters + string.digits + "_-", min_size=24, max_size=60)
STARTS = st.sampled_from(["ya29.", "1//", "AIza", "GOCSPX-", "sk-7", "eyJhbGciOi.eyJpc3MiOi."])
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n{}\n-----END RSA PRIVATE KEY-----\n"
SECRETS = st.one_of(
    st.builds(lambda start, word: (start + word, word[-20:]), STARTS, WORD),
    st.builds(lambda word: (PEM.format(word), word[-20:]), BASE64),
)
"""Secrets, each with a part of it that must not show."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()).map("n{}".format), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "text",
    [
        "risk-management-2024-plan-for-all",
        "sk-learn and sk-estimator-checks",
        "heyJohnny.Williams said so",
        "see http://x.test/1//abc",
        "data:image/png;base64,iVBOR1//" + "Ab1+" * 40,
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
        "the password is in the key: value store, api key or not",
        "ya29 is a prefix",
    ],
)
def test_ordinary_texts_stay(text: str) -> None:
    """What users write about keys, words that begin like one, pictures and public keys are no secrets."""
    assert redact(text) == text
    assert redact_json({"messages": [{"role": "user", "content": text}]}) == {
        "messages": [{"role": "user", "content": text}]
    }


@given(
    SECRETS,
    st.sampled_from(["", "Bearer ", "key=", "/", "\n", '"', "(", "é "]),
    st.sampled_from(["", "\n", '"', "&a=b"]),
)
def test_secrets_are_known_by_their_value(planted: tuple[str, str], before: str, after: str) -> None:
    """Wherever they stand in a text, also in one of JSON or where lines are cut."""
    secret, part = planted
    text = before + secret + after
    assert part not in redact(text)
    assert part not in redact(json.dumps(text))
    assert part not in redact(dump({"a": f"\n{secret}", "b": f"\x1b{secret}"}).decode())
    assert part not in clean_line("x " * 990 + text)


@given(
    SECRETS,
    JSON,
    st.sampled_from(["api_key", "Api-Key", "x-goog-api-key", "client_secret", "refreshToken", "password"]),
)
def test_secrets_never_show_in_json(planted: tuple[str, str], value: Any, place: str) -> None:
    """By value as a text, as a name and inside of others; by place whatever they look like, at any depth."""
    secret, part = planted
    assume(part not in dump(value).decode())
    body = {"a": [value, {secret: value}, [f"so {secret}"]], place: "plain1", "b": {place: ["plain2", {"c": "plain3"}]}}
    shown = dump(redact_json(body)).decode()
    assert part not in shown
    assert not any(f'"plain{number}"' in shown for number in (1, 2, 3))


def test_a_schema_keeps_the_arguments_it_describes() -> None:
    """The property `password` of a tool is no password."""
    tool = {
        "parameters": {"type": "object", "properties": {"password": {"type": "string", "description": "of the user"}}}
    }
    assert redact_json(tool) == tool
    assert redact_json({"password": {"a": "hush", "b": 1, "c": None, "d": True}}) == {
        "password": {"a": REDACTED, "b": REDACTED, "c": None, "d": True}
    }


@given(JSON)
def test_json_without_secrets_stays(value: Any) -> None:
    """Redaction changes nothing else."""
    assert dump(redact_json({"value": value})) == dump({"value": value})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("client_secret:hush1234", f"client_secret:{REDACTED}"),
        ('{"api_key": "hush1234", "x": 1', f'{{"api_key": "{REDACTED}", "x": 1'),
        (r"{\"refresh_token\": \"hush1234\"", rf"{{\"refresh_token\": \"{REDACTED}\""),
        ("Authorization: Bearer hush1234", f"Authorization: Bearer {REDACTED}"),
        ("GET /v1?alt=sse&key=hush1234&a=b", f"GET /v1?alt=sse&key={REDACTED}&a=b"),
        ("the key: open", "the key: open"),
    ],
)
def test_secrets_behind_names_in_any_syntax(text: str, shown: str) -> None:
    """A body that is not JSON is searched for the names of secret fields."""
    assert redact_raw(text) == shown


@pytest.mark.parametrize("name", ["authorization", "X-Goog-Api-Key", "api_key", "apiKey", "client-secret", "cookie"])
def test_names_of_secrets(name: str) -> None:
    """Case and separators do not matter."""
    assert is_secret_field(name)


@pytest.mark.parametrize("name", ["max_tokens", "key", "token_type", "secretary", "thought_signature", "tokens", ""])
def test_other_names(name: str) -> None:
    """Names that only contain a word of these are no secrets'."""
    assert not is_secret_field(name)


@given(st.text(st.characters()), st.integers(10, 200))
def test_a_clean_line_is_one_short_line(text: str, limit: int) -> None:
    """It has no control character, line separator, half character or change of direction, and survives every encoding and JSON."""
    line = clean_line(text, limit)
    assert len(line) <= 6 * limit
    assert len(line.splitlines()) <= 1
    assert not any(char in line for char in "\x00\x1b\x7f\x85\x9b\u2028\u202e\u2066")
    assert json.loads(json.dumps(line)) == line
    line.encode()


def test_long_lines_are_cut() -> None:
    """A line of megabytes costs no more than a short one."""
    started = time.perf_counter()
    line = clean_line("eyJ" * 3_000_000, 100)
    assert (len(line), line[-1]) == (100, "…")
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "part", ["eyJ", "eyJaaaaaa.eyJ", "sk-a", "\\nsk-", "1//", "-----BEGIN PRIVATE KEY-----", "AQ.", "a: password", "x"]
)
def test_redaction_takes_linear_time(part: str) -> None:
    """Megabytes of what begins like a secret are searched within seconds."""
    started = time.perf_counter()
    redact(part * (2_000_000 // len(part)))
    redact_raw(part * (100_000 // len(part)))
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("us-central1-aiplatform.googleapis.com", "us-central1-aiplatform.googleapis.com"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("[::1]:1", "[::1]:1"),
        ("user:hush@localhost:1", f"{REDACTED}@localhost:1"),
        ("hush@a@b", f"{REDACTED}@b"),
        ("ya29.c.hushhush", REDACTED),
        ("a\x1b[0m", "a\\u001b[0m"),
        ("", ""),
    ],
)
def test_hosts(host: str, shown: str) -> None:
    """A host is kept without user-info, on one line."""
    assert clean_host(host) == shown
    assert len(clean_host("h" * 60_000)) <= MAX_HOST


def test_token_requests_keep_public_fields_only() -> None:
    """The values of all other fields are redacted, and tokens even in public ones."""
    fields = {
        "grant_type": "refresh_token",
        "client_id": "id",
        "client_secret": "GOCSPX-very-secret",
        "refresh_token": "1//0secret",
        "assertion": "eyJhbGciOi.eyJpc3MiOi.c2lnbmF0dXJl",
        "scope": "openid ya29.c.b0secret",
        "audience": "eyJhbGciOi.eyJpc3MiOi.c2lnbmF0dXJl",
        "unheard_of": {"deep": "secret"},
        "delegates": ["a", {"b": "secret"}],
        "lifetime": None,
        "token": "",
    }
    assert redact_request(fields) == {
        "grant_type": "refresh_token",
        "client_id": "id",
        "client_secret": REDACTED,
        "refresh_token": REDACTED,
        "assertion": REDACTED,
        "scope": f"openid {REDACTED}",
        "audience": REDACTED,
        "unheard_of": REDACTED,
        "delegates": ["a", REDACTED],
        "lifetime": None,
        "token": "",
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"eyJhbGciOi.eyJpc3MiOi.SECRET": ""},
        {"1//SECRETabcdefghijklmnopqrst": ""},
        {"client_secret:SECRET23abcdefghijklmnop": ""},
        {"SECRET23abcdefghijklmnop": "="},
        {"client_id": {"a": "SECRET27abcdefghijklmnop"}},
        {"scope": [["SECRET27abcdefghijklmnop"]], "error": {"a": "SECRET"}},
    ],
)
def test_secrets_that_stand_as_names(fields: dict[str, Any]) -> None:
    """A body that is no form is read as the name of a field; an object where a text belongs may hold anything."""
    assert "SECRET" not in json.dumps(redact_request(fields))


def test_errors_of_answers_stay_readable() -> None:
    """The error object of an API is kept."""
    error = {"error": {"code": 401, "message": "no", "details": [{"reason": "CREDENTIALS_MISSING"}]}}
    assert redact_answer(error) == error
    assert redact_answer({"access_token": "ya29.x", "expires_in": 1}) == {"access_token": REDACTED, "expires_in": 1}


@given(JSON)
def test_dumped_json_is_read_by_every_parser(value: Any) -> None:
    """Numbers without end, NaN and halves of characters included; nothing else changes."""
    for infinite in ("null", "strings"):
        written = dump(value, infinite=infinite)

        def refuse(constant: str) -> None:
            raise AssertionError(constant)

        json.loads(written, parse_constant=refuse)
        assert dump(from_json(written, allow_inf_nan=False)) == written


def test_what_json_has_no_text_for() -> None:
    """Numbers that are not finite become texts in records and null on the wire; half characters become U+FFFD."""
    assert dump({"a": float("inf"), "b": float("nan")}, infinite="strings") == b'{"a":"Infinity","b":"NaN"}'
    assert dump([float("-inf")]) == b"[null]"
    assert dump({"\ud800": ("a\udc00", "\ud83d\ude00")}).decode() == '{"\ufffd":["a\ufffd","😀"]}'
