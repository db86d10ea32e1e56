"""Verdicts on single requests: host, credentials, model, parameters, and how their answers are read."""

import re
from collections.abc import Iterator

from emulator.engine.request.history import MODEL_ROLES, text_of
from emulator.engine.request.options import list_ignored
from emulator.verdicts.observation import Finding, Observation, Past

# Documented: the hosts of regions, of multi-regions and of the global location.
_REGIONAL = re.compile(r"([a-z0-9-]+)-aiplatform\.googleapis\.com|aiplatform\.([a-z]+)\.rep\.googleapis\.com")
_GLOBAL = "aiplatform.googleapis.com"


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
    if one.refused_for == "expired_token":
        yield Finding((one.number,), "the access token had expired when it was sent")


def find_bare_models(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find models without publisher on the shared endpoint."""
    if one.target.is_openapi and one.model and "/" not in one.model:
        was_refused = one.refused_for == "malformed_publisher_model"
        yield Finding(
            (one.number,), f'the model "{one.model}" was sent without its publisher', is_harmless=not was_refused
        )


def find_wrong_hosts(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find hosts of another location than the path's; other hosts than Google's are ignored."""
    host, location = one.host.partition(":")[0].rstrip(".").lower(), one.target.location
    found = _REGIONAL.fullmatch(host)
    served = (found[1] or found[2]) if found else "global"
    if (found or host == _GLOBAL) and served != location:
        yield Finding((one.number,), f"{host} serves {served}, but the path says locations/{location}")


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
