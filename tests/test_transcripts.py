"""Every scenario file that is shipped is played over a socket, and its bytes are kept.

`tests/transcripts/NAME.json` holds the requests (with a `path` where it is not the usual one), `NAME.txt` the answers. UPDATE_EXPECTED=1 writes the answers anew: read the
difference before you keep it.
"""

import json
import os
from http.client import HTTPConnection
from pathlib import Path

import pytest

from emulator.api.emulator import Emulator
from emulator.server.settings import Settings

SCENARIOS = Path(__file__).parents[1] / "scenarios"
TRANSCRIPTS = Path(__file__).with_name("transcripts")
NAMES = sorted(str(path.relative_to(SCENARIOS).with_suffix("")) for path in SCENARIOS.rglob("*.yaml"))
CHANGING = {"date", "transfer-encoding"}
PATH = "/v1/projects/test-project/locations/global/endpoints/openapi/chat/completions"


def play(name: str) -> str:
    """Send all requests of a scenario, in order, to one server with a seed; write down what comes back."""
    requests = json.loads((TRANSCRIPTS / f"{name}.json").read_text("utf-8"))
    lines = []
    with Emulator(SCENARIOS / f"{name}.yaml", settings=Settings(seed="transcript", auth="off")) as vertex:
        connection = HTTPConnection(vertex.url.removeprefix("http://"), timeout=30)
        for request in requests:
            connection.request("POST", request.get("path", PATH), json.dumps(request["body"]))
            answer = connection.getresponse()
            lines.append(f"=== {request['name']}\nHTTP {answer.status}")
            lines += [f"{key.lower()}: {value}" for key, value in answer.getheaders() if key.lower() not in CHANGING]
            lines.append(f"\n{answer.read().decode()}")
        connection.close()
    return "\n".join(lines)


@pytest.mark.parametrize("name", NAMES)
def test_scenario_plays_as_recorded(name: str) -> None:
    """The same scenario, seed and requests give the same bytes as when they were recorded."""
    transcript = TRANSCRIPTS / f"{name}.txt"
    played = play(name)
    if os.environ.get("UPDATE_EXPECTED"):
        transcript.write_text(played, "utf-8")
    assert played == transcript.read_text("utf-8")


def test_every_rule_of_the_scenarios_answers_in_the_transcripts() -> None:
    """No shipped rule is left unplayed."""
    for name in NAMES:
        requests = json.loads((TRANSCRIPTS / f"{name}.json").read_text("utf-8"))
        with Emulator(SCENARIOS / f"{name}.yaml", settings=Settings(auth="off")) as vertex:
            connection = HTTPConnection(vertex.url.removeprefix("http://"), timeout=30)
            for request in requests:
                connection.request("POST", request.get("path", PATH), json.dumps(request["body"]))
                connection.getresponse().read()
            connection.close()
            used = {exchange.outcome.chosen.rule.name for exchange in vertex.service.journal if exchange.outcome.chosen}
            assert used == {rule.name for rule in vertex.service.ruleset.rules}, name
