"""Programs of the form that the documentation gives them, one after the other; what each got is printed as JSON."""

import asyncio
import json
from typing import Any

import google.auth
import google.auth.transport.requests
import openai
from pydantic import BaseModel

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
MODEL = "google/gemini-2.5-flash"
MESSAGES: Any = [{"role": "user", "content": "Why is the sky blue?"}]


class Event(BaseModel):
    """The schema of the requested JSON."""

    name: str
    participants: list[str]


def log_in() -> tuple[str, Any]:
    """Get a token and the project by Application Default Credentials, and return the base URL and the token."""
    credentials: Any
    credentials, project = google.auth.default(scopes=SCOPES)
    credentials.refresh(google.auth.transport.requests.Request())
    host = "https://us-central1-aiplatform.googleapis.com"
    return f"{host}/v1/projects/{project}/locations/us-central1/endpoints/openapi", credentials.token


def plain() -> str | None:
    """One answer."""
    base_url, token = log_in()
    client = openai.OpenAI(base_url=base_url, api_key=token)
    return client.chat.completions.create(model=MODEL, messages=MESSAGES).choices[0].message.content


def streamed() -> str:
    """A stream."""
    base_url, token = log_in()
    client = openai.OpenAI(base_url=base_url, api_key=token)
    stream: Any = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


async def plain_async() -> str | None:
    """One answer, asynchronously."""
    base_url, token = log_in()
    async with openai.AsyncOpenAI(base_url=base_url, api_key=token) as client:
        return (await client.chat.completions.create(model=MODEL, messages=MESSAGES)).choices[0].message.content


async def streamed_async() -> str:
    """A stream, asynchronously."""
    base_url, token = log_in()
    async with openai.AsyncOpenAI(base_url=base_url, api_key=token) as client:
        stream: Any = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


class Refresher:
    """A client that refreshes its token itself whenever it is used."""

    def __init__(self, **settings: Any) -> None:
        self.client = openai.OpenAI(**settings, api_key="NONE YET")
        self.credentials: Any
        self.credentials, project = google.auth.default(scopes=SCOPES)
        host = "https://us-central1-aiplatform.googleapis.com"
        self.client.base_url = f"{host}/v1/projects/{project}/locations/us-central1/endpoints/openapi"

    def __getattr__(self, name: str) -> Any:
        if not self.credentials.valid:
            self.credentials.refresh(google.auth.transport.requests.Request())
            self.client.api_key = self.credentials.token
        return getattr(self.client, name)


def refreshed() -> str:
    """One answer through a client that refreshes itself."""
    content: str = Refresher().chat.completions.create(model=MODEL, messages=MESSAGES).choices[0].message.content
    return content


def structured() -> list[str]:
    """JSON by a schema, with a client configured from the environment alone."""
    asked: Any = [{"role": "user", "content": "Alice and Bob go to a science fair on Friday."}]
    parsed = openai.OpenAI().chat.completions.parse(model=MODEL, messages=asked, response_format=Event)
    event = parsed.choices[0].message.parsed
    return sorted(event.model_dump()) if event else []


print(  # noqa: T201 - this is how it reports
    json.dumps(
        {
            "plain": plain(),
            "streamed": streamed(),
            "plain_async": asyncio.run(plain_async()),
            "streamed_async": asyncio.run(streamed_async()),
            "refreshed": refreshed(),
            "structured": structured(),
        }
    )
)
