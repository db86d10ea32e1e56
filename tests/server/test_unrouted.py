"""Requests that nothing routes: what is said of them, and where they are seen."""

import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.api.emulator import Emulator
from emulator.server.log import describe_json, log_json, log_line
from emulator.server.settings import Settings
from emulator.server.unrouted import find_nearest, host_name, is_foreign, not_found_at
from emulator.store.records import pack, unpack
from emulator.wire.urls import parse_target

HERE = "http://127.0.0.1:8080"
DEFAULT = f"{HERE}/v1/projects/demo/locations/global/endpoints/openapi/chat/completions"
GLOBAL = "https://aiplatform.googleapis.com"
OPENAPI = "/v1/projects/p/locations/europe-west4/endpoints/openapi"
CHAT = f"{OPENAPI}/chat/completions"
MODELS = "/v1/projects/p/locations/global/publishers/google/models"


@pytest.fixture(scope="module")
def vertex() -> Iterator[Emulator]:
    """A server."""
    with Emulator(settings=Settings(project="mine", location="europe-west1")) as running:
        yield running


def ask(vertex: Emulator, verb: str, path: str, host: str = "") -> tuple[int, dict[str, str]]:
    """Send one request; return status and headers."""
    connection = HTTPConnection(vertex.url.removeprefix("http://"), timeout=30)
    connection.request(verb, path, b"{}" if verb == "POST" else None, {"Host": host} if host else {})
    response = connection.getresponse()
    response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    connection.close()
    return response.status, headers


def get(vertex: Emulator, path: str) -> str:
    """The body of what the control path answers."""
    connection = HTTPConnection(vertex.url.removeprefix("http://"), timeout=30)
    connection.request("GET", path)
    body = connection.getresponse().read().decode()
    connection.close()
    return body


def read_log(vertex: Emulator) -> list[str]:
    """The log lines of the requests that follow."""
    lines: list[str] = []
    vertex.service.on_unrouted.append(lambda request: lines.append(log_line(request)))
    return lines


@pytest.mark.parametrize(
    ("verb", "origin", "path", "url"),
    [
        ("POST", HERE, "/v1/chat/completions", DEFAULT),
        ("POST", HERE, "/chat/completions", DEFAULT),
        ("POST", HERE, "/v1/chat/completion", DEFAULT),
        ("POST", HERE, "/api/chat", DEFAULT),
        ("POST", HERE, "/v1/embeddings", DEFAULT.replace("chat/completions", "embeddings")),
        ("POST", HERE, "/v1/responses", DEFAULT.replace("chat/completions", "responses")),
        ("POST", HERE, "/v1beta1/chat/completions", DEFAULT.replace("/v1/", "/v1beta1/")),
        ("POST", HERE, f"{CHAT}/chat/completions", HERE + CHAT),
        ("POST", HERE, f"/{CHAT}", HERE + CHAT),
        ("POST", HERE, OPENAPI, HERE + CHAT),
        ("POST", HERE, "/v1/projects/p/locations/europe-west4/chat/completions", HERE + CHAT),
        ("POST", HERE, "/v2" + CHAT.removeprefix("/v1"), HERE + CHAT),
        ("POST", HERE, f"{OPENAPI}/completion", f"{HERE}{OPENAPI}/completions"),
        ("POST", HERE, CHAT.replace("openapi", "123") + "s", HERE + CHAT.replace("openapi", "123")),
        ("POST", HERE, OPENAPI.replace("openapi", "123") + "/embeddings", f"{HERE}{OPENAPI}/embeddings"),
        ("POST", GLOBAL, "/v1/chat/completions", GLOBAL + DEFAULT.removeprefix(HERE)),
        (
            "POST",
            "https://us-east5-aiplatform.googleapis.com:443",
            OPENAPI,
            f"https://us-east5-aiplatform.googleapis.com{CHAT}",
        ),
        (
            "POST",
            "https://global-aiplatform.googleapis.com",
            OPENAPI,
            f"https://europe-west4-aiplatform.googleapis.com{CHAT}",
        ),
        (
            "POST",
            "https://eu-aiplatform.googleapis.com",
            "/v1/chat/completions",
            "https://aiplatform.eu.rep.googleapis.com/v1/projects/demo/locations/eu/endpoints/openapi/chat/completions",
        ),
        (
            "POST",
            "https://1.us-central1-2.prediction.vertexai.goog",
            "/v1/projects/p/locations/l/endpoints/1/chat/completion",
            "https://1.us-central1-2.prediction.vertexai.goog/v1/projects/p/locations/l/endpoints/1/chat/completions",
        ),
    ],
)
def test_nearest_url_of_openai_paths(verb: str, origin: str, path: str, url: str) -> None:
    """The URL can be copied, and is routed."""
    nearest = find_nearest(verb, path, origin, Settings())
    assert nearest == (f'no such path; did you mean "POST {url}"?', url)
    assert parse_target("/" + url.split("/", 3)[3]) is not None


