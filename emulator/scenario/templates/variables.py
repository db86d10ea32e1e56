"""The variables that templates can use."""

from collections.abc import Collection

from emulator.suggestions import suggest_one

VARIABLES: dict[str, str] = {
    "model": "the model as sent, publisher included",
    "publisher": "the part of the model before the slash",
    "project": "the project id or number in the URL",
    "location": "the location in the URL",
    "endpoint": "the endpoint in the URL: `openapi` or an endpoint's id",
    "api_version": "`v1` or `v1beta1`",
    "stream": "whether the answer is streamed",
    "last_user": "the text of the last user message",
    "system": "the system messages, joined by line breaks",
    "turn": "how many user turns there are",
    "tool_result": "the last tool result: its JSON when it is JSON, else its text",
    "tool_results": "all tool results at the end of the conversation, each like `tool_result`",
    "tools": "the names of the declared tools",
    "messages": "the messages of the request",
    "request": "the whole body of the request",
    "captures": "the named groups of the rule's regular expressions; each is also a variable of its own",
    "fake": "made-up values from Faker, seeded: `fake.name()`, `fake.sentence()`",
    "use": "how many times the rule has answered in this session, from 1",
    "now": "the time as a datetime in UTC",
    "uuid": "a function that makes a UUID, seeded: `uuid()`",
    "choice": "the number of the choice, from 0, when the request asks for several with `n`",
}
"""The variables of templates, each with what it holds."""


def explain_unknown(name: str, known: Collection[str]) -> str:
    """The problem with a variable that is not known, or that this request does not have."""
    if name == "tool_result":
        return "this request has no tool result; let the rule answer only those that have one, with `after_tool: true`"
    return f'"{name}" is not known{suggest_one(name, known)}'
