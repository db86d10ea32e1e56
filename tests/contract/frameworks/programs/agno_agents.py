# mypy: ignore-errors
# The framework is not installed where types are checked.
"""agno against the emulator: a tool, and structured answers by a schema in the request and by fields in the prompt."""

import os

from agno.agent import Agent
from agno.models.openai.like import OpenAILike
from pydantic import BaseModel, Field


class MovieScript(BaseModel):
    """A structured answer."""

    name: str = Field(description="Name of the movie")
    rating: int
    characters: list[str] = Field(description="Name of characters")


def make_model() -> OpenAILike:
    """The emulated model."""
    return OpenAILike(id=os.environ["MODEL"], base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"])


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    assert city == "Oslo", city
    return "sunny"


for options in ({"use_json_mode": True}, {}):
    made = Agent(model=make_model(), output_schema=MovieScript, **options).run("New York").content
    assert isinstance(made, MovieScript), (options, made)
assert "sunny" in Agent(model=make_model(), tools=[get_weather]).run("What is the weather in Oslo?").content
