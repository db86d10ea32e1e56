# mypy: ignore-errors
# The framework is not installed where types are checked.
"""Google's ADK with LiteLlm against the emulator: tools, transfer to another agent, structured answers."""

import asyncio
import os
import warnings

warnings.filterwarnings("ignore")

from google.adk.agents import LlmAgent  # noqa: E402  # their warnings are silenced first
from google.adk.models.lite_llm import LiteLlm  # noqa: E402  # their warnings are silenced first
from google.adk.runners import InMemoryRunner  # noqa: E402  # their warnings are silenced first
from google.genai import types  # noqa: E402  # their warnings are silenced first
from pydantic import BaseModel  # noqa: E402  # their warnings are silenced first

MOST_EVENTS = 8


class Capital(BaseModel):
    """A structured answer."""

    capital: str
    population: int


def get_weather(city: str) -> dict:
    """Get the weather of a city."""
    return {"status": "success", "report": f"The weather in {city} is sunny."}


def make_agent(name: str, **options: object) -> LlmAgent:
    """Make an agent of the emulated model."""
    model = LiteLlm(
        model="openai/" + os.environ["MODEL"], api_base=os.environ["BASE_URL"], api_key=os.environ["API_KEY"]
    )
    return LlmAgent(name=name, model=model, **options)


async def run(agent: LlmAgent, question: str) -> tuple[list[str], str]:
    """The functions that were called, and the last text."""
    runner = InMemoryRunner(agent=agent, app_name="app")
    session = await runner.session_service.create_session(app_name="app", user_id="u")
    called, text, events = [], "", 0
    message = types.Content(role="user", parts=[types.Part(text=question)])
    async for event in runner.run_async(user_id="u", session_id=session.id, new_message=message):
        events += 1
        assert events <= MOST_EVENTS, called
        for part in event.content.parts if event.content else ():
            if part.function_call:
                called.append(part.function_call.name)
            text = part.text or text
    return called, text


async def check_all() -> None:
    """Each agent ends within the turns that a model would need."""
    called, text = await run(make_agent("weather", tools=[get_weather]), "What is the weather in Oslo?")
    assert (called, "sunny" in text) == (["get_weather"], True), (called, text)

    greeting = make_agent("greeting_agent", description="Handles simple greetings and hellos.")
    weather = make_agent("weather_agent", description="Answers questions about the weather.", tools=[get_weather])
    root = make_agent("root", instruction="Delegate.", sub_agents=[greeting, weather])
    called, text = await run(root, "What is the weather in Oslo?")
    assert (called, "sunny" in text) == (["transfer_to_agent", "get_weather"], True), (called, text)

    called, text = await run(make_agent("capital", output_schema=Capital), "What is the capital of France?")
    assert called == [], called
    assert Capital.model_validate_json(text), text

    both = make_agent("both", output_schema=Capital, tools=[get_weather])
    called, text = await run(both, "What is the weather in the capital of France?")
    assert called == ["get_weather", "set_model_response"], called
    assert Capital.model_validate_json(text), text


asyncio.run(check_all())
