"""An exchange as text to copy: a curl command, a program with the openai package, a draft of a rule, a pytest test."""

import json
import re
from collections.abc import Callable, Iterator
from pprint import pformat
from shlex import quote
from typing import Any

from emulator.engine.matching.conditions import matches
from emulator.engine.ruleset import compile_rules
from emulator.errors import AnswerError, EmulatorError, ScenarioError
from emulator.inspector.conversation import read_answer
from emulator.redaction import REDACTED, is_secret_field, redact
from emulator.scenario.loading import read_text
from emulator.scenario.writing import as_literal, write_yaml
from emulator.server.settings import Auth
from emulator.store.exchange import Exchange, show_body
from emulator.wire.urls import CHAT

LONGEST_TEXT = 2000
"""Characters of a text of the request that a draft rule asks for; longer ones, such as pictures, are left out."""
TO_BE_WRITTEN = "Write the answer here."
"""The reply of a draft for a request that no rule has answered."""
_KEPT_HEADERS = re.compile(rb"x-vertex-ai-|x-goog-user-project|x-emulator-")
_WIDTH = 110
_CALLS = {CHAT: "chat.completions", "completions": "completions", "embeddings": "embeddings", "responses": "responses"}
"""The resource of the openai package for each route."""
_KNOWN = {
    CHAT: frozenset(
        [
            "audio",
            "frequency_penalty",
            "function_call",
            "functions",
            "logit_bias",
            "logprobs",
            "max_completion_tokens",
            "max_tokens",
            "messages",
            "metadata",
            "modalities",
            "model",
            "n",
            "parallel_tool_calls",
            "prediction",
            "presence_penalty",
            "reasoning_effort",
            "response_format",
            "seed",
            "service_tier",
            "stop",
            "store",
            "stream",
            "stream_options",
            "temperature",
            "tool_choice",
            "tools",
            "top_logprobs",
            "top_p",
            "user",
        ]
    ),
    "completions": frozenset(
        [
            "best_of",
            "echo",
            "frequency_penalty",
            "logit_bias",
            "logprobs",
            "max_tokens",
            "model",
            "n",
            "presence_penalty",
            "prompt",
            "seed",
            "stop",
            "stream",
            "stream_options",
            "suffix",
            "temperature",
            "top_p",
            "user",
        ]
    ),
    "embeddings": frozenset(("dimensions", "encoding_format", "input", "model", "user")),
    "responses": frozenset(
        [
            "input",
            "instructions",
            "max_output_tokens",
            "metadata",
            "model",
            "parallel_tool_calls",
            "previous_response_id",
            "reasoning",
            "store",
            "stream",
            "temperature",
            "text",
            "tool_choice",
            "tools",
            "top_p",
            "user",
        ]
    ),
}
"""The arguments that the openai package has; others go through its `extra_body`."""


class ExportError(EmulatorError):
    """An exchange that has no such form; the text says why."""


def export(form: str, exchange: Exchange, base: str, auth: Auth) -> str:
    """An exchange in one of the `EXPORTS`; `base` is the server's URL. Raises ExportError."""
    return EXPORTS[form](exchange, base, auth)


def to_curl(exchange: Exchange, base: str, auth: Auth) -> str:
    """A curl command that sends the request again."""
    target = exchange.target
    lines = [f"curl {quote(redact(base + target.path))}"]
    if auth != "off":
        token = "'Authorization: Bearer any'" if auth == "any" else '"Authorization: Bearer $OPENAI_API_KEY"'
        lines.append(f"-H {token}")
    if target.is_unary:
        return " \\\n  ".join(lines) + "\n"
    headers = _own_headers(exchange)
    lines += [
        f"-H {quote(f'{name}: {value}')}" for name, value in {"Content-Type": "application/json", **headers}.items()
    ]
    body = show_body(exchange.body)
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    lines.append(f"-d {quote(text)}")
    return " \\\n  ".join(lines) + "\n"


def to_python(exchange: Exchange, base: str, auth: Auth) -> str:
    """A program with the openai package that sends the request again."""
    target = exchange.target
    key = '"any"' if auth != "issued" else 'os.environ["OPENAI_API_KEY"]'
    url = redact(base + target._replace(method="").path)
    lines = ["import os", ""] if auth == "issued" else []
    lines += ["from openai import OpenAI", "", f"client = OpenAI(base_url={url!r}, api_key={key})"]
    lines += [f"answer = {_write_call(exchange)}", *_print_answer(exchange)]
    return "\n".join(lines) + "\n"


