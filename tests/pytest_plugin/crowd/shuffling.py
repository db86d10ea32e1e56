"""A plugin that runs tests in an order that a seed decides, the same in each worker."""

import os
import random

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shuffle the tests."""
    random.Random(os.environ["SHUFFLE_SEED"]).shuffle(items)  # noqa: S311  # an order, no secret
