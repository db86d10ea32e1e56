"""`--vertex-record`: recorded against an emulator that plays the service, and played without it afterwards."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import openai  # noqa: F401  # imported once, for all runs
import pytest

from emulator import Emulator
from emulator.recording.recording import Recording

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest on the files given by name, in this process, which has imported the clients already."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    # The files of a test may change within the second by which Python tells whether it has compiled them.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run(*arguments: str, **files: str) -> pytest.RunResult:
        for name, text in files.items():
            stem, _, ending = name.rpartition("_")
            (pytester.path / f"{stem}.{ending}").write_text(text, "utf-8")
        return pytester.runpytest_inprocess("-p", "pytest_vertex_emulator.plugin", "-W", "error", *arguments)

    return run


SERVICE = """
rules:
- when: {last_user: flaky}
  sequence: [{fail: 429}, Third time lucky.]
- when: {last_user: hello}
  reply: {say: ["Hello ", "there."]}
- reply: "You said: {{ last_user }}"
"""
CONFTEST = """
import pytest

@pytest.fixture
def ask(vertex):
    def ask(text, **fields):
        client = vertex.openai(max_retries=1)
        return client.chat.completions.create(
            model="google/gemini-2.5-flash", messages=[{"role": "user", "content": text}], **fields
        )
    return ask
"""
GREETING = """
import pytest

@pytest.mark.vertex(recording="greeting")
def test_it(ask, vertex):
    answers = [ask(text).choices[0].message.content for text in TEXTS]
    assert answers == [{"hello": "Hello there.", "flaky": "Third time lucky."}.get(text, f"You said: {text}") for text in TEXTS]
    stream = ask("hello", stream=True)
    assert [chunk.choices[0].delta.content for chunk in stream] == ["Hello ", "there."]
    assert vertex.journal.assert_sent(last_user=FIRST, stream=False)
"""


def greeting(*texts: str) -> str:
    """A test that asks for these texts."""
    return GREETING.replace("FIRST", repr(texts[0])).replace("TEXTS", repr(list(texts)))


@pytest.fixture
def service() -> Iterator[Emulator]:
    """What plays the real service."""
    with Emulator(SERVICE) as vertex:
        yield vertex


def files_of(pytester: pytest.Pytester, name: str = "greeting") -> list[str]:
    """The files of a recording."""
    return sorted(path.name for path in (pytester.path / "recordings" / name).glob("*"))


def test_once_then_offline(run: Run, pytester: pytest.Pytester, service: Emulator) -> None:
    """What was recorded once answers the same test without the service, retries included."""
    files = {"test_it_py": greeting("hello", "flaky"), "conftest_py": CONFTEST}
    result = run("--vertex-record=once", "--vertex-upstream", service.url, **files)
    result.assert_outcomes(passed=1)
    assert len(service.journal) == 4
    assert files_of(pytester) == ["0001.yaml", "0002.yaml", "0003.yaml", "0004.yaml", "recording.yaml"]
    assert "not used" not in result.stdout.str()
    for arguments in ((), ("--vertex-record", "once"), ("--vertex-record=none",)):
        result = run(*arguments, **files)
        result.assert_outcomes(passed=1)
        assert "not used" not in result.stdout.str()
    assert len(service.journal) == 4


def test_a_request_that_was_not_recorded(run: Run, service: Emulator) -> None:
    """It fails the test with the nearest recorded request, in the modes that replay only."""
    upstream = ("--vertex-upstream", service.url)
    run("--vertex-record=once", *upstream, test_it_py=greeting("hello"), conftest_py=CONFTEST).assert_outcomes(passed=1)
    for mode in ("none", "once"):
        result = run(f"--vertex-record={mode}", *upstream, test_it_py=greeting("hello", "goodbye"))
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            ['*no request of the recording "greeting" is the same as this one*', '*recorded "hello", got "goodbye"*']
        )
    repeated = run(test_it_py=greeting("hello", "hello"))
    repeated.assert_outcomes(failed=1)
    repeated.stdout.fnmatch_lines(['*the recording "greeting" has this request once*'])


def test_new_adds_what_is_missing(run: Run, pytester: pytest.Pytester, service: Emulator) -> None:
    """Recorded requests are played, others asked and added."""
    upstream = ("--vertex-upstream", service.url)
    run("--vertex-record=once", *upstream, test_it_py=greeting("hello"), conftest_py=CONFTEST).assert_outcomes(passed=1)
    asked = len(service.journal)
    result = run("--vertex-record=new", *upstream, test_it_py=greeting("hello", "goodbye"))
    result.assert_outcomes(passed=1)
    assert [one.last_user for one in service.journal][asked:] == ["goodbye"]
    assert "not used" not in result.stdout.str()
    run(test_it_py=greeting("hello", "goodbye")).assert_outcomes(passed=1)
    assert len(files_of(pytester)) == 4


def test_all_records_again_and_keeps_what_was_written_by_hand(
    run: Run, pytester: pytest.Pytester, service: Emulator
) -> None:
    """The old exchanges go, the settings of the manifest stay."""
    upstream = ("--vertex-upstream", service.url)
    run("--vertex-record=once", *upstream, test_it_py=greeting("a", "b", "c"), conftest_py=CONFTEST)
    folder = pytester.path / "recordings" / "greeting"
    with (folder / "recording.yaml").open("a") as manifest:
        manifest.write("ignore:\n- body.temperature\n")
    run("--vertex-record=all", *upstream, test_it_py=greeting("d")).assert_outcomes(passed=1)
    recording = Recording.read(folder)
    assert [exchange.number for exchange in recording.exchanges] == [1, 2]
    assert recording.manifest.ignore == ("body.temperature",)
    assert [path.name for path in folder.parent.iterdir()] == ["greeting"]
    run(test_it_py=greeting("d")).assert_outcomes(passed=1)


def test_a_recording_that_is_missing(run: Run, pytester: pytest.Pytester) -> None:
    """Without one the test fails before it begins, and says how one is made."""
    result = run(test_it_py=greeting("hello"), conftest_py=CONFTEST)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["there is no recording *greeting; `pytest --vertex-record=once` records it*"])
    assert not (pytester.path / "recordings").exists()


def test_unused_recordings_are_reported(run: Run, pytester: pytest.Pytester, service: Emulator) -> None:
    """Exchanges that no test played, and recordings that no test names; with strict they fail the test."""
    upstream = ("--vertex-upstream", service.url)
    run("--vertex-record=once", *upstream, test_it_py=greeting("a", "b"), conftest_py=CONFTEST)
    other = greeting("a").replace('"greeting"', '"other"')
    run("--vertex-record=once", *upstream, test_it_py=other).assert_outcomes(passed=1)
    result = run(test_it_py=greeting("a"))
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*vertex recordings: not used*",
            "*greeting: 1 of 3 exchanges not used: 0002.yaml",
            "*other: no test names it",
        ]
    )
    one = run("test_it.py::test_it", test_it_py=greeting("a", "b"))
    assert "not used" not in one.stdout.str()
    strict = run(test_it_py=greeting("a").replace('"greeting"', '"greeting", strict=True'))
    strict.assert_outcomes(failed=1)
    strict.stdout.fnmatch_lines(['"exchange 2"*: never answered'])


TWO = """
import pytest

