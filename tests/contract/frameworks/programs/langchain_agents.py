# mypy: ignore-errors
# The framework is not installed where types are checked.
"""LangChain's agents and parsers against the emulator: every loop ends as soon as a model would end it."""

import os

from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.output_parsers import PydanticOutputParser
from langchain_core.prompts import PromptTemplate
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field

MODEL = ChatOpenAI(
    model=os.environ["MODEL"], base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], max_retries=0
)
QUESTION = {"messages": [{"role": "user", "content": "What is the weather in Oslo?"}]}


class WeatherReport(BaseModel):
    """A report."""

    city: str
    conditions: str


class ContactInfo(BaseModel):
    """Whom to reach, and where."""

    name: str
    email: str


class Joke(BaseModel):
    """A joke."""

    setup: str = Field(description="question to set up a joke")
    punchline: str = Field(description="answer to resolve the joke")


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"It's always sunny in {city}!"


def check_agent(turns: int, **options: object) -> dict:
    """Run an agent; it takes at most so many turns of the model."""
    agent = create_agent(MODEL, tools=[get_weather], **options)
    # Each turn of the model and each round of tools is a step.
    result = agent.invoke(QUESTION, {"recursion_limit": 2 * turns + 1})
    calls = [call for message in result["messages"] for call in getattr(message, "tool_calls", ())]
    assert [call["args"] for call in calls if call["name"] == "get_weather"] == [{"city": "Oslo"}], calls
    return result


assert "sunny" in check_agent(2)["messages"][-1].content
for response_format in (ToolStrategy(WeatherReport), WeatherReport):
    report = check_agent(2, response_format=response_format)["structured_response"]
    assert report.city == "Oslo", report
    assert "sunny" in report.conditions, report

extractor = create_agent(MODEL, tools=[], response_format=ToolStrategy(ContactInfo))
asked = {"messages": [{"role": "user", "content": "Extract contact info from: John Doe, john@example.com"}]}
contact = extractor.invoke(asked, {"recursion_limit": 3})["structured_response"]
assert contact == ContactInfo(name="John Doe", email="john@example.com"), contact

parser = PydanticOutputParser(pydantic_object=Joke)
prompt = PromptTemplate(
    template="Answer the user query.\n{format_instructions}\n{query}\n",
    input_variables=["query"],
    partial_variables={"format_instructions": parser.get_format_instructions()},
)
assert isinstance((prompt | MODEL | parser).invoke({"query": "Tell me a joke."}), Joke)

json_mode = MODEL.with_structured_output(Joke, method="json_mode")
joke = json_mode.invoke("Tell me a joke about cats. Respond in JSON with `setup` and `punchline` keys.")
assert isinstance(joke, Joke), joke
