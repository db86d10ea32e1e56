"""The marker `vertex_sweep`, in runs of pytest of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RULES = 'rules: [{reply: [{say: "Once there was a bear.", chunks: words}]}]\n'
TEST = """
import pytest

@pytest.fixture
def story(vertex):
    # Asked in a fixture, and disturbed all the same.
    stream = vertex.openai(max_retries=1).chat.completions.create(
        model="google/gemini-2.5-flash", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)

@pytest.mark.vertex_sweep("429_once", "end_mid_stream", "cut_inside_json", "stop_on_calls")
def test_story(story):
    assert story == "Once there was a bear."
"""
TABLE = [
    "*= vertex sweep =*",
    "test_it.py::test_story",
    "variation * result * requests  seconds  what happens",
    "end_mid_stream *wrong answer * 1 *the answer ends in its middle*",
    " *assert 'Once there ' == 'Once there was a bear.'*",
    "cut_inside_json *crashed * 1 *the connection is closed in the middle of JSON",
    " *APIConnectionError: Connection error.",
    "stop_on_calls *not met * 1 *streamed tool calls end with finish reason `stop`",
    " *its answers were the same as ever",
    "429_once *survived * 2 *429 RESOURCE_EXHAUSTED at first, then the answer",
    "4 variations: 1 survived, 1 wrong answer, 1 crashed, 1 not met",
]
Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(run: Callable[..., pytest.RunResult]) -> Run:
    """Run pytest on a test module."""
    return lambda text, *arguments: run(
        "--vertex-scenarios", "rules.yaml", *arguments, test_it_py=text, rules_yaml=RULES
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n", "2")], ids=["one process", "two workers"])
def test_each_variation_is_a_test(run: Run, workers: tuple[str, ...]) -> None:
    """The table has the result of each variation in their order, with and without pytest-xdist."""
    result = run(TEST, "-v", *workers)
    result.assert_outcomes(passed=2, failed=1, errors=1)
    result.stdout.fnmatch_lines(TABLE)
    result.stdout.fnmatch_lines(["*test_it.py::test_story?429_once?*"])


def test_marker_holds_for_classes_and_with_other_parameters(run: Run) -> None:
    """With other parameters the rows have the ids of the tests; tests without the marker are not affected."""
    result = run("""
import pytest

@pytest.mark.vertex_sweep("no_done", once=True)
class TestIt:
    @pytest.mark.parametrize("number", [1, 2])
    def test_it(self, vertex, number):
        vertex.openai().chat.completions.create(
            model="google/g", messages=[{"role": "user", "content": "hi"}], stream=True
        ).close()

def test_other(vertex):
    assert not list(vertex.journal)
""")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["test_it.py::TestIt::test_it", "no_done-1 * survived *", "no_done-2 * survived *"])


def test_failures_of_the_fixture_count(run: Run) -> None:
    """A test that passes although Vertex would have refused its request has not survived."""
    result = run("""
import openai
import pytest

@pytest.mark.vertex_sweep("unknown_fields_refused", "crlf")
def test_it(vertex):
    try:
        vertex.openai().chat.completions.create(
            model="google/g", messages=[{"role": "user", "content": "hi"}], store=True, stream=True
        ).close()
    except openai.BadRequestError:
        pass
""")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["crlf *survived *", "unknown_fields_refused *wrong answer *", " *would be refused by Vertex*"]
    )


HANGING = """
import pytest

@pytest.mark.vertex_sweep("stall_*", "crlf", timeout=0.2)
def test_it(vertex):
    messages = [{"role": "user", "content": "hi"}]
    for _ in range(3):
        vertex.openai().chat.completions.create(model="google/g", messages=messages, stream=True).response.read()

@pytest.mark.vertex_sweep("stall_before_headers", timeout=20)
def test_impatient(vertex):
    with pytest.raises(openai.APITimeoutError):
        vertex.openai(timeout=0.1, max_retries=0).chat.completions.create(
            model="google/g", messages=[{"role": "user", "content": "hi"}]
        )
"""


def test_a_client_without_a_timeout_has_hung(run: Run) -> None:
    """A test that waits for answers that never come ends, fails and says why; one whose client gives up in time has survived."""
    result = run("import openai\n" + HANGING)
    result.assert_outcomes(passed=2, failed=2)
    waited = "the test still waited after 0.2 s for an answer that never comes"
    result.stdout.fnmatch_lines([f"{waited}; give its client a timeout, or the marker another one: *"])
    result.stdout.fnmatch_lines(
        [
            "stall_before_headers *survived * 1 *",
            "1 variation: 1 survived",
            "stall_before_headers *hung * 3 *nothing ever comes",
            f" *{waited}",
            "stall_mid_stream *hung * 3 *",
            "crlf *survived * 3 *",
        ]
    )


def test_variations_are_left_out(run: Run) -> None:
    """As `sweep --without` has them."""
    result = run(
        'import pytest\n@pytest.mark.vertex_sweep("50?", without=["503", "b*"])\ndef test_it(vertex):\n    pass\n', "-v"
    )
    result.stdout.fnmatch_lines(["*test_it.py::test_it?500?*", "*test_it.py::test_it?504?*"])
    result.stdout.no_fnmatch_line("*503*")


def test_a_row_shows_where_long_texts_differ(run: Run) -> None:
    """Where pytest shortens both."""
    text = "It is a long text that pytest shortens because it does not fit in a line" * 2
    result = run(f"""
import pytest

@pytest.mark.vertex_sweep("crlf")
def test_it(vertex):
    assert {text!r} == {text.replace("a long", "one long")!r}
""")
    result.stdout.fnmatch_lines(['  *line 1: wanted "It is one long text that*", got "It is a long text that *"'])


def test_globs_choose_variations(run: Run) -> None:
    """As `sweep --only` has them."""
    result = run('import pytest\n@pytest.mark.vertex_sweep("50[03]")\ndef test_it(vertex):\n    pass\n', "-v")
    result.stdout.fnmatch_lines(["*test_it.py::test_it?500?*", "*test_it.py::test_it?503?*"])


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ('vertex_sweep("fault")', "*@pytest.mark.vertex_sweep knows no 'fault'; it knows the sets faults, quirks, *"),
        ('vertex_sweep("reset_midstream")', "*knows no 'reset_midstream'; *; did you mean \"reset_mid_stream\"?*"),
        ('vertex_sweep(without="bomb")', "*@pytest.mark.vertex_sweep knows no 'bomb'; *"),
        (
            "vertex_sweep(twice=True)",
            '*@pytest.mark.vertex_sweep has no option "twice"; it has without, once, timeout*',
        ),
        ("vertex_sweep(timeout=None)", "*vertex_sweep: timeout must be a number of seconds up to 600, not None*"),
    ],
)
def test_mistakes_in_the_marker_are_reported(run: Run, marker: str, said: str) -> None:
    """Unknown names in the marker are reported without a traceback."""
    result = run(f"import pytest\n@pytest.mark.{marker}\ndef test_it(vertex):\n    pass\n")
    result.stdout.fnmatch_lines([said])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_without_the_marker_nothing_is_printed(run: Run) -> None:
    """Without the marker there is no table."""
    result: Any = run("def test_it(vertex):\n    pass\n")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*vertex sweep*")
