"""Composing: the chosen rule and the request become an answer, with its identity, headers, faults and token counts."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice

from emulator.budget import LongWorkError
from emulator.catalogue.models import MAX_CHOICES
from emulator.catalogue.quirks import QuirkName
from emulator.engine.matching.choose import Chosen
from emulator.engine.randomness import AnswerInputs, SeededRandom
from emulator.engine.reply.calls import LiteralCall
from emulator.engine.reply.chunking import FEW_CHUNKS, count_chunks, limit_chunks
from emulator.engine.reply.limits import apply_limits, read_limits
from emulator.engine.reply.parts import Answer, CallPart, Choice, MediaPart, TextPart
from emulator.engine.reply.templates import Context, Request, fill_text
from emulator.engine.request.facts import Facts
from emulator.engine.request.thinking import estimate_unasked
from emulator.engine.request.token_estimates import estimate_media_output, estimate_tokens
from emulator.errors import AnswerError
from emulator.scenario.checks.faults import explain_unknown_finish
from emulator.scenario.rules import Usage as GivenUsage
from emulator.scenario.rules import merge_usage
from emulator.scenario.templates.template import is_template
from emulator.suggestions import quote, suggest, suggest_one
from emulator.wire.headers import Headers, find_value_problem, header_text, replace_headers
from emulator.wire.ids import make_id, make_uuid
from emulator.wire.json_text import parse_or_text
from emulator.wire.responses import Identity
from emulator.wire.usage import Usage

MOST_COMPARED, LONGEST_COMPARED = 50, 100
"""Names of a request's tools and parameters that are compared with those of a call, and characters of each."""
MOST_WARNINGS = 5
"""Warnings of the calls of one answer."""
MAX_FINISH = 200
"""Characters of a finish reason that a template makes."""
_ECHOED_HEADER = "x-vertex-ai-llm-request-type"


def compose(
    chosen: Chosen, facts: Facts, inputs: AnswerInputs, rng: SeededRandom, quirks: frozenset[QuirkName] = frozenset()
) -> Answer:
    """The answer of a chosen rule.

    Raises:
        AnswerError: The request lacks what a step needs.
        LongWorkError: It has many chunks, and may not take long.
    """
    rule = chosen.rule
    request = Request(facts, chosen.captures, chosen.use, rng, inputs, quirks)
    reply = rule.replies[chosen.position]
    contexts = [Context(request, number) for number in range(_count_choices(facts))]
    limits = read_limits(facts.request)
    # Thoughts of a Gemini are kept even if they will not be shown.
    hides_thoughts = not facts.style.is_gemini and not facts.style.is_thinking(facts.request)
    choices: list[Choice] = []
    for context in contexts:
        parts, cut = reply.make(context), None
        if facts.is_short and count_chunks(parts) * len(contexts) > FEW_CHUNKS:
            raise LongWorkError
        if hides_thoughts:
            parts = tuple(part for part in parts if not (isinstance(part, TextPart) and part.is_thought))
        if limits is not None:
            parts, cut = apply_limits(parts, limits)
        finish = None if rule.finish is None else _fill_finish(rule.finish, context)
        if finish is None:
            has_calls = any(isinstance(part, CallPart) for part in parts)
            finish = cut or ("tool_calls" if has_calls else "stop")
        choices.append(Choice(parts, finish))
    headers = _service_headers(facts)
    if rule.headers:
        filled = [(name, _fill_header(name, value, contexts[0])) for name, value in rule.headers]
        headers = replace_headers(headers, tuple(filled))
    usage = merge_usage(*(context.usage for context in contexts), rule.usage)
    warnings = request.warnings
    if is_template(rule.finish or ""):
        warnings += tuple(dict.fromkeys(filter(None, (explain_unknown_finish(one.finish_reason) for one in choices))))
    if facts.tool_names:
        warnings += tuple(islice(_explain_calls(choices, facts), MOST_WARNINGS))
    if "response_format" in facts.request and (misfit := _explain_misfit(choices, facts)):
        warnings += (misfit,)
    faults = [make_fault(contexts[0]) for make_fault in (*rule.faults, *inputs.overrides.faults)]
    return Answer(
        limit_chunks(choices),
        count_usage(usage, estimate_output(choices), facts),
        headers,
        tuple(fault for fault in faults if fault is not None),
        warnings,
    )


def _explain_calls(choices: Sequence[Choice], facts: Facts) -> Iterator[str]:
    """Warn of calls that no declared tool of the request takes, though it declares tools: the scenario may misspell a name or an argument.

    Arguments that are no JSON object are meant to be wrong; those that are like no parameter may be.
    """
    calls = dict.fromkeys(
        (part.name, part.arguments) for choice in choices for part in choice.parts if isinstance(part, CallPart)
    )
    for name, arguments in calls:
        if name not in facts.tool_names:
            meant = suggest(name, _few_short(facts.tool_names))
            yield f"the rule calls {quote(name)}, which is none of the request's tools{meant}"
            continue
        schema = next(parameters for tool, _, parameters in facts.tools if tool == name)
        given = parse_or_text(arguments)
        known = schema.get("properties") if isinstance(schema, dict) else None
        if not isinstance(known, dict) or not isinstance(given, dict) or schema.get("additionalProperties"):
            continue
        for key in given if len(given) <= MOST_COMPARED else ():
            if key not in known and (meant := suggest_one(key, _few_short(known))):
                yield f"the rule calls {quote(name)} with {quote(key)}, which is no parameter of this tool{meant}"
        required = schema.get("required")
        for key in required if isinstance(required, list) else ():
            if isinstance(key, str) and key not in given:
                yield f"the rule calls {quote(name)} without {quote(key)}, which this tool requires"


