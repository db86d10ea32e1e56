"""The server over a real socket."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from emulator.api.emulator import Emulator
from emulator.errors import StartError
from emulator.server.listening import bind
from emulator.server.settings import Settings

CHAT = "/v1/projects/p-1/locations/us-central1/endpoints/openapi/chat/completions"
BODY = json.dumps({"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}]})
BEARER = {"Authorization": "Bearer ya29.some-token"}
SCENARIO = "scenario: short\nrules: [{name: hello, when: {last_user: hello}, reply: Hi.}]\n"


class Asked:
    """An HTTP response."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.varies = response.msg.get_all("vary")
        self.body = response.read()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@pytest.fixture(scope="module")
def vertex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A server of a short scenario."""
    scenario = tmp_path_factory.mktemp("scenario") / "short.yaml"
    scenario.write_text(SCENARIO, "utf-8")
    with Emulator(scenario, settings=Settings(control_token="secret", body_bytes=1_000_000)) as running:
        yield running


def ask(
    vertex: Emulator, path: str = CHAT, body: str | bytes | None = BODY, method: str = "POST", **headers: str
) -> Asked:
    """Send one request; header names are written with underscores."""
    connection = HTTPConnection(vertex.url.removeprefix("http://"), timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()} or BEARER
    connection.request(method, path, body, sent)
    asked = Asked(connection.getresponse())
    connection.close()
    return asked


def test_answers_look_like_the_front_ends(vertex: Emulator) -> None:
    """Headers as seen on sibling routes, in chunks, without a length."""
    asked = ask(vertex)
    assert asked.status == 200
    assert asked.headers["content-type"] == "application/json; charset=UTF-8"
    assert asked.headers["transfer-encoding"] == "chunked"
    assert asked.headers["server"] == "scaffolding on HTTPServer2"
    assert asked.varies == ["Origin", "X-Origin", "Referer"]
    assert "content-length" not in asked.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/projects/p/locations/l/endpoints/openapi/models"),
        ("GET", CHAT),
        ("PUT", CHAT),
        ("DELETE", CHAT),
        ("POST", f"{CHAT}//"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/"),
        ("POST", "/v1//projects/p/locations/l/endpoints/openapi/chat/completions"),
    ],
)
def test_what_nothing_routes_gets_the_html_404(vertex: Emulator, method: str, path: str) -> None:
    """Other paths and methods get Google's page; credentials are not checked."""
    asked = ask(vertex, path, None, method, Host="aiplatform.googleapis.com")
    assert asked.status == 404
    assert asked.headers["content-type"] == "text/html; charset=UTF-8"
    assert b"<title>Error 404 (Not Found)!!1</title>" in asked.body
    assert path.encode() in asked.body


def test_the_path_in_the_404_is_escaped(vertex: Emulator) -> None:
    """Markup in the path is shown as text."""
    assert b"<script>" not in ask(vertex, "/%3Cscript%3E", None, "GET").body


@pytest.mark.parametrize(
    "rest", ["/", "?", "?/chat/completions", "/?chat/completions", "/?/chat/completions", "?a=b&c", "?%ff"]
)
def test_slash_and_query_at_the_end_are_ignored(vertex: Emulator, rest: str) -> None:
    """Some notebooks have a question mark in the base URL."""
    assert ask(vertex, CHAT + rest).status == 200


