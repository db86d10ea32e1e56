"""The pytest plugin: one server for the test session, one project for each test, and reports of what went wrong.

Every pytest run loads it where the package is installed, so heavy modules are imported only when a fixture is used.
"""

import inspect
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vertex_emulator import find_hiding_module

if TYPE_CHECKING:
    from emulator.api.emulator import Emulator
    from emulator.api.recordings import TestRecording
    from emulator.api.session import VertexSession
    from emulator.engine.vetting.context import KnownModels
    from emulator.recording.session_recorder import Access
    from emulator.scenario.rules import Vetting
    from emulator.server.settings import Auth, Settings
    from emulator.store.exchange import Entry, Exchange, UnroutedRequest
    from emulator.verdicts.registry import Verdict

pytest_plugins = ["pytest_vertex_emulator.sweep"]

_MARKER = (
    "vertex(*scenarios, strict=False, env=False, refusals=(), clean=False, recording=None): the scenarios of this test; with strict, "
    "rules that were never used fail it; with env, the variables of OpenAI clients are set; refusals names those that are expected "
    "(globs); with clean, any verdict on the client fails it; recording names the recording that answers it, or True"
)
_OPTIONS = {"strict", "env", "refusals", "clean", "recording"}
MAX_LINES = 30
"""Lines about exchanges in the report of a failing test."""
_TEXT_WIDTH = 100
"""Characters of a request and of an answer in it."""
_MAX_SHOWN = 20
"""Kinds of errors in the summary of a run."""
_MAX_TESTS = 3
"""Tests that are named for each kind of error."""


@dataclass
class _TestRecord:
    """The state of a test that uses `vertex`, kept until its last report."""

    session: "VertexSession"
    options: dict[str, Any]
    """Those of the marker."""
    passed: bool = False
    exchanges: Sequence["Exchange"] = ()
    unrouted: Sequence["UnroutedRequest"] = ()
    verdicts: Sequence["Verdict"] = ()
    doubts: Sequence[str] = ()
    """What is doubtful in its scenarios."""
    errors: Sequence["Verdict"] = ()
    """The verdicts that the summary of the run lists."""
    recording: "TestRecording | None" = None
    played: dict[str, list[int]] = field(default_factory=dict)
    """The exchanges of its recording that it has used."""

    def update(self) -> None:
        """Copy exchanges and verdicts from the session, which is reset before the last report."""
        self.exchanges = tuple(self.session.journal)
        self.unrouted = self.session.unrouted
        self.doubts = self.session.ruleset.warnings
        self.verdicts = self.session.verdicts() if self.exchanges else ()

    @property
    def has_changed(self) -> bool:
        """Whether there are other exchanges than at the last update."""
        before, now = (self.exchanges, self.unrouted), (tuple(self.session.journal), self.session.unrouted)
        return [[one.number for one in part] for part in before] != [[one.number for one in part] for part in now]

    def sections(self) -> Iterator[tuple[str, str]]:
        """The report sections of a failing test."""
        yield "vertex exchanges", "\n".join([*self._exchange_lines(), f"the page: {self.session.page_url}"])
        if self.verdicts:
            yield "vertex verdicts", "\n".join(map(str, self.verdicts))

    def _exchange_lines(self) -> list[str]:
        """What was asked and answered, the last exchanges, so that with the page's line there are at most `MAX_LINES`."""
        from emulator.server.log import log_line

        entries: list[Entry] = [*self.exchanges, *self.unrouted]
        if not entries:
            return ["none"]
        entries.sort(key=lambda one: one.position)
        blocks = [log_line(one, _TEXT_WIDTH).split("\n") for one in entries]
        lines: list[str] = []
        shown = 0
        for block in reversed(blocks):
            # One line is the page's, one says how many are left out.
            room = MAX_LINES - 2 - len(lines)
            if len(block) > room:
                if not shown:
                    lines = [*block[: room - 1], f"    ({len(block) - room + 1} more lines)"]
                    shown = 1
                break
            lines = [*block, *lines]
            shown += 1
        left = len(blocks) - shown
        return [f"({left} more before these)", *lines] if left else lines


