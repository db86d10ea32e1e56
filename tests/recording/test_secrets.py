"""No secret of a run gets onto the disk, wherever it stood; everything else stays as it was, signatures to the byte."""

import base64
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.recording.recording import (
    Frame,
    Headers,
    RecordedAnswer,
    RecordedExchange,
    RecordedRequest,
    read_exchange,
    write_exchange,
)
from emulator.recording.secrets import Secrets, collapse

STARTED = datetime(2026, 1, 31, 12, tzinfo=UTC)
TOKEN = "ya29.a0-BEARER_of-the-run"
KEY = "AIzaSyD-key_of_the_run-0123456789ABCDEFG"
PROJECT = "blue-sky-4711"
NUMBER = "123456789012"
REFRESH = "1//0gRefresh-Token_of-the-run-123"
ACCOUNT = "ada.lovelace@corp.example.com"
SERVICE = "runner@blue-sky-4711.iam.gserviceaccount.com"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhZGEifQ.c2lnbmF0dXJl"
SECRETS = (TOKEN, KEY, PROJECT, NUMBER, REFRESH, ACCOUNT, SERVICE, JWT)
KNOWN = (TOKEN, KEY, PROJECT)
"""Those that the request itself shows; they are found wherever they stand, others where a word begins."""
SIGNATURE = base64.b64encode(b"\x01\x02" + bytes(range(200))).decode()
REQUEST_HEADERS: Headers = (
    ("authorization", f"Bearer {TOKEN}"),
    ("x-goog-api-key", KEY),
    ("content-type", "application/json"),
    ("x-custom", "anything"),
)
PATH = f"/v1/projects/{PROJECT}/locations/global/endpoints/openapi/chat/completions"


def exchange(
    *,
    path: str = PATH,
    query: str = "",
    headers: Headers = REQUEST_HEADERS,
    asked: bytes = b"",
    answered: Sequence[bytes] = (),
    answer_headers: Headers = (),
) -> RecordedExchange:
    """An exchange as it went over the wire."""
    request = RecordedRequest("POST", f"1.global-{NUMBER}.prediction.vertexai.goog", path, query, headers, asked)
    frames = tuple(Frame(number / 8, data) for number, data in enumerate(answered))
    return RecordedExchange(1, STARTED, request, RecordedAnswer(200, answer_headers, 0.1, frames, "complete", 9.0))


def redact(**parts: Any) -> RecordedExchange:
    """Redact an exchange alone."""
    return Secrets().redact(exchange(**parts))


def body(text: str) -> dict[str, Any]:
    """A request or an answer that has a text in several places."""
    arguments = json.dumps({"note": text, "list": [text]})
    return {
        "messages": [{"role": "user", "content": text}, {"content": [{"type": "text", "text": text}]}],
        "tool_calls": [{"function": {"arguments": arguments}, "extra": {"thought_signature": SIGNATURE}}],
        text: 1,
        "number": 1.50,
        "error": {"code": 403, "message": f"denied: {text}"},
    }


def escape_all(document: Any) -> str:
    """JSON in which every letter is an escape."""
    text = json.dumps(document)
    letters = re.compile(r'(\\u[0-9a-f]{4}|\\.)|([^\\"{}\[\]:, \n])')
    inside = re.split(r'("(?:[^"\\]|\\.)*")', text)
    return (
        "".join(
            letters.sub(lambda found: found[1] or f"\\u{ord(found[2]):04x}", part) if part.startswith('"') else part
            for part in inside
        )
        .replace(escaped("thought_signature"), "thought_signature")
        .replace(escaped(SIGNATURE), SIGNATURE)
    )


def escaped(text: str) -> str:
    """A text as `escape_all` writes it."""
    return "".join(f"\\u{ord(char):04x}" for char in text)


LAYOUTS: tuple[Any, ...] = (
    lambda document: json.dumps(document, separators=(",", ":")),
    lambda document: json.dumps(document, ensure_ascii=False),
    lambda document: json.dumps(document, indent=2),
    lambda document: json.dumps([document], indent=1).replace("/", "\\/"),
    escape_all,
)

filler = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
edges = st.sampled_from([" ", "\n", "\t", '"', "'", "(", "=", ": ", "<", "\\", "é", "密钥", "😀"])
planted = st.one_of(
    st.tuples(filler, st.sampled_from(KNOWN), filler).map("".join),
    st.tuples(filler, edges, st.sampled_from(SECRETS), edges, filler).map("".join),
    filler,
)
texts = st.lists(planted, min_size=1, max_size=3).map("".join)


