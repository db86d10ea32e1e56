"""What is wrong with single requests: where they go, with which credentials, and what they ask for."""

import re
from collections.abc import Iterator, Sequence

from emulator.engine.request.history import MODEL_ROLES, text_of
from emulator.engine.request.options import list_ignored
from emulator.verdicts.observation import Finding, Observation

# Documented: the hosts of regions, of multi-regions and of the global location.
_REGIONAL = re.compile(r"([a-z0-9-]+)-aiplatform\.googleapis\.com|aiplatform\.([a-z]+)\.rep\.googleapis\.com")
_GLOBAL = "aiplatform.googleapis.com"


def find_unsupported_parameters(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Top-level keys that the documentation does not list. Those of open models and containers go to their model server."""
    for one in observations:
        for key in list_ignored(one.request, one.target) if one.request is not None else ():
            yield Finding((one.number,), f'the parameter "{key}" is not in the documentation; Vertex ignores it')


def find_api_keys(observations: Sequence[Observation]) -> Iterator[Finding]:
    """API keys where access tokens belong."""
    for one in observations:
        if one.has_api_key:
            yield Finding((one.number,), "an API key was sent; this endpoint takes OAuth access tokens only")


def find_expired_tokens(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Tokens that had expired."""
    for one in observations:
        if one.refused_for == "expired_token":
            yield Finding((one.number,), "the access token had expired when it was sent")


def find_bare_models(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Models without their publisher, on the endpoint where they need one."""
    for one in observations:
        if one.target.is_openapi and one.model and "/" not in one.model:
            was_refused = one.refused_for == "malformed_publisher_model"
            yield Finding(
                (one.number,), f'the model "{one.model}" was sent without its publisher', is_harmless=not was_refused
            )


def find_wrong_hosts(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Hosts of another location than the one in the path; a local host says nothing."""
    for one in observations:
        host, location = _name_of(one.host), one.target.location
        found = _REGIONAL.fullmatch(host)
        served = (found[1] or found[2]) if found else "global"
        if (found or host == _GLOBAL) and served != location:
            sentence = f"{host} serves {served}, but the path says locations/{location}"
            yield Finding((one.number,), sentence)


def _name_of(host: str) -> str:
    return host.partition(":")[0].rstrip(".").lower()


def find_taken_for_complete(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Texts of streams that stopped in the middle, sent back as messages of the model."""
    cut: dict[str, int] = {}
    for one in observations:
        for message in one.messages:
            text = text_of(message).strip()
            if message.get("role") in MODEL_ROLES and text in cut:
                sentence = "the text of a stream that broke off came back as a message of the assistant"
                yield Finding((cut.pop(text), one.number), sentence)
        for text in one.answer.texts:
            if one.is_truncated:
                cut[text] = one.number
            else:
                # Whoever was given the same text whole may send it back.
                cut.pop(text, None)


def find_unread(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Answers whose client left before their end."""
    for one in observations:
        if one.client_left:
            yield Finding((one.number,), "the client closed the connection before the answer's end")
