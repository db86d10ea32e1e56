"""Composing: the chosen rule and the request become an answer."""

from emulator.engine.choosing import Chosen
from emulator.engine.context import Context, Request
from emulator.engine.dice import Dice, Occasion
from emulator.engine.facts import Facts
from emulator.engine.filling import fill_text
from emulator.engine.parts import Answer, CallPart, Choice, MediaPart, Part, TextPart
from emulator.engine.tokens import estimate_tokens
from emulator.wire.ids import make_id
from emulator.wire.replies import Identity
from emulator.wire.usage import Usage

MOST_CHOICES = 8
"""Documented for `n` on models that allow more than one."""


def compose(chosen: Chosen, facts: Facts, occasion: Occasion) -> tuple[Answer, Identity]:
    """The answer of a chosen rule. Raises AnswerError if the request does not give what a step needs."""
    rule = chosen.rule
    dice = Dice(occasion, facts.request, chosen.position)
    request = Request(facts, chosen.captures, chosen.use, dice, occasion)
    recipe = rule.recipes[chosen.position]
    count = min(max(facts.request.get("n") or 1, 1), MOST_CHOICES)
    contexts = [Context(request, number) for number in range(count)]
    choices = tuple(_choice(recipe.make(context), rule.finish) for context in contexts)
    headers = tuple((name, fill_text(value, contexts[0])) for name, value in rule.headers)
    created = int(occasion.moment)
    identity = Identity(make_id(created, dice.id_bits(88)), created, facts.model or facts.target.endpoint)
    return Answer(choices, _usage(chosen, choices, facts), headers), identity


def _choice(parts: tuple[Part, ...], finish: str | None) -> Choice:
    calls = any(isinstance(part, CallPart) for part in parts)
    return Choice(parts, finish if finish is not None else "tool_calls" if calls else "stop")


def _usage(chosen: Chosen, choices: tuple[Choice, ...], facts: Facts) -> Usage:
    """The token counts: those of the scenario, else estimates."""
    given = chosen.rule.usage
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
                    completion += part.tokens
                case _:
                    pass
    return Usage(
        prompt=max(facts.prompt_tokens, 1) if given.prompt is None else given.prompt,
        completion=completion if given.completion is None else given.completion,
        reasoning=reasoning if given.reasoning is None else given.reasoning,
        cached=given.cached or 0,
        total=given.total,
        traffic=given.traffic or "ON_DEMAND",
    )
