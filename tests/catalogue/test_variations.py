"""The variations of sweeps: complete, told apart, and such that a server takes them."""

import pytest

from emulator.catalogue.faults import FAULTS
from emulator.catalogue.quirks import QUIRK_NAMES
from emulator.catalogue.variations import SET_NAMES, Variation, choose_variations, variations_of
from emulator.engine.randomness import Overrides
from emulator.server.overrides import build_overrides, with_variation
from emulator.server.settings import Settings

ALL = variations_of("all")
LENIENT = {"bare_models", "signatures_off", "signatures_warn"}


def test_names_and_effects_tell_them_apart() -> None:
    """No two have the same name, and no two the same words for what they do."""
    assert len({one.name for one in ALL}) == len({one.effect for one in ALL}) == len(ALL)
    assert not {one.name for one in ALL} & set(SET_NAMES)


def test_nothing_is_left_out() -> None:
    """Every fault has one, and every quirk but those that only refuse less."""
    assert [one.name for one in variations_of("faults")] == list(FAULTS)
    assert [one.name for one in variations_of("quirks")] == [name for name in QUIRK_NAMES if name not in LENIENT]


@pytest.mark.parametrize("variation", ALL, ids=lambda one: one.name)
def test_each_can_be_served(variation: Variation) -> None:
    """As it is and once, it is what the server's options take, and it does something."""
    for one in (variation, variation.once()):
        overrides = build_overrides(with_variation(Settings(), one))
        assert overrides != Overrides()
        assert len(overrides.faults) == len(one.faults)


def test_once_applies_to_faults_only_once() -> None:
    """With `once`, an error that passes is tried once, and quirks and paces stay as they are."""
    found = {one.name: one for one in choose_variations(only=["429*", "slow_stream", "no_done"], once=True)}
    assert set(found) == {"429", "slow_stream", "no_done"} or set(found) == {"429_once", "slow_stream", "no_done"}
    assert found["no_done"].faults == ("garble=no_done,first=1",)
    assert found["slow_stream"] in ALL


def test_globs_choose_from_all_unless_sets_are_given() -> None:
    """Without a set and without a glob, the faults are meant; a single variation has its name."""
    assert choose_variations() == variations_of("faults")
    assert [one.name for one in choose_variations(only=["50?"])] == ["500", "503", "504"]
    assert choose_variations(["quirks"], ["50?"]) == ()
    assert [one.name for one in choose_variations(["no_done", "slow", "no_done"])][:2] == [
        "no_done",
        "slow_first_token",
    ]
    with pytest.raises(KeyError, match="no_such"):
        choose_variations(["no_such"])