def to_rule(exchange: Exchange, _base: str, _auth: Auth) -> str:
    """A draft of a rule that answers this request as it was answered, and no request that says anything else."""
    return write_yaml({"rules": [_draft_rule(exchange)]})


def to_test(exchange: Exchange, base: str, auth: Auth) -> str:
    """A pytest test that starts an emulator with the draft rule, sends the request and looks at the answer."""
    outcome = exchange.outcome
    is_refused, is_unanswered = outcome.result == "refusal", outcome.result in {"miss", "error"}
    scenario = "rules: []\n" if is_refused else to_rule(exchange, base, auth)
    scenario = scenario.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    name = re.sub(r"\W+", "_", exchange.rule or exchange.result).strip("_").lower() or "exchange"
    name = name if name.isascii() else "exchange"
    status = 200 if is_unanswered else exchange.status
    call = _write_call(exchange)
    lines = ["from emulator import Emulator", "", f'SCENARIO = """\\\n{scenario}"""', "", "", f"def test_{name}():"]
    lines += [
        "    with Emulator(SCENARIO) as vertex:",
        f"        client = vertex.openai(project={exchange.session!r}, max_retries=0)",
    ]
    if status >= 400:  # noqa: PLR2004  # errors
        lines[0:0] = ["import openai", "import pytest", ""]
        lines += ["        with pytest.raises(openai.APIStatusError) as error:", f"            {_indent(call, 12)}"]
        lines += [f"        assert error.value.status_code == {status}"]
    else:
        lines += [
            f"        answer = {_indent(call, 8)}",
            *(f"        {line}" for line in _assert_answer(exchange, is_unanswered=is_unanswered)),
        ]
        lines += ["        vertex.assert_sent(times=1)"]
    return "\n".join(lines) + "\n"


EXPORTS: dict[str, Callable[[Exchange, str, Auth], str]] = {
    "curl": to_curl,
    "python": to_python,
    "rule": to_rule,
    "test": to_test,
}
"""The forms by name."""


def _own_headers(exchange: Exchange) -> dict[str, str]:
    """The request's headers that change an answer, without secrets."""
    return {
        name.decode("latin-1"): redact(value.decode("latin-1"))
        for name, value in exchange.headers
        if _KEPT_HEADERS.match(name) and not is_secret_field(name.decode("latin-1"))
    }


def _read_body(exchange: Exchange) -> dict[str, Any]:
    body = show_body(exchange.body)
    if not isinstance(body, dict):
        body = exchange.request
    if exchange.target.method not in _CALLS or not isinstance(body, dict):
        raise ExportError("the request's body is no JSON object, so it can only be copied as curl")
    return body


def _write_call(exchange: Exchange) -> str:
    """The call of the openai package that sends the request."""
    body, method = _read_body(exchange), exchange.target.method
    known = {key: value for key, value in body.items() if key in _KNOWN[method] and key.isidentifier()}
    others = {key: value for key, value in body.items() if key not in known}
    headers = _own_headers(exchange)
    arguments = {
        **known,
        **({"extra_body": others} if others else {}),
        **({"extra_headers": headers} if headers else {}),
    }
    if "model" not in arguments:
        arguments = {"model": "", **arguments}
    written = [
        f"    {key}={_indent(pformat(value, width=_WIDTH, sort_dicts=False), 4)}," for key, value in arguments.items()
    ]
    return "\n".join([f"client.{_CALLS[method]}.create(", *written, ")"])


def _indent(text: str, spaces: int) -> str:
    return text.replace("\n", "\n" + " " * spaces)


def _print_answer(exchange: Exchange) -> list[str]:
    if exchange.stream:
        return ["for chunk in answer:", "    print(chunk)"]
    return ["print(answer)"]


def _assert_answer(exchange: Exchange, *, is_unanswered: bool) -> Iterator[str]:
    """Assertions on the text and the calls of a chat answer; on the routes beside it, that there is one."""
    if exchange.target.method != CHAT:
        yield "assert list(answer)" if exchange.stream else "assert answer"
        return
    parts = [{"text": TO_BE_WRITTEN}] if is_unanswered else read_answer(exchange)["parts"]
    text = "".join(part["text"] for part in parts if "text" in part)
    calls = [part for part in parts if "call" in part]
    if exchange.stream:
        yield "deltas = [chunk.choices[0].delta for chunk in answer if chunk.choices]"
        yield f'assert "".join(delta.content or "" for delta in deltas) == {redact(text)!r}'
        if calls:
            yield "calls = [call.function.name for delta in deltas for call in delta.tool_calls or () if call.function.name]"
    else:
        yield "message = answer.choices[0].message"
        yield f'assert (message.content or "") == {redact(text)!r}'
        if calls:
            yield "calls = [call.function.name for call in message.tool_calls]"
    if calls:
        yield f"assert calls == {[part['call'] for part in calls]!r}"


