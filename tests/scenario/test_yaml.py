"""YAML as the scenario language reads it: YAML 1.2's plain values, places, and no way to harm the reader."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import Place, Problem, ScenarioError
from emulator.scenario.yaml import MAX_NODES, Source, parse


def read(text: str) -> Source:
    """Read a text under a short name."""
    return parse(text, "f.yaml")


def refusal(text: str | bytes) -> str:
    """The report of a text that cannot be read."""
    with pytest.raises(ScenarioError) as caught:
        parse(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-7", -7),
        ("+7", 7),
        ("012", 12),
        ("0o14", 12),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("y", "y"),
        ("12:30", "12:30"),
        ("12:30:45", "12:30:45"),
        ("2025-01-01", "2025-01-01"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("<", "<"),
        ("=", "="),
    ],
)
def test_plain_values_are_those_of_yaml_1_2(written: str, value: Any) -> None:
    """Only true, false, null and numbers have a meaning of their own; all else is text."""
    found = read(f"a: {written}").data["a"]
    assert found == value
    assert isinstance(found, type(value))


@pytest.mark.parametrize("written", ["1.10", "012", "0x1F", "+7", "1e3", "12", "1.5"])
def test_a_number_is_written_as_it_was(written: str) -> None:
    """Where a text is wanted a number is taken as it was written: a project `007` stays `007`."""
    number = read(f"a: {written}").data["a"]
    assert str(number) == written
    assert json.loads(json.dumps(number)) == number


def test_places_are_those_of_keys_and_values() -> None:
    """A way through the file leads to the value, or to its key; tags of unions are passed over."""
    source = read("rules:\n  - when: {model: x}\n    reply:\n      - say: Hello\n")
    loc = ("rules", 0, "<reply>", "reply", "<list>", 0, "<say>", "say")
    assert source.place(loc) == Place("f.yaml", 4, 14)
    assert source.key_place(loc) == Place("f.yaml", 4, 9)
    assert source.place(("rules", 0, "when", "model")) == Place("f.yaml", 2, 19)
    assert source.place(("rules", 0, "times")) == source.place(("rules", 0)) == Place("f.yaml", 2, 5)
    assert source.place(("rules", 7)) == source.place(("rules",)) == Place("f.yaml", 2, 3)
    assert source.line_text(2) == "  - when: {model: x}"
    assert source.line_text(99) == ""


def test_merged_keys_keep_their_places() -> None:
    """What `<<` brings is found where it was written, what overrides it where that is."""
    source = read("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc:\n  <<: [{z: 4}, *a]\n")
    assert source.data["b"] == {"x": 1, "y": 3}
    assert source.data["c"] == {"z": 4, "x": 1, "y": 2}
    assert source.key_place(("b", "x")) == Place("f.yaml", 1, 8)
    assert source.key_place(("b", "y")) == Place("f.yaml", 4, 3)
    assert source.key_place(("c", "z")) == Place("f.yaml", 6, 9)


def test_a_text_is_found_inside_a_value() -> None:
    """A part of a text has a place of its own, on the line of a block where it stands."""
    source = read('a: |\n  one\n  two three\nb: "three"\n')
    assert source.find(("a",), "three") == Place("f.yaml", 3, 7)
    assert source.find(("b",), "three") == Place("f.yaml", 4, 5)
    assert source.find(("a",), "four") == Place("f.yaml", 1, 4)


def test_json_is_yaml() -> None:
    """A JSON file is read as it is, tabs and slashes with backslashes too."""
    text = '{\n\t"rules": [\n\t\t{"reply": "a\\/b \\u00e9", "times": 1}\n\t]\n}\n'
    assert read(text).data == json.loads(text)


def test_line_ends_of_all_systems_are_counted() -> None:
    """Lines end as they do on any system."""
    assert read("a: 1\r\nb:\r\n  c: 2\r\n").place(("b", "c")) == Place("f.yaml", 3, 6)


def test_byte_order_mark_is_no_text() -> None:
    """A byte order mark does not shift the first key."""
    source = parse(b"\xef\xbb\xbfa: 1\n", "f.yaml")
    assert source.data == {"a": 1}
    assert source.key_place(("a",)) == Place("f.yaml", 1, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: \xff", "f.yaml:1:4: byte 0xff is not UTF-8 here; save the file as UTF-8"),
        ("a: 1".encode("utf-16"), "f.yaml:1:1: this file is UTF-16; save it as UTF-8"),
        (
            b"a: b\x00c",
            "f.yaml:1:5: the character U+0000 cannot stand in a YAML file; write it as an escape in double quotes",
        ),
        (b"a:\n  \x1b[1m", "f.yaml:2:3: the character U+001B cannot stand in a YAML file"),
        ("a: \ud800", "f.yaml:1:4: the character U+D800 cannot stand in a YAML file"),
        ("[" * 100_000, "f.yaml:1:101: lists and mappings are nested more than 100 deep here"),
        ("- " * 100_000, "f.yaml:1:201: lists and mappings are nested more than 100 deep here"),
        ("a: [" + "1," * MAX_NODES + "]", "the file has more than 100,000 values"),
        ("a: " + "9" * 5000, "f.yaml:1:4: this number has 5000 characters"),
        ("a: 1." + "9" * 5000, "f.yaml:1:4: this number has 5002 characters"),
        ("%YAML 1.9\n%FOO\n---\na: 1", 'f.yaml:1:1: a line cannot begin with "%"'),
        ("? [a]\n: b", "f.yaml:1:3: a key must be a text, not a list or a mapping"),
        ("a: |x\n  b", 'f.yaml:1:5: after "|" or ">" the text begins on the next line'),
        ("a: - b", 'f.yaml:1:4: a list cannot begin here; put each "- " on a line of its own'),
        ("a: }", 'f.yaml:1:4: a value is expected here, not "}"'),
        ("a: b\nc", 'f.yaml:2:1: a ":" is missing after this key'),
        ("- a\nb: c", "f.yaml:2:1: this does not fit the list that begins on line 1"),
        ("a: 1\n... b", 'f.yaml:2:5: nothing may follow the "..." that ends the document'),
        ('a: "\\ud83d\\ude00"', "f.yaml:1:7: this escape is not a character; write the character itself"),
        ("a: !<", "f.yaml:1:4: tags such as"),
        ("a: {b: c", "f.yaml:1:4: the mapping that begins here goes wrong at line 2, column 1"),
    ],
)
def test_what_cannot_be_read_is_explained(content: str | bytes, said: str) -> None:
    """Each way to be no scenario gets a place and a reason in our own words."""
    problems = list(map(str, problems_of(content)))
    assert any(said in problem for problem in problems), problems


def test_a_chain_of_aliases_cannot_nest_endlessly() -> None:
    """Aliases that nest each other are bounded like written nesting."""
    links = "\n".join(f"a{number}: &a{number} [{f'*a{number - 1}' if number else 1}]" for number in range(200))
    assert "aliases nest lists and mappings more than 100 deep" in refusal(links)


def test_many_merges_are_bounded() -> None:
    """Merged keys count as values, so merging many into many ends."""
    keys = ", ".join(f"k{number}: 1" for number in range(1000))
    text = f"a: &a {{{keys}}}\nb:\n" + "  - {<<: *a}\n" * 200
    assert "more than 100,000 values" in refusal(text)


def problems_of(content: str | bytes) -> Sequence[Problem]:
    """Read something and return what is said of it; any exception but ScenarioError is the reader's mistake."""
    try:
        source = parse(content, "f.yaml")
    except ScenarioError as error:
        return error.problems
    assert isinstance(source.data, dict)
    return source.problems


@given(st.binary())
def test_no_bytes_do_harm(content: bytes) -> None:
    """Any bytes are read or refused."""
    assert all(min(problem.place.line, problem.place.column) >= 1 for problem in problems_of(content))


@given(st.text(st.sampled_from(list("ab:-*&!|>{}[]<,'\"\\#%@`?~=\t\n\r 01.\u2028\x85é😀"))))
def test_no_punctuation_does_harm(content: str) -> None:
    """Any text made of what means something to YAML is read or refused."""
    assert all(min(problem.place.line, problem.place.column) >= 1 for problem in problems_of(content))


texts = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF, exclude_characters="\x7f"))
# YAML allows no more than 1024 characters in a key that stands on one line with its value, escapes counted.
keys = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF, exclude_characters="\x7f"), max_size=150)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
    max_leaves=20,
)


@given(st.dictionaries(keys, json_values))
def test_json_means_what_it_means_in_json(data: dict[str, Any]) -> None:
    """JSON is read as a JSON reader reads it."""
    assert parse(json.dumps(data), "f.yaml").data == data
