"""The emulator asked by its own probes: everything holds, and each quirk contradicts the rows that it is about."""

from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.catalogue.quirks import QUIRK_NAMES, QuirkName
from emulator.recording.attest.judging import Judgement
from emulator.recording.attest.probes import Probe, all_probes, quirks_of

JudgeAll = Callable[..., dict[str, Judgement]]

BREAKS_OFF = "rules: [{name: breaks off, when: {last_user: three sentences about the sea}, reply: [{say: Deep.}, {fail: 503}]}]\n"
"""A scenario in which a stream breaks off, so that the quirk `data_errors` has something to change."""
MOST_CONTRADICTED = 6
"""The rows that one quirk may contradict; a profile of several quirks has more."""
SETTINGS = {"--models known": {"models": "known"}, "--vetting strict": {"vetting": "strict"}}


def test_every_row_holds(judge_all: JudgeAll) -> None:
    """An emulator as it starts contradicts nothing, refuses nothing, and shows all but what needs an option."""
    found = judge_all(all_probes().probes)
    assert [one for one in found.values() if one.result in {"differs", "refused"}] == []
    unseen = {probe.id for probe in all_probes().probes if found[probe.id].result == "not testable"}
    assert unseen == {"streams.errors", *(probe.id for probe in all_probes().probes if probe.switches)}


@pytest.mark.parametrize("switch", SETTINGS)
def test_rows_that_need_an_option_hold_with_it(judge_all: JudgeAll, switch: str) -> None:
    """What an emulator refuses only on demand it refuses then, as the row says."""
    probes = [probe for probe in all_probes().probes if switch in probe.switches]
    assert probes
    assert {one.result for one in judge_all(probes, **SETTINGS[switch]).values()} == {"holds"}
    assert all(set(probe.switches) <= SETTINGS.keys() for probe in all_probes().probes)


@pytest.mark.parametrize("quirk", QUIRK_NAMES)
def test_quirks_contradict_their_rows(judge_all: JudgeAll, tmp_path: Path, quirk: QuirkName) -> None:
    """The probes that name a quirk differ with it, and no other does."""
    breaks_off = tmp_path / "breaks_off.yaml"
    breaks_off.write_text(BREAKS_OFF, "utf-8")
    # Of the models, which have the same probes each, some are enough.
    every = all_probes().probes
    probes = [one for at, one in enumerate(every) if not one.row.startswith("model.") or at % 10 == 0]
    found = judge_all(probes, *((breaks_off,) if quirk == "data_errors" else ()), quirks=frozenset({quirk}))
    expected = {probe.id for probe in probes if quirk in quirks_of(probe)}
    if quirk == "data_errors":
        expected.add("streams.framing:text")
    if quirk == "gemini_api":
        # Without ids the calls cannot be told apart, so that there are no two calls to look at.
        expected.remove("streams.whole-calls")
    assert {probe for probe, one in found.items() if one.result == "differs"} == expected
    assert expected
    assert len({found[probe].row for probe in expected}) <= MOST_CONTRADICTED + 6 * (quirk == "gemini_api")


def test_streams_that_break_off_as_bare_errors(judge_all: JudgeAll, tmp_path: Path) -> None:
    """The row about them holds where a stream breaks off as it says."""
    breaks_off = tmp_path / "breaks_off.yaml"
    breaks_off.write_text(BREAKS_OFF, "utf-8")
    probes: list[Probe] = [probe for probe in all_probes().probes if probe.row == "streams.errors"]
    assert judge_all(probes, breaks_off)["streams.errors"].result == "holds"