@pytest.mark.parametrize(
    ("verb", "origin", "path", "said"),
    [
        ("GET", HERE, CHAT, f'no such method; did you mean "POST {HERE}{CHAT}"?'),
        ("PUT", HERE, f"{CHAT}/", f'no such method; did you mean "POST {HERE}{CHAT}"?'),
        (
            "GET",
            HERE,
            f"{OPENAPI}/models",
            f"no such path: this endpoint does not list its models; it answers POST {HERE}{CHAT}",
        ),
        ("GET", HERE, "/v1/models", f"no such path: this endpoint does not list its models; it answers POST {DEFAULT}"),
        (
            "GET",
            HERE,
            "/",
            f"no such path; GET {HERE}/__emulator__/health tells whether the emulator is up, and it answers POST {DEFAULT}",
        ),
        (
            "HEAD",
            HERE,
            "/healthz",
            f"no such path; GET {HERE}/__emulator__/health tells whether the emulator is up, and it answers POST {DEFAULT}",
        ),
        (
            "GET",
            "https://us-central1-aiplatform.googleapis.com",
            "/",
            "no such path: only the OpenAI endpoint is emulated, which answers POST "
            + DEFAULT.replace(HERE, "https://us-central1-aiplatform.googleapis.com").replace(
                "/global/", "/us-central1/"
            ),
        ),
        (
            "POST",
            GLOBAL,
            f"{MODELS}/gemini-2.5-flash:generateContent",
            (
                "no such path: only the OpenAI endpoint is emulated, which answers POST "
                f"{GLOBAL}/v1/projects/p/locations/global/endpoints/openapi/chat/completions"
            ),
        ),
        (
            "POST",
            HERE,
            "/v1/projects//locations/europe-west4/endpoints/openapi/chat/completions",
            f'no such path: the project is empty; did you mean "POST {HERE}{CHAT.replace("/p/", "/demo/")}"?',
        ),
        (
            "POST",
            HERE,
            "/v1/projects/p/locations//endpoints/openapi/chat/completions",
            f'no such path: the location is empty; did you mean "POST {HERE}{CHAT.replace("europe-west4", "global")}"?',
        ),
        (
            "GET",
            "https://storage.googleapis.com",
            "/storage/v1/b/x",
            "storage.googleapis.com is not emulated, only the OpenAI endpoint of Vertex AI is",
        ),
        (
            "POST",
            "https://generativelanguage.googleapis.com",
            "/v1beta/openai/chat/completions",
            (
                "generativelanguage.googleapis.com is not emulated; did you mean "
                f'"POST {DEFAULT.replace(HERE, GLOBAL)}"?'
            ),
        ),
        ("POST", "", "/v1/chat/completions", f'no such path; did you mean "POST {DEFAULT.removeprefix(HERE)}"?'),
    ],
)
def test_explanations(verb: str, origin: str, path: str, said: str) -> None:
    """What is wrong, and what is there instead."""
    assert find_nearest(verb, path, origin, Settings()).explanation == said


@given(st.text(max_size=80), st.text(max_size=40), st.sampled_from(["GET", "POST"]))
def test_any_path_has_an_explanation(path: str, host: str, verb: str) -> None:
    """Whatever arrives is explained on one line, and a URL that is suggested is routed."""
    nearest = find_nearest(verb, f"/{path}", f"http://{host}", Settings())
    assert nearest.explanation
    assert not nearest.url or " " not in nearest.url


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("iamcredentials.googleapis.com", "object"),
        ("cloudresourcemanager.googleapis.com:443", "object"),
        ("storage.googleapis.com.", "object"),
        ("us-central1-aiplatform.googleapis.com", "page"),
        ("aiplatform.googleapis.com", "page"),
        ("aiplatform.us.rep.googleapis.com", "page"),
        ("127.0.0.1:8080", "page"),
        ("googleapis.com.evil.test", "page"),
        ("[::1", "page"),
        ("", "page"),
    ],
)
def test_hosts_that_are_not_emulated(host: str, kind: str) -> None:
    """Google's other services answer 404 in JSON, Vertex and all other hosts with a page."""
    refusal = not_found_at(host_name(host), "/v1/anything")
    assert refusal.code == 404
    assert refusal.body().startswith(b"{" if kind == "object" else b"<!DOCTYPE html>")
    assert is_foreign(host_name(host)) == (kind == "object" and not host.startswith("iamcredentials"))


