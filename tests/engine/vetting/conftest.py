"""Requests vetted as the server does it."""

from collections.abc import Callable
from typing import Any

import pytest

from emulator.engine.request.facts import Facts
from emulator.engine.vetting.context import VettingPolicy
from emulator.engine.vetting.vet import vet
from emulator.scenario.rules import Vetting
from emulator.wire.errors import Refusal
from emulator.wire.json_text import dump
from emulator.wire.requests import read_request
from emulator.wire.urls import Target

Vet = Callable[..., Refusal | None]


@pytest.fixture(scope="session")
def vetted() -> Vet:
    """Vet a request, given its body, its endpoint and the fields of the policy."""

    def vetted(
        body: dict[str, Any], endpoint: str = "openapi", vetting: Vetting = "enforce", **policy: Any
    ) -> Refusal | None:
        facts = Facts(Target("v1", "p", "global", endpoint), [], read_request(dump(body)))
        return vet(facts, VettingPolicy(**policy), vetting).refusal

    return vetted
