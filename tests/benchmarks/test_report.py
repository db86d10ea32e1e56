"""The report: ratios, promises, its place in the guide."""

from xml.etree import ElementTree as ET

import pytest

from benchmarks.cases import CASES, Rates
from benchmarks.measuring import median_ratio
from benchmarks.memory import Footprint
from benchmarks.report import Results, draw_chart, list_promises, write_report
from benchmarks.speed import BEGIN, DOCUMENT, END, SUBJECTS, put_between

PLACES = {"emulator": 800.0, "bare callable": 1000.0, "aimock": 400.0, "stubllm": 100.0}


def results_of(emulator: float = 800.0) -> Results:
    """Results in which every case has the same rates."""
    rates = {name: [rate, rate] for name, rate in (PLACES | {"emulator": emulator}).items()}
    memory = {"emulator": Footprint(40.0, 50.0, 20_000, 51.0, 200_000, 52.0, errors=0)}
    return Results(
        [subject for subject in SUBJECTS if subject.name in PLACES],
        dict.fromkeys(PLACES, "1.0"),
        {"other": "it is not there"},
        Rates({case.name: rates for case in CASES}, right=7),
        {"emulator": [0.2, 0.3], "stubllm": [0.4, 0.4]},
        memory,
    )


def test_ratio_is_the_median_of_those_of_each_round() -> None:
    """A round in which the machine was busy counts no more than any other."""
    assert median_ratio([10, 2, 40], [5, 1, 10]) == 2


def test_promises_are_held_against_what_was_measured() -> None:
    """Each compares the emulator with whom it names; only what was measured is told."""
    promises = {promise.title: promise for promise in list_promises(results_of())}
    assert promises["plain, 500 rules, times the bare callable"].row[1:] == ("at least 0.50", "0.80", "yes")
    assert promises["plain, 500 rules, times aimock"].figure == 2
    assert promises["first answer, s"].figure == 0.25
    assert not promises["200 chunks, chunks per second, times the quickest peer"].holds
    assert list(list_promises(Results([], {}, {}))) == []


def test_broken_promise_shows() -> None:
    """What does not hold stands out in the table."""
    assert "**no**" in next(write_report(results_of(emulator=100)))


def test_wrong_answers_are_told() -> None:
    """An emulator that is fast and wrong does not pass."""
    results = results_of()
    results.rates.wrong["emulator"] = ["plain: another text"]
    assert not next(promise for promise in list_promises(results) if "wrong" in promise.title).holds
    assert "the first: plain: another text" in "\n".join(write_report(results))


def test_report_has_every_case_and_everybody() -> None:
    """Who was measured has a column, who was not has the reason."""
    report = "\n".join(write_report(results_of()))
    assert all(case.title in report for case in CASES)
    assert all(name in report for name in PLACES)
    assert "other: not measured, it is not there." in report


def test_chart_has_three_panels() -> None:
    """Plain, short streams, long streams: everybody has a bar in each."""
    root = ET.fromstring(draw_chart(results_of()))  # noqa: S314  # our own
    assert len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) == 1 + 3 * len(PLACES)


def test_report_takes_its_place_in_the_guide() -> None:
    """Only what stands between the marks is replaced, and the guide has them."""
    assert put_between(f"a\n{BEGIN}\nold\n{END}\nb", "new") == f"a\n{BEGIN}\n\nnew\n\n{END}\nb"
    assert BEGIN in DOCUMENT.read_text("utf-8")
    with pytest.raises(ValueError, match="no <!--"):
        put_between("a guide without marks", "new")


def test_subjects_have_names_of_their_own() -> None:
    """Tables and folders go by them."""
    assert len({subject.name for subject in SUBJECTS}) == len(SUBJECTS)