def cut(data: bytes, places: Sequence[float]) -> list[bytes]:
    """Cut bytes at places between 0 and 1."""
    at = [0, *sorted({round(place * len(data)) for place in places} - {0, len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(at)]


places = st.lists(st.floats(0, 1), max_size=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for exchanges."""
    return tmp_path_factory.mktemp("recording")


def check(folder: Path, redacted: RecordedExchange) -> None:
    """No secret stands in the file, neither as it is nor in JSON's or a URL's spelling."""
    path = write_exchange(folder, redacted)
    content = path.read_text("utf-8")
    assert read_exchange(path) == redacted
    spelled = (
        content,
        redacted.request.body.decode("utf-8", "replace"),
        redacted.answer.body.decode("utf-8", "replace"),
    )
    for text in spelled:
        for secret in SECRETS:
            assert secret not in text
            assert escaped(secret) not in text
            assert quote(secret, safe="") not in text
            assert secret.replace("/", "\\/") not in text


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=texts, layout=st.sampled_from(LAYOUTS), cuts=places)
def test_bodies(folder: Path, text: str, layout: Any, cuts: Sequence[float]) -> None:
    """A secret in JSON, in any spelling, cut anywhere, is replaced; JSON stays JSON, and signatures stay."""
    data = layout(body(text)).encode()
    redacted = redact(asked=data, answered=cut(data, cuts))
    check(folder, redacted)
    assert redacted.answer.body == redacted.request.body
    document = json.loads(redacted.request.body)
    document = document[0] if isinstance(document, list) else document
    assert document["number"] == 1.5
    assert document["tool_calls"][0]["extra"]["thought_signature"] == SIGNATURE
    arguments = json.loads(document["tool_calls"][0]["function"]["arguments"])
    for place in (document["messages"][0]["content"], arguments["note"], arguments["list"][0]):
        assert not any(secret in place for secret in SECRETS)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=texts, pieces=places, cuts=places, field=st.sampled_from(["content", "reasoning_content", "arguments"]))
def test_streams(folder: Path, text: str, pieces: Sequence[float], cuts: Sequence[float], field: str) -> None:
    """A secret that is spread over the deltas of a stream is replaced, also where frames cut events; two choices are kept apart."""
    spread = [part.decode("utf-8", "ignore") for part in cut(text.encode(), pieces)]
    events = []
    for number, part in enumerate(spread):
        delta: dict[str, Any] = {field: part}
        if field == "arguments":
            delta = {"tool_calls": [{"function": delta, "index": 0}]}
        signed = {**delta, "extra_content": {"google": {"thought_signature": SIGNATURE}}}
        events.append({"choices": [{"delta": signed, "index": 0}], "id": f"id{number}"})
        events.append({"choices": [{"delta": {"content": "between"}, "index": 1}], "id": f"id{number}"})
    data = b"".join(b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n" for event in events)
    redacted = redact(answered=cut(data + b"data: [DONE]\n\n", cuts))
    check(folder, redacted)
    joined = ""
    for line in redacted.answer.body.decode("utf-8", "replace").split("\n\n")[:-2]:
        (choice,) = json.loads(line.removeprefix("data: "))["choices"]
        if choice["index"] == 1:
            assert choice["delta"]["content"] == "between"
            continue
        assert choice["delta"]["extra_content"]["google"]["thought_signature"] == SIGNATURE
        joined += (
            choice["delta"]["tool_calls"][0]["function"][field] if field == "arguments" else choice["delta"][field]
        )
    assert not any(secret in joined for secret in SECRETS)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=texts, cuts=places)
def test_everywhere_else(folder: Path, text: str, cuts: Sequence[float]) -> None:
    """In URLs, headers, plain text and bytes that are no text, a secret is replaced too."""
    line = " ".join(text.split())
    redacted = redact(
        path=f"{PATH}/{quote(text, safe='')}",
        query=f"a={quote(text)}&key={KEY}&{quote(text, safe='')}=1",
        headers=(*REQUEST_HEADERS, ("x-goog-request-params", line)),
        asked=b"\xff\xfe" + text.encode(),
        answered=cut(f"<html>{text}</html>".encode(), cuts),
        answer_headers=(("content-type", "text/html"), ("x-reason", line), ("set-cookie", f"a={TOKEN}")),
    )
    check(folder, redacted)
    assert redacted.request.body.startswith(b"\xff\xfe")
    assert redacted.answer.body.endswith(b"</html>")


@settings(max_examples=25)
@given(text=texts, layout=st.sampled_from(LAYOUTS[:3]))
def test_nothing_changes_twice(text: str, layout: Any) -> None:
    """What has been redacted stays as it is, also where other placeholders have been given since."""
    secrets = Secrets()
    redacted = secrets.redact(exchange(asked=layout(body(text)).encode(), answered=[text.encode()]))
    secrets.learn("project", "another-project-1")
    assert secrets.redact(redacted) == redacted


@given(text=filler, layout=st.sampled_from(LAYOUTS))
def test_what_has_no_secret_stays(text: str, layout: Any) -> None:
    """Without a secret, a body stays as it is to the byte."""
    text = re.sub(r"[\d@./:-]|(?i:project|key|token|secret|pass|auth)", "", text)
    data = layout(body(text)).encode()
    redacted = redact(asked=data, answered=[data[:7], data[7:]])
    assert redacted.request.body == data
    assert [frame.data for frame in redacted.answer.frames] == [data[:7], data[7:]]


def test_the_same_secret_has_the_same_placeholder() -> None:
    """In the request, in the answer, in other exchanges, in another spelling."""
    secrets = Secrets()
    first = secrets.redact(exchange(asked=f"{ACCOUNT} {PROJECT}".encode(), answered=[ACCOUNT.upper().encode()]))
    second = secrets.redact(exchange(query=f"user={quote(ACCOUNT)}"))
    assert first.request.body == b"redacted-account-1@redacted.invalid redacted-project-1"
    assert first.answer.body == b"redacted-account-1@redacted.invalid"
    assert second.request.query == "user=redacted-account-1%40redacted.invalid"
    assert first.request.path == second.request.path == PATH.replace(PROJECT, "redacted-project-1")
    assert first.request.host == "1.global-900000000001.prediction.vertexai.goog"


def test_headers_that_matter() -> None:
    """Credentials and unknown headers of a request are left out; the project of the quota has its placeholder."""
    headers = (*REQUEST_HEADERS, ("user-agent", "me/1"), ("x-goog-user-project", "p"), ("cookie", "a=b"), ("host", "x"))
    redacted = redact(headers=headers, answer_headers=(("content-length", "3"), ("set-cookie", "a=b"), ("x-y", "z")))
    assert redacted.request.headers == (
        ("content-type", "application/json"),
        ("user-agent", "me/1"),
        ("x-goog-user-project", "redacted-project-2"),
    )
    assert redacted.answer.headers == (("x-y", "z"),)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"api_key":"short"}', '{"api_key":"redacted-token-1"}'),
        ('{"api_key":null,"password":17,"secret":true}', '{"api_key":null,"password":"redacted-token-1","secret":true}'),
        ('{"a":{"password":["x1","x1"]}}', '{"a":{"password":["redacted-token-1","redacted-token-1"]}}'),
        (
            '{"properties":{"password":{"type":"string"}},"required":["password"]}',
            '{"properties":{"password":{"type":"string"}},"required":["password"]}',
        ),
        ("client_secret=abc&grant=1", "client_secret=redacted-token-1&grant=1"),
        (
            "Vertex AI API has not been used in project 123456 before; visit https://x/?project=123456",
            "Vertex AI API has not been used in project 900000000001 before; visit https://x/?project=900000000001",
        ),
        ('{"consumer":"projects/99999999","n":99999999}', '{"consumer":"projects/900000000001","n":900000000001}'),
        ('{"project_id":"demo","text":"a demo"}', '{"project_id":"redacted-project-1","text":"a demo"}'),
        ("Permission denied on project green-sea-12.", "Permission denied on project redacted-project-1."),
        ("npm i react@18.2.0 and @types/node, x@y", "npm i react@18.2.0 and @types/node, x@y"),
        ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n", "redacted-token-1\n"),
    ],
)  # fmt: skip
def test_by_place(text: str, wanted: str) -> None:
    """Secrets that are known by their place alone, in answers of the service and in messages."""
    secrets = Secrets()
    request = RecordedRequest("GET", "localhost", "/", "", (), text.encode())
    assert secrets.redact_request(request).body.decode() == wanted


def test_own_expressions() -> None:
    """The user's own expressions are replaced in JSON text, in numbers and elsewhere; of one with a group, the group."""
    secrets = Secrets(patterns=(re.compile(r"order (\d+)"), re.compile(r"4\d{15}"), re.compile("Z*")))
    asked = b'{"a":"order 17 of 4111111111111111","b":4111111111111111}'
    redacted = secrets.redact(exchange(asked=asked, answered=[b"order 17"]))
    assert redacted.request.body == b'{"a":"order redacted-custom-1 of redacted-custom-2","b":"redacted-custom-2"}'
    assert redacted.answer.body == b"order redacted-custom-1"


def test_text_in_data_urls() -> None:
    """A document of text in a data URL is looked into; a picture stays as it is."""
    inside = base64.b64encode(f"my mail is {ACCOUNT}".encode()).decode()
    picture = f"data:image/png;base64,{SIGNATURE}"
    asked = json.dumps({"a": f"data:text/plain;base64,{inside}", "b": picture}).encode()
    document = json.loads(redact(asked=asked).request.body)
    wanted = base64.b64encode(b"my mail is redacted-account-1@redacted.invalid").decode()
    assert document == {"a": f"data:text/plain;base64,{wanted}", "b": picture}


def test_environment_and_key_file() -> None:
    """What a program finds in its environment and in its file of credentials is known from the start."""
    secrets = Secrets()
    key_file = json.dumps(
        {"client_email": SERVICE, "private_key": "-----BEGIN X-----\nabcdef\n", "refresh_token": "odd-refresh-1", "project_id": PROJECT,
         "client_id": "123456789012-abc.apps.googleusercontent.com"}
    )  # fmt: skip
    environment = {"MY_API_KEY": "odd-key-123", "GOOGLE_CLOUD_PROJECT": "green-sea-12", "HOME": "/srv/ada", "OPENAI_BASE_URL": "https://h/v1/projects/red-sun-1/x"}  # fmt: skip
    secrets.learn_environment(environment, key_file)
    text = f"odd-key-123 odd-refresh-1 {PROJECT} green-sea-12 red-sun-1 123456789012 /srv/ada {json.dumps('-----BEGIN X-----' + chr(10) + 'abcdef' + chr(10))}"
    redacted = secrets.redact_request(RecordedRequest("GET", "localhost", "/", "", (), text.encode())).body.decode()
    assert (
        re.sub(r"redacted-(\w+)-\d+", r"\1", redacted)
        == 'key token project project project 900000000001 /srv/ada "token\\n"'
    )


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b'{"password":"caf\xe9-1234"}', b'{"password":"redacted-token-1"}'),
        (rb'{"password":"half \ud83d 1234"}', b'{"password":"redacted-token-1"}'),
        (b'{"a":"\xc3\xa9 \\ud83d ' + TOKEN.encode() + b'"}', rb'{"a":"\u00e9 \ud83d redacted-token-1"}'),
        (
            b'data: {"a":{"b":"x"},"a":1}\n\ndata: {"a":"' + TOKEN.encode() + b'"}\n\n',
            b'data: {"a":{"b":"x"},"a":1}\n\ndata: {"a":"redacted-token-1"}\n\n',
        ),
    ],
)
def test_odd_json(data: bytes, wanted: bytes) -> None:
    """Bytes that are no UTF-8, halves of surrogate pairs, fields that stand there twice."""
    assert redact(answered=[data]).answer.body == wanted


