"""`vertex-emulator verdicts`, asked of a running emulator."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from emulator.api.emulator import Emulator

WRONG = """\
error: api_key_sent (#1): an API key was sent; this endpoint takes OAuth access tokens only
  send an OAuth access token as bearer, such as google-auth gets
1 error, 0 warnings
"""
LAX = """\
warning: unsupported_parameter (#2): the parameter "store" is not in the documentation; Vertex ignores it
  leave it out; what is Gemini's own belongs into extra_body.google
0 errors, 1 warning
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The URL of an emulator that a faulty client, a careless one and a correct one have used."""
    with Emulator() as vertex:
        for project, bearer, more in (
            ("wrong", "sk-1", {}),
            ("lax", "ya29.x", {"store": True}),
            ("right", "ya29.x", {}),
        ):
            connection = HTTPConnection(vertex.url.removeprefix("http://"), timeout=30)
            body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Hi"}], **more}
            path = f"/v1/projects/{project}/locations/global/endpoints/openapi/chat/completions"
            connection.request("POST", path, json.dumps(body), {"Authorization": f"Bearer {bearer}"})
            connection.getresponse().read()
            connection.close()
        yield vertex.url


@pytest.mark.parametrize(
    ("session", "said", "status"), [("wrong", WRONG, 1), ("lax", LAX, 0), ("right", "0 errors, 0 warnings\n", 0)]
)
def test_verdicts_are_printed(run: Any, url: str, session: str, said: str, status: int) -> None:
    """Verdicts that are errors make the exit status 1, warnings do not."""
    result = run("verdicts", "--url", url, "--session", session)
    assert (result.stdout, result.exit_code) == (said, status)


def test_verdicts_are_json_lines(run: Any, url: str) -> None:
    """--json prints one object a line, of all sessions."""
    result = run("verdicts", "--json", env={"VERTEX_EMULATOR_URL": url})
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["name"], one["severity"], one["exchanges"]) for one in found] == [
        ("api_key_sent", "error", [1]),
        ("unsupported_parameter", "warning", [2]),
    ]
    assert result.exit_code == 1


def test_unreachable_emulator_is_reported(run: Any) -> None:
    """An unreachable emulator is reported in one sentence."""
    result = run("verdicts", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert result.stderr.startswith("vertex-emulator: no emulator answers at http://127.0.0.1:1 (connection refused)")
