"""All that listens, on one loop: the plain server, its TLS twin and the proxy."""

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from emulator.api.background import Interception, Listeners
from emulator.api.emulator import build_service
from emulator.intercept.certificate_authority import CertificateAuthority
from emulator.server.listening import bind

HOST = "us-central1-aiplatform.googleapis.com"
BODY = json.dumps({"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "hello"}]})
REQUEST = (
    "POST /v1/projects/p/locations/us-central1/endpoints/openapi/chat/completions HTTP/1.1\r\n"
    f"Host: {HOST}\r\nAuthorization: Bearer any\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}"
)


async def connect(port: int, trusting: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the emulated host through the proxy."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"CONNECT {HOST}:443 HTTP/1.1\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await writer.start_tls(trusting, server_hostname=HOST)
    return reader, writer


def test_many_connections_leave_no_task(tmp_path: Path) -> None:
    """Two hundred clients are served concurrently over TLS; some disconnect, and in the end no task is left."""
    authority, service = CertificateAuthority(), build_service()
    trusting = ssl.create_default_context(cadata=authority.certificate.decode())

    async def ask(port: int, number: int) -> bytes:
        reader, writer = await connect(port, trusting)
        writer.write(REQUEST.encode())
        answer = b"" if number % 4 == 0 else await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
        return answer

    async def work() -> None:
        plain, tls, proxy = (bind("127.0.0.1", 0) for _ in range(3))
        answering = asyncio.Event()
        interception = Interception(authority.server_context(tmp_path), tls, proxy, lambda _: None)
        listeners = Listeners(service, plain, answering.set, interception)
        port = proxy.getsockname()[1]
        serving = asyncio.create_task(listeners.serve())
        await answering.wait()
        before = len(asyncio.all_tasks())
        answers = await asyncio.gather(*(ask(port, number) for number in range(200)))
        assert sum(answer.startswith(b"HTTP/1.1 200 OK") for answer in answers) == 150
        while len(asyncio.all_tasks()) > before:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
        listeners.stop()
        await serving

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await work()

    asyncio.run(bounded())


def test_serve_under_tls(programs: Any) -> None:
    """`serve --tls` prints an https URL and the authority; both work until the server ends."""
    with programs.start("serve", "--port", "0", "--tls", "--tls-port", "0") as process:
        greeting = read_until(process, "certificate authority: ")
        certificate = greeting[-1].rpartition(": ")[2]
        url = greeting[-2].rpartition(": ")[2]
        assert url.startswith("https://127.0.0.1:")
        base = f"{url}/v1/projects/p/locations/us-central1/endpoints/openapi/chat/completions"
        request = Request(base, BODY.encode(), {"authorization": "Bearer any"})  # noqa: S310 - the URL just printed
        with urlopen(request, context=ssl.create_default_context(cafile=certificate)) as answer:  # noqa: S310 - as above
            assert json.load(answer)["choices"]
        process.terminate()
        assert process.wait() == 0
    assert list(programs.temporary.iterdir()) == []


def test_serve_as_proxy(programs: Any) -> None:
    """`serve --proxy` prints variables with which a program started elsewhere runs unchanged."""
    ports = ("--port", "0", "--tls-port", "0", "--proxy-port", "0")
    with programs.start("serve", *ports, "--proxy", "--project", "blue") as process:
        greeting = read_until(process, "export PATH=")
        lines = [line.strip() for line in greeting[greeting.index("For unchanged programs:") + 1 :]]
        assert lines[0].startswith("unset HTTP_PROXY ")
        url = f"https://{HOST}/v1/projects/blue/locations/us-central1/endpoints/openapi/chat/completions"
        script = "\n".join(
            [*lines, f"curl -sf -H \"Authorization: Bearer $(gcloud auth print-access-token)\" -d '{BODY}' {url}"]
        )
        with programs.start_other("bash", "-c", script) as other:
            out, err = other.communicate()
        assert json.loads(out)["choices"], err
        process.terminate()
        assert process.wait() == 0
    assert list(programs.temporary.iterdir()) == []


def read_until(process: Any, text: str) -> list[str]:
    """Read a program's lines up to the first that contains a text."""
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if text in line:
            return lines
    raise AssertionError(f"{text!r} was not said in:\n" + "\n".join(lines) + process.stderr.read())
