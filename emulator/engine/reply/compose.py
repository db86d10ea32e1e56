"""Composing: the chosen rule and the request become an answer."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from hashlib import blake2b

from emulator.catalogue.models import MAX_CHOICES
from emulator.catalogue.quirks import QuirkName
from emulator.engine.matching.choose import Chosen
from emulator.engine.randomness import AnswerInputs, SeededRandom
from emulator.engine.reply.calls import LiteralCall
from emulator.engine.reply.limits import Limits, limit, limits_of
from emulator.engine.reply.parts import Answer, CallPart, Choice, MediaPart, Part, TextPart
from emulator.engine.reply.templates import Context, Request, fill_text
from emulator.engine.request.facts import Facts
from emulator.engine.request.token_estimates import estimate_media_output, estimate_tokens
from emulator.scenario.rules import Usage as GivenUsage
from emulator.wire.ids import make_id
from emulator.wire.responses import Identity
from emulator.wire.usage import Usage

_ECHOED = "x-vertex-ai-llm-request-type"
_PACIFIC = timezone(timedelta(hours=-7))


def compose(
    chosen: Chosen, facts: Facts, inputs: AnswerInputs, rng: SeededRandom, quirks: frozenset[QuirkName] = frozenset()
) -> Answer:
    """The answer of a chosen rule. Raises AnswerError if the request does not give what a step needs."""
    rule = chosen.rule
    request = Request(facts, chosen.captures, chosen.use, rng, inputs, quirks)
    compiled_reply = rule.replies[chosen.position]
    contexts = [Context(request, number) for number in range(_count_choices(facts))]
    limits = limits_of(facts.request)
    choices = tuple(_choice(compiled_reply.make(context), rule.finish, facts, limits) for context in contexts)
    headers = (*_headers(facts), *((name, fill_text(value, contexts[0])) for name, value in rule.headers))
    compiled_faults = (*rule.faults, *inputs.overrides.faults)
    faults = (
        tuple([fault for compiled_fault in compiled_faults if (fault := compiled_fault(contexts[0])) is not None])
        if compiled_faults
        else ()
    )
    return Answer(choices, tally(rule.usage, count_said(choices), facts), headers, faults)


def _count_choices(facts: Facts) -> int:
    return min(max(facts.request.get("n") or 1, 1), MAX_CHOICES)


def draw_calls(calls: Sequence[LiteralCall], facts: Facts, rng: SeededRandom) -> list[str | None]:
    """What is drawn for a literal answer, besides its identity: the ids and signatures of its calls, as its model writes them."""
    style, model, drawn = facts.style, facts.model, list[str | None]()
    for choice in range(_count_choices(facts)):
        for number, call in enumerate(calls):
            id_, signature = call.draw(model, rng, choice, number)
            drawn += style.put_call(id_, signature, call.name, number)
    return drawn


def _choice(parts: tuple[Part, ...], finish: str | None, facts: Facts, limits: Limits | None) -> Choice:
    parts = facts.style.keep_thoughts(parts, facts.request)
    cut = None
    if limits is not None:
        parts, cut = limit(parts, limits)
    if finish is None:
        finish = cut or ("tool_calls" if any(isinstance(part, CallPart) for part in parts) else "stop")
    return Choice(parts, finish)


def identify(facts: Facts, rng: SeededRandom, moment: float) -> Identity:
    """The identity of an answer. Documented: the id holds the time; open models set `created` themselves, 2 to 8 seconds later."""
    dialect, created, model = facts.style.dialect, int(moment), facts.answering_model
    match dialect.answer_id:
        case "google":
            earlier = 2 + rng.id_bits(8, "later") % 7 if dialect.created_later else 0
            return Identity(make_id(created - earlier, rng.id_bits(104)), created, model)
        case "dated":
            # Documented on the generic page of open models: date, time of day, an address, a number.
            local = datetime.fromtimestamp(moment, _PACIFIC)
            bits = rng.id_bits(88)
            address = f"9.{bits % 250 + 1}.{bits // 250 % 250 + 1}.{bits // 62_500 % 250 + 1}"
            number = -(bits // 15_625_000 % 2**31)
            return Identity(f"{local:%Y-%m-%d|%H:%M:%S.%f}-07|{address}|{number}", created, model)
        case "vllm":
            return Identity(f"chatcmpl-{rng.id_bits(128):032x}", created, model)
        case "none":
            return Identity("", created, model)


def _headers(facts: Facts) -> tuple[tuple[str, str], ...]:
    """The request's LLM header comes back (observed on native routes); own endpoints name themselves (documented: REST, rawPredict)."""
    asked = facts.llm_headers.get(_ECHOED)
    echoed = () if asked is None else ((_ECHOED, asked),)
    if facts.target.is_openapi:
        return echoed
    # Assumed: an endpoint keeps its deployed model, whose id is a number of its own.
    deployed = str(int.from_bytes(blake2b(facts.target.endpoint.encode("utf-8", "replace"), digest_size=7).digest()))
    return (*echoed, ("x-vertex-ai-endpoint-id", facts.target.endpoint), ("x-vertex-ai-deployed-model-id", deployed))


def tally(given: GivenUsage, said: tuple[int, int], facts: Facts) -> Usage:
    """The token counts: those of the scenario, else estimates; `said` is what `count_said` says of the answer."""
    prompt = max(facts.prompt_tokens, 1) if given.prompt is None else given.prompt
    completion, reasoning = said
    reasoning = reasoning if given.reasoning is None else given.reasoning
    cached = facts.cached_tokens if given.cached is None else given.cached
    traffic = given.traffic or facts.traffic
    if facts.style.dialect.thoughts_in_completion:
        completion = completion + reasoning if given.completion is None else given.completion
        total = prompt + completion if given.total is None else given.total
        return Usage(prompt, completion, given.reasoning or 0, cached, total, traffic)
    completion = completion if given.completion is None else given.completion
    return Usage(prompt, completion, reasoning, cached, given.total, traffic)


def count_said(choices: tuple[Choice, ...]) -> tuple[int, int]:
    """Estimates of the tokens that are said, and of those that are thought."""
    completion = reasoning = 0
    for choice in choices:
        for part in choice.parts:
            match part:
                case TextPart(is_thought=True):
                    reasoning += estimate_tokens(part.text)
                case TextPart():
                    completion += estimate_tokens(part.text)
                case CallPart():
                    completion += estimate_tokens(part.name) + estimate_tokens(part.arguments)
                case MediaPart():
                    completion += estimate_media_output(part.data, part.mime_type)
                case _:
                    pass
    return completion, reasoning
