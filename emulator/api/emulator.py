"""An emulator that runs inside a Python program."""

import asyncio
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from emulator.api.background import Background, Listeners
from emulator.api.clients import Clients
from emulator.api.rules import Conditions, RuleBuilder
from emulator.api.session import VertexSession
from emulator.credentials.key_files import KeyFiles, write_key_files, write_private
from emulator.engine.ruleset import compile_rules
from emulator.errors import StartError
from emulator.scenario.loading import default_scenario_path, read_given
from emulator.server.clock import Clock, SystemClock
from emulator.server.listening import base_url, bind, url_of
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.store.views import JournalView, RequestFilter
from emulator.verdicts.registry import Verdict
from emulator.verdicts.verification import Verification

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI


class Keys:
    """A temporary folder with a service account's key file for each project; all have one key, because making one takes long."""

    def __init__(self, service: Service, url: str) -> None:
        self._service = service
        self._url = url
        self._folder: TemporaryDirectory[str] | None = None
        self._first: KeyFiles | None = None
        self._lock = threading.Lock()

    def find(self, project: str) -> Path:
        """The key file of a project's service account. Raises StartError if the package that makes keys is missing."""
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
        """Remove the folder."""
        with self._lock:
            if self._folder is not None:
                self._folder.cleanup()
            if self._first is not None:
                self._service.public_keys.pop(self._first.key_id, None)
            self._folder = self._first = None


ScenarioPath = str | os.PathLike[str]
"""A file or folder, or the text of a scenario: a `str` with a line break."""

PROJECT = "test-project"
"""The project where none is named."""


def build_service(
    scenarios: Sequence[ScenarioPath] = (), settings: Settings | None = None, clock: Clock | None = None
) -> Service:
    """The service of these scenario files, folders and texts, or of the built-in default. Raises ScenarioError."""
    reading = read_given(scenarios or [default_scenario_path()])
    return Service(compile_rules(reading.scenarios), settings or Settings(), clock=clock or SystemClock())


class Emulator:
    """An emulator that runs on a thread of its own: `with Emulator("weather.yaml") as vertex: ...`.

    Scenarios are paths of files and folders, or texts (a `str` with a line break); without any the built-in default answers. `async with`
    does the same. Several may run in one process.
    """

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
        self._url: str | None = None
        self._background: Background | None = None
        self._clients = Clients()
        self._keys: Keys | None = None

    def start(self) -> Self:
        """Start and return once requests are answered. Raises StartError, or whatever kept the server from starting."""
        if self._background is not None:
            raise StartError("the emulator is running already")
        with bind(self._host, self._port) as bound:
            background = Background(lambda on_answering: Listeners(self.service, bound.dup(), on_answering, grace=0))
            background.start()
            self._url = url_of(bound)
        self._background, self._keys = background, Keys(self.service, self._url)
        return self

    def stop(self) -> None:
        """Close the clients it made, then stop and wait until its thread is done; stopped, it does nothing."""
        self._clients.close()
        if self._keys is not None:
            self._keys.close()
        if self._background is not None:
            self._background.stop()
        self._background = self._keys = None

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
            raise StartError("the emulator has not been started")
        return self._url

    def base_url(self, project: str = PROJECT, location: str = "us-central1", endpoint: str = "openapi") -> str:
        """What an OpenAI client takes as its base URL."""
        return base_url(self.url, project, location, endpoint)

    @property
    def api_key(self) -> str:
        """A bearer token that this emulator accepts in every mode."""
        return self.service.mint.issue(self.service.clock.now())

    @property
    def credentials_file(self) -> Path:
        """The key file of a service account, made when first asked for; it goes when the emulator stops.

        Raises StartError without the package cryptography.
        """
        return self.write_credentials(PROJECT)

    def write_credentials(self, project: str) -> Path:
        """The same for another project."""
        if self._keys is None:
            raise StartError("the emulator has not been started")
        return self._keys.find(project)

    def environment(self, project: str = PROJECT) -> dict[str, str]:
        """The variables that lead OpenAI and Google clients here; the key file's is there if keys can be made."""
        return self.session(project).environment()

    def openai(self, *, project: str = PROJECT, **options: Any) -> "OpenAI":
        """An OpenAI client, closed at the latest when the emulator stops; `options` are its own. Raises StartError without `openai`."""
        return self._clients.openai(self, self.base_url(project), self.api_key, options)

    def async_openai(self, *, project: str = PROJECT, **options: Any) -> "AsyncOpenAI":
        """The same for asyncio."""
        return self._clients.async_openai(self, self.base_url(project), self.api_key, options)

    def session(
        self, project: str = PROJECT, *, location: str = "us-central1", endpoint: str = "openapi"
    ) -> VertexSession:
        """What belongs to one project, as seen from one location and endpoint."""
        return VertexSession(self, self._clients, project, location, endpoint)

    @property
    def journal(self) -> JournalView:
        """What was asked and answered, in all sessions."""
        return JournalView(self.service.journal)

    def assert_sent(self, times: int | None = None, **wanted: Unpack[RequestFilter]) -> tuple[Exchange, ...]:
        """Assert that some exchanges fit, or as many as `times` says, and return those: `journal.assert_sent`."""
        __tracebackhide__ = True
        return self.journal.assert_sent(times, **wanted)

    def on(self, **when: Unpack[Conditions]) -> RuleBuilder:
        """A rule for all sessions, tried before those of files and after those of the session itself.

        The arguments are the keys of `when`. It stays until the emulator is gone. Raises ScenarioError with the Python line.
        """
        __tracebackhide__ = True
        return RuleBuilder(self.service, None, when)

    def reset(self) -> None:
        """Forget counters, pushed scenarios, rules and journal of all sessions; rules added here by `on` stay."""
        self.service.reset(None)

    def verify(self, *, strict: bool = False) -> Verification:
        """What is wrong with the past of all sessions: requests unanswered, rules not used as they should be."""
        return self.service.verify(None, strict=strict)

    def verdicts(self) -> tuple[Verdict, ...]:
        """What the clients of all sessions did wrong."""
        return self.service.verdicts()

    def assert_clean(self) -> None:
        """Assert that there are no verdicts, of whatever severity. Raises AssertionError with all of them."""
        __tracebackhide__ = True
        if found := self.verdicts():
            raise AssertionError("\n".join(map(str, found)))
