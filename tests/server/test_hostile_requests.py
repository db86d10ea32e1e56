"""What a request may carry: the server answers, and journal, log, verdicts and `verify` can show it, without its secrets."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import from_json

from emulator.api.emulator import Emulator
from emulator.server.log import log_line
from emulator.server.settings import Settings
from emulator.wire.headers import MAX_HEADER_VALUE

SHARED = "/v1/projects/demo/locations/us-central1/endpoints/openapi"
CHAT = f"{SHARED}/chat/completions"
SCENARIO = r"""
rules:
- {name: templated, when: {last_user: {regex: ^hdr}}, headers: {x-a: "{{ last_user }}"}, reply: ok}
- {name: asks for a secret, when: {header: {authorization: never}}, reply: never}
- {name: asks for a key, when: {body: {api_key: never}}, reply: never}
- {name: half, when: {last_user: half}, reply: "{{ '\\ud800' }}"}
- {name: echo, when: {last_user: echo}, reply: "{{ last_user }}"}
"""


@pytest.fixture
def vertex(tmp_path: Path) -> Iterator[Emulator]:
    """A server of the scenario above."""
    path = tmp_path / "hostile.yaml"
    path.write_text(SCENARIO, "utf-8")
    with Emulator(path, settings=Settings(control_token="geheïm", vetting="enforce")) as running:
        yield running


class Answer:
    """An answer as it came over the socket."""

    def __init__(
        self, vertex: Emulator, method: str, path: str, body: bytes | None = None, **headers: str | bytes
    ) -> None:
        connection = HTTPConnection(vertex.url.removeprefix("http://"), timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Authorization": b"Bearer hush-bearer", **named})
        response = connection.getresponse()
        self.status = response.status
        self.headers = response.getheaders()
        self.body = response.read()
        connection.close()


def refuse_constant(constant: str) -> None:
    """Refuse what is no JSON."""
    raise AssertionError(constant)


def read_everything(vertex: Emulator) -> str:
    """All that can be read about the exchanges: journal, verdicts, verify and log; each is JSON that strict parsers read, or clean lines."""
    texts = []
    for name in ("journal", "verdicts", "verify"):
        answer = Answer(vertex, "GET", f"/__emulator__/{name}")
        assert answer.status == 200
        json.loads(answer.body, parse_constant=refuse_constant)
        from_json(answer.body, allow_inf_nan=False)
        texts.append(answer.body.decode())
    for entry in vertex.service.journal.entries:
        log = log_line(entry)
        assert not [char for char in log if char != "\n" and not char.isprintable()]
        assert all(len(line) <= 6 * 2_000 for line in log.split("\n"))
        texts.append(log)
    return "\n".join(texts)


def chat(text: str = "other", more: Any = None, **named: Any) -> dict[str, Any]:
    """The body of a chat request with further fields."""
    messages = [{"role": "user", "content": text}]
    return {"model": "google/gemini-2.5-flash", "messages": messages, **named, **(more or {})}


def written(number: str, **more: Any) -> bytes:
    """The body of a chat request with a number that Python does not write."""
    return json.dumps(chat(x=1, **more)).replace('"x": 1', f'"x": {number}').encode()


@pytest.mark.parametrize(
    ("number", "status"),
    [("1e999", 418), ("-1e999", 418), ("9" * 4000, 418), ("NaN", 400), ("Infinity", 400), ("-Infinity", 400)],
)
def test_numbers_that_json_cannot_write(vertex: Emulator, number: str, status: int) -> None:
    """JSON has numbers too large for a float, which an unknown key may have; it has neither NaN nor Infinity."""
    for body in (
        written(number),
        written(number, tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}]),
    ):
        answer = Answer(vertex, "POST", CHAT, body)
        assert answer.status == status
        if status == 400:
            assert b"Invalid JSON payload received" in answer.body
    read_everything(vertex)


def test_known_numbers_that_are_not_finite_are_of_a_wrong_type(vertex: Emulator) -> None:
    """The client is told where."""
    answer = Answer(vertex, "POST", CHAT, json.dumps(chat(temperature=0.5)).replace("0.5", "1e999").encode())
    assert answer.status == 400
    assert "temperature" in dict(answer.headers)["x-emulator-explanation"]


@pytest.mark.parametrize("vetting", ["enforce", "warn", "off"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, chat(model="a\u001b[0m")),
        (CHAT, chat(model="google/a\r\nx-b: c\u0000\u007f\u2028")),
        (CHAT, {"model": "google/gemini-2.5-flash", "messages": [{"role": "u\u0007ser", "content": "x"}]}),
        (CHAT, chat(model="x" * 500_000)),
        (CHAT, {"model": "google/gemini-2.5-flash", "messages": [{"role": "r" * 300_000, "content": "x"}]}),
        (CHAT, chat(more={"k" * 500_000: 1, "a\u001bb": 2})),
        (f"{SHARED}/embeddings", {"model": "intfloat/multilingual-e5-small-maas", "input": "a", "encoding_format": "\u007f"}),
        (CHAT.replace("demo", "de%0Amo%1b%00"), chat()),
        (CHAT.replace("demo", "%ff%ed%a0%80"), chat()),
        (CHAT.replace("openapi", "5%0D%0Ax-b:%20c"), chat("half")),
        (CHAT, chat("half")),
        (CHAT, chat("half", stream=True)),
    ],
)  # fmt: skip
def test_odd_names_are_answered_and_recorded(tmp_path: Path, vetting: Any, path: str, body: dict[str, Any]) -> None:
    """Each gets an answer whose header values are one short line of printable ASCII, and is shown on one line."""
    scenario = tmp_path / "odd.yaml"
    scenario.write_text(SCENARIO, "utf-8")
    with Emulator(scenario, settings=Settings(vetting=vetting)) as vertex:
        answer = Answer(vertex, "POST", path, json.dumps(body).encode())
        assert answer.status in {200, 400, 418}
        assert b"emulator_mistake" not in answer.body
        assert all(
            len(value) <= MAX_HEADER_VALUE and value.isascii() and value.isprintable() for _, value in answer.headers
        )
        assert not {name for name, _ in answer.headers} & {"x-b"}
        read_everything(vertex)
        (entry,) = vertex.service.journal
        assert "\n" not in log_line(entry).split("\n")[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hdr\r\nSet-Cookie: a=b\r\n\r\nbody", "has a line break"),
        ("hdr\nx", "has a line break"),
        ("hdr\u0000x", "has a NUL"),
        ("hdr\u007f", "has a control character"),
        ("hdr" + "a" * 200_000, "is longer than 4,096 characters"),
    ],
)
def test_a_header_by_a_template_is_one_short_line(vertex: Emulator, text: str, reason: str) -> None:
    """Any other value is a 418 that names rule, header and reason."""
    for more in ({}, {"stream": True}):
        answer = Answer(vertex, "POST", CHAT, json.dumps(chat(text, **more)).encode())
        assert (answer.status, b"rule_failed" in answer.body) == (418, True)
        assert f'the template of the header \\"x-a\\" makes a value that {reason}'.encode() in answer.body
        assert b'rule \\"templated\\"' in answer.body
        assert not [value for name, value in answer.headers if name.lower() in {"x-a", "set-cookie"}]


@pytest.mark.parametrize(
    ("text", "value"), [("hdr a\tb", "hdr a\tb"), ("hdr é 日", "hdr é ?"), ("hdr" + "a" * 4093, "hdr" + "a" * 4093)]
)
def test_other_templated_headers_are_sent(vertex: Emulator, text: str, value: str) -> None:
    """Tabs, Latin-1 and 4 KB pass."""
    answer = Answer(vertex, "POST", CHAT, json.dumps(chat(text)).encode())
    assert (answer.status, dict(answer.headers)["x-a"]) == (200, value)


def make_jwt(*parts: bytes) -> str:
    """A JSON web token of these parts."""
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


JWT = make_jwt(b'{"alg":"RS256"}', b'{"iss":"a"}', b"signature")
FORM = "application/x-www-form-urlencoded"
REFRESH = '{"grant_type": "refresh_token", "client_id": %s, "client_secret": "SECRETb", "refresh_token": "SECRETc"%s}'


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", REFRESH % ("NaN", ""), 400),
        ("application/json", REFRESH % ("1e999", ""), 400),
        ("application/json", REFRESH % (r'"\ud800"', ""), 400),
        ("application/json", REFRESH % ('"a"', r', "scope": "\ud800"'), 400),
        ("application/json", REFRESH % ('{"a": "SECRET27abcdefghijklmnop"}', ""), 400),
        ("application/json", REFRESH % ('"a"', ', "scope": ["a"], "x": {"SECRETkey1": 1}'), 200),
        ("application/json", r'{"grant_type": "\ud800"}', 400),
        ("application/json", '{"grant_type": ["refresh_token"]}', 400),
        ("application/json", '["SECRET"]', 400),
        (FORM, JWT, 400),
        (FORM, "1//SECRET24abcdefghijklmnop", 400),
        (FORM, "client_secret:SECRET23abcdefghijklmnop", 400),
        (FORM, "SECRET23abcdefghijklmnop", 400),
        (FORM, "grant_type=a%1b%0a%00x", 400),
        (FORM, f"grant_type={JWT}", 400),
    ],
)
def test_token_requests_are_answered_and_recorded(vertex: Emulator, content_type: str, body: str, status: int) -> None:
    """Wrong types get the 400 of the token service; no secret is kept, whatever place it stands in."""
    answer = Answer(vertex, "POST", "/token", body.encode(), Content_Type=content_type)
    assert answer.status == status
    assert ("error" in json.loads(answer.body)) is (status == 400)
    shown = read_everything(vertex)
    assert "SECRET" not in shown
    assert JWT not in shown
    assert len(vertex.service.journal.entries) == 1
    assert "SECRET" not in repr(vertex.service.journal.entries[0])


@pytest.mark.parametrize(
    "issuer", [r"a\ud800@p.iam.gserviceaccount.com", r"\u001b\n\u2028", "ya29.SECRET70abc@p.iam.gserviceaccount.com"]
)
def test_assertions_are_recorded(vertex: Emulator, issuer: str) -> None:
    """Half characters, control characters and secrets in a claim."""
    now = int(vertex.service.clock.now())
    claims = f'{{"iss":"{issuer}","iat":{now},"exp":{now + 3000},"scope":"x"}}'.encode()
    assertion = make_jwt(rb'{"alg":"RS256","kid":"\ud800"}', claims, b"x")
    body = f"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}"
    assert Answer(vertex, "POST", "/token", body.encode(), Content_Type=FORM).status in {200, 400}
    assert "SECRET" not in read_everything(vertex)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (chat(), {"Host": "user:SECRET12abcdefghijklmnop@localhost"}),
        (chat(api_key="SECRET40abcdefghijklmnop"), {}),
        (chat(extra_body={"google": {"a": [{"Api-Key": "SECRET41"}, {"client_secret": ["SECRET42"]}]}}), {}),
        (chat(more={"ya29.SECRET54abcdef": 1}), {}),
        (chat(model="google/ya29.SECRET55abcdef"), {}),
        (chat(model="ya29.SECRET55abcdef"), {}),
        (chat("echo ya29.c.b0SECRET50, 1//SECRET51abcdefghijklmnop and\nsk-SECRET52abcdefghijk"), {}),
        (chat("echo AIzaSECRET5123456789012345678901", stream=True), {}),
        (chat(), {"Authorization": "Bearer SECRET13"}),
        (chat(), {"X-Goog-Api-Key": "SECRET14", "Cookie": "SECRET15", "Proxy-Authorization": "Basic SECRET16"}),
        (chat(messages=[{"role": "ya29.SECRET60abc", "content": "x"}]), {}),
    ],
)
def test_secrets_of_chat_requests_are_not_shown(
    vertex: Emulator, body: dict[str, Any], headers: dict[str, str]
) -> None:
    """By value and by place: in hosts, headers, fields, names, models and messages; other contents stay."""
    Answer(vertex, "POST", f"{CHAT}?key=AIzaSECRET0123456789012345678901", json.dumps(body).encode(), **headers)
    Answer(vertex, "POST", CHAT.replace("demo", "ya29.SECRETinapath"), json.dumps(body).encode(), **headers)
    shown = read_everything(vertex)
    assert "SECRET" not in shown
    assert len(list(vertex.service.journal)) == 2
    assert '"role":' in shown


def test_secrets_of_bodies_that_are_not_json_are_not_shown(vertex: Emulator) -> None:
    """Neither in the journal's request nor where the refusal quotes the body."""
    Answer(vertex, "POST", CHAT, b'{"api_key": "SECRET53abcdefgh", "refresh_token":\n')
    assert "SECRET" not in read_everything(vertex)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer geheïm", 200),
        ("bearer geheïm", 200),
        ("BEARER  geheïm ", 200),
        ("geheïm", 403),
        ("Basic geheïm", 403),
        ("Bearer", 403),
        ("Bearer gehe", 403),
        ("Bearergeheïm", 403),
        ("", 403),
    ],
)
def test_the_control_token(vertex: Emulator, authorization: str, status: int) -> None:
    """Any UTF-8, behind a scheme that is case-insensitive and required."""
    sent = authorization.encode()
    answer = Answer(vertex, "GET", "/__emulator__/health", Authorization=sent, Host="elsewhere.example")
    assert answer.status == status


def test_latin_1_is_not_the_token(vertex: Emulator) -> None:
    """Bytes that are not the token's UTF-8 are refused, not a failure."""
    sent = b"Bearer gehe\xefm"
    answer = Answer(vertex, "GET", "/__emulator__/health", Authorization=sent, Host="elsewhere.example")
    assert answer.status == 403


def test_queries_of_the_control_path_may_hold_anything(vertex: Emulator) -> None:
    """Each is answered with JSON."""
    for path in (
        "scenario?session=%ff%0a",
        "quotas?session=%ed%a0%80",
        "journal?session=%ff",
        "journal?limit=%ff%1b",
        "x%0a%ff",
        "verify?%1b=1",
    ):
        answer = Answer(vertex, "GET", f"/__emulator__/{path}")
        assert answer.status in {200, 400, 404}
        json.loads(answer.body)
    assert Answer(vertex, "PUT", "/__emulator__/scenario?session=%ff", b"rules: [{reply: \xff}]").status in {204, 400}
    json.loads(Answer(vertex, "GET", "/__emulator__/scenario?session=%ff").body)
    assert Answer(vertex, "PUT", "/__emulator__/scenario?session=a", b"#" * 5_000_000).status == 413
