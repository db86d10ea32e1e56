"""Starting and stopping a server: in the foreground for `serve`, on a thread of its own for tests and programs."""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import uvicorn

from emulator.engine.compiling import compile_rules
from emulator.errors import StartError
from emulator.scenario.reading import default_scenario_path, read_paths
from emulator.server.app import App
from emulator.server.service import Clock, Service, SystemClock
from emulator.server.settings import Settings

ScenarioPath = str | os.PathLike[str]


def build_service(
    scenarios: Sequence[ScenarioPath] = (), settings: Settings | None = None, clock: Clock | None = None
) -> Service:
    """The service of these scenario files and folders, or of the built-in default. Raises ScenarioError."""
    reading = read_paths(scenarios or [default_scenario_path()])
    return Service(compile_rules(reading.scenarios), settings or Settings(), clock=clock or SystemClock())


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises StartError in one clear sentence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(2048)
    except (OSError, OverflowError) as error:
        bound.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StartError(
            f"cannot listen on {host}:{port}: {reason.lower()}; choose another port, or --port 0 for a free one"
        ) from None
    bound.set_inheritable(True)
    return bound


class Server(uvicorn.Server):
    """A uvicorn server that says when it answers."""

    def __init__(self, config: uvicorn.Config, on_answering: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_answering = on_answering

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then say so."""
        await super().startup(sockets=sockets)
        self._on_answering()


def build_server(service: Service, on_answering: Callable[[], object] = lambda: None) -> Server:
    """A uvicorn server for the service; what it logs of itself are only errors."""
    config = uvicorn.Config(
        App(service),
        access_log=False,
        date_header=True,
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    return Server(config, on_answering)


def address_of(bound: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = bound.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104  # compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Emulator:
    """An emulator that runs on a thread of its own: `with Emulator("weather.yaml") as vertex: ...`."""

    def __init__(
        self,
        *scenarios: ScenarioPath,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.service = build_service(scenarios, settings, clock)
        self._host = host
        self._port = port
        self._answering = threading.Event()
        self._server = build_server(self.service, self._answering.set)
        self._socket: socket.socket | None = None
        self._url: str | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def start(self) -> Self:
        """Start and return once requests are answered. Raises StartError, or whatever kept the server from starting."""
        self._socket = bind(self._host, self._port)
        self._url = address_of(self._socket)
        self._thread = threading.Thread(target=self._run, name="vertex-emulator", daemon=True)
        self._thread.start()
        self._answering.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def stop(self) -> None:
        """Stop and wait until the thread is done."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
        if self._socket is not None:
            self._socket.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        if self._url is None:
            raise StartError("the emulator has not been started")
        return self._url

    def base_url(self, project: str = "test-project", location: str = "us-central1", endpoint: str = "openapi") -> str:
        """What an OpenAI client takes as its base URL."""
        return base_url(self.url, project, location, endpoint)

    @property
    def api_key(self) -> str:
        """A bearer token that this emulator accepts in every mode."""
        return self.service.mint.issue(self.service.clock.now())

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
                runner.run(self._server.serve(sockets=[self._socket] if self._socket else None))
        except BaseException as error:  # noqa: BLE001  # raised again on the thread that started this one
            self._failure = error
        finally:
            self._answering.set()


def base_url(url: str, project: str, location: str, endpoint: str = "openapi") -> str:
    """The base URL of an endpoint of the server at a URL."""
    return f"{url}/v1/projects/{project}/locations/{location}/endpoints/{endpoint}"
