"""A session as a test sees it: all that belongs to one project."""

import importlib.util
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, Unpack

from emulator.api.clients import Clients
from emulator.api.rules import Conditions, RuleBuilder
from emulator.catalogue.quirks import QuirkName
from emulator.catalogue.variations import Variation
from emulator.errors import ScenarioError
from emulator.scenario.loading import is_text, read_given
from emulator.server.service import Service
from emulator.store.exchange import Exchange
from emulator.store.views import JournalView, RequestFilter
from emulator.verdicts.registry import Verdict
from emulator.verdicts.verification import Verification

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI


class Host(Protocol):
    """What a session needs of the emulator it belongs to."""

    service: Service

    @property
    def api_key(self) -> str:
        """A bearer token that is accepted in every mode."""
        ...

    def base_url(self, project: str, location: str, endpoint: str) -> str:
        """What an OpenAI client takes as its base URL."""
        ...

    def write_credentials(self, project: str) -> Path:
        """The key file of a project's service account."""
        ...


class VertexSession:
    """What belongs to one project of an emulator: base URL, journal, rules, counters. `with` closes the clients it made."""

    def __init__(self, host: Host, clients: Clients, project: str, location: str, endpoint: str) -> None:
        """`clients` are the emulator's own, which it closes when it stops."""
        self.project = project
        self.location = location
        self.endpoint = endpoint
        self._host = host
        self._clients = clients
        self._service = host.service

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return self._host.base_url(self.project, self.location, self.endpoint)

    @property
    def api_key(self) -> str:
        """A bearer token that the emulator accepts in every mode."""
        return self._host.api_key

    @property
    def credentials_file(self) -> Path:
        """The key file of a service account of the project. Raises StartError without the package cryptography."""
        return self._host.write_credentials(self.project)

    def environment(self) -> dict[str, str]:
        """The variables that lead OpenAI and Google clients here; the key file's is there if keys can be made."""
        direct = ",".join(
            filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "127.0.0.1,localhost"))
        )
        variables = {
            "OPENAI_BASE_URL": self.base_url,
            "OPENAI_API_KEY": self.api_key,
            "GOOGLE_CLOUD_PROJECT": self.project,
            "GOOGLE_CLOUD_LOCATION": self.location,
            # Without these a proxy of the environment would be asked for what runs on this machine.
            "NO_PROXY": direct,
            "no_proxy": direct,
        }
        if importlib.util.find_spec("cryptography") is not None:
            variables["GOOGLE_APPLICATION_CREDENTIALS"] = str(self.credentials_file)
        return variables

    def openai(self, **options: Any) -> "OpenAI":
        """An OpenAI client, closed at the latest when the emulator stops; `options` are its own. Raises StartError without `openai`."""
        return self._clients.openai(self, self.base_url, self.api_key, options)

    def async_openai(self, **options: Any) -> "AsyncOpenAI":
        """The same for asyncio."""
        return self._clients.async_openai(self, self.base_url, self.api_key, options)

    @property
    def journal(self) -> JournalView:
        """What was asked and answered in this session."""
        return JournalView(self._service.journal, self.project)

    def assert_sent(self, times: int | None = None, **wanted: Unpack[RequestFilter]) -> tuple[Exchange, ...]:
        """Assert that some exchanges fit, or as many as `times` says, and return those: `journal.assert_sent`."""
        __tracebackhide__ = True
        return self.journal.assert_sent(times, **wanted)

    def on(self, **when: Unpack[Conditions]) -> RuleBuilder:
        """A rule for this session, tried before all others; the arguments are the keys of `when`. Raises ScenarioError."""
        __tracebackhide__ = True
        return RuleBuilder(self._service, self.project, when)

    def push(self, *scenarios: str | os.PathLike[str]) -> None:
        """Give the session scenarios of its own (paths, or texts with a line break) instead of the server's. Raises ScenarioError."""
        __tracebackhide__ = True
        try:
            reading = read_given(scenarios)
        except ScenarioError as error:
            # The problems say where they are; how they were found out is nobody's concern.
            raise error.with_traceback(None) from None
        self._service.push_reading(self.project, reading, "---\n".join(_texts(scenarios)))

    def disturb(
        self,
        *,
        fault: str | Sequence[str] = (),
        pace: str | None = None,
        quirks: Collection[QuirkName] = (),
        speed: float | None = None,
    ) -> None:
        """Let things go wrong with all answers of the session, besides what goes wrong with all of the server.

        `fault` and `pace` are written as for `--fault` and `--pace`: `reset_mid_stream`, `fail=429,first=1`. Each call takes the place
        of the one before; without arguments it ends the disturbance, and so does `reset`. Raises StartError for what there is not.
        """
        faults = (fault,) if isinstance(fault, str) else tuple(fault)
        self._service.disturb(self.project, Variation("", "", faults, frozenset(quirks), pace, speed))

    def reset(self) -> None:
        """Forget counters, pushed scenarios, added rules, disturbances and journal of the session."""
        self._service.reset(self.project)

    def verify(self, *, strict: bool = False) -> Verification:
        """What is wrong with the session's past: requests unanswered, rules not used as they should be."""
        return self._service.verify(self.project, strict=strict)

    def verdicts(self) -> tuple[Verdict, ...]:
        """What the session's clients did wrong."""
        return self._service.verdicts(self.project)

    def assert_clean(self) -> None:
        """Assert that there are no verdicts, of whatever severity. Raises AssertionError with all of them."""
        __tracebackhide__ = True
        if found := self.verdicts():
            raise AssertionError("\n".join(map(str, found)))

    def close(self) -> None:
        """Close the clients that this session made."""
        self._clients.close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _texts(scenarios: Sequence[str | os.PathLike[str]]) -> list[str]:
    """What the control API shows of pushed scenarios: their texts, of folders the name."""
    paths = [Path(one) if not is_text(one) else None for one in scenarios]
    return [
        str(one) if path is None else path.read_text("utf-8", "replace") if path.is_file() else f"# {path}\n"
        for one, path in zip(scenarios, paths, strict=True)
    ]
