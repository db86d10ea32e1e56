"""Made-up names, sentences and addresses: Faker, imported when first used and seeded for every use."""

from collections.abc import Callable
from random import Random
from threading import local
from typing import Any

_LOCALE = "en_US"
_PER_THREAD = local()


def seeded_faker(random: Random) -> Any:
    """This thread's Faker, seeded with the next 64 bits of `random`; good until the thread next asks for it.

    To make one takes some 30 ms, so a thread makes one and seeds it again for each use.
    """
    if not hasattr(_PER_THREAD, "faker"):
        from faker.factory import Factory  # noqa: PLC0415  # slow to import

        _PER_THREAD.faker = Factory.create(_LOCALE, use_weighting=True)
    _PER_THREAD.faker.seed_instance(random.getrandbits(64))
    return _PER_THREAD.faker


class Fake:
    """The template variable `fake`: the public methods of Faker's providers, and nothing that could change Faker for others.

    `make_random` is called at the first use, for the random numbers that seed Faker.
    """

    def __init__(self, make_random: Callable[[], Random]) -> None:
        self._make_random = make_random
        self._faker: Any = None

    def __getattr__(self, name: str) -> Any:
        """Get the provider method of that name.

        Raises:
            AttributeError: No provider has a public method of that name.
        """
        if self._faker is None:
            self._faker = seeded_faker(self._make_random())
        if not name.startswith("_"):
            for provider in self._faker.providers:
                method = getattr(provider, name, None)
                if callable(method):
                    return method
        raise AttributeError(name)
