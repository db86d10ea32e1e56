"""What the plugin tells in the reports of tests and at the end of a run."""

import re
from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

BEGIN = """
import openai
import pytest

def ask(vertex, model="google/gemini-2.5-flash"):
    client = vertex.openai(max_retries=0)
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": "x"}])

def insist(vertex):
    vertex.on(last_user="x").fail(404)
    for _ in range(2):
        with pytest.raises(openai.NotFoundError):
            ask(vertex)
"""
RETRIED = "the same body was sent again after status 404; do not retry what the same request meets again"


def test_a_failing_test_shows_the_verdicts_on_its_client(run: Run) -> None:
    """Verdicts follow the exchanges, whose numbers they name."""
    result = run(test_it_py=f"{BEGIN}\ndef test_it(vertex):\n    insist(vertex)\n    assert 0\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- vertex exchanges -*",
            '#1 * gemini-2.5-flash "x" → "*" 404 *',
            "#2 *404*",
            "the page: http://127.0.0.1:*/__emulator__/",
            "-* vertex verdicts -*",
            f"error: refusal_retried (#1, #2): {RETRIED}*",
        ]
    )
    result.stdout.no_fnmatch_line("*in tests that passed*")


def test_a_report_has_thirty_lines_at_most(run: Run) -> None:
    """The last exchanges are shown, with what was asked and answered, and how many are left out."""
    text = f"""{BEGIN}
def test_many(vertex):
    for _ in range(40):
        ask(vertex)
    assert 0

@pytest.mark.vertex("long.yaml")
def test_misses(vertex):
    for _ in range(9):
        with pytest.raises(openai.APIStatusError):
            ask(vertex)
    assert 0
"""
    result = run(
        test_it_py=text, long_yaml="rules: [{name: never, when: {last_user: y, turn: 3, system: z}, reply: a}]"
    )
    result.assert_outcomes(failed=2)
    sections = result.stdout.str().split("- vertex exchanges -")[1:]
    assert len(sections) == 2
    for section in sections:
        lines = section.partition("the page: ")[0].splitlines()[1:]
        assert 20 < len(lines) < 30
        assert re.fullmatch(r"\(\d+ more before these\)", lines[0])
        assert lines[1].startswith("#")
    assert '"x" → ' in sections[0]
    assert "MISS  wanted" in sections[1]


def test_a_test_that_fails_at_its_end_shows_both_too(run: Run) -> None:
    """A test that is failed once it has ended has exchanges and verdicts in its report, although its session is reset."""
    text = f"{BEGIN}\ndef test_it(vertex):\n    with pytest.raises(openai.BadRequestError):\n        ask(vertex, 'gemini')\n"
    result = run(test_it_py=text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*would be refused by Vertex*",
            "*- vertex exchanges -*",
            "#1 *",
            "the page: *",
            "-* vertex verdicts -*",
            "error: model_without_publisher (#1)*",
        ]
    )


def test_a_fixture_that_fails_shows_both_too(run: Run) -> None:
    """Requests sent before the test began are reported as well."""
    text = (
        f"{BEGIN}\n@pytest.fixture\ndef app(vertex):\n    insist(vertex)\n    assert 0\n\ndef test_it(app):\n    pass\n"
    )
    result = run(test_it_py=text)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*- vertex exchanges -*", "#1 *", "#2 *", "the page: *", "-* vertex verdicts -*", "error: refusal_retried *"]
    )


def test_a_failing_test_of_a_good_client_has_no_verdicts(run: Run) -> None:
    """Without verdicts there is no section."""
    result = run(test_it_py=f"{BEGIN}\ndef test_it(vertex):\n    ask(vertex)\n    assert 0\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- vertex exchanges -*"])
    result.stdout.no_fnmatch_line("*vertex verdicts*")


