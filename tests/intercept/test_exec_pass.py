"""`--pass`: hosts that programs reach over the network, here over loopback."""

import http.server
import shutil
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trustme

from emulator.errors import StartError
from emulator.intercept.certificate_authority import usual_authorities
from emulator.intercept.proxy import PassedHosts, pass_hosts

OTHER = "127.0.0.2"
"""A loopback address that NO_PROXY does not name, so that clients ask the proxy for it."""
FETCH = """
import json, os, sys, urllib.request
import httpx, requests
url = sys.argv[1]
print(json.dumps([urllib.request.urlopen(url).read().decode(), httpx.get(url).text, requests.get(url, timeout=30).text]))
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Says for which host it was asked."""

    def do_GET(self) -> None:
        """Answer a request."""
        text = f"real {self.headers['Host'].partition(':')[0]}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The authority of the real hosts."""
    return trustme.CA()


@pytest.fixture(scope="module")
def port(authority: trustme.CA) -> Iterator[int]:
    """The port of a server at OTHER, whose certificate is also Google's."""
    server = http.server.ThreadingHTTPServer((OTHER, 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(OTHER, "storage.googleapis.com").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    """A file of what programs trust without the emulator."""
    path = tmp_path / "company.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


DIRECT = {"https_proxy": "", "HTTPS_PROXY": "", "NO_PROXY": "", "no_proxy": ""}


def test_passed_hosts_are_reached(programs: Any, port: int, bundle: str) -> None:
    """A host that is let through is reached with the certificates that the user trusts; it is no leak."""
    done = programs.run(
        *("--pass", OTHER, "--", sys.executable, "-c", FETCH, f"https://{OTHER}:{port}/"),
        env={"SSL_CERT_FILE": bundle, **DIRECT},
    )
    assert done.answers == [f"real {OTHER}"] * 3
    assert done.err == "vertex-emulator: no request reached the emulator, 0 misses, 0 refusals, 0 leaks\n"


def test_other_hosts_stay_refused(programs: Any, port: int, bundle: str) -> None:
    """Without --pass the same host is a leak; with it, the emulated hosts still lead to the emulator."""
    curl = f"curl -sS https://{OTHER}:{port}/; curl -s https://aiplatform.googleapis.com/ | head -c 15"
    environment = {"SSL_CERT_FILE": bundle, **DIRECT}
    done = programs.run("--pass", "example.com", "--", "sh", "-c", curl, env=environment)
    assert done.out == "<!DOCTYPE html>"
    assert f"0 refusals, 1 leak ({OTHER}), 1 request to something that is not emulated: GET /\n" in done.err


class ForwardProxy(socketserver.StreamRequestHandler):
    """A proxy that leads every CONNECT to one server, and keeps what it was asked."""

    asked: ClassVar[list[str]]
    target: tuple[str, int]

    def handle(self) -> None:
        """Tunnel one connection."""
        head = [self.rfile.readline().decode().strip()]
        while head[-1]:
            head.append(self.rfile.readline().decode().strip())
        self.asked.extend(head[:-1])
        with socket.create_connection(self.target) as server:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=self.copy, args=(server, self.connection))
            back.start()
            self.copy(self.connection, server)
            back.join()

    @staticmethod
    def copy(source: Any, sink: Any) -> None:
        """Copy until the end."""
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(1)
        except OSError:
            pass


def test_by_way_of_the_users_proxy(programs: Any, port: int, bundle: str) -> None:
    """A host of Google's that is let through is reached by the proxy that HTTPS_PROXY names, with its login."""

    class Handling(ForwardProxy):
        asked: ClassVar[list[str]] = []
        target = (OTHER, port)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handling) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy = f"http://me:p%40ss@127.0.0.1:{server.server_address[1]}"
        done = programs.run(
            *("--pass", "*.googleapis.com", "--", "curl", "-sS", "https://storage.googleapis.com/"),
            env={"SSL_CERT_FILE": bundle, **DIRECT, "https_proxy": proxy},
        )
        server.shutdown()
    assert done.out == "real storage.googleapis.com", done.err
    assert Handling.asked == [
        "CONNECT storage.googleapis.com:443 HTTP/1.1",
        "Host: storage.googleapis.com:443",
        "Proxy-Authorization: Basic bWU6cEBzcw==",
    ]


def test_hosts_that_cannot_be_reached(programs: Any, bundle: str) -> None:
    """The client is told what could not be reached: the host, or the user's proxy."""
    curl = ("--pass", OTHER, "--", "curl", "-sS", "-v", f"https://{OTHER}:9/")
    done = programs.run(*curl, env={"SSL_CERT_FILE": bundle, **DIRECT})
    assert "CONNECT tunnel failed, response 502" in done.err
    done = programs.run(*curl, env={"SSL_CERT_FILE": bundle, **DIRECT, "https_proxy": "http://127.0.0.1:9"})
    assert "CONNECT tunnel failed, response 502" in done.err


