"""The models of a scenario file and its rules.

Defaults are made by `model_construct`: to validate them would build their models' validators when this module is imported.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from emulator.catalogue.quirks import QuirkName
from emulator.scenario.conversation import Turn
from emulator.scenario.faults import FaultSetting
from emulator.scenario.flags import Flags
from emulator.scenario.pace import PaceSetting
from emulator.scenario.quota import Quotas
from emulator.scenario.steps import Reply
from emulator.scenario.types import Model, Scalar, Text, by_shape, list_keys
from emulator.scenario.when import When
from emulator.suggestions import join

Vetting = Literal["enforce", "strict", "warn", "off"]
"""What becomes of a request that Vertex refuses: it is refused too, or answered with a warning, or just answered.

`strict` refuses also what is known to be refused on other routes of the service only, which `enforce` warns of.
"""
Traffic = Literal["ON_DEMAND", "ON_DEMAND_PRIORITY", "ON_DEMAND_FLEX", "PROVISIONED_THROUGHPUT"]


Family = Literal[
    "vllm", "tgi", "gemini", "gemma", "deepseek", "qwen", "gpt-oss", "kimi", "minimax", "glm", "llama", "grok"
]
"""How an endpoint of one's own answers: as the container `vllm` or `tgi`, or as that family of models."""


def _check_thoughts(value: Any) -> Any:
    if value != "auto" and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise PydanticCustomError("wrong_shape", "expected a whole number, 0 or more, or auto")
    return value


Thoughts = Annotated[Annotated[int, Field(ge=0)] | Literal["auto"], BeforeValidator(_check_thoughts)]
"""A number of tokens; without the check an error would report both branches of the union."""


class Usage(Model):
    """The token counts an answer reports; what is not given is estimated."""

    prompt: int | None = Field(default=None, ge=0)
    """`prompt_tokens`: the input, its cached part included."""
    completion: int | None = Field(default=None, ge=0)
    """`completion_tokens`: the visible output, thoughts not counted, but for open models, which count them in."""
    reasoning: Thoughts | None = None
    """`reasoning_tokens`: the thoughts; 0 leaves the detail out. `auto`: those of the reply, and where it has none, what its model is assumed to think unasked."""
    cached: int | None = Field(default=None, ge=0)
    """`cached_tokens` of the input; when not given, a fixed estimate for requests with `cached_content`, else the prefix that the session has sent before, where it is long enough for the model's implicit cache."""
    total: int | None = Field(default=None, ge=0)
    """`total_tokens`; without it the sum of prompt, completion and reasoning."""
    traffic: Traffic | None = None
    """`traffic_type`; when not given, what the headers `X-Vertex-AI-LLM-…` ask for, else `ON_DEMAND`."""


def merge_usage(*given: Usage | None) -> Usage:
    """Token counts of which the later ones win."""
    found = [one for one in given if one is not None]
    if len(found) == 1:
        return found[0]
    return Usage.model_construct(**{name: getattr(one, name) for one in found for name in one.model_fields_set})


class Endpoint(Model):
    """An endpoint of one's own, with a deployed model."""

    family: Family = "vllm"
    """How it answers: as a container (`vllm`, `tgi`), or as a family of models does."""
    model: str | None = None
    """The model's name in answers to requests that name none; the endpoint's id when not given."""


class Tokens(Model):
    """What becomes of the requests for access tokens."""

    fail: Scalar | None = None
    """The error instead of a token: an HTTP status (`503`) or the name of a token endpoint's error (`token_refresh_revoked`)."""
    times: int | None = Field(default=None, ge=1)
    """How many token requests of a session fail; later ones get their tokens. Without it all fail."""
    lifetime_s: int | None = Field(default=None, ge=1)
    """Seconds after which tokens expire, where that is less than the server's `--token-lifetime`."""


class Expect(Model):
    """What `verify` demands of a rule: one of the two."""

    times: int | None = Field(default=None, ge=0)
    """How many requests of a session it must have answered, no more and no fewer; 0 forbids it to answer."""
    at_least: int | None = Field(default=None, ge=1)
    """How many it must have answered at least."""


HeaderValue = str | list[str] | None
HeaderSetting = (
    Annotated[Text | Annotated[list[str], Tag("<list>")], by_shape("a text, a list of texts or null")] | None
)
"""The value of a response header: a text, several for as many lines, or null to leave the header out."""


