"""Settings as programs give them."""

from typing import Any

import pytest

from emulator.errors import StartError
from emulator.server.settings import Settings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"auth": "isued"}, 'auth must be any, issued or off, not "isued"; did you mean "issued"?'),
        ({"vetting": "strict"}, 'vetting must be enforce, warn or off, not "strict"'),
        ({"quirks": {"raw_newline"}}, 'did you mean "raw_newlines"?'),
        ({"models": 7}, "models must be any or known, not 7"),
    ],
)
def test_misspelt_settings_are_told(given: dict[str, Any], said: str) -> None:
    """A word that there is not would let everybody in, or nobody, without a sign."""
    with pytest.raises(StartError, match="Settings: ") as caught:
        Settings(**given)
    assert said in str(caught.value)