@pytest.mark.parametrize(
    ("headers", "query", "reason", "words"),
    [
        ({"X_Nothing": "1"}, "", "CREDENTIALS_MISSING", "missing required authentication credential"),
        ({"Authorization": "Bearer "}, "", "CREDENTIALS_MISSING", "missing required authentication credential"),
        ({"Authorization": "Basic dTpw"}, "", "CREDENTIALS_MISSING", "missing required authentication credential"),
        ({"x_goog_api_key": "AIzaSyExample0123456789"}, "", "CREDENTIALS_MISSING", "API keys are not supported"),
        ({"X_Nothing": "1"}, "?key=AIzaSyExample0123456789", "CREDENTIALS_MISSING", "API keys are not supported"),
        ({"Authorization": "Bearer AIzaSyExample0123456789"}, "", "ACCESS_TOKEN_TYPE_UNSUPPORTED", "had invalid"),
        ({"Authorization": "bearer sk-proj-123"}, "", "ACCESS_TOKEN_TYPE_UNSUPPORTED", "had invalid"),
    ],
)
def test_bad_credentials_get_the_exact_401(
    vertex: Emulator, headers: dict[str, str], query: str, reason: str, words: str
) -> None:
    """The body is an array of one, with the reason, the service and the method of this API version."""
    asked = ask(vertex, CHAT + query, **headers)
    assert asked.status == 401
    error = asked.json[0]["error"]
    assert (error["code"], error["status"]) == (401, "UNAUTHENTICATED")
    assert words in error["message"]
    assert error["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": "googleapis.com",
            "metadata": {
                "method": "google.cloud.aiplatform.v1.PredictionService.ChatCompletions",
                "service": "aiplatform.googleapis.com",
            },
        }
    ]


def test_issued_lets_only_own_tokens_in(tmp_path: Path) -> None:
    """`--auth issued` refuses foreign and expired tokens; `off` checks nothing."""
    with Emulator(settings=Settings(auth="issued")) as vertex:
        assert ask(vertex).json[0]["error"]["details"][0]["reason"] == "ACCESS_TOKEN_TYPE_UNSUPPORTED"
        assert ask(vertex, Authorization=f"Bearer {vertex.api_key}").status == 200
        expired = vertex.service.mint.issue(0)
        details = ask(vertex, Authorization=f"Bearer {expired}").json[0]["error"]["details"]
        assert details[0]["reason"] == "ACCESS_TOKEN_TYPE_UNSUPPORTED"
        assert details[0]["metadata"]["method"] == "google.cloud.aiplatform.v1.PredictionService.ChatCompletions"
    with Emulator(settings=Settings(quirks=frozenset({"access_token_expired"}))) as vertex:
        expired = vertex.service.mint.issue(0)
        details = ask(vertex, Authorization=f"Bearer {expired}").json[0]["error"]["details"]
        assert details[0]["reason"] == "ACCESS_TOKEN_EXPIRED"
    with Emulator(settings=Settings(auth="off")) as vertex:
        assert ask(vertex, X_Nothing="1").status == 200


def test_any_refuses_own_expired_tokens(vertex: Emulator) -> None:
    """With `--auth any`, the emulator's own expired tokens are still refused."""
    assert ask(vertex, Authorization=f"Bearer {vertex.service.mint.issue(0)}").status == 401


def test_tampered_tokens_are_foreign(vertex: Emulator) -> None:
    """A token with a modified expiry is not accepted as issued here."""
    token = vertex.api_key
    judge = vertex.service.mint.judge
    now = vertex.service.clock.now()
    assert judge(token, now) == "valid"
    assert judge(token, now + 4000) == "expired"
    for other in (token[:-2] + "AA", token + "A", token[:20], "ya29.x", "é", token.replace("ya29.", "ya28.")):
        assert judge(other, now) == "foreign"


def test_repaired_bodies_are_answered_with_a_warning(vertex: Emulator) -> None:
    """Backslashes as in the documented curl samples are dropped, and a header warns of it."""
    asked = ask(vertex, body=BODY.replace("{", "{ \\\n"))
    assert asked.status == 200
    assert asked.headers["x-emulator-warning"].startswith("dropped the backslashes before line ends")


def test_bodies_over_the_bound_are_not_read(vertex: Emulator) -> None:
    """A body larger than allowed gets 413 and nothing more."""
    assert ask(vertex, body=b'{"x": "' + b"a" * 2_000_000).status == 413


def test_slow_bodies_are_read_to_their_end(vertex: Emulator) -> None:
    """A body that arrives in several parts is read completely."""
    data = BODY.encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(vertex.url.rsplit(":", 1)[1])), timeout=30) as client:
        client.sendall(head.encode() + data[:10])
        client.sendall(data[10:])
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")


