"""LiteLLM's own routes to Vertex AI, with nothing but a model's name; what each got is printed as JSON."""

import asyncio
import json
import os
from importlib import import_module
from typing import Any

litellm: Any = import_module("litellm")
MESSAGES: Any = [{"role": "user", "content": "Why is the sky blue?"}]
ROUTES = ("vertex_ai/openai/google/gemini-2.5-flash", "vertex_ai/zai-org/glm-5-maas", "vertex_ai/openai/1234567890")
PLACE = {"vertex_project": os.environ["GOOGLE_CLOUD_PROJECT"], "vertex_location": "global"}
litellm.suppress_debug_info = True


def plain(model: str) -> str:
    """One answer."""
    answer: Any = litellm.completion(model=model, messages=MESSAGES, **PLACE)
    return str(answer.choices[0].message.content)


def streamed(model: str) -> str:
    """A stream."""
    chunks: Any = litellm.completion(model=model, messages=MESSAGES, stream=True, **PLACE)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


async def plain_async(model: str) -> str:
    """One answer, asynchronously."""
    answer: Any = await litellm.acompletion(model=model, messages=MESSAGES, **PLACE)
    return str(answer.choices[0].message.content)


answers = {}
for route in ROUTES:
    answers[f"{route} plain"] = plain(route)
    answers[f"{route} streamed"] = streamed(route)
    answers[f"{route} async"] = asyncio.run(plain_async(route))
print(json.dumps(answers))  # noqa: T201 - this is how it reports
