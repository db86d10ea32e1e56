"""The pytest plugin: a server for the session, a project of its own for each test, and a report of what went wrong.

It is loaded in every run of everybody who has the package installed, so nothing heavy is imported until a fixture is used.
"""

import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emulator.running import Emulator, VertexSession
    from emulator.server.journal import Exchange
    from emulator.server.settings import Settings

_MARKER = (
    "vertex(*scenarios, strict=False, env=False, refusals=()): the scenarios of this test; with strict, rules that were never used fail "
    "it; with env, the variables of OpenAI clients are set; refusals names those that are expected (globs)"
)
_OPTIONS = {"strict", "env", "refusals"}
_PASSED = pytest.StashKey[bool]()
_SHOWN = 20
"""Exchanges that a failing test shows."""


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
        "--vertex-vetting", choices=["enforce", "warn", "off"], help="what becomes of requests that Vertex would refuse"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def vertex_scenarios(pytestconfig: pytest.Config) -> Sequence[str | os.PathLike[str]]:
    """The scenarios of the server; override it in a conftest.py. Without any, the built-in default answers."""
    paths: list[str] = pytestconfig.getoption("--vertex-scenarios")
    return paths


@pytest.fixture(scope="session")
def vertex_settings(pytestconfig: pytest.Config) -> "Settings":
    """How the server is set up (auth, seed, vetting, ...); override it in a conftest.py."""
    from emulator.server.settings import Settings  # noqa: PLC0415  # as said above

    return Settings(
        seed=pytestconfig.getoption("--vertex-seed"),
        vetting=pytestconfig.getoption("--vertex-vetting") or "enforce",
    )


@pytest.fixture(scope="session")
def vertex_server(
    vertex_scenarios: Sequence[str | os.PathLike[str]], vertex_settings: "Settings"
) -> Iterator["Emulator"]:
    """The server, one for the session (and for each worker of pytest-xdist)."""
    from emulator.running import Emulator  # noqa: PLC0415  # as said above

    with Emulator(*vertex_scenarios, settings=vertex_settings) as server:
        yield server


@pytest.fixture
def vertex(
    request: pytest.FixtureRequest, vertex_server: "Emulator", monkeypatch: pytest.MonkeyPatch
) -> Iterator["VertexSession"]:
    """A session of the test's own: its project, base URL, journal and rules; at the end its failures fail the test."""
    scenarios, options = _read_marker(request)
    session = vertex_server.session(_project_of(request.node))
    if scenarios:
        session.push(*scenarios)
    if options.get("env"):
        for name, value in session.environment().items():
            monkeypatch.setenv(name, value)
    try:
        yield session
        problems = _find_problems(session, options)
        # A test that failed has said enough; what was exchanged stands in its report.
        if problems and request.node.stash.get(_PASSED, False):
            pytest.fail("\n".join(problems), pytrace=False)
    finally:
        session.close()
        session.reset()


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


def _find_problems(session: "VertexSession", options: dict[str, Any]) -> list[str]:
    """What fails a test that has passed so far: unanswered requests, unexpected refusals, and with `strict` unused rules."""
    expected = options.get("refusals", ())
    expected = (expected,) if isinstance(expected, str) else tuple(expected)
    problems = list(session.verify(strict=bool(options.get("strict"))).problems)
    for exchange in session.journal.where(outcome="refusal"):
        refusal = exchange.outcome.refusal
        if refusal is not None and not any(fnmatchcase(refusal.rule, pattern) for pattern in expected):
            problems.append(
                f"request {exchange.number} would be refused by Vertex ({refusal.rule}): {refusal.explanation}\n"
                f'  expected? @pytest.mark.vertex(refusals=["{refusal.rule}"])'
            )
    return problems


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Note whether the test passed, and give a failing one its exchanges as a section."""
    report: pytest.TestReport = yield
    if call.when == "call":
        item.stash[_PASSED] = report.passed
        session = getattr(item, "funcargs", {}).get("vertex")
        if report.failed and session is not None and type(session).__name__ == "VertexSession":
            exchanges = list(session.journal)[-_SHOWN:]
            report.sections.append(("vertex exchanges", "\n".join(map(_show, exchanges)) or "none"))
    return report


def _show(exchange: "Exchange") -> str:
    from emulator.server.log import log_line  # noqa: PLC0415  # as said above

    return log_line(exchange)
