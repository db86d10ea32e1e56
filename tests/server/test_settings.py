"""Settings given by programs."""

from typing import Any

import pytest

from emulator.errors import StartError
from emulator.server.settings import Settings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"auth": "isued"}, 'auth must be any, issued or off, not "isued"; did you mean "issued"?'),
        ({"vetting": "lax"}, 'vetting must be enforce, strict, warn or off, not "lax"'),
        ({"quirks": {"raw_newline"}}, 'did you mean "raw_newlines"?'),
        ({"models": 7}, "models must be any or known, not 7"),
    ],
)
def test_misspelt_settings_raise(given: dict[str, Any], said: str) -> None:
    """An unknown word must not silently admit everybody or nobody."""
    with pytest.raises(StartError, match="Settings: ") as caught:
        Settings(**given)
    assert said in str(caught.value)
