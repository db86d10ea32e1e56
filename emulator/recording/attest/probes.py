"""Probes: requests that show whether a row of docs/fidelity.md holds, and what each row claims of the answer.

The files in `probes/` have by the id of a row its probes, or why it has none; `Probe` and `Step` are their format. Probes of models
are made from their cards.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, JsonValue, TypeAdapter, model_validator

from emulator.catalogue.errors import entry
from emulator.catalogue.models import MAX_CHOICES, ModelCard, all_models, generation
from emulator.catalogue.quirks import PROFILES, QUIRKS, QuirkName
from emulator.recording.attest.expectations import Expectation, StrictModel

CredentialUse = Literal["own", "none", "api key", "api key as bearer", "basic", "made up", "expired"]
"""Whose credentials a request has: the user's, or what the service refuses."""


class Request(StrictModel):
    """A request to the endpoint. `$MODEL`, `$PROJECT` and `$LOCATION` in texts are those of the run."""

    method: str = "POST"
    path: str = "chat/completions"
    """What follows the endpoint, or the whole path if it begins with a slash."""
    version: str = "v1"
    endpoint: str = "openapi"
    location: str | None = None
    """By default that of the run, or one where the model is served."""
    host: str | None = None
    """By default the host that serves the location."""
    query: str = ""
    credentials: CredentialUse = "own"
    headers: dict[str, str] = Field(default_factory=dict)
    model: str = "$MODEL"
    say: str = "Reply with the single word OK."
    """The only message, unless `body` has `messages`."""
    body: dict[str, JsonValue] | None = Field(default_factory=dict)
    """The fields besides model and messages; null for a request without a body."""
    exact: bool = False
    """Whether `body` is all of the body."""
    text: str | None = None
    """The body as it is sent, instead of JSON."""
    form: dict[str, str] | None = None
    """The body as a form."""


class Step(StrictModel):
    """A request, what its answer must have so that the row can be judged, and what the row claims of it."""

    request: Request = Request()
    given: dict[str, JsonValue] = Field(default_factory=dict)
    """Checks by path as in `Expectation.body`; where they fail the answer does not show what the row is about."""
    expect: Expectation = Expectation(body={"choices": "list"})
    """By default that it is answered."""


class Probe(StrictModel):
    """One way of asking about a row."""

    row: str
    name: str = ""
    """Tells several probes of a row apart."""
    steps: tuple[Step, ...]
    quirks: tuple[QuirkName, ...] = ()
    """The quirks with which an emulator answers otherwise."""
    switches: tuple[str, ...] = ()
    """The options without which an emulator answers otherwise, because the claim is not sure."""
    not_found_differs: bool = False
    """Whether a 404 contradicts the row, rather than saying that model or endpoint are not to be had."""
    once: bool = False
    """Whether its requests are sent for it alone: they are about what was asked before."""

    @property
    def id(self) -> str:
        """The row, and the name behind a colon."""
        return f"{self.row}:{self.name}" if self.name else self.row

    @model_validator(mode="before")
    @classmethod
    def _wrap_step(cls, data: Any) -> Any:
        """A probe of one step has its keys itself."""
        if isinstance(data, dict) and "steps" not in data:
            step = {key: data[key] for key in Step.model_fields if key in data}
            return {**{key: value for key, value in data.items() if key not in step}, "steps": [step]}
        return data


class NotTestable(StrictModel):
    """Why a row has no probes."""

    not_testable: str


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """All probes in order, and why other rows have none, by row."""

    probes: tuple[Probe, ...]
    not_testable: Mapping[str, str]


_FILE: TypeAdapter[dict[str, list[dict[str, Any]] | NotTestable]] = TypeAdapter(
    dict[str, list[dict[str, Any]] | NotTestable]
)


@cache
def all_probes() -> ProbeSet:
    """Read all probes of the package."""
    probes: list[Probe] = []
    reasons: dict[str, str] = {}
    for path in sorted(Path(__file__).with_name("probes").glob("*.yaml")):
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        content = yaml.load(path.read_text("utf-8"), loader)  # noqa: S506  # both are safe
        for row, found in _FILE.validate_python({key: one for key, one in content.items() if key != "shared"}).items():
            if isinstance(found, NotTestable):
                reasons[row] = found.not_testable
            else:
                probes += [Probe.model_validate({"row": row, **one}) for one in found]
    for card in all_models():
        if card.family == "self-deployed":
            reasons[f"model.{card.id}"] = "needs an endpoint of one's own on which it is deployed"
        else:
            probes += _probes_of(card)
    for name in QUIRKS:
        shown = [probe.id for probe in probes if name in quirks_of(probe)]
        others = f" and {len(shown) - 1} more" if len(shown) > 1 else ""
        reasons[f"quirk.{name}"] = (
            f"off by default; where the service does it, {shown[0]}{others} differs" if shown else "off by default"
        )
    return ProbeSet(tuple(probes), reasons)


def quirks_of(probe: Probe) -> set[QuirkName]:
    """The quirks with which an emulator contradicts a probe, with the profiles that have one of them."""
    profiles = {name for name, parts in PROFILES.items() if parts & set(probe.quirks)}
    return {*probe.quirks, *profiles}


def _probes_of(card: ModelCard) -> Iterator[Probe]:
    """What a model's card claims: that it answers, how much it writes, how many choices it makes, and how it can think."""
    row = f"model.{card.id}"

    def probe(name: str, request: dict[str, Any], expect: dict[str, Any], **more: Any) -> Probe:
        step = {"request": {"model": card.id, **request}, "expect": expect}
        return Probe.model_validate({"row": row, "name": name, "steps": [step], **more})

    if card.retired is not None:
        gone = "generic_invalid_argument" if card.family == "grok" else "publisher_model_not_found"
        switches = () if card.family == "grok" else ("--models known",)
        route = (
            {"path": "embeddings", "exact": True, "body": {"model": card.id, "input": "OK"}}
            if card.family == "embeddings"
            else {}
        )
        yield probe("retired", route, {"error": gone}, switches=switches, not_found_differs=True)
        return
    yield probe("answers", {}, {"body": {"choices.0.message": "present", "model": {"is": card.id}}})
    if generation(card.id) is None:
        return
    if card.max_output_tokens is not None:
        tokens = card.max_output_tokens + 1
        yield probe(
            "max-tokens",
            {"body": {"max_tokens": tokens}},
            {"error": "max_output_tokens_range", "values": {"VALUE": str(tokens), "MAX_PLUS_1": str(tokens)}},
        )
    if card.max_candidates == 1:
        yield probe("choices", {"body": {"n": 2}}, {"error": "candidate_count_one"})
    elif card.max_candidates is not None:
        yield probe(
            "choices",
            {"body": {"n": MAX_CHOICES + 1}},
            {"error": "candidate_count_range", "values": {"MAX_PLUS_1": str(MAX_CHOICES + 1)}},
        )
    if card.levels:
        lacking = next((level for level in ("MINIMAL", "LOW", "XHIGH") if level not in card.levels), None)
        if lacking is not None:
            google = {"google": {"thinking_config": {"thinking_level": lacking}}}
            yield probe(
                "levels",
                {"body": {"extra_body": google}},
                {"error": "thinking_level_unsupported", "values": {"LEVEL": lacking}},
            )


def expected_error(step: Step) -> bool:
    """Whether a step expects a refusal, which costs nothing."""
    if step.expect.error is not None:
        return entry(step.expect.error).http_status >= 400  # noqa: PLR2004  # the first error of HTTP
    return step.expect.refusal is not None or step.expect.status >= 400  # noqa: PLR2004  # the first error of HTTP