class AnswerOptions(Model):
    """What may stand beside an answer, and in `defaults` for all rules."""

    usage: Usage | None = None
    """Token counts to report instead of the estimates."""
    finish: str | None = None
    """The finish reason instead of the one that follows from the reply: `length`, `content_filter`, ...; may be a template."""
    headers: dict[str, HeaderSetting] | None = None
    """Response headers to add, in place of the service's of the same name: a text, a list of texts for several lines of that name, or null for no such line."""
    quirks: list[QuirkName] | None = None
    """Named deviations the real service has been seen to make, such as `raw_newlines`; a rule's are added to the defaults'."""
    pace: PaceSetting | None = None
    """How fast the answer comes: a pace by name, or `{first_token_ms: 300, tokens_per_second: 50}`; at once when not given."""
    fault: FaultSetting | None = None
    """What goes wrong on the way: a fault by name, `{cut: reset, after_chunks: 3}`, or a list; a rule's take the place of the defaults'."""


class Rule(AnswerOptions):
    """What every rule has."""

    name: str | None = None
    """What reports and the journal call the rule; `rule 3` when not given."""
    when: When = When.model_construct()
    """What the request must be like; without it the rule answers every request."""
    times: int | None = Field(default=None, ge=1)
    """How many requests of a session it answers before it is used up."""
    expect: Expect | None = None
    """How many requests it must have answered when the session is verified."""
    requires: Flags | None = None
    """Flags that must be set in the session, or with `not` before them must not; a name, or a list of which all must hold."""
    sets: Flags | None = None
    """Flags of the session that are set, or with `not` before them cleared, when the rule answers."""


class ReplyRule(Rule):
    """A rule that always gives the same reply."""

    reply: Reply
    """The answer: a text, a step or a list of steps."""


class SequenceRule(Rule):
    """A rule that gives successive replies to the successive requests of a session."""

    sequence: list[Reply] = Field(min_length=1)
    """The replies, in order."""
    then: Literal["repeat", "loop", "exhaust"] = "repeat"
    """After the last: repeat it, start again, or be used up."""


class ConversationRule(Rule):
    """A rule that answers from a transcript; the request's own messages tell where in it a conversation stands."""

    conversation: list[Turn] = Field(min_length=1)
    """The turns, from the user's first words on; the rule answers where the messages so far are those before an `assistant` turn."""


ANSWERS = ("reply", "sequence", "conversation")
"""The keys of a rule of which it has exactly one."""


def _find_answer(rule: Any) -> str | None:
    keys = rule if isinstance(rule, dict) else list_keys(type(rule)) if isinstance(rule, Rule) else ()
    given = [key for key in ANSWERS if key in keys]
    return f"<{given[0]}>" if len(given) == 1 else None


AnyRule = Annotated[
    Annotated[ReplyRule, Tag("<reply>")]
    | Annotated[SequenceRule, Tag("<sequence>")]
    | Annotated[ConversationRule, Tag("<conversation>")],
    Discriminator(
        _find_answer,
        custom_error_type="one_answer",
        custom_error_message="a rule needs exactly one answer: " + join(ANSWERS, "or"),
    ),
]
"""A rule: `when`, and one answer."""


Include = Annotated[
    Text | Annotated[list[str], Field(min_length=1), Tag("<list>")], by_shape("the name of a file or a list of them")
]
"""The files that a scenario includes."""


EXTENSION = "x-"
"""What the keys at the top of a file begin with that mean nothing by themselves: anchors for aliases."""


class Scenario(Model):
    """A scenario file."""

    scenario: str | None = None
    """Its name; the file's name when not given."""
    seed: Scalar | None = None
    """Makes every answer repeatable to the byte, ids and times included."""
    vetting: Vetting | None = None
    """What becomes of requests that Vertex itself refuses: `enforce` refuses them too, `strict` also those that other routes of the service are known to refuse, `warn` answers them with a warning, `off` does not look. Without it the server's `--vetting` holds."""
    defaults: AnswerOptions = AnswerOptions.model_construct()
    """What stands beside the answers of all rules that do not say otherwise."""
    media: dict[str, str] = Field(default_factory=dict)
    """Local folders, beside the file, that stand for `gs://` prefixes."""
    endpoints: dict[str, Endpoint] = Field(default_factory=dict)
    """Endpoints of one's own by their ids; once there are any, others do not exist. Without them every id answers as vLLM."""
    order: Literal["strict"] | None = None
    """`strict`: a session that is verified must have used the rules in the order of the file, each as often as it likes."""
    tokens: Tokens | None = None
    """Failures of the token endpoints and of the metadata server, and a shorter life for their tokens."""
    quota: Quotas | None = None
    """How much is answered in a minute and at once, and how the rest is refused: one quota, or a list of them."""
    include: Include | None = None
    """Scenario files beside this one that belong to it: their rules are tried after those of this file."""
    rules: list[AnyRule] = Field(default_factory=list)
    """Tried top to bottom; the first that holds and is not used up answers."""
