"""`VertexSession`: the part of an emulator that belongs to one project."""

import importlib.util
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Never, Protocol, Self, Unpack

from emulator.api.misuse import explain_arguments, explain_attribute
from emulator.api.openai_clients import OpenAIClients
from emulator.api.rules import Conditions, RuleBuilder
from emulator.catalogue.quirks import QuirkName
from emulator.catalogue.variations import Variation
from emulator.engine.recorded import Repeats
from emulator.engine.ruleset import Ruleset
from emulator.errors import ScenarioError
from emulator.recording.loading import ScenarioPath, load_rules
from emulator.scenario.loading import is_text
from emulator.server.listening import base_url
from emulator.server.service import Service
from emulator.store.exchange import Exchange, UnroutedRequest
from emulator.store.views import JournalView, RequestFilter
from emulator.verdicts.registry import Verdict
from emulator.verdicts.verification import Verification

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

    from emulator.recording.session_recorder import Access, SessionRecorder


class EmulatorProtocol(Protocol):
    """What a session needs of the emulator it belongs to."""

    service: Service

    @property
    def api_key(self) -> str:
        """A bearer token that the emulator accepts in every mode."""
        ...

    @property
    def page_url(self) -> str:
        """The page that shows what happens."""
        ...

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        ...

    def write_credentials(self, project: str) -> Path:
        """The key file of a project's service account."""
        ...


class SessionScope:
    """Journal, rules and verification of one session, or of all sessions together."""

    def __init__(self, service: Service, project: str | None) -> None:
        """`project` names the session; None stands for all."""
        self._service = service
        self._scope = project

    @property
    def journal(self) -> JournalView:
        """The exchanges that have ended. Waits a moment for those whose client may just have left."""
        self._service.journal.settle(self._scope)
        return JournalView(self._service.journal, self._scope)

    @property
    def unrouted(self) -> tuple[UnroutedRequest, ...]:
        """The requests to paths that nothing routes."""
        return tuple(one for one in self._service.journal.unrouted if self._scope in {None, one.session})

    def assert_sent(self, times: int | None = None, **wanted: Unpack[RequestFilter]) -> tuple[Exchange, ...]:
        """Assert that at least one exchange matches, or exactly `times`, and return them: `journal.assert_sent`."""
        __tracebackhide__ = True
        return self.journal.assert_sent(times, **wanted)

    def on(self, *texts: Never, **when: Unpack[Conditions]) -> RuleBuilder:
        """Add a rule; the arguments are the keys of `when`. Raises ScenarioError with the Python line.

        Rules of a session are tried before those for all sessions, and these before the rules of files. Resetting a session removes
        its rules, those for all sessions are kept.
        """
        __tracebackhide__ = True
        if texts:
            raise TypeError(
                f"on() takes conditions by name: on(last_user={texts[0]!r}); without any the rule answers every request"
            )
        return RuleBuilder(self._service, self._scope, when)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Called for attributes that do not exist. Raises AttributeError."""
            __tracebackhide__ = True
            is_step = not name.startswith("_") and hasattr(RuleBuilder, name)
            elsewhere = f"; make a rule first: .on(last_user=...).{name}(...)" if is_step else ""
            if name == "session":
                elsewhere = "; it is the session of one project, and the fixture vertex_server makes those of others: vertex_server.session(...)"
            raise explain_attribute(type(self).__name__, type(self), name, elsewhere)

    def reset(self) -> None:
        """Clear counters, pushed scenarios, the rules added to sessions, disturbances and journal."""
        self._service.reset(self._scope)

    def verify(self, *, strict: bool = False) -> Verification:
        """Problems so far: requests that no rule answered or nothing routes, and rules not used as they should be."""
        return self._service.verify(self._scope, strict=strict)

    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts on the clients."""
        return self._service.verdicts(self._scope)

    def assert_clean(self) -> None:
        """Raise AssertionError with all verdicts if there are any, of whatever severity."""
        __tracebackhide__ = True
        if found := self.verdicts():
            raise AssertionError("\n".join(map(str, found)))


