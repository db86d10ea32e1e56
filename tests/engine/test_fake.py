"""`fake` says what Faker says for the same seed, and offers templates nothing but made-up values."""

from collections.abc import Callable
from random import Random

import faker
import pytest

from emulator.engine.fake import Fake, seeded_faker
from emulator.scenario.templates.failures import TemplateError
from emulator.scenario.templates.template import compile_template

WORDS = (
    "name",
    "sentence",
    "street_address",
    "user_name",
    "pyfloat",
    "date_this_year",
    "credit_card_number",
    "random_int",
)


def maker(seed: int) -> Callable[[], Random]:
    """Give what makes the random numbers of a seed."""
    return lambda: Random(seed)  # noqa: S311  # to be repeated, not to be secret


@pytest.mark.parametrize("word", WORDS)
def test_words_are_those_of_faker(word: str) -> None:
    """Templates and sampled values get what Faker with that seed gives, call by call."""
    theirs = faker.Faker("en_US", use_weighting=True)
    theirs.seed_instance(maker(3)().getrandbits(64))
    expected = [getattr(theirs, each)() for each in (word, word, "sentence")]
    fake = Fake(maker(3))
    assert [getattr(fake, each)() for each in (word, word, "sentence")] == expected
    sampled = seeded_faker(maker(3)())
    assert [getattr(sampled, each)() for each in (word, word, "sentence")] == expected


@pytest.mark.parametrize(
    "name",
    [
        *("sentense", "seed", "seed_instance", "add_provider", "set_formatter", "get_formatter", "parse", "format"),
        *("random", "unique", "optional", "factories", "providers", "generator", "set_arguments"),
    ],
)
def test_only_words_are_offered(name: str) -> None:
    """A misspelt word and whatever could change Faker for others is not there."""
    with pytest.raises(TemplateError, match=f'failed: Fake has no "{name}"'):
        compile_template(f"{{{{ fake.{name}() }}}}").render({"fake": Fake(maker(1))})


def test_nothing_is_seeded_before_it_is_used() -> None:
    """An answer whose template does not use `fake` draws no random numbers for it."""

    def fail() -> Random:
        raise AssertionError

    assert compile_template("{{ 1 + 1 }}").render({"fake": Fake(fail)}) == "2"


@pytest.mark.parametrize(
    "call",
    [
        *("text(max_nb_chars=100000000)", "binary(length=1000000000)", "pystr(1, 9999999)", "csv(num_rows=9999)"),
        *("texts(9999, 9999)", "random_elements([1, 2], length=9999999)", "zip()", "pylist(nb_elements=100000)"),
        "json(data_columns={'a': ['pystr', {'max_chars': 99999999}]})",
    ],
)
def test_sizes_are_bounded(call: str) -> None:
    """A word that would make much is refused before it does."""
    with pytest.raises(TemplateError, match=r"too much work|at most"):
        compile_template(f"{{{{ fake.{call} }}}}").render({"fake": Fake(maker(1))})


def test_words_share_the_budget() -> None:
    """Many words in one template are refused in time."""
    with pytest.raises(TemplateError, match="too much work"):
        compile_template("{% for i in range(99999) %}{{ fake.name() }}{% endfor %}").render({"fake": Fake(maker(1))})