def test_environment_that_is_no_text() -> None:
    """A variable with bytes that are no UTF-8 is a secret like any other."""
    secrets = Secrets()
    secrets.learn_environment({"API_KEY": "\udcff\udcffabc123"})
    sent = RecordedRequest("GET", "localhost", "/", "", (), b"\xff\xffabc123")
    assert secrets.redact_request(sent).body == b"redacted-key-1"


def test_common_words_are_no_secrets() -> None:
    """A token or a project that is called like a word of the service changes nothing but its own place."""
    headers = (("authorization", "Bearer messages"), ("x-goog-api-key", "test"))
    redacted = redact(
        path="/v1/projects/content/locations/l", headers=headers, asked=b'{"messages":"a test of content"}'
    )
    assert redacted.request.body == b'{"messages":"a test of content"}'
    assert redacted.request.path == "/v1/projects/redacted-project-1/locations/l"


def test_collapse() -> None:
    """Without their numbers, placeholders of two runs are the same."""
    first, second = Secrets(), Secrets({"project": 4, "number": 7, "token": 2})
    asked = f"{PROJECT} {NUMBER} {TOKEN} {ACCOUNT}".encode()
    one, two = first.redact(exchange(asked=asked)).request.body, second.redact(exchange(asked=asked)).request.body
    assert one != two
    assert collapse(one) == collapse(two)