def test_clean_allows_no_verdicts(run: Run) -> None:
    """With `clean` a warning fails the test too; a test of a correct client passes."""
    text = f"""{BEGIN}
pytestmark = pytest.mark.vertex(clean=True)

def test_bad(vertex):
    insist(vertex)

def test_careless(vertex):
    messages = [{{"role": "user", "content": "x"}}]
    vertex.openai().chat.completions.create(model="google/gemini-2.5-flash", messages=messages, extra_body={{"wrong": 1}})

def test_good(vertex):
    ask(vertex)
"""
    result = run(test_it_py=text)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*_ test_bad _*",
            "the client is not clean, as the marker wants it: error refusal_retried",
            f"error: refusal_retried (#1, #2): {RETRIED}*",
            "*_ test_careless _*",
            "the client is not clean, as the marker wants it: warning unsupported_parameter",
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "2")], ids=["one process", "two workers"])
def test_the_summary_lists_the_errors_of_passing_tests(run: Run, options: tuple[str, ...]) -> None:
    """Each kind of error is listed once, with some of the tests; warnings, failed tests and expected refusals are left out."""
    text = f"""{BEGIN}
@pytest.mark.parametrize("number", range(5))
def test_it(vertex, number):
    insist(vertex)

def test_careless(vertex):
    messages = [{{"role": "user", "content": "x"}}]
    vertex.openai().chat.completions.create(model="google/gemini-2.5-flash", messages=messages, extra_body={{"wrong": 1}})

@pytest.mark.vertex(refusals=["malformed_*"])
def test_on_purpose(vertex):
    with pytest.raises(openai.BadRequestError):
        ask(vertex, "gemini")
"""
    result = run(*options, test_it_py=text)
    result.assert_outcomes(passed=7)
    shown = result.stdout.str().partition("vertex verdicts: errors of the client in tests that passed")[2]
    _, verdict, *tests, last, end = filter(None, shown.splitlines())
    assert verdict.startswith(f"refusal_retried: {RETRIED}")
    assert [test.startswith("  test_it.py::test_it[") for test in tests] == [True] * 3
    assert (last, end.strip("= ").startswith("7 passed")) == ("  and 2 more", True)


def test_the_summary_lists_what_answers_did_not_do(run: Run) -> None:
    """A fault that finds no place, and a tool that the request does not declare: such a test tests something else than it says."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    }
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": schema}}
    result = run(
        test_it_py=f"""
def test_it(vertex):
    vertex.on().reply([{{"say": "Hi"}}, {{"call": "getweather"}}, {{"call": "get_weather", "with": {{"day": 3}}}}]).beside(fault={{"cut": "end", "after_chunks": 30}})
    messages = [{{"role": "user", "content": "x"}}]
    list(vertex.openai().chat.completions.create(
        model="google/gemini-3.5-flash", messages=messages, tools=[{tool!r}], stream=True
    ))
"""
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*vertex warnings: about the scenarios of tests that passed*",
            'the rule calls "getweather", which is none of the request\'s tools; did you mean "get_weather"?',
            "  test_it.py::test_it",
            'the rule calls "get_weather" with "day", which is no parameter of this tool; did you mean "days"?',
            "  test_it.py::test_it",
            'the rule calls "get_weather" without "city", which this tool requires',
            "  test_it.py::test_it",
            "fault behind the whole answer: *",
            "  test_it.py::test_it",
        ]
    )


def test_the_summary_lists_what_is_doubtful_in_scenarios(run: Run) -> None:
    """What `check` warns of, of files and of rules in Python; and JSON that does not satisfy the request's schema."""
    result = run(
        rules_yaml="rules:\n- {name: one, reply: Hi, finish: contentfilter}\n- {name: later, reply: Hello}\n",
        test_it_py="""
import pytest

SCHEMA = {"type": "object", "properties": {"degrees": {"type": "integer"}, "at": {"type": "object", "required": ["zone"]}}}

def ask(vertex, **more):
    messages = [{"role": "user", "content": "x"}]
    vertex.openai().chat.completions.create(model="google/gemini-3.5-flash", messages=messages, **more)

@pytest.mark.vertex("rules.yaml")
def test_file(vertex):
    ask(vertex)

@pytest.mark.parametrize("value", [{"degrees": "hot"}, {"at": {}}, [1], {"degrees": 3}])
def test_python(vertex, value):
    vertex.on().json(value).beside(finish="lenght")
    ask(vertex, response_format={"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}})
    vertex.reset()
    vertex.on().json(value)
    ask(vertex, response_format={"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}})

def test_text(vertex):
    vertex.on().say("Hot.")
    ask(vertex, response_format={"type": "json_object"})
""",
    )
    result.assert_outcomes(passed=6)
    shown = result.stdout.str().partition("vertex warnings: about the scenarios of tests that passed")[2]
    for warning in (
        'rules.yaml:2:34: no model is known to finish with "contentfilter"; did you mean "content_filter"?',
        'rules.yaml:3:3: rule "later" can never answer',
        "the rule's JSON does not satisfy the schema of the request's response_format: \"degrees\" does not fit",
        "the rule's JSON does not satisfy the schema of the request's response_format: \"at.zone\" is missing",
        "the rule's JSON does not satisfy the schema of the request's response_format: it does not fit",
        "the request asks for JSON, and the rule answers with a text that is none",
    ):
        assert warning in shown
    assert shown.count("does not satisfy") == 3