class VertexSession(SessionScope):
    """The session of one project: base URL, journal, rules, counters. `with` closes its OpenAI clients."""

    def __init__(
        self, emulator: EmulatorProtocol, clients: OpenAIClients, project: str, location: str, endpoint: str
    ) -> None:
        """`clients` belong to the emulator, which closes them when it stops."""
        super().__init__(emulator.service, project)
        self.project = project
        self.location = location
        self.endpoint = endpoint
        self._emulator = emulator
        self._clients = clients
        self._recorder: SessionRecorder | None = None

    def __repr__(self) -> str:
        """Its project and how much it was asked."""
        number = len(self.journal)
        return f"<VertexSession of project {self.project}: {number} exchange{'s' if number != 1 else ''}>"

    @property
    def base_url(self) -> str:
        """The base URL for an OpenAI client."""
        return base_url(self._emulator.url, self.project, self.location, self.endpoint)

    @property
    def api_key(self) -> str:
        """A bearer token that the emulator accepts in every mode."""
        return self._emulator.api_key

    @property
    def page_url(self) -> str:
        """The page that shows what happens."""
        return self._emulator.page_url

    @property
    def credentials_file(self) -> Path:
        """The key file of a service account of the project. Raises StartError without the package cryptography."""
        return self._emulator.write_credentials(self.project)

    def environment(self) -> dict[str, str]:
        """Environment variables that direct OpenAI and Google clients here; a key file is among them if cryptography is installed."""
        inherited = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
        no_proxy = f"{inherited},127.0.0.1,localhost" if inherited else "127.0.0.1,localhost"
        variables = {
            "OPENAI_BASE_URL": self.base_url,
            "OPENAI_API_KEY": self.api_key,
            "GOOGLE_CLOUD_PROJECT": self.project,
            "GOOGLE_CLOUD_LOCATION": self.location,
            # Otherwise clients would connect to this machine through a proxy of the environment.
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,
        }
        if importlib.util.find_spec("cryptography") is not None:
            variables["GOOGLE_APPLICATION_CREDENTIALS"] = str(self.credentials_file)
        return variables

    def openai(self, **options: Any) -> "OpenAI":
        """An OpenAI client, closed with the session or the emulator; `options` are passed on to it. Raises StartError without `openai`."""
        return self._clients.openai(self, self.base_url, self.api_key, options)

    def async_openai(self, **options: Any) -> "AsyncOpenAI":
        """An OpenAI client for asyncio; otherwise as `openai`."""
        return self._clients.async_openai(self, self.base_url, self.api_key, options)

    @explain_arguments
    def push(self, *scenarios: ScenarioPath, repeats: Repeats = "last") -> None:
        """Replace the server's scenarios for this session by these: paths, recordings among them, or texts with a line break.

        `repeats` says what answers a request that is sent more often than it was recorded. Raises ScenarioError.
        """
        __tracebackhide__ = True
        try:
            rules = load_rules(scenarios, repeats=repeats)
        except ScenarioError as error:
            # The problems have their places; frames of the emulator would only hide them.
            raise error.with_traceback(None) from None
        self._service.push_rules(self.project, rules.ruleset, "---\n".join(_texts(scenarios)))

    @explain_arguments
    def disturb(
        self,
        *,
        fault: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] = (),
        pace: str | None = None,
        quirks: Collection[QuirkName] = (),
        speed: float | None = None,
    ) -> None:
        """Apply faults, a pace, quirks and a speed to all answers of the session, in addition to the server's own.

        `fault` is written as in a scenario, or as for `--fault`: `reset_mid_stream`, `fail=429,first=1`; `pace` as for `--pace`. Each call replaces the
        one before; a call without arguments ends it, and so does `reset`. Raises StartError for unknown names.
        """
        given = [fault] if isinstance(fault, str | Mapping) else fault
        faults = tuple(
            one if isinstance(one, str) else ",".join(f"{key}={value}" for key, value in one.items()) for one in given
        )
        self._service.disturb(self.project, Variation("", "", faults, frozenset(quirks), pace, speed))

    @property
    def ruleset(self) -> Ruleset:
        """The rules that answer the session."""
        return self._service.rules_of(self.project)

    @property
    def uses(self) -> Mapping[str, int]:
        """How often each rule has answered, by its key."""
        return self._service.sessions.find(self.project).uses

    @explain_arguments
    def record(self, folder: str | os.PathLike[str], *, upstream: str = "", access: "Access | None" = None) -> None:
        """Ask the real service, or an upstream (URL), what the session's recordings do not have, and record it in a folder.

        Requests with a token of this emulator get the credentials of `access`: by default the application default credentials for
        Google's hosts, and for an upstream none. Raises StartError.
        """
        from emulator.recording.session_recorder import Access, SessionRecorder, find_access  # noqa: PLC0415  # slow to import

        if access is None:
            access = Access() if upstream else find_access()
        self.stop_recording()
        self._recorder = SessionRecorder(self._service, self.project, Path(folder), upstream, access)

    def stop_recording(self) -> int:
        """Ask and record no more; return how many exchanges with an answer were recorded, once they are written."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return 0
        recorder.close()
        return recorder.recorded

    def close(self) -> None:
        """Stop recording and close the OpenAI clients of this session."""
        self._clients.close(self)
        self.stop_recording()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _texts(scenarios: Sequence[ScenarioPath]) -> list[str]:
    """The texts of pushed scenarios as the control API shows them; a folder is shown by its name."""
    paths = [Path(one) if not is_text(one) else None for one in scenarios]
    return [
        str(one) if path is None else path.read_text("utf-8", "replace") if path.is_file() else f"# {path}\n"
        for one, path in zip(scenarios, paths, strict=True)
    ]
