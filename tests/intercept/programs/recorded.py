"""Asks everything that a recording has to keep, with its own credentials; what came is printed as JSON."""

import json
import sys
from typing import Any

import google.auth
import google.auth.transport.requests
import openai

MODEL = "google/gemini-3.5-flash"
credentials: Any
credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
credentials.refresh(google.auth.transport.requests.Request())
host = "https://us-central1-aiplatform.googleapis.com"
client = openai.OpenAI(
    api_key=credentials.token,
    base_url=f"{host}/v1/projects/{project}/locations/us-central1/endpoints/openapi",
    max_retries=1,
)


def ask(text: Any, **options: Any) -> Any:
    """Ask one question."""
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}], **options)


def stream(text: str) -> list[str]:
    """The pieces of a streamed answer, and how it broke off, if it did."""
    pieces: list[str] = []
    try:
        pieces.extend(chunk.choices[0].delta.content or "" for chunk in ask(text, stream=True))
    except Exception as error:  # noqa: BLE001  # any client's word for it will do
        pieces.append(type(error).__name__)
    return pieces


def call_tools() -> tuple[list[str], str]:
    """The signatures of two calls, and the answer after them."""
    messages: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    tools: Any = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name in ("get_weather", "get_wind")
    ]
    signatures = []
    for _ in range(2):
        message = (
            client.chat.completions.create(model=MODEL, messages=messages, tools=tools)
            .choices[0]
            .message.model_dump(exclude_none=True)
        )
        (call,) = message["tool_calls"]
        signatures.append(call["extra_content"]["google"]["thought_signature"])
        messages += [message, {"role": "tool", "tool_call_id": call["id"], "content": "12"}]
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=tools)
    return signatures, str(answer.choices[0].message.content)


def refuse() -> str:
    """What a refusal says."""
    try:
        client.chat.completions.create(model="no-publisher", messages=[{"role": "user", "content": "x"}])
    except openai.BadRequestError as error:
        return str(error)
    return "answered"


picture = [
    {"type": "text", "text": "What picture?"},
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{sys.argv[1]}"}},
]
results = {
    "plain": ask("number 1").choices[0].message.content,
    "secrets": stream(
        f"repeat {credentials.token} {project} ada.lovelace@corp.example {credentials.refresh_token} {credentials.client_secret}"
    ),
    "paced": stream("slowly please"),
    "tools": call_tools(),
    "picture": ask(picture).choices[0].message.content,
    "refusal": refuse(),
    "retried": ask("retry").choices[0].message.content,
    "cut": stream("cut"),
}
print(json.dumps({"token": credentials.token, "results": results}))  # noqa: T201  # this is how it reports
