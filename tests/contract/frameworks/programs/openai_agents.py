# mypy: ignore-errors
# The framework is not installed where types are checked.
"""openai-agents against the emulator: tools, and handoffs to the agent that suits the question."""

import asyncio
import os

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(disabled=True)
MODEL = OpenAIChatCompletionsModel(
    os.environ["MODEL"], AsyncOpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"])
)


@function_tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"sunny in {city}"


async def check_tool() -> None:
    """A tool is called once, then there is an answer that uses its result."""
    result = await Runner.run(
        Agent(name="Weather", instructions="Help.", tools=[get_weather], model=MODEL),
        "What is the weather in Oslo?",
        max_turns=2,
    )
    assert "sunny in Oslo" in result.final_output, result.final_output


async def check_handoffs() -> None:
    """The question goes to the agent for it, and that agent answers, although it could hand the question back."""
    spanish = Agent(name="Spanish agent", instructions="You only speak Spanish.", model=MODEL)
    english = Agent(name="English agent", instructions="You only speak English.", model=MODEL)
    weather = Agent(
        name="Weather agent",
        handoff_description="Answers questions about the weather",
        tools=[get_weather],
        model=MODEL,
    )
    triage = Agent(
        name="Triage agent",
        instructions="Handoff to the appropriate agent based on the language of the request.",
        handoffs=[english, spanish, weather],
        model=MODEL,
    )
    spanish.handoffs = [triage]
    weather.handoffs = [triage]
    for question, expected, turns in [
        ("Hola, ¿cómo estás?", spanish, 2),
        ("What is the weather in Oslo?", weather, 3),
    ]:
        result = await Runner.run(triage, question, max_turns=turns)
        assert result.last_agent.name == expected.name, (question, result.last_agent.name)
        assert result.final_output


async def check_all() -> None:
    """Everything in one loop."""
    await check_tool()
    await check_handoffs()


asyncio.run(check_all())
