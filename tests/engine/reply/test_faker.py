"""What is loaded of Faker is what is asked for, and says what all of it would say."""

from random import Random

import faker
import pytest

from emulator.engine.faking import PROVIDER_OF, Faker


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
