"""Who gets the page, and what it may load."""

import http.client
import json
from base64 import b64encode
from collections.abc import Mapping

import httpx
import pytest

from emulator import Emulator
from emulator.inspector.app import PAGES, STATIC
from emulator.server.settings import Settings
from tests.inspector.conftest import Ask

PATHS = (
    *(f"/__emulator__/{page.replace('{number}', '1')}" for page in PAGES),
    "/__emulator__/static/app.js",
    "/__emulator__/events",
    "/__emulator__/inspector/rows?numbers=1",
    "/__emulator__/inspector/exchanges/1",
    "/__emulator__/inspector/exchanges/1/curl",
    "/__emulator__/inspector/rules",
    "/__emulator__/inspector/clients",
    "/__emulator__/inspector/options",
)


def get(url: str, path: str, headers: Mapping[str, str]) -> int:
    """The status of a request, whose body is not read: event streams do not end."""
    host, _, port = url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("path", PATHS)
def test_foreign_hosts_and_origins_are_refused(vertex: Emulator, ask: Ask, path: str) -> None:
    """The access rules of the control path hold for all that the page has."""
    ask("Hello")
    assert get(vertex.url, path, {}) == 200
    assert get(vertex.url, path, {"Origin": vertex.url}) == 200
    assert get(vertex.url, path, {"Host": "evil.example"}) == 403
    assert get(vertex.url, path, {"Host": "127.0.0.1.evil.example"}) == 403
    assert get(vertex.url, path, {"Origin": "https://evil.example"}) == 403
    assert get(vertex.url, path, {"Origin": "null"}) == 403


def test_a_token_opens_the_page_to_other_hosts() -> None:
    """A bearer of the control token is let in from everywhere."""
    with Emulator("rules: []\n", settings=Settings(control_token="secret")) as vertex:
        headers = {"Host": "emulator.internal"}
        assert get(vertex.url, "/__emulator__/", headers) == 403
        assert get(vertex.url, "/__emulator__/", {**headers, "Authorization": "Bearer secret"}) == 200


def test_a_browser_elsewhere_is_asked_for_the_token() -> None:
    """It gets a challenge of Basic authentication, whose password is the token; pages of other hosts cannot use what it remembers."""
    with Emulator("rules: []\n", settings=Settings(control_token="secret ü")) as vertex:
        url, browser = f"{vertex.url}/__emulator__/", {"host": "emulator.internal:8080", "accept": "text/html,*/*"}
        asked = httpx.get(url, headers=browser)
        assert (asked.status_code, asked.headers["www-authenticate"][:12]) == (401, "Basic realm=")
        assert httpx.get(url, headers={"host": "emulator.internal:8080"}).status_code == 403
        for password, origin, status in (
            ("secret ü", None, 200),
            ("secret ü", "http://emulator.internal:8080", 200),
            ("secret ü", "http://evil.example", 401),
            ("secret ü", "http://[", 401),
            ("secret", None, 401),
            ("", None, 401),
        ):
            login = {"authorization": f"Basic {b64encode(f'me:{password}'.encode()).decode()}"}
            more = {} if origin is None else {"origin": origin}
            assert httpx.get(url, headers={**browser, **login, **more}).status_code == status, (password, origin)
        assert httpx.get(url, headers={**browser, "authorization": "Basic no"}).status_code == 401


@pytest.mark.parametrize("path", ["/", "/__emulator__"])
def test_browsers_are_led_to_the_page_and_clients_get_the_404(vertex: Emulator, path: str) -> None:
    """Only who asks for HTML is led away from the 404."""
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    led = httpx.get(f"{vertex.url}{path}", headers=browser)
    assert (led.status_code, led.headers["location"]) == (302, "/__emulator__/")
    assert httpx.head(f"{vertex.url}{path}", headers=browser).status_code == 302
    for headers in (
        {},
        {"accept": "*/*"},
        {"accept": "application/json"},
        {**browser, "host": "us-central1-aiplatform.googleapis.com"},
    ):
        answer = httpx.get(f"{vertex.url}{path}", headers=headers)
        assert answer.status_code == 404
        assert "Error 404 (Not Found)" in answer.text
    assert httpx.post(f"{vertex.url}{path}", headers=browser).status_code == 404


def test_every_file_is_served_with_its_type_and_runs_nothing_foreign(vertex: Emulator) -> None:
    """Files have types that browsers keep to, and a policy that lets nothing of others run."""
    types = {
        ".js": "text/javascript",
        ".css": "text/css",
        ".svg": "image/svg+xml",
        ".html": "text/html",
        ".txt": "text/plain",
    }
    for path in STATIC.rglob("*"):
        if path.is_file():
            answer = httpx.get(f"{vertex.url}/__emulator__/static/{path.relative_to(STATIC).as_posix()}")
            assert answer.status_code == 200
            assert answer.headers["content-type"].partition(";")[0] == types[path.suffix]
            assert answer.headers["x-content-type-options"] == "nosniff"
            policy = answer.headers["content-security-policy"]
            assert "default-src 'self'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy
    page = httpx.get(f"{vertex.url}/__emulator__/")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "<script>" not in page.text
    for outside in ("../app.py", "..%2Fapp.py", "%2e%2e/app.py", "/etc/passwd", "nothing.js", ""):
        answer = httpx.get(f"{vertex.url}/__emulator__/static/{outside}")
        assert answer.status_code == 404
        assert answer.json()["error"]["message"].startswith("emulator: ")


def test_unknown_exchanges_and_forms_say_what_to_do(vertex: Emulator, ask: Ask) -> None:
    """Mistakes get a sentence in JSON."""
    ask("Hello")
    base = f"{vertex.url}/__emulator__/inspector"
    for path in ("exchanges/99", "exchanges/99/curl", "exchanges/1/perl", "exchanges/x", "nothing"):
        answer = httpx.get(f"{base}/{path}")
        assert answer.status_code == 404, path
        assert json.loads(answer.text)["error"]["message"].startswith("emulator: ")
    assert httpx.get(f"{base}/rows?numbers=x,1,-1,{'9' * 30}").json()["rows"][0]["asked"] == "Hello"
