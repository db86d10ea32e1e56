"""Faker with no more of it than is asked for: importing all of its providers takes several times as long as an answer that needs one."""

from importlib import import_module
from random import Random
from threading import local
from typing import Any

_LOCALE = "en_US"
_COMMON = "faker.providers"
# The usual words, below the provider that makes them; those at the top every provider has.
_USUAL = {
    _COMMON: "bothify lexify numerify random_digit random_element random_elements random_int random_letter random_sample",
    "faker.providers.address.en_US": (
        "address building_number city city_prefix city_suffix country country_code postalcode postcode secondary_address state "
        "state_abbr street_address street_name street_suffix zipcode"
    ),
    "faker.providers.color.en_US": "color_name hex_color rgb_color safe_color_name safe_hex_color",
    "faker.providers.company.en_US": "bs catch_phrase company company_suffix",
    "faker.providers.currency.en_US": "currency_code currency_name",
    "faker.providers.internet.en_US": (
        "ascii_company_email ascii_email ascii_free_email ascii_safe_email company_email domain_name domain_word email free_email "
        "free_email_domain hostname ipv4 ipv6 safe_domain_name safe_email slug tld uri url user_name"
    ),
    "faker.providers.job.en_US": "job",
    "faker.providers.lorem.en_US": "paragraph paragraphs sentence sentences text texts word words",
    "faker.providers.person.en_US": (
        "first_name first_name_female first_name_male last_name name name_female name_male prefix prefix_female prefix_male suffix "
        "suffix_female suffix_male"
    ),
    "faker.providers.phone_number.en_US": "phone_number",
    "faker.providers.python": "pybool pyfloat pyint pystr",
}
PROVIDER_OF = {word: provider for provider, words in _USUAL.items() for word in words.split()}
"""Which module of Faker makes a word; those that are not here need all of it."""
_LOCAL = local()


class Faker:
    """As Faker itself, the same words for the same seed, except that what makes a usual word is loaded with the word."""

    def __init__(self) -> None:
        self._generator = _make_generator()
        self._whole: Any = None

    def begin(self, random: Random) -> None:
        """Begin anew with a seed of these random numbers."""
        self._generator.seed_instance(random.getrandbits(64))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator if name in PROVIDER_OF else self._complete(), name)

    def _complete(self) -> Any:
        if self._whole is None:
            # With a generator of ours, all that is loaded draws from the same random numbers.
            self._whole = import_module("faker").Faker(_LOCALE, generator=self._generator)
        return self._whole


def _make_generator() -> Any:
    base: Any = import_module("faker.generator").Generator

    class Generator(base):  # type: ignore[misc]  # of a module that is loaded late
        """Loads what makes a word when the word is asked for, also by other words."""

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            if name not in PROVIDER_OF:
                import_module("faker").Faker(_LOCALE, generator=self)
                return object.__getattribute__(self, name)
            module = import_module(PROVIDER_OF[name])
            provider = (module.BaseProvider if module.__name__ == _COMMON else module.Provider)(self)
            provider.__use_weighting__ = True
            provider.__lang__ = _LOCALE
            self.set_formatter(name, getattr(provider, name))
            return getattr(self, name)

    return Generator(locale=_LOCALE, use_weighting=True)


def seeded_faker(random: Random) -> Faker:
    """This thread's only Faker, seeded anew: good until the thread next asks for it."""
    if not hasattr(_LOCAL, "faker"):
        _LOCAL.faker = Faker()
    fake: Faker = _LOCAL.faker
    fake.begin(random)
    return fake