def test_node(programs: Any, bundle: str) -> None:
    """Node's own clients are led to the emulator, but not for a host that is let through."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    program = f"""
const https = require("node:https");
const lookup = (_, options, done) => options.all ? done(null, [{{address: "{OTHER}", family: 4}}]) : done(null, "{OTHER}", 4);
for (const host of ["storage.googleapis.com", "aiplatform.googleapis.com"])
  https.get({{host, lookup}}, (answer) => (answer.resume(), console.log(host, answer.statusCode))).on("error", (error) => console.log(host, error.code));
"""
    done = programs.run(
        *("--pass", "storage.googleapis.com", "--", "node", "-e", program), env={"SSL_CERT_FILE": bundle, **DIRECT}
    )
    assert sorted(done.out.splitlines()) == ["aiplatform.googleapis.com 404", "storage.googleapis.com ECONNREFUSED"]


@pytest.mark.parametrize("host", ["https://pypi.org", "pypi.org:443", "pypi.org/simple", "*", "", "a..b"])
def test_wrong_names(programs: Any, host: str) -> None:
    """What is no name of a host is wrong usage."""
    done = programs.run("--pass", host, "--", "true")
    assert done.status == 2
    assert f'"{host}" is no name of a host; expected one such as pypi.org or *.example.com' in " ".join(
        done.err.split()
    )


@pytest.mark.parametrize(
    ("pattern", "host", "is_passed"),
    [
        ("pypi.org", "pypi.org", True),
        ("pypi.org", "PyPI.org.", True),
        ("pypi.org", "files.pypi.org", False),
        ("pypi.org", "evilpypi.org", False),
        ("*.pypi.org", "files.pypi.org", True),
        ("*.pypi.org", "a.b.pypi.org", True),
        ("*.pypi.org", "pypi.org", False),
        ("*.pypi.org", "evilpypi.org", False),
    ],
)
def test_patterns(pattern: str, host: str, is_passed: bool) -> None:
    """A name stands for itself, `*.` for everything below a domain."""
    assert (host in PassedHosts((pattern,))) == is_passed


@pytest.mark.parametrize(
    ("proxies", "host", "expected"),
    [
        ({}, "pypi.org", None),
        ({"https": "http://proxy:3128"}, "pypi.org", ("proxy", 3128)),
        ({"https": "proxy:3128"}, "pypi.org", ("proxy", 3128)),
        ({"https": "http://proxy:3128", "no": "pypi.org"}, "pypi.org", None),
        ({"https": "http://proxy:3128", "no": "*"}, "pypi.org", None),
        ({"https": "http://proxy:3128", "no": "other.org"}, "pypi.org", ("proxy", 3128)),
        ({"http": "http://proxy:3128"}, "pypi.org", None),
    ],
)
def test_proxies_on_the_way(proxies: dict[str, str], host: str, expected: tuple[str, int] | None) -> None:
    """HTTPS_PROXY and NO_PROXY, as they were before the emulator, decide how a host is reached."""
    proxy = PassedHosts((host,), proxies).find_proxy(host)
    assert (proxy and (proxy.hostname, proxy.port)) == expected


@pytest.mark.parametrize("url", ["socks5h://127.0.0.1:9", "https://proxy:3128"])
def test_proxies_of_other_schemes(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A proxy that cannot be used is reported, but only where hosts are let through."""
    monkeypatch.setenv("https_proxy", url)
    assert pass_hosts(()) == PassedHosts()
    with pytest.raises(StartError, match=r"--pass leads through proxies of the scheme http only, and HTTPS_PROXY"):
        pass_hosts(("pypi.org",))


def test_usual_authorities(authority: trustme.CA, bundle: str, tmp_path: Path) -> None:
    """All that clients trust by their variables, each certificate once; what is no certificate is left out."""
    junk = tmp_path / "junk"
    junk.write_bytes(b"\xff\x00-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    names = {
        "SSL_CERT_FILE": bundle,
        "CURL_CA_BUNDLE": bundle,
        "REQUESTS_CA_BUNDLE": str(junk),
        "NODE_EXTRA_CA_CERTS": "/no",
    }
    found = usual_authorities(names)
    assert [one.strip() for one in found].count(authority.cert_pem.bytes().decode().strip()) == 1
    assert not any("PRIVATE" in one for one in found)
    ssl.create_default_context(cadata="".join(found))