def test_the_summary_of_a_good_run_has_no_section(run: Run) -> None:
    """Without errors there is no section."""
    result = run(test_it_py=f"{BEGIN}\ndef test_it(vertex):\n    ask(vertex)\n")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*vertex*")


MISSPELT = {
    "when": ('vertex.on(last_usr="hi").reply("x")', 'unknown key "last_usr" in "when"; did you mean "last_user"?'),
    "step": ('vertex.on().reply({"sya": "hi"})', 'unknown step "sya"; did you mean "say"?'),
    "call": (
        'vertex.on().call("f", {"a": 1}, b=2)',
        "give the arguments of the tool by name or as a mapping, not both",
    ),
    "argument": ('vertex.disturb(faults="reset")', 'disturb() has no argument "faults"; did you mean "fault"?'),
    "key": ('vertex.on().reply("x").beside(headres={})', 'beside() has no argument "headres"; did you mean "headers"?'),
    "chunks": ('vertex.on().say("Hi", ["H", "i"])', "say() takes chunks by name only: say(..., chunks=...)"),
    "method": ('vertex.on().cal("f")', 'a rule has no "cal"; did you mean "call"?'),
    "fault": ('vertex.on().say("x").fault("crlf")', 'a rule has no "fault"; write .beside(fault=...)'),
    "positional": (
        'vertex.on("weather")',
        "on() takes conditions by name: on(last_user='weather'); without any the rule answers every",
    ),
    "rule": ("vertex.fail(429)", 'VertexSession has no "fail"; make a rule first: .on(last_user=...).fail(...)'),
    "session": ('vertex.session("p")', "the fixture vertex_server makes those of others: vertex_server.session(...)"),
    "attribute": ("vertex.baseurl", 'VertexSession has no "baseurl"; did you mean "base_url"?'),
    "reply": ('vertex.on().returns("x")', 'a rule has no "returns"; did you mean "reply"?'),
    "next": (
        'vertex.on().fail(429).then("default").call("f")',
        '"default" makes the whole of a reply; begin the next one with an empty then(), such as .then().call("get_weather")',
    ),
    "unreached": (
        'vertex.on().fail(429).call("f")',
        'this step is never reached, because the reply ends with the "fail" before it; begin the reply to the next request',
    ),
    "times": ("vertex.assert_sent(time=1)", 'assert_sent() has no argument "time"; did you mean "times"?'),
    "pushed": ('vertex.push("rules:\\n- replay: x\\n")', 'unknown key "replay" in a rule; did you mean "reply"?'),
    "asserted": ('vertex.assert_sent(modle="x")', 'assert_sent() has no argument "modle"; did you mean "model"?'),
    "narrowed": (
        'vertex.journal.where(outcome="x")',
        'no exchange ends as "x"; expected answer, refusal, miss or error',
    ),
}


@pytest.mark.parametrize(("line", "said"), MISSPELT.values(), ids=list(MISSPELT))
def test_a_misspelling_is_shown_where_it_was_written(run: Run, line: str, said: str) -> None:
    """The report shows the user's line and what is wrong with it, and none of the emulator's own code."""
    result = run(test_it_py=f"def test_it(vertex):\n    {line}\n")
    result.assert_outcomes(failed=1)
    output = result.stdout.str()
    report = output.partition("= FAILURES =")[2].partition("- vertex exchanges -")[0]
    assert f">       {line}\n" in report
    assert said in report
    assert "\ntest_it.py:2: " in report
    assert "emulator/" not in report
    assert len(report.splitlines()) < 15


@pytest.mark.parametrize(("rules", "said"), [("rules:\n- replay: x\n", 'did you mean "reply"?'), ("", "no such file")])
def test_a_bad_scenario_is_reported_without_a_traceback(run: Run, rules: str, said: str) -> None:
    """Problems in scenarios of the marker and of the server are reported without a traceback."""
    files = {"rules_yaml": rules} if rules else {}
    marked = run(
        test_it_py='import pytest\n@pytest.mark.vertex("rules.yaml")\ndef test_it(vertex):\n    pass\n', **files
    )
    served = run("--vertex-scenarios", "rules.yaml", test_it_py="def test_it(vertex):\n    pass\n", **files)
    for result in (marked, served):
        result.assert_outcomes(errors=1)
        output = result.stdout.str()
        assert said in output
        assert "Error:" not in output
        assert "emulator/" not in output
