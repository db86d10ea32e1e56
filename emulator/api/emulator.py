"""An emulator that runs inside a Python program."""

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from emulator.api.background import BackgroundServer, Listeners
from emulator.api.misuse import explain_arguments
from emulator.api.openai_clients import OpenAIClients
from emulator.api.session import SessionScope, VertexSession
from emulator.credentials.key_files import KeyFiles, write_key_files, write_private
from emulator.errors import StartError
from emulator.recording.loading import ScenarioPath, load_rules
from emulator.scenario.loading import default_scenario_path
from emulator.server.clock import Clock, SystemClock
from emulator.server.listening import bind, url_of
from emulator.server.service import Service
from emulator.server.settings import CONTROL_PATH, Settings

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI


class KeyFileFolder:
    """A temporary folder with a service account's key file for each project; they share one key, because generating it is slow."""

    def __init__(self, service: Service, url: str) -> None:
        self._service = service
        self._url = url
        self._folder: TemporaryDirectory[str] | None = None
        self._first: KeyFiles | None = None
        self._lock = threading.Lock()

    def file_for(self, project: str) -> Path:
        """Return the key file of a project's service account. Raises StartError without the package cryptography."""
        with self._lock:
            if self._folder is None:
                self._folder = TemporaryDirectory(prefix="vertex-emulator-")
            folder = Path(self._folder.name, project)
            if self._first is None:
                self._first = write_key_files(folder, url=self._url, project=project)
                self._service.public_keys[self._first.key_id] = self._first.public_key
            path = folder / self._first.service_account.name
            if not path.exists():
                fields = json.loads(self._first.service_account.read_text("utf-8"))
                fields["client_email"] = fields["client_email"].replace(f"@{fields['project_id']}.", f"@{project}.")
                fields["project_id"] = project
                write_private(folder, {path: json.dumps(fields, indent=2) + "\n"})
            return path

    def close(self) -> None:
        """Remove the folder, and the key from the service."""
        with self._lock:
            if self._folder is not None:
                self._folder.cleanup()
            if self._first is not None:
                self._service.public_keys.pop(self._first.key_id, None)
            self._folder = self._first = None


_NOT_STARTED = "the emulator has not been started; write `with Emulator(...) as vertex:`, or call start()"
PROJECT = "test-project"
"""The project where none is named."""


def build_service(
    scenarios: Sequence[ScenarioPath] = (), settings: Settings | None = None, clock: Clock | None = None
) -> Service:
    """Create the service for scenario files, folders, texts and recordings, or for the built-in default. Raises ScenarioError."""
    rules = load_rules(scenarios or [default_scenario_path()])
    ruleset = replace(rules.ruleset, is_implied=not scenarios)
    return Service(ruleset, settings or Settings(), clock=clock or SystemClock())


class Emulator(SessionScope):
    """An emulator that runs on a thread of its own: `with Emulator("weather.yaml") as vertex: ...`.

    Scenarios are paths of files, folders and recordings, or texts (a `str` with a line break); without any the built-in default answers,
    until rules are made with `on`: what they do not answer is a miss, unless `Settings(fallback="default")` says otherwise.
    `async with` does the same. Several may run in one process.
    """

    @explain_arguments
    def __init__(
        self,
        *scenarios: ScenarioPath,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.service = build_service(scenarios, settings, clock)
        super().__init__(self.service, None)
        self._host = host
        self._port = port
        self._url: str | None = None
        self._background: BackgroundServer | None = None
        self._clients = OpenAIClients()
        self._key_files: KeyFileFolder | None = None

    def __repr__(self) -> str:
        """Its address."""
        return f"<Emulator {self._url}>" if self._background else "<Emulator, not running>"

    def start(self) -> Self:
        """Start, and return once requests are answered. Raises StartError, or the exception that prevented it."""
        if self._background is not None:
            raise StartError("the emulator is running already")
        with bind(self._host, self._port) as bound:
            background = BackgroundServer(
                lambda on_answering: Listeners(self.service, bound.dup(), on_answering, grace=0)
            )
            background.start()
            self._url = url_of(bound)
        self._background, self._key_files = background, KeyFileFolder(self.service, self._url)
        return self

    def stop(self) -> None:
        """Close the clients, stop, and wait until the thread has ended; does nothing if it is not running."""
        self._clients.close()
        if self._key_files is not None:
            self._key_files.close()
        if self._background is not None:
            self._background.stop()
        self._background = self._key_files = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._clients.aclose()
        await asyncio.to_thread(self.stop)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        if self._url is None:
            raise StartError(_NOT_STARTED)
        return self._url

    @property
    def page_url(self) -> str:
        """The page that shows what happens, as long as the emulator runs."""
        return f"{self.url}{CONTROL_PATH}"

    @property
    def base_url(self) -> str:
        """The base URL for an OpenAI client; that of another project, location or endpoint is `session(...).base_url`."""
        return self.session().base_url

    @property
    def api_key(self) -> str:
        """A bearer token that this emulator accepts in every mode."""
        return self.service.mint.issue(self.service.clock.now())

    @property
    def credentials_file(self) -> Path:
        """The key file of a service account, generated on first use and removed when the emulator stops.

        Raises StartError without the package cryptography.
        """
        return self.write_credentials(PROJECT)

    def write_credentials(self, project: str) -> Path:
        """The key file of a service account of a project; otherwise as `credentials_file`."""
        if self._key_files is None:
            raise StartError(_NOT_STARTED)
        return self._key_files.file_for(project)

    def environment(self, project: str = PROJECT) -> dict[str, str]:
        """Environment variables that direct OpenAI and Google clients here; a key file is among them if cryptography is installed."""
        return self.session(project).environment()

    def openai(self, *, project: str = PROJECT, **options: Any) -> "OpenAI":
        """An OpenAI client, closed when the emulator stops; `options` are passed on to it. Raises StartError without `openai`."""
        return self._clients.openai(self, self.session(project).base_url, self.api_key, options)

    def async_openai(self, *, project: str = PROJECT, **options: Any) -> "AsyncOpenAI":
        """An OpenAI client for asyncio; otherwise as `openai`."""
        return self._clients.async_openai(self, self.session(project).base_url, self.api_key, options)

    def session(self, project: str = PROJECT, *, location: str = "global", endpoint: str = "openapi") -> VertexSession:
        """The session of a project; location and endpoint determine its base URL."""
        return VertexSession(self, self._clients, project, location, endpoint)
