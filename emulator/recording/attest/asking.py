"""The requests of probes as they are sent: with the project, model and credentials of the run, and parts of earlier answers."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from emulator.catalogue.models import Price, find_model, find_price
from emulator.engine.error_answers import values_for
from emulator.engine.request.token_estimates import BYTES_PER_TOKEN
from emulator.recording.answers import Answer
from emulator.recording.attest.probes import Request, Step, expected_error
from emulator.recording.recording import RecordedRequest
from emulator.wire.urls import CHAT, GLOBAL_HOST, Target

DEFAULT_MODEL = "google/gemini-3.8-flash"
"""The model of probes that any Gemini could answer."""
_MULTI_REGIONS = frozenset({"us", "eu"})
_API_KEY = "AIzaSyThisIsNoKeyButHasItsFormAndLength"
_MADE_UP = "ya29.this-is-no-token"
_GUESSED_TOKENS = 400
"""Tokens that an answer is taken to have where nothing limits it: most of them are thoughts."""
_IMAGE_TOKENS = 1_600
_MILLION = 1_000_000
_MOST_TOKENS = 1_000 * _MILLION
"""The tokens of one request from which its usage is not believed."""


class NotShownError(Exception):
    """An earlier answer lacks what the next request is made of; its text says what."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks, and where."""

    project: str
    location: str
    token: str
    model: str = DEFAULT_MODEL
    expired_token: str = ""
    """An access token whose time is over, for the rows about it; empty without one."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What requests come to, estimated or counted."""

    requests: int = 0
    tokens: int = 0
    dollars: float = 0.0
    unpriced: int = 0
    """The requests to models whose prices are not known."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.requests + other.requests,
            self.tokens + other.tokens,
            self.dollars + other.dollars,
            self.unpriced + other.unpriced,
        )


def host_of(location: str) -> str:
    """The host that serves a location."""
    if location == "global":
        return GLOBAL_HOST
    return f"aiplatform.{location}.rep.googleapis.com" if location in _MULTI_REGIONS else f"{location}-{GLOBAL_HOST}"


def model_of(request: Request, client: Client) -> str:
    """The model that a request asks for."""
    body = request.body or {}
    named = body.get("model") if request.exact else request.model
    return str(named or "").replace("$MODEL", client.model)


def location_of(request: Request, client: Client) -> str:
    """The location in a request's path: the probe's, else that of the run unless the model is only served elsewhere."""
    if request.location is not None:
        return request.location.replace("$LOCATION", client.location)
    card = find_model(model_of(request, client))
    served = card.locations if card is not None else ()
    return client.location if not served or client.location in served else served[0]


def values_of(step: Step, client: Client) -> dict[str, str]:
    """The values of placeholders in the texts that a step expects."""
    request = step.request
    location, method = location_of(request, client), "" if request.path.startswith("/") else request.path
    target = Target(request.version, client.project, location, request.endpoint, method)
    path = request.path if request.path.startswith("/") else target.path
    model = model_of(request, client)
    values = values_for(target, model)
    values |= {"PATH": path, "HOST": request.host or host_of(location), "MODEL_ID": model}
    # Google has a number for each project, which the user has not said.
    values.pop("PROJECT_NUMBER")
    return values | {key: _fill(value, client) for key, value in step.expect.values.items()}


def build_request(request: Request, client: Client, answers: Sequence[Answer]) -> RecordedRequest:
    """The request as it is sent, credentials and all. Raises NotShownError."""
    location = location_of(request, client)
    path = _fill(request.path, client)
    if not path.startswith("/"):
        path = Target(request.version, client.project, location, request.endpoint, path).path
    headers = {name.lower(): _fill(value, client) for name, value in request.headers.items()}
    query = request.query
    match request.credentials:
        case "own":
            headers["authorization"] = f"Bearer {client.token}"
        case "expired":
            if not client.expired_token:
                raise NotShownError("needs --expired-token")
            headers["authorization"] = f"Bearer {client.expired_token}"
        case "made up":
            headers["authorization"] = f"Bearer {_MADE_UP}"
        case "api key as bearer":
            headers["authorization"] = f"Bearer {_API_KEY}"
        case "basic":
            headers["authorization"] = "Basic dXNlcjpwYXNzd29yZA=="
        case "api key":
            headers["x-goog-api-key"] = _API_KEY
        case "none":
            pass
    body = _build_body(request, client, answers, headers)
    return RecordedRequest(
        method=request.method,
        host=request.host or host_of(location),
        path=quote(path, safe="/:@$,;=+!*'()~.-_?"),
        query=query,
        headers=tuple(headers.items()),
        body=body,
    )


def _build_body(request: Request, client: Client, answers: Sequence[Answer], headers: dict[str, str]) -> bytes:
    if request.text is not None:
        headers.setdefault("content-type", "application/json")
        return _fill(request.text, client).encode()
    if request.form is not None:
        headers.setdefault("content-type", "application/x-www-form-urlencoded")
        return urlencode(request.form).encode()
    if request.body is None or request.method != "POST":
        return b""
    headers.setdefault("content-type", "application/json")
    body: dict[str, Any] = {}
    if not request.exact:
        body["model"] = request.model
        if request.path == CHAT and "messages" not in request.body:
            body["messages"] = [{"role": "user", "content": request.say}]
    body |= request.body
    return json.dumps(resolve(body, client, answers), ensure_ascii=False).encode()


def _fill(text: str, client: Client) -> str:
    return (
        text.replace("$PROJECT", client.project).replace("$LOCATION", client.location).replace("$MODEL", client.model)
    )


def resolve(value: Any, client: Client, answers: Sequence[Answer]) -> Any:
    """A value with `$…` replaced: names in texts, parts of earlier answers, and texts that are repeated."""
    if isinstance(value, str):
        return _fill(value, client)
    if isinstance(value, list):
        return [resolve(one, client, answers) for one in value]
    if not isinstance(value, dict):
        return value
    if "$answer" in value:
        return _take(value, client, answers)
    if "$repeat" in value:
        return value["$repeat"] * value["times"]
    return {_fill(key, client): resolve(one, client, answers) for key, one in value.items()}


def _take(wanted: Mapping[str, Any], client: Client, answers: Sequence[Answer]) -> Any:
    """A part of the answer to an earlier step, counted from 1: `at` a path, without those of `drop`, with those of `set`."""
    number, path = wanted["$answer"], wanted["at"]
    found = answers[number - 1].document
    for part in path.split("."):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (LookupError, TypeError, ValueError):
            raise NotShownError(f"the answer to request {number} has no {path}") from None
    taken = deepcopy(found)
    for place in wanted.get("drop", ()):
        _change(taken, place, None)
    for place, one in wanted.get("set", {}).items():
        _change(taken, place, resolve(one, client, answers))
    return taken


def _change(value: Any, path: str, new: Any) -> None:
    """Set what a path leads to, or remove it if `new` is None; what is not there is left alone."""
    *parts, last = path.split(".")
    for part in parts:
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (LookupError, TypeError, ValueError):
            return
    if isinstance(value, dict):
        if new is None:
            value.pop(last, None)
        else:
            value[last] = new


def estimate_step(step: Step, client: Client) -> Cost:
    """What a step is likely to cost: nothing where a refusal is expected, else its prompt and a short answer."""
    if expected_error(step) or step.request.credentials != "own":
        return Cost(requests=1)
    body = step.request.body or {}
    model = model_of(step.request, client)
    characters = len(json.dumps(body, default=str)) + len(step.request.say) + _repeated(body)
    card, limit = find_model(model), body.get("max_tokens")
    guess = _IMAGE_TOKENS if card is not None and card.image_output else _GUESSED_TOKENS
    return count_cost(model, characters // BYTES_PER_TOKEN, limit if isinstance(limit, int) else guess)


def _repeated(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_repeated, value))
    if not isinstance(value, dict):
        return 0
    if "$repeat" in value:
        return len(value["$repeat"]) * int(value["times"])
    return sum(map(_repeated, value.values()))


def count_cost(model: str, prompt: int, answer: int) -> Cost:
    """What one request with so many tokens costs."""
    price: Price | None = find_price(model)
    if price is None:
        return Cost(1, prompt + answer, 0.0, 1)
    output = price.image_output or price.output
    return Cost(1, prompt + answer, (prompt * price.input + answer * output) / _MILLION)


def cost_of(answer: Answer, request: Request, client: Client) -> Cost:
    """What an answer's usage says that it cost."""
    usage = answer.usage
    prompt, total = usage.get("prompt_tokens"), usage.get("total_tokens")
    if not (isinstance(prompt, int) and isinstance(total, int) and 0 <= prompt <= total < _MOST_TOKENS):
        return Cost(requests=1)
    return count_cost(model_of(request, client), prompt, total - prompt)
