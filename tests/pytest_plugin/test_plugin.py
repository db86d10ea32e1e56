"""The pytest plugin, in runs of pytest of their own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASK = 'vertex.openai().chat.completions.create(model="google/gemini-2.5-flash", messages=[{"role": "user", "content": "%s"}])'
NEWCOMER = f"def test_it(vertex):\n    assert {ASK % 'hi'}.choices\n"
RULES = """
rules:
  - {name: hello, when: {last_user: hello}, reply: Hi.}
  - {name: bye, when: {last_user: bye}, reply: Bye.}
"""
Run = Callable[..., pytest.RunResult]


def test_the_fixture_is_a_complete_emulator(run: Run) -> None:
    """A test that uses the fixture has a complete emulator."""
    run(test_it_py=NEWCOMER).assert_outcomes(passed=1)


def test_unanswered_requests_fail_the_test(run: Run) -> None:
    """A miss fails the test even if it swallows the error: the report has what the nearest rule wanted."""
    swallow = f"import openai\ndef test_it(vertex):\n    try:\n        {ASK % 'good day'}\n    except openai.APIStatusError:\n        pass\n"
    result = run("--vertex-scenarios", "rules.yaml", test_it_py=swallow, rules_yaml=RULES)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no rule of*", '*wanted text containing "hello", got "good day"*'])


UNROUTED = """
import openai

def test_before(vertex):
    pass

def test_it(vertex, vertex_server):
    client = openai.OpenAI(base_url=vertex_server.url + "/v1", api_key="x", max_retries=0)
    for ask in (client.models.list, lambda: vertex.openai().models.list()):
        try:
            ask()
        except openai.NotFoundError:
            pass
    {end}

def test_after(vertex):
    pass
"""


def test_unrouted_requests_fail_the_test(run: Run) -> None:
    """A request that nothing routes fails its own test only, whether its path names the project or not."""
    result = run(test_it_py=UNROUTED.format(end=""))
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "exchange *, session test-it-*: GET /v1/models: no such path: this endpoint does not list its models*",
            "exchange *, session test-it-*: GET */endpoints/openapi/models: no such path*",
            "#* 404 GET /v1/models: no such path*",
            "the page: *",
        ]
    )


def test_unrouted_requests_can_be_forgotten(run: Run) -> None:
    """A test that wants them resets its session, as for requests that no rule answers."""
    run(test_it_py=UNROUTED.format(end="assert len(vertex.unrouted) == 2; vertex.reset()")).assert_outcomes(passed=3)


REFUSED = """
import openai
import pytest

{mark}
def test_it(vertex):
    with pytest.raises(openai.BadRequestError):
        vertex.openai().chat.completions.create(model="no-publisher", messages=[{{"role": "user", "content": "x"}}])
"""


def test_unexpected_refusals_fail_the_test(run: Run) -> None:
    """A refusal is reported with its rule and with the marker that expects it."""
    result = run(test_it_py=REFUSED.format(mark=""))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*would be refused by Vertex (malformed_publisher_model)*", "*expected? @pytest.mark.vertex*"]
    )


@pytest.mark.parametrize("refusals", ['["malformed_publisher_model"]', '"malformed_*"'])
def test_expected_refusals_are_fine(run: Run, refusals: str) -> None:
    """The marker names expected refusals, also by globs."""
    run(test_it_py=REFUSED.format(mark=f"@pytest.mark.vertex(refusals={refusals})")).assert_outcomes(passed=1)


QUOTA = """
import openai
import pytest

@pytest.mark.vertex("quota.yaml")
def test_it(vertex):
    client = vertex.openai(max_retries=0)
    ask = lambda: client.chat.completions.create(
        model="google/gemini-2.5-flash", messages=[{"role": "user", "content": "hi"}]
    )
    ask()
    with pytest.raises(openai.RateLimitError):
        ask()
"""


def test_refusals_of_a_quota_are_expected(run: Run) -> None:
    """The 429 of a scenario's quota does not fail the test."""
    scenario = "quota: {requests_per_minute: 1}\nrules: [{reply: Hello.}]\n"
    run(test_it_py=QUOTA, quota_yaml=scenario).assert_outcomes(passed=1)


def test_strict_fails_on_unused_rules(run: Run) -> None:
    """The marker gives the test scenarios of its own; with strict, every rule must be used."""
    text = (
        f'import pytest\n@pytest.mark.vertex("rules.yaml", strict=STRICT)\ndef test_it(vertex):\n    {ASK % "hello"}\n'
    )
    run(test_it_py=text.replace("STRICT", "False"), rules_yaml=RULES).assert_outcomes(passed=1)
    result = run(test_it_py=text.replace("STRICT", "True"), rules_yaml=RULES)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*bye*"])


def test_env_sets_the_variables_of_clients(run: Run) -> None:
    """`OpenAI()` without arguments finds the emulator, and only for this test."""
    text = """
import os
import openai
import pytest

@pytest.mark.vertex(env=True)
def test_it(vertex):
    with openai.OpenAI() as client:
        assert client.chat.completions.create(model="google/g", messages=[{"role": "user", "content": "x"}]).choices
    assert len(vertex.journal) == 1

def test_after():
    assert "OPENAI_BASE_URL" not in os.environ
"""
    run(test_it_py=text).assert_outcomes(passed=2)


