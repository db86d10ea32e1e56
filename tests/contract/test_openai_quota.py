"""openai-python against quotas: retries, RateLimitError, refill, sessions, the headers that choose the traffic."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from emulator.api.emulator import Emulator
from emulator.server.clock import ManualClock

MODEL = "google/gemini-2.5-flash"
SCENARIO = """
quota:
  - {requests_per_minute: 60, model: google/gemini-2.5-flash}
  - {requests_per_minute: 1, model: google/gemini-2.5-pro, on_excess: provisioned_throughput_exceeded}
  - {requests_per_minute: 2, per: server, model: google/gemini-3*}
rules: [{reply: fine}]
"""


@pytest.fixture
def clock() -> ManualClock:
    """The clock of the emulator."""
    return ManualClock()


@pytest.fixture
def vertex(clock: ManualClock) -> Iterator[Emulator]:
    """An emulator with quotas."""
    with Emulator(SCENARIO, clock=clock) as running:
        yield running


def ask(client: openai.OpenAI, model: str = MODEL, *, stream: bool = False, **headers: str) -> str:
    """Ask once; tell the traffic type of the answer."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    create: Any = client.chat.completions.create
    answer = create(model=model, messages=[{"role": "user", "content": "hi"}], stream=stream, extra_headers=sent)
    usage = [chunk.usage for chunk in answer][-1] if stream else answer.usage
    traffic: str = usage.model_extra["extra_properties"]["google"]["traffic_type"]
    return traffic


def test_sixty_a_minute_come_back_one_each_second(vertex: Emulator, clock: ManualClock) -> None:
    """A minute's worth at once, then a RateLimitError with Google's body, then one more for each second that passes."""
    client = vertex.openai(max_retries=0)
    for _ in range(60):
        ask(client)
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError) as caught:
            ask(client, stream=stream)
        (error,) = caught.value.response.json()
        assert error["error"]["status"] == "RESOURCE_EXHAUSTED"
        assert "60 requests per minute" in caught.value.response.headers["x-emulator-explanation"]
        assert "retry-after" not in caught.value.response.headers
    clock.advance(2)
    assert [ask(client), ask(client)] == ["ON_DEMAND", "ON_DEMAND"]
    with pytest.raises(openai.RateLimitError):
        ask(client)


def test_a_client_retries_and_finally_gives_up(vertex: Emulator) -> None:
    """Each try is a request of its own; none of the refused ones takes anything."""
    client = vertex.openai(max_retries=2)
    for _ in range(60):
        ask(client)
    with pytest.raises(openai.RateLimitError):
        ask(client)
    assert [exchange.status for exchange in vertex.journal.wait_for(63)][-4:] == [200, 429, 429, 429]


def test_sessions_do_not_share_but_the_server_does(vertex: Emulator) -> None:
    """Another project has a quota of its own, but the one of the server is for both."""
    one, other = vertex.openai(project="one", max_retries=0), vertex.openai(project="other", max_retries=0)
    for client in (one, other):
        for _ in range(60):
            ask(client)
        with pytest.raises(openai.RateLimitError):
            ask(client)
    new = "google/gemini-3-flash-preview"
    ask(one, new)
    ask(other, new)
    for client in (one, other):
        with pytest.raises(openai.RateLimitError):
            ask(client, new)


def test_headers_choose_the_traffic(vertex: Emulator) -> None:
    """Provisioned throughput carries what it can; beyond it `dedicated` is refused, everything else is paid as it goes."""
    client, model = vertex.openai(max_retries=0), "google/gemini-2.5-pro"
    assert ask(client, model, X_Vertex_AI_LLM_Request_Type="shared") == "ON_DEMAND"
    assert ask(client, model) == "PROVISIONED_THROUGHPUT"
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, model, X_Vertex_AI_LLM_Request_Type="dedicated")
    (error,) = caught.value.response.json()
    assert error["error"]["message"] == "Too many requests. Exceeded the Provisioned Throughput."
    assert ask(client, model) == "ON_DEMAND"
    assert ask(client, model, X_Vertex_AI_LLM_Shared_Request_Type="flex") == "ON_DEMAND_FLEX"
