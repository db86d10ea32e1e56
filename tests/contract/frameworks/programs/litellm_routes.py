# mypy: ignore-errors
# The framework is not installed where types are checked.
"""LiteLLM against the emulator: its openai route and its vertex_ai/openai route, plain, streamed, with tools, with embeddings."""

import asyncio
import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import litellm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import BaseModel

MESSAGES = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Event(BaseModel):
    """A structured answer."""

    name: str
    guests: list[str]


class TokenEndpoint(BaseHTTPRequestHandler):
    """What Google's token endpoint answers: the token that the emulator gave us."""

    def do_POST(self) -> None:
        """Give the token to whoever asks."""
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"access_token": os.environ["API_KEY"], "expires_in": 3599, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def make_key_file(token_uri: str) -> str:
    """A service account's key file, as text, with a key made just now."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "litellm",
            "private_key_id": "1",
            "private_key": pem,
            "client_email": "test@litellm.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": token_uri,
        }
    )


tokens = HTTPServer(("127.0.0.1", 0), TokenEndpoint)
Thread(target=tokens.serve_forever, daemon=True).start()

OPENAI: dict[str, Any] = {
    "model": f"openai/{os.environ['MODEL']}",
    "api_base": os.environ["BASE_URL"],
    "api_key": os.environ["API_KEY"],
}
CLOUD: dict[str, Any] = {
    "vertex_credentials": make_key_file(f"http://127.0.0.1:{tokens.server_port}/token"),
    "vertex_project": "litellm",
    "vertex_location": "global",
}
GEMINI: dict[str, Any] = {
    **CLOUD,
    "model": f"vertex_ai/openai/{os.environ['MODEL']}",
    "api_base": os.environ["BASE_URL"],
}
GARDEN: dict[str, Any] = {
    **CLOUD,
    "model": "vertex_ai/openai/zai-org/glm-5-maas",
    "api_base": os.environ["BASE_URL"],
}
# Here LiteLLM makes the path itself.
PARTNER: dict[str, Any] = {
    **CLOUD,
    "model": "vertex_ai/zai-org/glm-5-maas",
    "api_base": os.environ["BASE_URL"].partition("/v1/")[0],
}


def check_chat(route: dict[str, Any]) -> None:
    """A plain answer, and the same as a stream with its usage."""
    answer = litellm.completion(messages=MESSAGES, **route)
    assert answer.choices[0].finish_reason == "stop", answer
    assert answer.choices[0].message.content, answer
    assert answer.usage.total_tokens > 0, answer
    chunks = list(litellm.completion(messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **route))
    built = litellm.stream_chunk_builder(chunks)
    assert built.choices[0].message.content, chunks
    assert built.choices[0].finish_reason == "stop", chunks
    assert built.usage.total_tokens > 0, chunks


def check_tools(route: dict[str, Any], *, stream: bool) -> None:
    """A call, its result, a text."""
    messages: list[Any] = list(MESSAGES)
    answer = litellm.completion(messages=messages, tools=[TOOL], stream=stream, **route)
    if stream:
        answer = litellm.stream_chunk_builder(list(answer))
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls", answer
    (call,) = message.tool_calls
    assert call.function.name == "get_weather", call
    assert json.loads(call.function.arguments)["city"], call
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 20}'}]
    final = litellm.completion(messages=messages, tools=[TOOL], **route)
    assert final.choices[0].message.content, final
    assert not final.choices[0].message.tool_calls, final


def check_structure(route: dict[str, Any]) -> None:
    """JSON after a schema."""
    answer = litellm.completion(messages=MESSAGES, response_format=Event, **route)
    Event.model_validate_json(answer.choices[0].message.content)


def check_embeddings() -> None:
    """Vectors of the documented length."""
    route = {**OPENAI, "model": "openai/intfloat/multilingual-e5-small-maas"}
    answer = litellm.embedding(input=["one text", "another"], **route)
    assert [len(one["embedding"]) for one in answer.data] == [384, 384], answer.usage


def check_refusal() -> None:
    """A model without its publisher is LiteLLM's BadRequestError."""
    try:
        litellm.completion(messages=MESSAGES, **{**OPENAI, "model": "openai/gemini-2.5-flash"})
        status = 200
    except litellm.BadRequestError as error:
        status = error.status_code
    assert status == 400


async def check_async(route: dict[str, Any]) -> None:
    """The asynchronous calls."""
    answer = await litellm.acompletion(messages=MESSAGES, **route)
    assert answer.choices[0].message.content, answer
    stream = await litellm.acompletion(messages=MESSAGES, stream=True, **route)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


# With `gemini` in the model's name LiteLLM sends tools and schemas in their native form even to the OpenAI-compatible endpoint,
# which ignores them; so that route is asked for texts only.
check_chat(GEMINI)
for either in (OPENAI, GARDEN, PARTNER):
    check_chat(either)
    check_tools(either, stream=False)
    check_tools(either, stream=True)
    check_structure(either)
    asyncio.run(check_async(either))
check_embeddings()
check_refusal()