_RECORD = pytest.StashKey[_TestRecord]()
_MADE = pytest.StashKey[set[Path]]()
"""The recordings that were begun in this run."""
_IS_MARKED_ONLY = pytest.StashKey[bool]()
"""Whether a test is marked but does not ask for its session, so that only the environment can lead its requests here."""


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
        choices=["enforce", "strict", "warn", "off"],
        default="enforce",
        help="what becomes of requests that Vertex would refuse",
    )
    group.addoption(
        "--vertex-record",
        nargs="?",
        const="once",
        choices=["none", "once", "new", "all"],
        default="none",
        metavar="MODE",
        help="which tests with a recording ask the real service and record it: none (default), once: those that have none yet, new: also "
        "for requests that it does not have, all: again",
    )
    group.addoption("--vertex-upstream", metavar="URL", default="", help="what is asked instead of the real service")
    group.addoption(
        "--vertex-models",
        choices=["any", "known"],
        default="any",
        help="which models are answered: any, or known: those of the catalogue; others are not found",
    )
    group.addoption("--vertex-pace", metavar="PACE", help="how fast rules without a pace answer: slow-train, ...")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let every marked test use its session: a marker must not be ignored, because then requests would leave with a real key."""
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        names: list[str] = item.fixturenames
        is_swept = item.get_closest_marker("vertex_sweep") is not None
        if not is_swept and item.get_closest_marker("vertex") is None:
            continue
        # A sweep's own fixture asks for the session, which does not mean that the test does.
        asks = "vertex" in (inspect.signature(item.function).parameters if is_swept else names)
        item.stash[_IS_MARKED_ONLY] = not asks
        if not asks:
            # First, so that clients which other fixtures make find the variables.
            item.fixturenames = ["vertex", *(name for name in names if name != "vertex")]


@pytest.fixture(scope="session")
def vertex_scenarios(pytestconfig: pytest.Config) -> Sequence[str | os.PathLike[str]]:
    """The scenarios of the server; override it in a conftest.py. Without any, the built-in default answers."""
    paths: list[str] = pytestconfig.getoption("--vertex-scenarios")
    return paths


@pytest.fixture(scope="session")
def vertex_auth() -> "Auth":
    """Which bearer tokens the server accepts; override it in a conftest.py."""
    return "any"


@pytest.fixture(scope="session")
def vertex_seed(pytestconfig: pytest.Config) -> str | None:
    """The seed that makes every answer repeatable to the byte; override it in a conftest.py."""
    seed: str | None = pytestconfig.getoption("--vertex-seed")
    return seed


@pytest.fixture(scope="session")
def vertex_vetting(pytestconfig: pytest.Config) -> "Vetting":
    """How requests that Vertex would refuse are handled; override it in a conftest.py."""
    vetting: Vetting = pytestconfig.getoption("--vertex-vetting")
    return vetting


@pytest.fixture(scope="session")
def vertex_pace(pytestconfig: pytest.Config) -> str | None:
    """The pace of rules without one; override it in a conftest.py."""
    pace: str | None = pytestconfig.getoption("--vertex-pace")
    return pace


@pytest.fixture(scope="session")
def vertex_models(pytestconfig: pytest.Config) -> "KnownModels":
    """Which models are answered; override it in a conftest.py."""
    models: KnownModels = pytestconfig.getoption("--vertex-models")
    return models


@pytest.fixture(scope="session")
def vertex_settings(
    vertex_auth: "Auth",
    vertex_seed: str | None,
    vertex_vetting: "Vetting",
    vertex_models: "KnownModels",
    vertex_pace: str | None,
) -> "Settings":
    """The settings of the server; override it in a conftest.py for settings that have no fixture of their own."""
    _check_package()
    from emulator.server.settings import Settings

    return Settings(auth=vertex_auth, seed=vertex_seed, vetting=vertex_vetting, models=vertex_models, pace=vertex_pace)


@pytest.fixture(scope="session")
def vertex_server(
    vertex_scenarios: Sequence[str | os.PathLike[str]], vertex_settings: "Settings"
) -> Iterator["Emulator"]:
    """The server, one for the test session (and for each worker of pytest-xdist)."""
    _check_package()
    from emulator.api.emulator import Emulator

    with ExitStack() as stack:
        with _report_errors():
            server = stack.enter_context(Emulator(*vertex_scenarios, settings=vertex_settings))
        yield server


@pytest.fixture(scope="session")
def vertex_access(pytestconfig: pytest.Config) -> "Access":
    """The credentials, project and location of requests that are recorded; override it in a conftest.py.

    By default the application default credentials, and with `--vertex-upstream` what the request has.
    """
    from emulator.recording.session_recorder import Access, find_access

    return Access() if pytestconfig.getoption("--vertex-upstream") else find_access()


@pytest.fixture
def vertex_recordings(request: pytest.FixtureRequest) -> Path:
    """The folder of the recordings; override it in a conftest.py. By default `recordings` beside the test's file."""
    return request.path.parent / "recordings"


