"""Verdicts on single requests: host, credentials, model, parameters, and how their answers are read."""

from collections.abc import Iterator

from emulator.engine.request.history import MODEL_ROLES, text_of
from emulator.engine.request.options import list_ignored
from emulator.verdicts.observation import Finding, Observation, Past
from emulator.wire.urls import read_host


def find_unsupported_parameters(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find top-level keys that the documentation does not list. Those of open models and containers go to their model server."""
    for key in list_ignored(one.request, one.target) if one.request is not None else ():
        yield Finding((one.number,), f'the parameter "{key}" is not in the documentation; Vertex ignores it')


def find_api_keys(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find API keys where access tokens belong."""
    if one.has_api_key:
        yield Finding((one.number,), "an API key was sent; this endpoint takes OAuth access tokens only")


def find_expired_tokens(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find expired tokens."""
    if one.refused_for in {"expired_token", "expired_token_named"}:
        yield Finding((one.number,), "the access token had expired when it was sent")


def find_bare_models(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find models on the shared endpoint that are not `publisher/model`."""
    if one.target.is_openapi and one.model and one.model.count("/") != 1:
        was_refused = one.refused_for == "malformed_publisher_model"
        yield Finding(
            (one.number,), f'the model "{one.model}" is not written as publisher/model', is_harmless=not was_refused
        )


def find_wrong_hosts(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find hosts at which there is no service, and those of another location than the path's; other hosts than Google's are ignored.

    The global host serves the paths of all locations.
    """
    host, location = read_host(one.host), one.target.location
    if host is None or host.location in {"global", location}:
        return
    yield Finding(
        (one.number,),
        host.advice if host.is_wrong else f"{host.name} serves {host.location}, but the path says locations/{location}",
    )


def find_taken_for_complete(one: Observation, past: Past) -> Iterator[Finding]:
    """Find texts of truncated streams that are sent back as messages of the model."""
    if not past.truncated:
        return
    for message in one.messages:
        if message.get("role") not in MODEL_ROLES:
            continue
        number = past.truncated.pop(text_of(message).strip(), None)
        if number is not None:
            sentence = "the text of a stream that broke off came back as a message of the assistant"
            yield Finding((number, one.number), sentence)


def find_unread(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find answers whose client closed the connection before their end."""
    if one.client_left:
        yield Finding((one.number,), "the client closed the connection before the answer's end")
