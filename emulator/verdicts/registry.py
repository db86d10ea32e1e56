"""The registry of verdicts: mistakes of a client that the exchanges of a session show.

To add a verdict: write a generator `find_...` in the module of its subject here in `verdicts/` (requests, retries, signatures,
tool_calls, costs), which yields a `Finding` for each mistake, and add a `VerdictKind` to `KINDS` below; the table in `docs/verdicts.md`
is generated from it. What it needs to know of earlier exchanges is kept in `Past` (`observation.py`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from emulator.redaction import clean_line
from emulator.verdicts.costs import SHORT_RUN, VARIED_RUN, find_crowded_answers, find_short_starts, find_varied_starts
from emulator.verdicts.observation import Detector, Finding, Observation, Past, SessionDetector
from emulator.verdicts.requests import (
    FRESH_TOKEN,
    TOKEN_RUN,
    find_api_keys,
    find_bare_models,
    find_expired_tokens,
    find_given_up,
    find_late_system_messages,
    find_lost_text,
    find_missing_ids,
    find_misspelt_endpoints,
    find_misspelt_locations,
    find_models_not_found,
    find_refused,
    find_taken_for_complete,
    find_tokens_for_each_request,
    find_unknown_models,
    find_unread,
    find_unsupported_parameters,
    find_wrong_hosts,
)
from emulator.verdicts.retries import (
    RETRY_WINDOW,
    STORM_RETRIES,
    STORM_WAIT,
    find_ignored_retry_after,
    find_restarts,
    find_retried_refusals,
    find_storms,
)
from emulator.verdicts.signatures import find_dropped, find_edited_calls, find_moved, find_truncated_signatures
from emulator.verdicts.tool_calls import (
    find_broken_arguments,
    find_joined_ids,
    find_joined_names,
    find_missing_results,
    find_mixed_calls,
)

__all__ = ["KINDS", "Severity", "Verdict", "VerdictKind", "judge_client"]

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class VerdictKind:
    """A kind of verdict."""

    name: str
    severity: Severity
    mistake: str
    """What the client does wrong."""
    advice: str
    """What it should do instead."""
    find: Detector | None = None
    """Finds it in one exchange; None if it takes several to see it."""
    find_in_session: SessionDetector | None = None
    """Finds it in all exchanges together."""
    unless: frozenset[str] = frozenset()
    """The verdicts that say the same more exactly: an exchange that one of them shows is left out."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A mistake that a client made, and the numbers of the exchanges that show it."""

    name: str
    severity: Severity
    exchanges: tuple[int, ...]
    sentence: str
    """What the client did."""
    advice: str

    def __str__(self) -> str:
        shown = ", ".join(f"#{number}" for number in self.exchanges)
        return f"{self.severity}: {self.name} ({shown}): {self.explanation}"

    @property
    def explanation(self) -> str:
        """What the client did, and what it should do instead."""
        return f"{self.sentence}{' ' if self.sentence.endswith('?') else '; '}{self.advice}"


_NAMES_OF_REFUSALS = frozenset(
    {
        "thought_signature_dropped",
        "thought_signature_truncated",
        "signed_call_edited",
        "thought_signature_moved",
        "tool_result_missing",
        "api_key_sent",
        "expired_token_used",
        "model_without_publisher",
        "wrong_host",
    }
)