def test_clients_that_disconnect_mid_request_do_no_harm(vertex: Emulator) -> None:
    """The partial request is dropped; the next one is answered."""
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf"
    with socket.create_connection(("127.0.0.1", int(vertex.url.rsplit(":", 1)[1])), timeout=30) as client:
        client.sendall(head.encode())
    assert ask(vertex).status == 200


# The control path.


def test_health(vertex: Emulator) -> None:
    """Status, version, scenarios and the number of rules."""
    health = ask(vertex, "/__emulator__/health", None, "GET").json
    assert (health["status"], health["scenarios"], health["rules"]) == ("ok", ["short"], 1)


def test_journal_is_filtered(vertex: Emulator) -> None:
    """By session, rule and outcome; credentials are not in it."""
    ask(vertex, "/__emulator__/reset", None)
    other = CHAT.replace("p-1", "p-2")
    ask(vertex, Authorization="Bearer ya29.very-secret")
    ask(vertex, body=BODY.replace("Hello", "Bye"))
    ask(vertex, other)
    ask(vertex, other, body="{")

    def journal(query: str) -> list[Any]:
        found: list[Any] = ask(vertex, f"/__emulator__/journal{query}", None, "GET").json["exchanges"]
        return found

    assert [one["outcome"] for one in journal("")] == ["answer", "miss", "answer", "refusal"]
    assert [one["session"] for one in journal("?rule=hello")] == ["p-1", "p-2"]
    assert [one["outcome"] for one in journal("?session=p-2")] == ["answer", "refusal"]
    assert [one["status"] for one in journal("?outcome=miss")] == [418]
    assert [one["number"] for one in journal("?limit=2")] == [one["number"] for one in journal("")][-2:]
    assert journal("?limit=0") == []
    assert journal("")[0]["request"]["messages"] == json.loads(BODY)["messages"]
    assert journal("")[0]["place"].endswith("short.yaml:2:9")
    assert journal("")[3]["refusal"]["name"] == "invalid_json_payload"
    assert "very-secret" not in ask(vertex, "/__emulator__/journal", None, "GET").body.decode()
    ask(vertex, "/__emulator__/reset?session=p-1", None)
    assert [one["session"] for one in journal("")] == ["p-2", "p-2"]
    assert ask(vertex, "/__emulator__/journal?sesion=x", None, "GET").status == 400
    assert ask(vertex, "/__emulator__/journal?limit=x", None, "GET").status == 400


def test_journal_records_the_host_header(vertex: Emulator) -> None:
    """Intercepted programs send a Google host name."""
    ask(vertex, "/__emulator__/reset", None)
    ask(vertex)
    ask(vertex, Host="us-central1-aiplatform.googleapis.com")
    shown = ask(vertex, "/__emulator__/journal", None, "GET").json["exchanges"]
    own = vertex.url.removeprefix("http://")
    assert [one["host"] for one in shown] == [own, "us-central1-aiplatform.googleapis.com"]


def test_pushed_scenarios_are_named_by_their_file(vertex: Emulator) -> None:
    """Problems, rules and the header of an answer name the file; a name that breaks lines or has no end is cleaned."""
    path = "/__emulator__/scenario?session=p-8&file="
    assert ask(vertex, f"{path}tests/weather.yaml", "rules: [{name: mine, reply: Pushed.}]", "PUT").status == 204
    chat = ask(vertex, CHAT.replace("p-1", "p-8"))
    assert chat.headers["x-emulator-rule"] == '"mine", tests/weather.yaml:1:9'
    (rule,) = ask(vertex, "/__emulator__/scenario?session=p-8", None, "GET").json["rules"]
    assert (rule["place"], rule["uses"]) == ("tests/weather.yaml:1:9", 1)
    broken = ask(vertex, f"{path}weather.yaml", "rules: [{naem: x, reply: y}]", "PUT")
    assert broken.json["error"]["problems"][0]["file"] == "weather.yaml"
    including = ask(vertex, f"{path}weather.yaml", "include: other.yaml\nrules: []", "PUT")
    assert "weather.yaml:1:10: only a scenario in a file can include others" in including.json["error"]["message"]
    place = ""
    for name in ("a%0Ab%1b%5B31m", "x" * 5000, "%ff", ""):
        assert ask(vertex, path + name, "rules: [{name: mine, reply: Pushed.}]", "PUT").status == 204
        place = ask(vertex, CHAT.replace("p-1", "p-8")).headers["x-emulator-rule"]
        assert len(place) < 300
        assert place.isprintable()
    assert place == '"mine", <pushed for p-8>:1:9'


