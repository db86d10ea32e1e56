# mypy: ignore-errors
# The framework is not installed where types are checked.
"""pydantic-ai against the emulator: an agent with a tool, structured output, and a streamed answer."""

import asyncio
import os

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput, UsageLimits
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


class City(BaseModel):
    """A structured answer."""

    name: str
    population: int


class Person(BaseModel):
    """Another structured answer."""

    name: str
    age: int


MODEL = OpenAIChatModel(
    os.environ["MODEL"], provider=OpenAIProvider(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"])
)


async def check_text() -> None:
    """A text with its usage."""
    result = await Agent(MODEL, instructions="Be brief.").run("Hello")
    assert result.output
    assert result.usage.total_tokens > 0, result.usage


async def check_tool() -> None:
    """The agent runs its tool once, then ends with a text."""
    agent = Agent(MODEL)
    asked: list[str] = []

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Get the weather of a city."""
        asked.append(city)
        return "sunny"

    result = await agent.run("What is the weather in Paris?")
    assert len(asked) == 1, asked
    assert result.output
    calls = [
        part
        for message in result.all_messages()
        if isinstance(message, ModelResponse)
        for part in message.parts
        if isinstance(part, ToolCallPart)
    ]
    assert [call.tool_name for call in calls] == ["get_weather"], calls
    again = await agent.run("And in Rome?", message_history=result.all_messages())
    assert again.output


async def check_structure() -> None:
    """Structured output, by a tool and by a schema, with a tool of its own beside it."""
    for output in (ToolOutput(City), NativeOutput(City), PromptedOutput(City)):
        result = await Agent(MODEL, output_type=output).run("Tell me about Paris.")
        assert isinstance(result.output, City), result.output


async def check_structure_after_tools() -> None:
    """An agent that has a tool and must end with structured output does so in two requests."""
    for output in (City, [City, Person]):
        agent = Agent(MODEL, output_type=output)

        @agent.tool_plain
        def get_population(city: str) -> int:
            """Get the population of a city."""
            assert city == "Oslo", city
            return 700000

        result = await agent.run("What is the population of Oslo?", usage_limits=UsageLimits(request_limit=2))
        assert result.output == City(name="Oslo", population=700000), result.output


async def check_stream() -> None:
    """A streamed text, and streamed structured output."""
    async with Agent(MODEL).run_stream("Hello") as stream:
        texts = [text async for text in stream.stream_text()]
    assert texts
    assert texts[-1]
    async with Agent(MODEL, output_type=City).run_stream("Tell me about Paris.") as structured:
        assert isinstance(await structured.get_output(), City)


async def check_all() -> None:
    """Everything in one loop."""
    await check_text()
    await check_tool()
    await check_structure()
    await check_structure_after_tools()
    await check_stream()


asyncio.run(check_all())