KINDS: tuple[VerdictKind, ...] = (
    VerdictKind(
        "thought_signature_dropped",
        "error",
        "a tool call comes back without the thought signature it was answered with; a warning where Vertex lets it pass: models "
        "before Gemini 3, and calls of earlier turns",
        "send the assistant's message back as it was answered, with extra_content",
        find_dropped,
    ),
    VerdictKind(
        "thought_signature_truncated",
        "error",
        "a tool call comes back with only the beginning or the end of its thought signature; a warning as above",
        "keep the whole signature, however long it is: a column or field of a fixed length cuts it",
        find_truncated_signatures,
    ),
    VerdictKind(
        "thought_signature_moved",
        "error",
        "a thought signature comes back in another place than on its call; a warning as above",
        "keep each extra_content.google.thought_signature on the tool call that it came with",
        find_moved,
    ),
    VerdictKind(
        "signed_call_edited",
        "error",
        "a tool call comes back under its own thought signature with other arguments, or another name; a warning as above",
        "send calls back as they were answered; what was corrected or filled in belongs into the tool's result",
        find_edited_calls,
    ),
    VerdictKind(
        "tool_result_missing",
        "error",
        "a tool call of the history is not followed by its result",
        "send one message of the role tool with its tool_call_id for each call, right behind the assistant's message",
        find_missing_results,
    ),
    VerdictKind(
        "tool_name_concatenated",
        "error",
        "a tool call comes back under a name that is several known names joined",
        "take a streamed name as it is instead of appending it, and begin a new call at a new index or id",
        find_joined_names,
    ),
    VerdictKind(
        "tool_ids_joined",
        "error",
        "a tool call comes back under an id that is several ids of one answer joined",
        "take a streamed id as it is instead of appending it, and begin a new call at a new index or id",
        find_joined_ids,
    ),
    VerdictKind(
        "tool_calls_mixed_up",
        "error",
        "a tool call comes back with the name or the arguments of another call of its answer, or of several calls that were streamed "
        "only the last comes back",
        "collect the pieces of streamed calls by choice and index, and begin a new call at a new id",
        find_mixed_calls,
    ),
    VerdictKind(
        "tool_arguments_not_json",
        "error",
        "a tool call comes back with arguments that are no JSON object, though the model did not write them so",
        "join the pieces of each call's arguments by its index, and send them back as they came",
        find_broken_arguments,
    ),
    VerdictKind(
        "streamed_text_lost",
        "error",
        "a streamed answer comes back without some of its chunks, or with broken characters where it had none",
        "append the content of every chunk, the last one's too, and decode UTF-8 only behind whole events",
        find_lost_text,
    ),
    VerdictKind(
        "system_message_last",
        "warning",
        "the last message to a Gemini is a system message, which the model reads before the conversation",
        "put system messages first, and what is to be answered last, with the role user",
        find_late_system_messages,
    ),
    VerdictKind(
        "request_refused",
        "error",
        "Vertex refuses the request, for a reason that no other verdict names; a warning for a 401 after which the client got a new token",
        "change what the reason names; `vertex-emulator errors` lists all refusals",
        find_in_session=find_refused,
        unless=_NAMES_OF_REFUSALS,
    ),
    VerdictKind(
        "refusal_retried",
        "error",
        f"the same body again within {RETRY_WINDOW:g} seconds after 400, 401, 403, 404 or 418; after 401 and 403 a new token is fine",
        "do not retry what the same request meets again; change the request, or for 401 and 403 the token",
        find_in_session=find_retried_refusals,
    ),
    VerdictKind(
        "retry_after_ignored",
        "error",
        "the same body again before the time in the answer's `Retry-After`",
        "wait as long as Retry-After says",
        find_in_session=find_ignored_retry_after,
    ),
    VerdictKind(
        "retry_storm",
        "error",
        f"{STORM_RETRIES} or more retries of one body after 429, 5xx or an answer that broke off, each less than {STORM_WAIT:g} seconds after the answer",
        "wait longer after each failure, with some chance in it, and give up after a few",
        find_in_session=find_storms,
    ),
    VerdictKind(
        "truncated_stream_accepted",
        "error",
        "a stream that ended with neither a finish reason nor `[DONE]`, and its text comes back as a message of the assistant",
        "take a stream for complete only after a finish_reason or [DONE]; else ask again or tell the user",
        find_taken_for_complete,
    ),
    VerdictKind(
        "stream_restarted",
        "warning",
        f"a stream is left before its end, and begun anew with the same body within {RETRY_WINDOW:g} seconds",
        "let timeouts count from the last chunk instead of the start; each start is paid for, the prompt and what was written",
        find_in_session=find_restarts,
    ),
    VerdictKind(
        "stream_not_read",
        "warning",
        "the client closes the connection before the end of a stream",
        "read streams up to [DONE]; usage is in the last chunk",
        find_unread,
        unless=frozenset({"stream_restarted"}),
    ),
    VerdictKind(
        "request_given_up",
        "warning",
        "the client closes the connection before a plain answer has come, as it does at a timeout; the answer is paid for all the same",
        "wait longer for plain answers, minutes where a model thinks, or stream them",
        find_given_up,
    ),
    VerdictKind(
        "unsupported_parameter",
        "warning",
        "a top-level parameter that the documentation does not list and that is therefore ignored; not for open models, whose servers "
        "take more",
        "leave it out; what is Gemini's own belongs into extra_body.google",
        find_unsupported_parameters,
    ),
    VerdictKind(
        "api_key_sent",
        "error",
        "an API key in place of an access token",
        "send an OAuth access token as bearer, such as google-auth gets",
        find_api_keys,
    ),
    VerdictKind(
        "expired_token_used",
        "error",
        "an access token of the emulator's after its end; a warning if the client then got a new one and went on",
        "ask for a new token before the old one ends; google-auth does so",
        find_in_session=find_expired_tokens,
    ),
    VerdictKind(
        "token_for_each_request",
        "warning",
        f"{TOKEN_RUN} or more requests in a row, each with a new access token within {FRESH_TOKEN:g} seconds of the one before",
        "keep the credentials object, or the token, for as long as the token is valid; token endpoints have quotas",
        find_in_session=find_tokens_for_each_request,
    ),
    VerdictKind(
        "model_without_publisher",
        "error",
        "a model on the shared endpoint that is not publisher/model, such as one without publisher or a resource path; a warning if it was "
        "answered",
        'write "google/gemini-3.5-flash", with the publisher in front and nothing else',
        find_bare_models,
    ),
    VerdictKind(
        "model_not_found",
        "error",
        "a model that is answered here but that Vertex answers 404 for: it is misspelt, retired or not served in the location of the URL",
        "name a model that is served there; `vertex-emulator models` lists them, and `--models known` refuses all others",
        find_models_not_found,
    ),
    VerdictKind(
        "model_unknown",
        "warning",
        "a model that is answered here but that the catalogue does not know",
        "compare the name with the service's documentation; `vertex-emulator models` lists the models that are known, and `--models known` "
        "refuses all others",
        find_unknown_models,
    ),
    VerdictKind(
        "endpoint_misspelt",
        "error",
        "an endpoint that is neither `openapi` nor, as it seems, the id of a deployed one, such as `endpoints/openai`",
        "write endpoints/openapi in the base URL; if the endpoint is deployed, declare it under `endpoints` in the scenario",
        find_misspelt_endpoints,
    ),
    VerdictKind(
        "location_misspelt",
        "error",
        "a location in the URL that does not exist",
        "write global, or a location where the model is served: `vertex-emulator models --json` has them",
        find_misspelt_locations,
    ),
    VerdictKind(
        "id_missing",
        "error",
        "a project, location or endpoint in the URL that is what a program writes for none, such as `projects/None`",
        "find out where the program gets it from, often an environment variable that is not set",
        find_missing_ids,
    ),
    VerdictKind(
        "wrong_host",
        "error",
        "no service is at the host, or it serves another location than the path names; seen where clients reach the emulator under "
        "Google's names; a warning for a path of the global location at a region's host, which may be answered",
        "let host and path name the same location: LOCATION-aiplatform.googleapis.com with locations/LOCATION, and "
        "aiplatform.googleapis.com with locations/global",
        find_wrong_hosts,
    ),
    VerdictKind(
        "prompt_start_varies",
        "warning",
        f"{VARIED_RUN} prompts in a row are the same but for their start, such as a time of day, so that implicit caching finds nothing",
        "put what is the same for all prompts first and what differs last",
        find_varied_starts,
    ),
    VerdictKind(
        "prompt_below_cache_minimum",
        "warning",
        f"{SHORT_RUN} prompts in a row begin alike, with fewer tokens than the model caches, where a longer start would cost less",
        "move more of what the prompts share to their start, such as examples, or leave it if there is no more",
        find_short_starts,
    ),
    VerdictKind(
        "thinking_crowds_out_answer",
        "warning",
        "a `thinking_budget` of at least `max_tokens`, which counts thoughts too, so that nothing may be left for the answer",
        "lower thinking_budget, or set max_tokens to thoughts and answer together",
        find_crowded_answers,
    ),
)
"""All kinds of verdict, in the order of the documentation: conversations first."""