def test_scenarios_are_pushed_for_a_session(vertex: Emulator) -> None:
    """They can be pushed, read, used and removed; an invalid one is refused with its problems."""
    path = "/__emulator__/scenario?session=p-9"
    chat = CHAT.replace("p-1", "p-9")
    assert ask(vertex, path, "rules: [{name: mine, reply: Pushed.}]", "PUT").status == 204
    assert ask(vertex, chat).json["choices"][0]["message"]["content"] == "Pushed."
    seen = ask(vertex, path, None, "GET").json
    assert [(rule["name"], rule["uses"]) for rule in seen["rules"]] == [("mine", 1)]
    assert seen["pushed"] == "rules: [{name: mine, reply: Pushed.}]"
    broken = ask(vertex, path, "rules: [{naem: x, reply: y}]", "PUT")
    assert broken.status == 400
    assert broken.json["error"]["problems"][0]["line"] == 1
    assert 'did you mean "name"?' in broken.json["error"]["message"]
    assert ask(vertex, chat).json["choices"][0]["message"]["content"] == "Pushed."
    assert ask(vertex, path, None, "DELETE").status == 204
    assert ask(vertex, chat).json["choices"][0]["message"]["content"] == "Hi."
    assert ask(vertex, "/__emulator__/scenario", None, "GET").json["scenarios"] == ["short"]
    assert ask(vertex, "/__emulator__/scenario", "rules: []", "PUT").status == 400
    assert ask(vertex, path, b"\xff\xfe", "PUT").status == 400
    assert ask(vertex, "/__emulator__/nothing", None, "GET").status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8080"}, 200),
        ({"Host": "127.0.0.1", "Origin": "http://localhost:3000"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example", "Authorization": "Bearer secret"}, 200),
        ({"Host": "evil.example", "Authorization": "Bearer wrong"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[bad"}, 403),
    ],
)
def test_the_control_path_needs_loopback_or_the_token(vertex: Emulator, headers: dict[str, str], status: int) -> None:
    """A foreign Origin or Host is refused."""
    assert ask(vertex, "/__emulator__/health", None, "GET", **headers).status == status


def test_journal_is_bounded() -> None:
    """By number and by bytes; the oldest are evicted first."""
    with Emulator(settings=Settings(journal_exchanges=2)) as vertex:
        for _ in range(4):
            ask(vertex)
        assert [exchange.number for exchange in vertex.service.journal] == [3, 4]
    with Emulator(settings=Settings(journal_bytes=1000)) as vertex:
        for _ in range(4):
            ask(vertex)
        assert sum(exchange.size for exchange in vertex.service.journal) <= 1000


def test_a_port_in_use() -> None:
    """The error names the port and the remedy."""
    taken = bind("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with pytest.raises(StartError, match=rf"cannot listen on 127.0.0.1:{port}: address already in use; choose another"):
        Emulator(port=port).start()
    taken.close()


def test_several_emulators_run_concurrently() -> None:
    """Each has its own port, and all stop."""
    with Emulator() as one, Emulator() as two:
        assert one.url != two.url
        assert (ask(one).status, ask(two).status) == (200, 200)
    with pytest.raises(ConnectionRefusedError):
        ask(one)
