"""What is loaded of Faker is what is asked for, and says what all of it would say."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import faker
import pytest

from emulator.engine.faking import PROVIDER_OF, Faker

ROOT = Path(__file__).parents[3]


def both(seed: int) -> tuple[Faker, faker.Faker]:
    """Ours and the real one, with the same seed."""
    ours, theirs = Faker(), faker.Faker("en_US")
    ours.begin(Random(seed))  # noqa: S311  # to be repeated
    theirs.seed_instance(Random(seed).getrandbits(64))  # noqa: S311  # as above
    return ours, theirs


@pytest.mark.parametrize("word", PROVIDER_OF)
def test_usual_words_are_those_of_faker(word: str) -> None:
    """A usual word has the same value for the same seed, again and with others after it."""
    ours, theirs = both(len(word))
    for _ in range(5):
        assert getattr(ours, word)() == getattr(theirs, word)()
    assert (ours.user_name(), ours.sentence()) == (theirs.user_name(), theirs.sentence())


def test_all_words_of_faker_are_there() -> None:
    """A word that needs all of Faker goes on with the same random numbers, and so do usual words after it."""
    ours, theirs = both(1)
    for one in (ours, theirs):
        one.first_name()
    assert ours.credit_card_number() == theirs.credit_card_number()
    assert ours.unique.word() == theirs.unique.word()
    assert ours.optional.name() == theirs.optional.name()
    assert [ours.name() for _ in range(3)] == [theirs.name() for _ in range(3)]


def test_what_faker_has_not_is_not_there() -> None:
    """A misspelt word fails as with Faker itself, and so does what Faker forbids."""
    ours, _ = both(1)
    with pytest.raises(AttributeError, match="sentense"):
        ours.sentense()
    with pytest.raises(TypeError, match="deprecated"):
        ours.seed(1)


LATE = """
import json, sys
from random import Random
from emulator.engine.faking import Faker
ours = Faker()
ours.begin(Random(1))
said = ours.sentence()
loaded = sorted(name for name in sys.modules if name.startswith("faker."))
import faker.factory
from faker import Faker as Theirs
theirs = Theirs("en_US")
theirs.seed_instance(Random(1).getrandbits(64))
print(json.dumps([loaded, said == theirs.sentence(), faker.VERSION, faker.Faker is Theirs, type(faker).__name__]))
"""


def test_faker_is_loaded_in_part_and_stays_whole_for_others() -> None:
    """A sentence needs few modules of Faker; who imports it in the same process finds all of it."""
    done = subprocess.run([sys.executable, "-c", LATE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    loaded, same, version, is_same_class, kind = json.loads(done.stdout)
    assert "faker.providers.lorem.en_US" in loaded
    assert not {"faker.config", "faker.providers.person", "faker.proxy"}.intersection(loaded)
    assert (same, version, is_same_class, kind) == (True, faker.VERSION, True, "module")