def _few_short(names: Iterable[str]) -> list[str]:
    """The first of some names that a request brings, without long ones: comparing texts takes long."""
    return [one for one in islice(names, MOST_COMPARED) if len(one) <= LONGEST_COMPARED]


def _explain_misfit(choices: Sequence[Choice], facts: Facts) -> str:
    """Warn of an answer that is not the JSON that the request asks for, which the service would not give; empty if it is."""
    kind = facts.response_format[0]
    if kind not in ("json_object", "json_schema"):
        return ""
    for choice in choices:
        parts = [part for part in choice.parts if not (isinstance(part, TextPart) and part.is_thought)]
        if choice.finish_reason != "stop" or not parts or not all(isinstance(part, TextPart) for part in parts):
            continue
        text = "".join(part.text for part in parts if isinstance(part, TextPart))
        value = parse_or_text(text)
        if isinstance(value, str) and value == text:
            return "the request asks for JSON, and the rule answers with a text that is none"
        schema = facts.response_schema[1] if facts.response_schema is not None else None
        if schema is not None:
            from emulator.engine.sampling.sampler import explain_misfit  # noqa: PLC0415  # text needs no sampler

            if misfit := explain_misfit(schema, value):
                return f"the rule's JSON does not satisfy the schema of the request's response_format: {misfit}"
    return ""


def _fill_finish(finish: str, context: Context) -> str | None:
    """The finish reason that a template makes; empty text is none. Raises AnswerError for what no reason can be."""
    filled = fill_text(finish, context)
    if len(filled) > MAX_FINISH or not filled.isprintable():
        raise AnswerError(f'the template of "finish" makes {quote(filled)}, which must be one short line')
    return filled or None


def _fill_header(name: str, value: str | None, context: Context) -> str | None:
    """The value of a header of the rule, None for one that is removed. Raises AnswerError if its template makes what no header can have."""
    if value is None:
        return None
    filled = fill_text(value, context)
    if is_template(value) and (problem := find_value_problem(filled)):
        raise AnswerError(
            f'the template of the header "{name}" makes a value that {problem}; it must be one short line'
        )
    return filled


def _count_choices(facts: Facts) -> int:
    return min(max(facts.request.get("n") or 1, 1), MAX_CHOICES)


def draw_calls(calls: Sequence[LiteralCall], facts: Facts, rng: SeededRandom) -> list[str | None]:
    """The random values of a literal answer besides its identity: ids and signatures of its calls, as its model writes them."""
    style, model, drawn = facts.style, facts.model, list[str | None]()
    for choice in range(_count_choices(facts)):
        for number, call in enumerate(calls):
            call_id, signature = call.draw(model, rng, choice, number)
            drawn += style.adapt_call(call_id, signature, call.name, number)
    return drawn


def identify(facts: Facts, rng: SeededRandom, moment: float) -> Identity:
    """The identity of an answer. Documented: the id of a Gemini holds the time."""
    dialect, created, model = facts.style.dialect, int(moment), facts.answering_model
    match dialect.answer_id:
        case "google":
            return Identity(make_id(created, rng.id_bits(104)), created, model)
        case "uuid":
            return Identity(make_uuid(rng.id_bits(128)), created, model)
        case "vllm":
            return Identity(f"chatcmpl-{rng.id_bits(128):032x}", created, model)
        case "none":
            return Identity("", created, model)


def _service_headers(facts: Facts) -> Headers:
    """The request's LLM header is echoed (observed on native routes); own endpoints name themselves (documented: REST, rawPredict)."""
    value = facts.llm_headers.get(_ECHOED_HEADER)
    echoed = () if value is None else ((_ECHOED_HEADER, header_text(value)),)
    if facts.target.is_openapi:
        return echoed
    # Assumed: an endpoint keeps its deployed model, whose id is a number of its own.
    deployed = str(int.from_bytes(blake2b(facts.target.endpoint.encode("utf-8", "replace"), digest_size=7).digest()))
    return (
        *echoed,
        ("x-vertex-ai-endpoint-id", header_text(facts.target.endpoint)),
        ("x-vertex-ai-deployed-model-id", deployed),
    )


def count_usage(given: GivenUsage, estimated: tuple[int, int], facts: Facts) -> Usage:
    """The token counts that the scenario gives, else estimates; `estimated` is what `_estimate_output` returns for the answer."""
    prompt = max(facts.prompt_tokens, 1) if given.prompt is None else given.prompt
    completion, thoughts = estimated
    if given.reasoning == "auto":
        reasoning = thoughts or _count_unasked(completion, facts)
    else:
        reasoning = thoughts if given.reasoning is None else given.reasoning
    cached = facts.cached_tokens + facts.implicit_tokens if given.cached is None else given.cached
    traffic = given.traffic or facts.traffic
    if facts.style.dialect.thoughts_in_completion:
        completion = completion + reasoning if given.completion is None else given.completion
        total = prompt + completion if given.total is None else given.total
        return Usage(
            prompt, completion, 0 if given.reasoning == "auto" else given.reasoning or 0, cached, total, traffic
        )
    completion = completion if given.completion is None else given.completion
    return Usage(prompt, completion, reasoning, cached, given.total, traffic)


def _count_unasked(completion: int, facts: Facts) -> int:
    """Tokens of thoughts that no reply has, as many as the request's limit leaves."""
    limits, unasked = read_limits(facts.request), estimate_unasked(facts)
    if limits is None or limits.max_tokens is None:
        return unasked
    return max(min(unasked, limits.max_tokens - completion), 0)


def estimate_output(choices: Sequence[Choice]) -> tuple[int, int]:
    """Estimated tokens of the visible output, and of the thoughts."""
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
