"""What a marker does by itself, and what is said of its mistakes."""

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

BEGIN = """
import unittest

import openai
import pytest

def ask(text="hi"):
    with openai.OpenAI(max_retries=0) as client:
        messages = [{"role": "user", "content": text}]
        return client.chat.completions.create(model="google/gemini-3.5-flash", messages=messages).choices[0].message.content
"""
HELLO = "rules: [{name: hello, when: {last_user: hi}, reply: Hello.}]\n"
# A key and an address that must not be seen by anybody.
REAL = {"OPENAI_API_KEY": "a-real-key", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}


@pytest.fixture(autouse=True)
def _real_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of somebody who works with the real service."""
    for name, value in REAL.items():
        monkeypatch.setenv(name, value)


def test_a_marker_leads_requests_here_without_the_fixture(run: Run) -> None:
    """However a test is marked, `OpenAI()` finds its session, also in other fixtures; other tests have the environment as it was."""
    text = f"""{BEGIN}
import os

@pytest.mark.vertex("rules.yaml")
def test_function():
    assert ask() == "Hello."

@pytest.mark.vertex('''
rules:
  - {{when: {{last_user: hi}}, reply: Hello.}}
''')
def test_text():
    assert ask() == "Hello."

@pytest.mark.parametrize("text", ["hi", "oh hi"])
@pytest.mark.vertex("rules.yaml")
def test_parameters(text):
    assert ask(text) == "Hello."

@pytest.mark.parametrize("text", [pytest.param("hi", marks=pytest.mark.vertex("rules.yaml"))])
def test_parameter(text):
    assert ask(text) == "Hello."

@pytest.mark.vertex("rules.yaml")
class TestClass:
    def test_method(self):
        assert ask() == "Hello."

@pytest.mark.vertex("rules.yaml")
class Old(unittest.TestCase):
    def setUp(self):
        self.answer = ask()

    def test_method(self):
        assert self.answer == "Hello."

@pytest.fixture
def answer():
    return ask()

@pytest.mark.vertex("rules.yaml")
def test_fixture(answer):
    assert answer == "Hello."

@pytest.mark.vertex_sweep("429_once")
def test_sweep():
    with pytest.raises(openai.RateLimitError):
        ask()
    assert ask()

@pytest.mark.vertex("rules.yaml")
def test_problems_fail_it():
    with pytest.raises(openai.APIStatusError):
        ask("bye")

def test_other():
    assert {{name: os.environ[name] for name in {list(REAL)}}} == {REAL}

@pytest.mark.vertex("rules.yaml")
def test_with_the_fixture(vertex):
    assert os.environ["OPENAI_API_KEY"] == "a-real-key"
    vertex.on(last_user="hi").reply("Hello.")
    assert vertex.openai().chat.completions.create(model="google/g", messages=[{{"role": "user", "content": "hi"}}])
"""
    result = run(test_it_py=text, rules_yaml=HELLO)
    result.assert_outcomes(passed=11, failed=1)
    result.stdout.fnmatch_lines(["*test_problems_fail_it*", 'exchange *: no rule of "rules" answers this request*'])


def test_a_marker_that_leads_nothing_here_fails(run: Run) -> None:
    """Where the variables are not wanted, the fixture has to be asked for."""
    result = run(test_it_py=f"{BEGIN}\n@pytest.mark.vertex(env=False)\ndef test_it():\n    ask()\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*leads no request of this test to the emulator*ask for it, or leave env out*"])


@pytest.mark.parametrize(
    ("refusals", "said"),
    [
        (
            '["malformed_publisher_modle"]',
            'is named "malformed_publisher_modle"; did you mean "malformed_publisher_model"?;',
        ),
        ('"xyz_*"', 'is named "xyz_[*]"; the nearest are '),
        ("[400]", "is named 400; the nearest are "),
    ],
)
def test_refusals_that_do_not_exist_are_refused(run: Run, refusals: str, said: str) -> None:
    """A name or glob of no refusal fails the test, with the nearest that there are."""
    result = run(test_it_py=f"{BEGIN}\n@pytest.mark.vertex(refusals={refusals})\ndef test_it(vertex):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"@pytest.mark.vertex: no refusal {said}*"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("3", "a scenario must be a path, not 3"),
        ("refusals=429", "refusals must be a name or a list of names, not 429"),
        ('strict="no"', "strict must be True or False, not 'no'"),
        ("clean=1, env=True", "clean must be True or False, not 1"),
    ],
)
def test_values_of_another_kind_are_refused(run: Run, arguments: str, said: str) -> None:
    """What is no path and no value of an option fails the test in a sentence."""
    result = run(test_it_py=f"{BEGIN}\n@pytest.mark.vertex({arguments})\ndef test_it(vertex):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"@pytest.mark.vertex: {said}"])


def test_a_rule_without_an_answer_fails(run: Run) -> None:
    """A rule that was only begun is reported with its line; one that gets its answer later is fine."""
    text = """
def test_forgotten(vertex):
    vertex.on(last_user="hi")
    vertex.on(last_user="bye").expect(times=0)

def test_later(vertex):
    rules = [vertex.on(last_user=text) for text in "ab"]
    for rule in rules:
        rule.reply("Hello.")

def test_taken_back(vertex):
    vertex.on(last_user="hi")
    vertex.reset()
