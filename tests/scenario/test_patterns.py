"""Regular expressions of scenarios mean what Python's mean, and never take long."""

import json
import re
import subprocess
import sys
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from emulator.budget import LongWorkError
from emulator.scenario.loading import read_text
from emulator.scenario.patterns import Literal, PatternError, compile_pattern

PATTERNS = [
    *(
        r"(?P<n>\d+)",
        r"\bfoo\b.*",
        r"(?i)stra\u00dfe \w+",
        r"[\w.]+@[\w.]+",
        r"x*$",
        r"\s+$",
        r"(?P<a>a|b)+c?",
        r"a{,3}b",
    ),
    *(
        r"(?s)^.*x.*$",
        r"[][x]+",
        r"(?m)^\w+$",
        r"a.{0,5}?b",
        r"\A\u00e9+\Z",
        r"(?=.*a)(?=.*b)\d+",
        r"(a)(b)?\1",
        r"\W+|\S+\D",
    ),
]


@given(
    st.sampled_from(PATTERNS),
    st.text(st.sampled_from("aab1\u0663\u00e9\u00dfx.@ \n\x1c\xa0_[]"), max_size=60),
    st.integers(1, 60),
)
def test_matches_are_those_of_python(pattern: str, part: str, times: int) -> None:
    """Whichever engine matches, a match and its named groups are those of `re`."""
    text = part * times
    try:
        found = compile_pattern(pattern).search(text)
    except PatternError:
        return
    expected = re.search(pattern, text)
    assert (found is None) == (expected is None)
    assert found is None or found.groupdict() == (expected and expected.groupdict())


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^(a+)+$", "a" * 40 + "!", False),
        (r"\s+$", " " * 100_000 + "x", False),
        (r"(a|b|ab)*c", "ab" * 50_000, False),
        (r"\bOrder (\d+)\b", "Gr\u00fc\u00dfe " * 20_000 + "Order 12", True),
        (r"^(?=.*foo)(?=.*bar)", "a" * 100_000 + "foobar", True),
    ],
)
def test_matches_are_quick(pattern: str, text: str, found: bool) -> None:  # a column of the table
    """Patterns that overwhelm backtracking are matched all the same."""
    begin = time.process_time()
    assert (compile_pattern(pattern).search(text) is not None) is found
    assert time.process_time() - begin < 3


def test_a_match_that_would_take_long_is_given_up() -> None:
    """What neither engine can match in time is an error, and a warning with its place when rules are compared."""
    with pytest.raises(PatternError, match="would take too long on a text of 41 characters"):
        compile_pattern(r"^(?=b*)(a+)+$").search("a" * 40 + "!")
    rules = 'rules:\n- {when: {last_user: {regex: "^(?=b*)(a+)+$"}}, reply: a}\n- {when: {last_user: {equals: "%s!"}}, reply: b}'
    (warning,) = read_text(rules % ("a" * 40)).warnings
    assert (warning.place.line, "would take too long" in warning.message) == (3, True)


@pytest.mark.parametrize("pattern", ["(" * 3000 + ")" * 3000, "a{" + "9" * 5000 + "}", "a{99999999999}", "(", "*"])
def test_bad_patterns_say_why(pattern: str) -> None:
    """What `re` cannot read raises ValueError and nothing else."""
    with pytest.raises(ValueError, match=r"\w"):
        compile_pattern(pattern)


def test_re2_is_imported_only_when_needed() -> None:
    """Ordinary patterns on ordinary texts do not load RE2."""
    program = (
        "import sys; from emulator.scenario.patterns import compile_pattern as c;"
        "assert c('order ([0-9]+)').search('my order 12'); assert 're2' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


WORDS = "lorem ipsum dolor " * 60_000


@pytest.mark.parametrize("pattern", [r"(?!z)\w+\s\d", r"(?<=m )(\w)\1", r"(?!z)\bs\w+ 1$", r"(?<!a)\d(?=\s*\Z)"])
@pytest.mark.parametrize("end", ["", "m aa 1", "1", "sum 1\n"])
def test_a_search_that_takes_long_finds_what_python_finds(pattern: str, end: str) -> None:
    """It is done from some places at a time, with what stands before and behind them."""
    compiled = compile_pattern(pattern)
    found, expected = compiled.search(WORDS + end), re.search(pattern, WORDS + end)
    assert (found and (found.span(), found.groups())) == (expected and (expected.span(), expected.groups()))


def test_a_search_that_takes_long_is_not_begun_where_it_must_be_short() -> None:
    """One that RE2 does, or that is quick, is."""
    assert compile_pattern(r"\w+\s\d").search(WORDS + "1", is_short=True)
    assert compile_pattern(r"(?!z)\w+\s\d").search("lorem 1", is_short=True)
    with pytest.raises(LongWorkError):
        compile_pattern(r"(?!z)\w+\s\d").search(WORDS + "1", is_short=True)


atoms = st.sampled_from(
    [
        "ab",
        "Sk",
        "i\u0130",
        "\u00df",
        r"\.x",
        "[ab]c",
        r"\dk",
        ".",
        "^",
        "$",
        r"\b",
        "(?=a)",
        "(?!b)x",
        r"\x41b",
        "]{a",
        "\ufb01",
    ]
)
quantifiers = st.sampled_from(["", "", "*", "+", "?", "{2}", "{0,2}", "{,2}", "{1,2}?", "+?", "*?"])
opening = st.sampled_from(["(", "(?:", "(?i:", "(?x: "])
expressions = st.recursive(
    st.lists(st.builds("{}{}".format, atoms, st.sampled_from(["", "", "?", "*", "+"])), max_size=3).map("".join),
    lambda inner: st.lists(
        st.builds(
            lambda start, options, end: f"{start}{'|'.join(options)}){end}",
            opening,
            st.lists(inner, min_size=1, max_size=3),
            quantifiers,
        ),
        max_size=3,
    ).map("k".join),
    max_leaves=6,
)


def _contains(text: str, literal: Literal) -> bool:
    if isinstance(literal, str):
        return literal in text
    return any(all(_contains(text, one) for one in option) for option in literal)


@given(st.sampled_from(["", "(?i)", "(?s)"]), expressions, st.data())
def test_every_match_contains_the_literals(flags: str, expression: str, data: st.DataObject) -> None:
    """Letter case aside; alternatives, what may be absent and other flags included."""
    try:
        compiled = re.compile(flags + expression)
    except re.error:
        assume(False)
        return
    text = data.draw(st.from_regex(compiled))
    found = compiled.search(text)
    assume(found)
    assert found is not None
    assert all(_contains(found[0].casefold(), one) for one in compile_pattern(flags + expression).literals)


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        (r"lo.*zN", ["lo", "zn"]),
        (r"(?i)\b(refund|return)s?\b", [[["refund"], ["return"]]]),
        (r"foo(bar)?ba+z", ["foo", "ba"]),
        (r"^Order (?P<number>\d+)\.$", ["order "]),
        (r"a|bc", []),
        (r"(ab|)cd*", []),
        (r"(?x) a b # cd", []),
        (r"ab(?#or)*", []),
    ],
)
def test_literals_of_a_pattern(pattern: str, literals: list[Literal]) -> None:
    """What is certain to stand in a match, so that an index can leave the rule out."""
    assert json.loads(json.dumps(compile_pattern(pattern).literals)) == literals