pytestmark = pytest.mark.vertex(recording=True)

@pytest.mark.parametrize("name", ["Ann", "Bo b"])
def test_names(ask, name):
    assert ask(name).choices[0].message.content == f"You said: {name}"

@pytest.mark.vertex("extra.yaml", recording="common/one")
def test_with_rules(ask):
    assert ask("first").choices[0].message.content == "You said: first"

@pytest.mark.vertex("extra.yaml", recording="common/one")
def test_with_rules_too(ask):
    assert ask("second").choices[0].message.content == "You said: second"
"""
EXTRA = "rules: [{when: {last_user: extra}, reply: Extra.}]"


def test_names_of_recordings(run: Run, pytester: pytest.Pytester, service: Emulator) -> None:
    """True names a recording after its test; tests may share one, and be recorded by several workers."""
    files = {"test_it_py": TWO, "conftest_py": CONFTEST, "extra_yaml": EXTRA}
    run("--vertex-record=once", "--vertex-upstream", service.url, **files).assert_outcomes(passed=4)
    folder = pytester.path / "recordings"
    found = sorted(path.parent.relative_to(folder).as_posix() for path in folder.rglob("recording.yaml"))
    assert found == ["common/one", "test_it/test_names-Ann", "test_it/test_names-Bo-b"]
    result = run("-p", "xdist", "-n", "2", **files)
    result.assert_outcomes(passed=4)
    assert "not used" not in result.stdout.str()
    outside = run(test_it_py=greeting("a").replace('"greeting"', '"../x"'))
    outside.assert_outcomes(errors=1)
    outside.stdout.fnmatch_lines(['the recording "../x" is no name of a folder below *'])


def test_an_upstream_that_cannot_be_reached(run: Run, pytester: pytest.Pytester) -> None:
    """The test fails with a sentence; what it recorded is an exchange without an answer."""
    result = run(
        "--vertex-record=once",
        "--vertex-upstream",
        "http://127.0.0.1:1",
        test_it_py=greeting("hello"),
        conftest_py=CONFTEST,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*cannot reach http://127.0.0.1:1*"])
    wrong = run("--vertex-record=once", "--vertex-upstream", "nowhere", test_it_py=greeting("hello"))
    wrong.assert_outcomes(errors=1)
    wrong.stdout.fnmatch_lines(['*"nowhere" is no URL of an upstream*'])


ACCESS = """
import pytest
from emulator.recording.session_recorder import Access

@pytest.fixture(scope="session")
def vertex_access():
    return Access("real-project-7", "us-east1", lambda: "ya29.real")
"""


def test_credentials_project_and_location_of_the_service(run: Run, service: Emulator) -> None:
    """A request with a token of the emulator's gets real credentials, project and location; the test sees its own."""
    result = run(
        "--vertex-record=once",
        "--vertex-upstream",
        service.url,
        test_it_py=greeting("hello"),
        conftest_py=CONFTEST + ACCESS,
    )
    result.assert_outcomes(passed=1)
    assert {one.session for one in service.journal} == {"real-project-7"}
    assert {one.target.location for one in service.journal} == {"us-east1"}


def test_without_credentials_nothing_is_recorded(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without an upstream the application default credentials are needed; a sentence says so."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    result = run("--vertex-record=once", test_it_py=greeting("hello"), conftest_py=CONFTEST)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["there are no credentials for the real service (google-auth: it finds none; gcloud: *"]
    )
    assert not (pytester.path / "recordings").exists()