"""
    result = run(test_it_py=text)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "test_it.py:3:1: on(last_user='hi') has no answer; add one, such as .reply(\"Hello\")",
            "test_it.py:4:1: on(last_user='bye') has no answer; add one, such as .reply(\"Hello\")",
        ]
    )


def test_what_fixtures_do_afterwards_is_judged_too(run: Run) -> None:
    """A request that a fixture sends once the test has passed is an error at its end."""
    text = f"""{BEGIN}
@pytest.fixture
def app(vertex):
    yield
    with pytest.raises(openai.APIStatusError):
        vertex.openai(max_retries=0).chat.completions.create(model="google/g", messages=[{{"role": "user", "content": "bye"}}])

def test_it(app):
    pass
"""
    result = run("--vertex-scenarios", "rules.yaml", test_it_py=text, rules_yaml=HELLO)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["exchange 1, *: no rule of *"])


CREDENTIALS = """
import os
from pathlib import Path

import google.auth
import google.auth.transport.requests
import requests

def test_it(vertex, vertex_credentials):
    credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    assert project == vertex.project == os.environ["GOOGLE_CLOUD_PROJECT"]
    assert vertex_credentials == Path(os.environ["GOOGLE_APPLICATION_CREDENTIALS"])
    assert "GOOGLE_CLOUD_QUOTA_PROJECT" not in os.environ
    session = google.auth.transport.requests.AuthorizedSession(credentials)
    body = {"model": "google/gemini-3.5-flash", "messages": [{"role": "user", "content": "hi"}]}
    answer = session.post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello."
    session.close()
    credentials.refresh(google.auth.transport.requests.Request())

def test_after():
    assert os.environ["GOOGLE_CLOUD_QUOTA_PROJECT"] == "somebody-elses"
"""


def test_credentials_for_programs_that_look_for_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Google's library finds the key file, gets a token for it, and the request is the test's own; the server wants its own tokens."""
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "somebody-elses")
    conftest = 'import pytest\n@pytest.fixture(scope="session")\ndef vertex_auth():\n    return "issued"\n'
    result = run(
        "--vertex-scenarios",
        "rules.yaml",
        "-W",
        "default",
        test_it_py=CREDENTIALS,
        conftest_py=conftest,
        rules_yaml=HELLO,
    )
    result.assert_outcomes(passed=2)


def test_what_is_shown_of_session_and_request(run: Run) -> None:
    """Session, rule and the request that a function gets are readable where pytest or a debugger shows them."""
    text = f"""{BEGIN}
from emulator import Emulator, Facts, VertexSession

def test_it(vertex: VertexSession, vertex_server: Emulator) -> None:
    shown = []

    def echo(facts: Facts) -> str:
        shown.append(repr(facts))
        return facts.last_user

    rule = vertex.on(last_user="hi")
    assert repr(rule) == "<RuleBuilder on(last_user='hi') at test_it.py:21:1, without an answer>"
    rule.reply(echo).named("echo")
    assert repr(rule) == "<RuleBuilder echo at test_it.py:21:1>"
    client = vertex.openai()
    ask = client.chat.completions.create
    ask(model="google/gemini-3.5-flash", messages=[{{"role": "user", "content": "oh hi"}}])
    tools = [{{"type": "function", "function": {{"name": "f"}}}}]
    messages = [{{"role": "system", "content": "Be brief."}}, {{"role": "user", "content": "hi"}}]
    ask(model="google/gemini-3.5-flash", messages=messages, tools=tools, stream=True).close()
    assert shown == [
        '<Facts google/gemini-3.5-flash; 1 message; last_user "oh hi">',
        '<Facts google/gemini-3.5-flash; 2 messages; last_user "hi"; tools f; stream>',
    ]
    vertex.journal.wait_for(2)
    assert repr(vertex) == f"<VertexSession of project {{vertex.project}}: 2 exchanges>"
    assert repr(vertex_server) == f"<Emulator {{vertex_server.url}}>"
    assert repr(Emulator()) == "<Emulator, not running>"
    assert vertex.base_url == vertex_server.session(vertex.project).base_url
    assert vertex_server.base_url.startswith(vertex_server.url)
"""
    run(test_it_py=text).assert_outcomes(passed=1)


HIDES = 'WHOSE = "the user\'s"\n'
USES = """
import emulator
import pytest

def test_own():
    assert emulator.WHOSE == "the user's"

def test_fixture(vertex):
    pass

@pytest.mark.vertex
def test_marker():
    pass

def test_settings(vertex_settings):
    pass
"""
SAID = 'another module named "emulator" hides the package of vertex-openai-emulator: {}; rename it, or keep its folder out of sys.path'


@pytest.mark.slow
def test_a_module_of_the_users_that_hides_the_package(run: Run) -> None:
    """A user's own `emulator.py` works where the plugin is not used; where it is, a sentence says what is wrong."""
    result = run("-o", "pythonpath=.", in_process=False, test_it_py=USES, emulator_py=HIDES)
    result.assert_outcomes(passed=1, errors=3)
    assert result.stdout.str().count(f"\n{SAID.format('emulator.py')}\n") == 3
    result.stdout.no_fnmatch_line("*Traceback*")
    swept = 'import pytest\n@pytest.mark.vertex_sweep("no_done")\ndef test_it():\n    pass\n'
    result = run("-o", "pythonpath=.", in_process=False, test_it_py=swept, emulator_py=HIDES)
    result.stdout.fnmatch_lines([f"*{SAID.format('emulator.py')}"])
    result.stdout.no_fnmatch_line("*Traceback*")