@pytest.mark.slow
def test_each_test_has_its_own_session(run: Run) -> None:
    """Counters and rules of one test are not seen by the next, in one worker or in two."""
    text = f"""
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(vertex, number):
    vertex.on(last_user="hello").reply(f"I am {{number}}.").times(1)
    answer = {ASK % "hello"}
    assert answer.choices[0].message.content == f"I am {{number}}."
    assert len(vertex.journal) == 1
"""
    run(test_it_py=text).assert_outcomes(passed=6)
    run("-p", "xdist", "-n", "2", test_it_py=text).assert_outcomes(passed=6)


def test_a_failing_test_shows_its_exchanges(run: Run) -> None:
    """The exchanges are in the report, and nothing else fails."""
    result = run(test_it_py=f"def test_it(vertex):\n    {ASK % 'hi'}\n    assert 0\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*vertex exchanges*", '*"otherwise" 200*'])


@pytest.mark.slow
@pytest.mark.parametrize("plugin", ["anyio", "pytest_asyncio.plugin"])
def test_asynchronous_tests(run: Run, plugin: str) -> None:
    """The fixture works in asynchronous tests."""
    mark = "anyio" if plugin == "anyio" else "asyncio"
    text = f"""
import pytest

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.{mark}
async def test_it(vertex):
    client = vertex.async_openai()
    answer = await client.chat.completions.create(model="google/g", messages=[{{"role": "user", "content": "x"}}])
    assert answer.choices
    await client.close()
"""
    # pytest-asyncio warns unless it is told how long its fixtures live.
    options = ["-o", "asyncio_default_fixture_loop_scope=function"] if plugin == "pytest_asyncio.plugin" else []
    run("-p", plugin, *options, test_it_py=text).assert_outcomes(passed=1)


def test_a_conftest_changes_the_server(run: Run) -> None:
    """Scenarios and settings are fixtures that a conftest.py overrides."""
    conftest = """
import pytest
from emulator import Settings

@pytest.fixture(scope="session")
def vertex_scenarios():
    return ["rules.yaml"]

@pytest.fixture(scope="session")
def vertex_settings():
    return Settings(auth="off", seed="1")
"""
    text = f'def test_it(vertex):\n    answer = {ASK % "bye"}\n    assert (answer.choices[0].message.content, answer.created) == ("Bye.", 1767225600)\n'
    run(conftest_py=conftest, test_it_py=text, rules_yaml=RULES).assert_outcomes(passed=1)


def test_each_setting_has_a_fixture(run: Run) -> None:
    """A conftest.py overrides one of them and leaves the others alone; the command line sets what is not overridden."""
    conftest = """
import pytest

@pytest.fixture(scope="session")
def vertex_auth():
    return "issued"

@pytest.fixture(scope="session")
def vertex_seed(vertex_seed):
    return vertex_seed or "fallback"
"""
    text = (
        "def test_it(vertex_settings):\n    one = vertex_settings\n    assert [one.auth, one.seed, one.vetting] == {}\n"
    )
    run(test_it_py=text.format(["any", None, "enforce"])).assert_outcomes(passed=1)
    options = ["--vertex-seed", "7", "--vertex-vetting", "warn"]
    run(*options, test_it_py=text.format(["any", "7", "warn"])).assert_outcomes(passed=1)
    expected = text.format(["issued", "fallback", "enforce"])
    run(conftest_py=conftest, test_it_py=expected).assert_outcomes(passed=1)
    run(*options, conftest_py=conftest, test_it_py=text.format(["issued", "7", "warn"])).assert_outcomes(passed=1)


@pytest.mark.parametrize("is_option", [True, False])
def test_a_pace_reaches_the_server(run: Run, *, is_option: bool) -> None:
    """The pace is set on the command line or in a conftest.py."""
    conftest = 'import pytest\n@pytest.fixture(scope="session")\ndef vertex_pace():\n    return "first_token_ms=1"\n'
    test = f"def test_it(vertex):\n    {ASK % 'hello'}\n    assert vertex.journal.last.to_json()['timeline']['end_ms'] > 0\n"
    arguments = ["--vertex-pace", "first_token_ms=1"] if is_option else []
    run(*arguments, test_it_py=test, conftest_py="" if is_option else conftest).assert_outcomes(passed=1)


def test_only_known_models_are_answered_if_asked_for(run: Run) -> None:
    """A name that is misspelt is then not found, and fails the test."""
    text = NEWCOMER.replace("google/gemini-2.5-flash", "google/gemini-2.5-flsh")
    run(test_it_py=text).assert_outcomes(passed=1)
    run("--vertex-models", "known", test_it_py=text).assert_outcomes(failed=1)


def test_an_overridden_vetting_reaches_the_server(run: Run) -> None:
    """A conftest.py can turn vetting off."""
    conftest = 'import pytest\n@pytest.fixture(scope="session")\ndef vertex_vetting():\n    return "off"\n'
    text = NEWCOMER.replace("google/gemini-2.5-flash", "no-publisher")
    run(conftest_py=conftest, test_it_py=text).assert_outcomes(passed=1)


def test_a_misspelt_option_of_the_marker_is_reported(run: Run) -> None:
    """An unknown option of the marker fails the test."""
    result = run(test_it_py="import pytest\n@pytest.mark.vertex(strickt=True)\ndef test_it(vertex):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(['*has no option "strickt"*'])


def test_the_plugin_is_light() -> None:
    """Importing the plugin imports neither the server nor any of its libraries."""
    heavy = "{'uvicorn', 'starlette', 'pydantic', 'jinja2', 'faker', 'yaml', 'asyncio'}"
    program = f"import pytest, sys; before = set(sys.modules); import pytest_vertex_emulator.plugin; print((set(sys.modules) - before) & {heavy})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "set()\n"
