"""What the examples of openai-python show of chat completions, written anew for Vertex AI: each prints that it got what it asked for."""

import asyncio
import enum
import json
import sys
from typing import Any

import google.auth
import google.auth.transport.requests
import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

BASE_URL = "https://aiplatform.googleapis.com/v1/projects/examples/locations/global/endpoints/openapi"
MODEL = "google/gemini-3.5-flash"
SAY: Any = [{"role": "user", "content": "Say this is a test"}]
FILES: Any = [{"role": "user", "content": "How do I output all files in a directory using Python?"}]


def read_token() -> str:
    """An access token of the application default credentials."""
    credentials: Any
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    credentials.refresh(google.auth.transport.requests.Request())
    return str(credentials.token)


class Step(BaseModel):
    """A step of a solution."""

    explanation: str
    output: str


class MathResponse(BaseModel):
    """A solution."""

    steps: list[Step]
    final_answer: str


class Table(enum.StrEnum):
    """A table of a database."""

    orders = "orders"
    customers = "customers"
    products = "products"


class Column(enum.StrEnum):
    """A column of a table."""

    id = "id"
    status = "status"
    ordered_at = "ordered_at"


class Operator(enum.StrEnum):
    """A comparison."""

    eq = "="
    gt = ">"
    le = "<="


class DynamicValue(BaseModel):
    """A value that is read from a column."""

    column_name: str


class Condition(BaseModel):
    """A condition of a query."""

    column: str
    operator: Operator
    value: str | int | DynamicValue


class Query(BaseModel):
    """A query of a database."""

    table_name: Table
    columns: list[Column]
    conditions: list[Condition]


class GetWeather(BaseModel):
    """The weather in a city."""

    city: str
    country: str


def demo(client: OpenAI) -> bool:
    """Plain, streamed, and the raw response with its request id."""
    plain = client.chat.completions.create(model=MODEL, messages=SAY)
    streamed = "".join(
        chunk.choices[0].delta.content or ""
        for chunk in client.chat.completions.create(model=MODEL, messages=FILES, stream=True)
        if chunk.choices
    )
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=SAY)
    return bool(plain.choices[0].message.content and streamed and raw.parse().choices[0].message.content)


def streaming(client: OpenAI) -> bool:
    """The first event by `next`, the others in a loop, and a response that is closed."""
    with client.chat.completions.create(model=MODEL, messages=FILES, stream=True) as response:
        first = next(response)
        return bool([first, *response])


async def streaming_async() -> bool:
    """The same, asynchronously."""
    async with AsyncOpenAI(base_url=BASE_URL, api_key=read_token()) as client:
        response = await client.chat.completions.create(model=MODEL, messages=FILES, stream=True)
        first = await anext(response)
        return bool([first, *[chunk async for chunk in response]])


def module_client() -> bool:
    """The module as a client, with a default header."""
    openai.api_key, openai.base_url = read_token(), BASE_URL + "/"
    openai.default_headers = {"x-foo": "true"}
    stream = openai.chat.completions.create(model=MODEL, messages=FILES, stream=True)
    return bool("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))


MATH: Any = [
    {"role": "system", "content": "You are a helpful math tutor."},
    {"role": "user", "content": "solve 8x + 31 = 2"},
]


def parsing(client: OpenAI) -> bool:
    """A Pydantic model as response format."""
    message = client.chat.completions.parse(model=MODEL, messages=MATH, response_format=MathResponse).choices[0].message
    return isinstance(message.parsed, MathResponse)


def parsing_stream(client: OpenAI) -> bool:
    """The same, by events."""
    with client.chat.completions.stream(model=MODEL, messages=MATH, response_format=MathResponse) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    return {"content.delta", "content.done"} <= kinds and isinstance(final.choices[0].message.parsed, MathResponse)


def parsing_tools(client: OpenAI) -> bool:
    """A Pydantic model as a tool, with enums in its parameters."""
    messages: Any = [
        {
            "role": "system",
            "content": "The current date is August 6, 2024. Help users query for the data they are looking for.",
        },
        {
            "role": "user",
            "content": "look up all my orders in november of last year that were fulfilled but not delivered on time",
        },
    ]
    completion = client.chat.completions.parse(
        model=MODEL, messages=messages, tools=[openai.pydantic_function_tool(Query)], tool_choice="required"
    )
    (call,) = completion.choices[0].message.tool_calls or []
    return isinstance(call.function.parsed_arguments, Query)


def parsing_tools_stream(client: OpenAI) -> bool:
    """The same by events, with two tools."""

    class GetStockPrice(BaseModel):
        """The price of a stock."""

        ticker: str
        exchange: str

    tools = [
        openai.pydantic_function_tool(GetWeather, name="get_weather"),
        openai.pydantic_function_tool(GetStockPrice, name="get_stock_price"),
    ]
    messages: Any = [{"role": "user", "content": "What's the weather like in SF?"}]
    with client.chat.completions.stream(
        model=MODEL, messages=messages, tools=tools, parallel_tool_calls=True
    ) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        final = stream.get_final_completion()
    (call,) = final.choices[0].message.tool_calls or []
    return len(done) == 1 and isinstance(call.function.parsed_arguments, GetWeather)


def error_handling(client: OpenAI) -> bool:
    """A request that the service refuses."""
    try:
        client.chat.completions.create(model="gemini-3.5-flash", messages=SAY)
    except openai.BadRequestError as error:
        return error.status_code == 400
    return False


def main() -> None:
    """Run all of them."""
    with OpenAI(base_url=BASE_URL, api_key=read_token()) as client:
        done = {
            one.__name__: one(client)
            for one in (
                demo,
                streaming,
                parsing,
                parsing_stream,
                parsing_tools,
                parsing_tools_stream,
                error_handling,
            )
        }
    done |= {"module_client": module_client(), "streaming_async": asyncio.run(streaming_async())}
    sys.stdout.write(json.dumps(done))


if __name__ == "__main__":
    main()
