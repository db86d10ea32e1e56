"""Verdicts on single requests: host, credentials, refusals, model, parameters, and how their answers are read."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from http.client import TOO_MANY_REQUESTS, UNAUTHORIZED
from itertools import pairwise

from emulator.catalogue.models import find_model, generation
from emulator.engine.answer import Outcome
from emulator.engine.request.history import MODEL_ROLES, SYSTEM_ROLES, text_of
from emulator.engine.request.options import list_ignored
from emulator.engine.vetting.parameters import explain_location
from emulator.verdicts.observation import Finding, Observation, Past
from emulator.verdicts.retries import TOKEN_STATUSES, pair_retries
from emulator.wire.requests import write_place
from emulator.wire.urls import Target, explain_foreign_host, find_missing_id, read_host

TOKEN_RUN = 5
"""Requests in a row, each with a new token, from which a client is taken to fetch one for each."""
FRESH_TOKEN = 300.0
"""Seconds in which a token is still fresh; google-auth renews one in the last minutes of its hour."""

_REPLACEMENT = "\ufffd"
_EXPIRED = frozenset({"expired_token", "expired_token_named"})


def find_unsupported_parameters(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find top-level keys that the documentation does not list. Those of open models and containers go to their model server."""
    for key in list_ignored(one.request, one.target) if one.request is not None else ():
        yield Finding((one.number,), f'the parameter "{key}" is not in the documentation; Vertex ignores it')


