# mypy: ignore-errors
# The framework is not installed where types are checked.
"""instructor against the emulator: response models by tools and by schema, several at once, and partial ones."""

import asyncio
import os
from collections.abc import Iterable
from typing import Literal

import instructor
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, Field


class User(BaseModel):
    """A person."""

    name: str
    age: int = Field(ge=0, le=120)
    role: Literal["admin", "guest"]


class Team(BaseModel):
    """People who belong together."""

    title: str
    members: list[User] = Field(min_length=1)


WHERE = {"base_url": os.environ["BASE_URL"], "api_key": os.environ["API_KEY"]}
ASKED = {"model": os.environ["MODEL"], "messages": [{"role": "user", "content": "Ann is 30 and an admin."}]}

for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA, instructor.Mode.JSON, instructor.Mode.MD_JSON):
    client = instructor.from_openai(OpenAI(**WHERE), mode=mode)
    team = client.chat.completions.create(response_model=Team, max_retries=0, **ASKED)
    assert isinstance(team, Team), team
    user, raw = client.chat.completions.create_with_completion(response_model=User, max_retries=0, **ASKED)
    assert user.model_dump() == {"name": "Ann", "age": 30, "role": "admin"}, (mode, user)
    assert raw.usage.total_tokens > 0, raw

tools = instructor.from_openai(OpenAI(**WHERE), mode=instructor.Mode.TOOLS)
users = list(tools.chat.completions.create(response_model=Iterable[User], stream=True, max_retries=0, **ASKED))
assert all(isinstance(one, User) for one in users), users
partial = list(tools.chat.completions.create_partial(response_model=User, max_retries=0, **ASKED))
assert partial[-1].name, partial


async def check_async() -> None:
    """The asynchronous client."""
    client = instructor.from_openai(AsyncOpenAI(**WHERE))
    assert isinstance(await client.chat.completions.create(response_model=User, max_retries=0, **ASKED), User)


asyncio.run(check_async())
