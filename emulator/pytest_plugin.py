"""The pytest plugin: a server for the session, a project of its own for each test, and a report of what went wrong.

It is loaded in every run of everybody who has the package installed, so nothing heavy is imported until a fixture is used.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emulator.api.emulator import Emulator
    from emulator.api.session import VertexSession
    from emulator.scenario.rules import Vetting
    from emulator.server.settings import Auth, Settings
    from emulator.store.exchange import Exchange
    from emulator.verdicts.registry import Verdict

pytest_plugins = ["emulator.pytest_sweep"]

_MARKER = (
    "vertex(*scenarios, strict=False, env=False, refusals=(), clean=False): the scenarios of this test; with strict, rules that were "
    "never used fail it; with env, the variables of OpenAI clients are set; refusals names those that are expected (globs); with clean, "
    "any verdict on the client fails it"
)
_OPTIONS = {"strict", "env", "refusals", "clean"}
_SHOWN = 20
"""Exchanges that a failing test shows, and kinds of errors that the end of a run does."""
_SHOWN_TESTS = 3
"""Tests that are named for each of those."""


@dataclass
class _Watch:
    """What is known of a test that uses `vertex`, as far as its reports need it."""

    session: "VertexSession"
    passed: bool = False
    exchanges: Sequence["Exchange"] = ()
    verdicts: Sequence["Verdict"] = ()
    errors: Sequence["Verdict"] = ()
    """Those of the verdicts that the end of the run tells of."""

    def look(self) -> None:
        """Keep what is in the session, which is emptied before the last report is made."""
        self.exchanges = tuple(self.session.journal)
        self.verdicts = self.session.verdicts() if self.exchanges else ()

    def describe(self) -> Iterator[tuple[str, str]]:
        """The sections of a failing test."""
        from emulator.server.log import log_line  # noqa: PLC0415  # as said above

        lines = (f"#{one.number}  {log_line(one)}" for one in self.exchanges[-_SHOWN:])
        yield "vertex exchanges", "\n".join(lines) or "none"
        if self.verdicts:
            yield "vertex verdicts", "\n".join(map(str, self.verdicts))


_WATCH = pytest.StashKey[_Watch]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("vertex", "the emulator of Vertex AI's OpenAI endpoint")
    group.addoption(
        "--vertex-scenarios",
        action="append",
        default=[],
        metavar="PATH",
        help="scenario files and folders of the server",
    )
    group.addoption("--vertex-seed", metavar="SEED", help="makes every answer repeatable to the byte")
    group.addoption(
        "--vertex-vetting",
        choices=["enforce", "warn", "off"],
        default="enforce",
        help="what becomes of requests that Vertex would refuse",
    )
    group.addoption("--vertex-pace", metavar="PACE", help="how fast rules without a pace answer: slow-train, ...")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def vertex_scenarios(pytestconfig: pytest.Config) -> Sequence[str | os.PathLike[str]]:
    """The scenarios of the server; override it in a conftest.py. Without any, the built-in default answers."""
    paths: list[str] = pytestconfig.getoption("--vertex-scenarios")
    return paths


@pytest.fixture(scope="session")
def vertex_auth() -> "Auth":
    """Which bearers the server lets in; override it in a conftest.py."""
    return "any"


@pytest.fixture(scope="session")
def vertex_seed(pytestconfig: pytest.Config) -> str | None:
    """What makes every answer repeatable to the byte; override it in a conftest.py."""
    seed: str | None = pytestconfig.getoption("--vertex-seed")
    return seed


@pytest.fixture(scope="session")
def vertex_vetting(pytestconfig: pytest.Config) -> "Vetting":
    """What becomes of requests that Vertex would refuse; override it in a conftest.py."""
    vetting: Vetting = pytestconfig.getoption("--vertex-vetting")
    return vetting


@pytest.fixture(scope="session")
def vertex_pace(pytestconfig: pytest.Config) -> str | None:
    """How fast rules without a pace answer; override it in a conftest.py."""
    pace: str | None = pytestconfig.getoption("--vertex-pace")
    return pace


@pytest.fixture(scope="session")
def vertex_settings(
    vertex_auth: "Auth", vertex_seed: str | None, vertex_vetting: "Vetting", vertex_pace: str | None
) -> "Settings":
    """How the server is set up; override it in a conftest.py for what has no fixture of its own."""
    from emulator.server.settings import Settings  # noqa: PLC0415  # as said above

    return Settings(auth=vertex_auth, seed=vertex_seed, vetting=vertex_vetting, pace=vertex_pace)


@pytest.fixture(scope="session")
def vertex_server(
    vertex_scenarios: Sequence[str | os.PathLike[str]], vertex_settings: "Settings"
) -> Iterator["Emulator"]:
    """The server, one for the session (and for each worker of pytest-xdist)."""
    from emulator.api.emulator import Emulator  # noqa: PLC0415  # as said above

    with ExitStack() as stack:
        with _failing_readably():
            server = stack.enter_context(Emulator(*vertex_scenarios, settings=vertex_settings))
        yield server


@pytest.fixture
def vertex(
    request: pytest.FixtureRequest, vertex_server: "Emulator", monkeypatch: pytest.MonkeyPatch
) -> Iterator["VertexSession"]:
    """A session of the test's own: its project, base URL, journal and rules; at the end its failures fail the test."""
    scenarios, options = _read_marker(request)
    session = vertex_server.session(_project_of(request.node))
    if scenarios:
        with _failing_readably():
            session.push(*scenarios)
    if options.get("env"):
        for name, value in session.environment().items():
            monkeypatch.setenv(name, value)
    request.node.stash[_WATCH] = watch = _Watch(session)
    try:
        yield session
        # A test that failed has said enough; what was exchanged stands in its report.
        if watch.passed:
            _judge(watch, options)
    finally:
        session.close()
        session.reset()