def find_api_keys(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find API keys where access tokens belong."""
    if one.has_api_key:
        yield Finding((one.number,), "an API key was sent; this endpoint takes OAuth access tokens only")


def find_expired_tokens(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Find expired tokens; harmless if the client sends the same again with a new one."""
    renewed = _renewed(observations)
    for one in observations:
        if one.refused_for in _EXPIRED:
            sentence = "the access token had expired when it was sent"
            is_renewed = one.number in renewed
            if is_renewed:
                sentence += "; the client asked for a new one and went on"
            yield Finding((one.number,), sentence, is_harmless=is_renewed)


def find_refused(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Find what Vertex refuses, with the reason; refusals by a quota are no mistake."""
    renewed = _renewed(observations)
    for one in observations:
        refusal = one.outcome.refusal
        if refusal is not None and one.refused_for and refusal.code != TOO_MANY_REQUESTS:
            where = f" at {refusal.place}" if refusal.place else ""
            reason = refusal.explanation or refusal.message
            sentence = f"status {one.status}, {refusal.rule}{where}: {reason}"
            yield Finding((one.number,), sentence, is_harmless=one.number in renewed)


def find_tokens_for_each_request(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Find clients each of whose requests comes with a new token, although the one before was accepted a moment ago.

    Programs are told apart by their user agents; command-line tools are left out, because each of their requests is a program of its own.
    """
    runs: defaultdict[int, list[Observation]] = defaultdict(list)
    seen: defaultdict[int, set[str]] = defaultdict(set)
    for one in observations:
        if not one.user_agent or not one.credential:
            continue
        run, known = runs[one.user_agent], seen[one.user_agent]
        is_new = one.credential not in known
        known.add(one.credential)
        is_in_row = run and one.started - run[-1].started <= FRESH_TOKEN and run[-1].status not in TOKEN_STATUSES
        if not is_new or not is_in_row:
            yield from _report_tokens(run)
            run.clear()
        if is_new:
            run.append(one)
    for run in runs.values():
        yield from _report_tokens(run)


def _report_tokens(run: Sequence[Observation]) -> Iterator[Finding]:
    if len(run) >= TOKEN_RUN:
        sentence = f"{len(run)} requests in a row, each with a new access token, although the one before was fresh"
        yield Finding(tuple(one.number for one in run), sentence)


def _renewed(observations: Sequence[Observation]) -> AbstractSet[int]:
    """The numbers of the requests with status 401 that their client sent again with another token, and not in vain."""
    return {
        before.number
        for before, after in pair_retries(observations)
        if UNAUTHORIZED == before.status != after.status and before.credential != after.credential
    }


def find_late_system_messages(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find system messages behind all others of a Gemini's conversation.

    Assumed: they become the system instruction of the native method, which stands before the conversation.
    """
    messages = one.messages
    if not messages or messages[-1].get("role") not in SYSTEM_ROLES or generation(one.model) is None:
        return
    if any(message.get("role") not in SYSTEM_ROLES for message in messages):
        role = messages[-1]["role"]
        sentence = (
            f"the last message has the role {role}; the model reads it before the conversation, not as what to answer"
        )
        yield Finding((one.number,), sentence)


def find_bare_models(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find models on the shared endpoint that are not `publisher/model`."""
    if one.target.is_openapi and one.model and one.model.count("/") != 1:
        was_refused = one.refused_for == "malformed_publisher_model"
        yield Finding(
            (one.number,), f'the model "{one.model}" is not written as publisher/model', is_harmless=not was_refused
        )


def find_models_not_found(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find models that were answered but that Vertex would not find."""
    if one.target.is_openapi and _is_not_found_behind_its_location(one):
        yield Finding((one.number,), one.outcome.not_found)


def find_misspelt_locations(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find locations that do not exist, whatever the host is."""
    if one.outcome.not_found and find_missing_id(one.target) is None and explain_location(one.target.location):
        yield Finding((one.number,), one.outcome.not_found)


def _is_not_found_behind_its_location(one: Observation) -> bool:
    return (
        bool(one.outcome.not_found)
        and find_missing_id(one.target) is None
        and not explain_location(one.target.location)
    )


def find_missing_ids(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find URLs with what a program writes for an id that it does not have."""
    if one.outcome.not_found and find_missing_id(one.target) is not None:
        yield Finding((one.number,), one.outcome.not_found)


def find_unknown_models(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find models that were answered although the catalogue does not know them, and that look like no other."""
    if sentence := describe_unknown_model(one.target, one.outcome, one.model):
        yield Finding((one.number,), sentence)


def describe_announced_end(target: Target, outcome: Outcome, model: str) -> str:
    """Say that a model was answered whose end was announced for a day that has passed; empty if that is not so."""
    card = find_model(model)
    if card is None or card.retired != "announced" or not target.is_openapi or outcome.not_found:
        return ""
    return f"the end of {model} was announced for {card.retires}; take a newer model"


def describe_unknown_model(target: Target, outcome: Outcome, model: str) -> str:
    """Say that a model of the shared endpoint was answered although the catalogue does not know it; empty if that is not so."""
    is_answered = target.is_openapi and outcome.result == "answer" and not outcome.not_found
    if not is_answered or model.count("/") != 1 or find_model(model) is not None:
        return ""
    return f'the model "{model}" is not in the catalogue, so it is misspelt or newer than the catalogue'


def find_misspelt_endpoints(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find endpoints that are neither the shared one nor, as it seems, a deployed one."""
    if not one.target.is_openapi and _is_not_found_behind_its_location(one):
        yield Finding((one.number,), one.outcome.not_found)


def find_wrong_hosts(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find hosts of Google's at which there is no Vertex AI, and those of another location than the path's; other hosts are ignored.

    The global host serves the paths of all locations.
    """
    host, location = read_host(one.host), one.target.location
    if host is None and (reason := explain_foreign_host(one.host)):
        yield Finding((one.number,), reason)
    if host is not None and (sentence := explain_host(one.host, location)):
        # Whether a region's host serves the global location is not known.
        yield Finding((one.number,), sentence, is_harmless=not host.is_wrong and location == "global")


def explain_host(header: str, location: str) -> str:
    """Say why a host of Vertex AI's is not the one for a location; empty if it is, or if it is no host of Vertex AI's."""
    host = read_host(header)
    if host is None or host.location in {"global", location}:
        return ""
    return (
        host.advice if host.is_wrong else f"{host.name} serves {host.location}, but the path says locations/{location}"
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


def find_lost_text(one: Observation, past: Past) -> Iterator[Finding]:
    """Find answers that were streamed and come back without some of their chunks, or with characters that are broken."""
    if not past.streams:
        return
    for at, message in enumerate(one.messages):
        text = text_of(message).strip() if at and message.get("role") in MODEL_ROLES else ""
        if not text or hash(text) in past.texts:
            continue
        number, pieces = past.streams.get(one.history_digests[at - 1], (0, ()))
        if "</" in "".join(pieces) or any(first == second for first, second in pairwise(pieces)):
            # Thoughts between tags may be left out, and so may a chunk that comes twice.
            continue
        place = write_place(("messages", at))
        if _REPLACEMENT in text and pieces and not any(_REPLACEMENT in piece for piece in pieces):
            sentence = f"{place} has broken characters where the stream had none"
            yield Finding((number, one.number), sentence)
        elif lost := _count_lost(text, pieces):
            sentence = f"{place} is the text of a stream without {lost} of its {len(pieces)} chunks"
            yield Finding((number, one.number), sentence)


def _count_lost(text: str, pieces: Sequence[str]) -> int:
    """The chunks without which a text is the others joined; 0 if it is not."""
    for reads, parts in ((text.startswith, pieces), (text.endswith, pieces[::-1])):
        at, found = 0, 0
        for part in parts:
            core = part if at else (part.lstrip() if parts is pieces else part.rstrip())
            where = at if parts is pieces else len(text) - at
            if core and (reads(core, where) if parts is pieces else reads(core, 0, where)):
                at += len(core)
                found += 1
        if at == len(text) and found < len(pieces):
            return len(pieces) - found
    return 0


def find_unread(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find streams whose client closed the connection before their end."""
    if one.client_left and one.is_stream:
        yield Finding((one.number,), "the client closed the connection before the answer's end")


def find_given_up(one: Observation, _past: Past) -> Iterator[Finding]:
    """Find plain requests whose client closed the connection before the answer had come, as it does at a timeout."""
    if one.client_left and not one.is_stream:
        waited = one.ended - one.started
        yield Finding((one.number,), f"the client gave up after {waited:.3g} seconds, before the plain answer had come")
