"""What commands that ask a running emulator say when they get no answer."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from emulator.api.emulator import Emulator
from emulator.cli.control_client import get_control
from emulator.errors import EmulatorError


class Page(BaseHTTPRequestHandler):
    """A server that is not an emulator."""

    def do_GET(self) -> None:
        """Answer with a page."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def other_server() -> Iterator[str]:
    """The URL of a server that is not an emulator."""
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_wrong_servers_are_reported(other_server: str) -> None:
    """A server that is not an emulator, and a text that is not a URL, are reported in one sentence with advice."""
    with pytest.raises(
        EmulatorError, match=rf"what answers at {re.escape(other_server)} is no emulator; --url is the one"
    ):
        get_control(other_server, "health")
    with pytest.raises(EmulatorError, match=r'the URL is "localhost"; expected one such as http://127.0.0.1:8080'):
        get_control("localhost", "health")
    with pytest.raises(EmulatorError, match=r"no emulator answers at http://127.0.0.1:1 \(connection refused\)"):
        get_control("http://127.0.0.1:1", "health")


def test_proxies_are_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator is asked without the proxy of the environment; its error messages are passed on."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Emulator() as vertex:
        assert get_control(vertex.url, "health")["status"] == "ok"
        with pytest.raises(EmulatorError, match=r'says 400: unknown filter "sesion"'):
            get_control(vertex.url, "verdicts", sesion="p")