@contextmanager
def _failing_readably() -> Iterator[None]:
    """Make of what is wrong with scenarios and settings a failure that says it, without a traceback."""
    from emulator.errors import EmulatorError  # noqa: PLC0415  # as said above

    try:
        yield
    except EmulatorError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _read_marker(request: pytest.FixtureRequest) -> tuple[list[Path], dict[str, Any]]:
    """The scenarios and options of the nearest marker; paths are taken from the test's folder, then from the root."""
    marker = request.node.get_closest_marker("vertex")
    if marker is None:
        return [], {}
    unknown = sorted(set(marker.kwargs) - _OPTIONS)
    if unknown:
        pytest.fail(
            f'@pytest.mark.vertex has no option "{unknown[0]}"; it has {_MARKER.partition(":")[0]}', pytrace=False
        )
    folders = (request.path.parent, request.config.rootpath)
    paths = [
        next((folder / name for folder in folders if (folder / name).exists()), folders[0] / name)
        for name in marker.args
    ]
    return paths, marker.kwargs


def _project_of(node: pytest.Item) -> str:
    """A project id from the test's name, told apart from that of others by a number that is the same in every run."""
    from hashlib import blake2b  # noqa: PLC0415  # as said above

    name = re.sub(r"[^a-z0-9]+", "-", node.name.lower()).strip("-")[:40]
    return f"{name}-{blake2b(node.nodeid.encode(), digest_size=4).hexdigest()}"


def _judge(watch: _Watch, options: dict[str, Any]) -> None:
    """Fail a test that has passed so far: for requests unanswered or refused unexpectedly, rules, verdicts where none may be."""
    watch.look()
    globs = options.get("refusals", ())
    globs = (globs,) if isinstance(globs, str) else tuple(globs)
    problems = list(watch.session.verify(strict=bool(options.get("strict"))).problems)
    expected = set()
    for exchange in watch.exchanges:
        refusal = exchange.outcome.refusal
        # A quota refuses because the scenario wants it to.
        if refusal is None or exchange.result != "refusal" or refusal.code == HTTPStatus.TOO_MANY_REQUESTS:
            continue
        if any(fnmatchcase(refusal.rule, glob) for glob in globs):
            expected.add(exchange.number)
            continue
        problems.append(
            f"request {exchange.number} would be refused by Vertex ({refusal.rule}): {refusal.explanation}\n"
            f'  expected? @pytest.mark.vertex(refusals=["{refusal.rule}"])'
        )
    if watch.verdicts and options.get("clean"):
        names = ", ".join(f"{one.severity} {one.name}" for one in watch.verdicts)
        problems.append(f"the client is not clean, as the marker wants it: {names}")
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
    # What shows in nothing but refusals that the test expects was done on purpose.
    watch.errors = [one for one in watch.verdicts if one.severity == "error" and not expected.issuperset(one.exchanges)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Note whether the test passed; give a failing one what was exchanged, a passing one the errors of its client."""
    report: pytest.TestReport = yield
    watch = item.stash.get(_WATCH, None)
    if watch is None:
        return report
    at_end = call.when == "teardown"
    if at_end:
        # Items outlive the run of their tests; bodies should not.
        del item.stash[_WATCH]
    if call.when == "call":
        watch.passed = report.passed
    if report.failed and not at_end:
        watch.look()
    if report.failed and (watch.passed or not at_end):
        report.sections += watch.describe()
    if report.passed and at_end:
        # With pytest-xdist a report travels as JSON, its own attributes too.
        vars(report)["vertex_errors"] = [f"{one.name}: {one.sentence}; {one.advice}" for one in watch.errors]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell, once for each kind, the errors of clients whose tests passed."""
    tests: dict[str, list[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for error in getattr(report, "vertex_errors", ()):
                tests.setdefault(error, []).append(report.nodeid)
    if not tests:
        return
    terminalreporter.section("vertex verdicts: errors of the client in tests that passed", yellow=True)
    for error, names in [*tests.items()][:_SHOWN]:
        more = [f"and {len(names) - _SHOWN_TESTS} more"] if len(names) > _SHOWN_TESTS else []
        for line in (error, *(f"  {name}" for name in [*names[:_SHOWN_TESTS], *more])):
            terminalreporter.line(line)
    if len(tests) > _SHOWN:
        terminalreporter.line(f"and {len(tests) - _SHOWN} more kinds")