def _draft_rule(exchange: Exchange) -> dict[str, Any]:
    """The draft, whose `when` has been tried on the request."""
    if exchange.target.method != CHAT:
        raise ExportError("a draft is made of chat completions only; rules answer the other routes too")
    body, facts = _read_body(exchange), exchange.facts
    if facts is None or exchange.outcome.result == "refusal":
        raise ExportError("Vertex refuses this request before rules are asked, so no rule can answer it")
    when: dict[str, Any] = {}
    if isinstance(body.get("model"), str):
        when["model"] = {"equals": body["model"]}
    last_user = facts.last_user
    if last_user is not None and _can_be_asked_for(last_user):
        when["last_user"] = {"equals": last_user}
    when["turn"] = facts.turn
    when["last"] = facts.last
    when["stream"] = body.get("stream") is True
    if not body.get("tools") and not body.get("functions"):
        when["tools"] = False
    if not facts.system:
        when["not"] = {"system": {"regex": "(?s)."}}
    elif _can_be_asked_for(facts.system):
        when["system"] = {"equals": facts.system}
    rest = {key: value for key, value in body.items() if key not in {"model", "stream"}}
    if len(body["messages"]) == 1 and isinstance(body["messages"][0].get("content"), str) and "last_user" in when:
        # The only message is asked for already.
        del rest["messages"]
    if pruned := _prune(rest):
        when["body"] = pruned
    name = exchange.rule if exchange.rule and exchange.outcome.result == "answer" else f"exchange {exchange.number}"
    rule = {"name": redact(name), "when": when, "reply": _draft_reply(exchange)}
    return _tried(rule, exchange)


def _tried(rule: dict[str, Any], exchange: Exchange) -> dict[str, Any]:
    """The rule, if it can be loaded and its conditions hold for the request."""
    facts = exchange.facts
    try:
        compiled = compile_rules(read_text(write_yaml({"rules": [rule]})).scenarios).rules[0]
        holds = facts is not None and matches(compiled.conditions, facts)
    except (ScenarioError, AnswerError) as error:
        raise ExportError(f"no rule can be drafted for this request: {error}") from None
    if not holds:
        raise ExportError("no rule can be drafted for this request: what it consists of cannot be asked for exactly")
    return rule


def _can_be_asked_for(text: str) -> bool:
    return len(text) <= LONGEST_TEXT and redact(text) == text


def _prune(value: Any) -> Any:
    """JSON to ask for, without secrets and long texts; None where nothing is left."""
    match value:
        case dict():
            kept = {key: _prune(item) for key, item in value.items() if not _is_left_out(item)}
            return {key: item for key, item in kept.items() if item is not None or value[key] is None}
        case list():
            kept_items = [_prune(item) for item in value if not _is_left_out(item)]
            return kept_items if kept_items or not value else None
    return value


def _is_left_out(value: Any) -> bool:
    return isinstance(value, str) and (REDACTED in value or len(value) > LONGEST_TEXT)


def _draft_reply(exchange: Exchange) -> Any:
    """The answer as steps; what the answer was, if it was a miss, is left to the author."""
    outcome = exchange.outcome
    if outcome.result in {"miss", "error"}:
        return TO_BE_WRITTEN
    if outcome.refusal is not None:
        return {"fail": outcome.refusal.rule}
    if exchange.status >= 400:  # noqa: PLR2004  # errors
        return {"fail": exchange.status}
    steps: list[Any] = []
    for part in read_answer(exchange)["parts"]:
        if part.get("text"):
            steps.append({"say": as_literal(redact(part["text"]))})
        elif part.get("thought"):
            steps.append({"think": as_literal(redact(part["thought"]))})
        elif "call" in part:
            arguments = part["arguments"]
            steps.append(
                {
                    "call": part["call"],
                    "with": as_literal(arguments) if isinstance(arguments, dict) else arguments or {},
                }
            )
        elif "image" in part or "audio" in part:
            steps.append({"image" if "image" in part else "audio": "auto"})
    if [list(step) for step in steps] == [["say"]]:
        return steps[0]["say"]
    return steps or ""