def test_unrouted_requests_are_seen(vertex: Emulator) -> None:
    """One is in the header, in the journal, in the log and among the problems; its query and body are not kept."""
    log = read_log(vertex)
    status, headers = ask(vertex, "POST", "/v1/chat/completions?key=hush")
    url = f"{vertex.url}/v1/projects/mine/locations/europe-west1/endpoints/openapi/chat/completions"
    said = f'no such path; did you mean "POST {url}"?'
    assert (status, headers["x-emulator-explanation"]) == (404, f"html_not_found: {said}")
    (found,) = vertex.unrouted
    shown = found.to_json()
    assert (shown["outcome"], shown["method"], shown["path"]) == ("unrouted", "POST", "/v1/chat/completions")
    assert (shown["nearest_url"], shown["session"], shown["leak"]) == (url, "", False)
    assert shown["report"] == f"POST /v1/chat/completions: {said}"
    assert "hush" not in json.dumps(shown)
    assert re.fullmatch(
        rf"#{found.number} \d\d:\d\d:\d\d - 404 {re.escape(f'POST /v1/chat/completions: {said}')}", log[0]
    )
    assert describe_json(shown).render() == log[0]
    assert json.loads(log_json(found))["notes"] == [f"POST /v1/chat/completions: {said}"]
    assert vertex.service.metrics.read()['["requests", "unrouted", "", "", 404]'] == 1
    explained = get(vertex, f"/__emulator__/explain?number={found.number}")
    assert "a request that led nowhere, which no rule answers" in explained
    assert vertex.verify().unanswered == (f"exchange {found.number}: POST /v1/chat/completions: {said}",)
    assert list(vertex.journal) == []
    assert unpack(pack(found)) == found
    vertex.reset()
    assert vertex.unrouted == ()


def test_session_is_the_paths_project(vertex: Emulator) -> None:
    """A request whose path names a project belongs to its session, others to none or to the default session."""
    ask(vertex, "GET", f"{OPENAPI}/models")
    ask(vertex, "GET", "/v1/models")
    vertex.service.default_session = "p"
    ask(vertex, "GET", "/health")
    vertex.service.default_session = ""
    assert [one.path for one in vertex.session("p").unrouted] == [f"{OPENAPI}/models", "/health"]
    assert [one.session for one in vertex.unrouted] == ["p", "", "p"]
    assert len(vertex.session("p").verify().unanswered) == 2
    assert vertex.session("other").verify().unanswered == ()
    vertex.session("p").push("rules:\n- reply: Hi.\n")
    assert len(vertex.verify().unanswered) == 3
    vertex.reset()


def test_hosts_of_other_services_are_leaks(vertex: Emulator) -> None:
    """Google's other services are marked, and the log names them; the header that warned of them stays."""
    log = read_log(vertex)
    status, headers = ask(vertex, "GET", "/storage/v1/b/x", "storage.googleapis.com")
    assert (status, headers["x-emulator-warning"]) == (404, "storage.googleapis.com is not emulated")
    (found,) = vertex.unrouted
    assert found.is_leak
    assert " 404 GET /storage/v1/b/x: storage.googleapis.com is not emulated" in log[0]
    vertex.reset()


def test_hostile_paths_stay_on_one_line(vertex: Emulator) -> None:
    """Control characters and length of a path reach neither log nor journal."""
    status, headers = ask(vertex, "GET", f"/%0a%1b[31m%ff{'x' * 9000}%0d")
    (found,) = vertex.unrouted
    assert status == 404
    assert found.path.startswith("/%0A%1B[31m")
    assert found.path.isprintable()
    assert found.size < 20_000
    assert len(headers["x-emulator-explanation"]) < 20_000
    vertex.reset()


def test_secrets_in_paths_are_not_kept(vertex: Emulator) -> None:
    """A token that somebody puts into the path, or credentials in the host, are in none of what is said."""
    log = read_log(vertex)
    _, headers = ask(
        vertex,
        "GET",
        "/v1/projects/ya29.a0hushhushhush/AIzaSyHushHushHushHushHushHush",
        "me:hush@storage.googleapis.com",
    )
    (found,) = vertex.unrouted
    for text in (
        json.dumps(found.to_json()),
        log[0],
        headers["x-emulator-explanation"],
        *vertex.verify().problems,
    ):
        assert "hush" not in text.lower()
    vertex.reset()