@pytest.fixture
def vertex(
    request: pytest.FixtureRequest, vertex_server: "Emulator", vertex_recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator["VertexSession"]:
    """A session for this test: its project, base URL, journal and rules; problems at its end fail the test."""
    scenarios, options = _read_marker(request)
    project = _project_id(request.node)
    session = vertex_server.session(project)
    recording = None
    with _report_errors():
        if options.get("recording"):
            recording = _open_recording(request, options["recording"], vertex_recordings)
            recording.start(session, scenarios, lambda: request.getfixturevalue("vertex_access"))
        elif scenarios:
            session.push(*scenarios)
    is_marked_only = request.node.stash.get(_IS_MARKED_ONLY, False)
    if is_marked_only and not options.get("env", True):
        pytest.fail(
            "@pytest.mark.vertex(env=False) leads no request of this test to the emulator, because the test does not ask for the "
            "fixture vertex; ask for it, or leave env out",
            pytrace=False,
        )
    if options.get("env", is_marked_only):
        for name, value in session.environment().items():
            monkeypatch.setenv(name, value)
    request.node.stash[_RECORD] = record = _TestRecord(session, options, recording=recording)
    vertex_server.service.default_session = project
    try:
        yield session
        # Other fixtures may have sent requests since the test ended.
        if record.passed and record.has_changed:
            _check_session(record)
    finally:
        vertex_server.service.default_session = ""
        if recording is not None:
            recording.finish()
            record.played = recording.played()
        session.close()
        session.reset()


def _open_recording(request: pytest.FixtureRequest, name: str | bool, folder: Path) -> "TestRecording":
    """The recording of a test. Raises StartError."""
    from emulator.api.recordings import TestRecording, find_folder

    config = request.config
    found = find_folder(name, folder, request.path.stem, request.node.name)
    made = config.stash.setdefault(_MADE, set())
    return TestRecording(found, config.getoption("--vertex-record"), config.getoption("--vertex-upstream"), made)


@pytest.fixture
def vertex_credentials(vertex: "VertexSession", monkeypatch: pytest.MonkeyPatch) -> Path:
    """The key file of a service account, for programs that find credentials and addresses in the environment, which is set for the test."""
    from emulator.intercept.environment import UNSET

    with _report_errors():
        path = vertex.credentials_file
    for name in UNSET:
        monkeypatch.delenv(name, raising=False)
    for name, value in vertex.environment().items():
        monkeypatch.setenv(name, value)
    return path


def _check_package() -> None:
    """Fail if a module of the user's hides the package."""
    if problem := find_hiding_module():
        pytest.fail(problem, pytrace=False)


@contextmanager
def _report_errors() -> Iterator[None]:
    """Turn an EmulatorError, about scenarios or settings, into a failure without a traceback."""
    from emulator.errors import EmulatorError

    try:
        yield
    except EmulatorError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _read_marker(request: pytest.FixtureRequest) -> tuple[list[str | Path], dict[str, Any]]:
    """The scenarios, files or texts, and options of the nearest marker; paths are relative to the test's folder or else to the root."""
    marker = request.node.get_closest_marker("vertex")
    if marker is None:
        return [], {}
    unknown = sorted(set(marker.kwargs) - _OPTIONS)
    if unknown:
        pytest.fail(
            f'@pytest.mark.vertex has no option "{unknown[0]}"; it has {_MARKER.partition(":")[0]}', pytrace=False
        )
    _check_values(marker)
    _check_globs(_list_globs(marker.kwargs))
    folders = (request.path.parent, request.config.rootpath)
    scenarios = [
        one
        if isinstance(one, str) and "\n" in one
        else next((folder / one for folder in folders if (folder / one).exists()), folders[0] / one)
        for one in marker.args
    ]
    return scenarios, marker.kwargs


def _check_values(marker: pytest.Mark) -> None:
    """Fail for a scenario or the value of an option that is not what the marker takes."""
    options = marker.kwargs
    refusals = options.get("refusals", ())
    wrong = [
        *(("a scenario", one, "a path") for one in marker.args if not isinstance(one, str | os.PathLike)),
        *(
            (name, options[name], "True or False")
            for name in ("strict", "env", "clean")
            if not isinstance(options.get(name, False), bool)
        ),
    ]
    if not isinstance(refusals, str | list | tuple | set | frozenset):
        wrong.append(("refusals", refusals, "a name or a list of names"))
    for what, value, wanted in wrong:
        pytest.fail(f"@pytest.mark.vertex: {what} must be {wanted}, not {value!r}", pytrace=False)


def _list_globs(options: dict[str, Any]) -> tuple[str, ...]:
    """The names and globs of refusals that the marker expects."""
    globs = options.get("refusals", ())
    return (globs,) if isinstance(globs, str) else tuple(globs)


def _check_globs(globs: Sequence[str]) -> None:
    """Fail for a name or glob that is no refusal's."""
    if not globs:
        return
    from emulator.catalogue.errors import all_errors
    from emulator.suggestions import quote, suggest

    known = tuple(one.name for one in all_errors())
    for glob in globs:
        if not any(fnmatchcase(name, str(glob)) for name in known):
            pytest.fail(
                f"@pytest.mark.vertex: no refusal is named {quote(glob)}{suggest(str(glob), known)}; `vertex-emulator errors` lists them",
                pytrace=False,
            )


def _project_id(node: pytest.Item) -> str:
    """A project id from the test's name and a hash of its node id, so that it is unique and the same in every run."""
    from hashlib import blake2b

    name = re.sub(r"[^a-z0-9]+", "-", node.name.lower()).strip("-")[:40]
    return f"{name}-{blake2b(node.nodeid.encode(), digest_size=4).hexdigest()}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that has passed for what its session says."""
    yield
    if record := item.stash.get(_RECORD, None):
        _check_session(record)


def _check_session(record: _TestRecord) -> None:
    """Fail for unanswered and unrouted requests, unexpected refusals, unmet rules or, with `clean`, verdicts."""
    record.update()
    options, globs = record.options, _list_globs(record.options)
    problems = list(record.session.verify(strict=bool(options.get("strict"))).problems)
    expected = set()
    for exchange in record.exchanges:
        refusal = exchange.outcome.refusal
        # Refusals by a quota are part of the scenario.
        if refusal is None or exchange.result != "refusal" or refusal.code == HTTPStatus.TOO_MANY_REQUESTS:
            continue
        if any(fnmatchcase(refusal.rule, glob) for glob in globs):
            expected.add(exchange.number)
            continue
        problems.append(
            f"request {exchange.number} would be refused by Vertex ({refusal.rule}): {refusal.explanation}\n"
            f'  expected? @pytest.mark.vertex(refusals=["{refusal.rule}"])'
        )
    if record.verdicts and options.get("clean"):
        names = ", ".join(f"{one.severity} {one.name}" for one in record.verdicts)
        problems.append(f"the client is not clean, as the marker wants it: {names}")
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
    # Errors shown by expected refusals only are intended.
    record.errors = [
        one for one in record.verdicts if one.severity == "error" and not expected.issuperset(one.exchanges)
    ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Record whether the test passed; add exchanges to a failed report, the client's errors to a passed one."""
    report: pytest.TestReport = yield
    record = item.stash.get(_RECORD, None)
    if record is None:
        return report
    is_teardown = call.when == "teardown"
    if is_teardown:
        # pytest keeps the items; the bodies of the exchanges should be freed.
        del item.stash[_RECORD]
    if call.when == "call":
        record.passed = report.passed
    if report.failed and not is_teardown:
        record.update()
    if report.failed and (record.passed or not is_teardown):
        report.sections += record.sections()
    if report.passed and is_teardown:
        # pytest-xdist serializes the attributes of a report as JSON.
        vars(report)["vertex_errors"] = [f"{one.name}: {one.explanation}" for one in record.errors]
        vars(report)["vertex_played"] = record.played
        if record.passed and item.get_closest_marker("vertex_sweep") is None:
            # In a sweep, that a variation changes nothing stands in its row.
            vars(report)["vertex_warnings"] = list(
                dict.fromkeys(
                    (*record.doubts, *(warning for one in record.exchanges for warning in one.outcome.warnings))
                )
            )
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the recordings that were not used, and of passed tests the clients' errors and the answers' warnings, once for each kind."""
    _report_unused(terminalreporter)
    _report_kinds(terminalreporter, "vertex_errors", "vertex verdicts: errors of the client in tests that passed")
    _report_kinds(
        terminalreporter,
        "vertex_warnings",
        "vertex warnings: about the scenarios of tests that passed",
    )


def _report_kinds(terminalreporter: pytest.TerminalReporter, attribute: str, title: str) -> None:
    """List the texts that an attribute of the reports has, each with the first of its tests."""
    tests: dict[str, list[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for text in getattr(report, attribute, ()):
                tests.setdefault(text, []).append(report.nodeid)
    if not tests:
        return
    terminalreporter.section(title, yellow=True)
    for error, names in [*tests.items()][:_MAX_SHOWN]:
        more = [f"and {len(names) - _MAX_TESTS} more"] if len(names) > _MAX_TESTS else []
        for line in (error, *(f"  {name}" for name in [*names[:_MAX_TESTS], *more])):
            terminalreporter.line(line)
    if len(tests) > _MAX_SHOWN:
        terminalreporter.line(f"and {len(tests) - _MAX_SHOWN} more kinds")


def _report_unused(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was recorded and not used, unless a test failed or was left out, which might have used it."""
    stats = terminalreporter.stats
    played = [report.vertex_played for report in stats.get("", ()) if getattr(report, "vertex_played", None)]
    if not played or any(stats.get(kind) for kind in ("failed", "error", "skipped", "deselected")):
        return
    from emulator.api.recordings import list_unused

    is_whole = not any("::" in one for one in terminalreporter.config.args)
    if lines := list_unused(played, with_folders=is_whole):
        terminalreporter.section("vertex recordings: not used", yellow=True)
        for line in lines:
            terminalreporter.line(line)