def judge_client(observations: Sequence[Observation]) -> tuple[Verdict, ...]:
    """The verdicts on the client of one session, in the order of their exchanges; `observations` are the oldest first."""
    past = Past()
    found: dict[str, list[Finding]] = {kind.name: [] for kind in KINDS}
    for observed in observations:
        # A copy, with which everything goes that was read of the request.
        one = replace(observed)
        for kind in KINDS:
            if kind.find is not None:
                found[kind.name] += kind.find(one, past)
        past.add(one)
    for kind in KINDS:
        if kind.find_in_session is not None:
            found[kind.name] += kind.find_in_session(observations)
    for kind in KINDS:
        told = {number for name in kind.unless for one in found[name] if _tells(name, one) for number in one.exchanges}
        if told:
            found[kind.name] = [one for one in found[kind.name] if told.isdisjoint(one.exchanges)]
    verdicts = [verdict for kind in KINDS for verdict in _unite(kind, found[kind.name])]
    return tuple(sorted(verdicts, key=lambda verdict: verdict.exchanges))


def _tells(name: str, finding: Finding) -> bool:
    """Whether a finding says why a request failed: a warning does not, but for an expired token that was renewed."""
    return not finding.is_harmless or name == "expired_token_used"


def _unite(kind: VerdictKind, findings: Iterable[Finding]) -> list[Verdict]:
    """One verdict for all findings with the same sentence."""
    same: dict[tuple[str, bool], set[int]] = {}
    for finding in findings:
        same.setdefault((finding.sentence, finding.is_harmless), set()).update(finding.exchanges)
    return [
        Verdict(
            kind.name,
            "warning" if is_harmless else kind.severity,
            tuple(sorted(numbers)),
            clean_line(sentence),
            kind.advice,
        )
        for (sentence, is_harmless), numbers in same.items()
    ]
