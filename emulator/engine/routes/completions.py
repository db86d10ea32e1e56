"""`POST /completions`: the rules' answer as a text completion."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from emulator.catalogue.models import find_model
from emulator.engine.answer import Outcome, answer, emulator_failure
from emulator.engine.randomness import AnswerInputs
from emulator.engine.rendering.render import adapt_parts
from emulator.engine.reply.parts import Answer, CallPart, Choice, FailPart, RawPart, TextPart
from emulator.engine.request.facts import Facts
from emulator.engine.routes.vetting import forbid_media, refuse_argument, refuse_model
from emulator.engine.ruleset import Ruleset
from emulator.engine.session import State
from emulator.engine.timeline.directives import Directive
from emulator.engine.timeline.timeline import (
    Frame,
    Timeline,
    error_frame,
    plain_timeline,
    refusal_timeline,
    stream_timeline,
)
from emulator.errors import AnswerError
from emulator.wire.errors import JSON_TYPE, Refusal
from emulator.wire.json_text import dump
from emulator.wire.requests import ChatRequest
from emulator.wire.responses import Identity
from emulator.wire.routes.completions import (
    CompletionsRequest,
    completion_body,
    completion_event,
    completion_to_chat,
    prompts_of,
    text_choice,
)
from emulator.wire.sse import DONE

FAMILIES: Final = frozenset({"glm", "kimi", "minimax", "deepseek"})
"""Families whose models have been seen to answer here (observed: five models)."""


@dataclass(frozen=True, slots=True)
class CompletionsHandler:
    """Handler of a completions request."""

    request: CompletionsRequest

    @property
    def chat(self) -> ChatRequest:
        """The prompt as the user's message."""
        return completion_to_chat(self.request)

    def vet(self, facts: Facts) -> Refusal | None:
        """Check model and prompt (assumed)."""
        serves = "models of GLM, Kimi, MiniMax and DeepSeek"
        refusal = refuse_model(facts, families=FAMILIES, serves=serves)
        if refusal is not None:
            return refusal
        if not any(prompts_of(self.request)):
            return refuse_argument(facts, "prompt", "prompt is missing or empty")
        return None

    def answer(self, rulesets: Sequence[Ruleset], facts: Facts, state: State, inputs: AnswerInputs) -> Outcome:
        """Answer the one prompt by the rules."""
        prompts = len(facts.messages)
        if prompts > 1:
            report = f"the request has {prompts} prompts; the emulator answers one prompt in a request"
            return Outcome("error", emulator_failure(report, "several_prompts"), report=report)
        return answer(rulesets, facts, state, inputs, render_completion)


def render_completion(made: Answer, identity: Identity, facts: Facts) -> Timeline:
    """The timeline of a text completion. Raises AnswerError for calls and media, which a text cannot carry."""
    failure = made.failure
    if failure is not None and (made.fails_at_once or not facts.stream):
        return refusal_timeline(failure, made.headers)
    card = find_model(facts.model)
    matched_stop = card.matched_stop if card else None
    visible = [list(_visible_parts(choice, facts)) for choice in made.choices]
    if facts.stream:
        return stream_timeline(list(_events(made, visible, identity, matched_stop)), made.headers)
    raw = [part.body for parts in visible for part in parts if isinstance(part, RawPart)]
    if raw:
        return plain_timeline(200, JSON_TYPE, b"".join(raw), made.headers)
    choices = [
        text_choice(
            index,
            "".join(part.text for part in parts if isinstance(part, TextPart)),
            choice.finish_reason,
            matched_stop,
        )
        for index, (parts, choice) in enumerate(zip(visible, made.choices, strict=True))
    ]
    return plain_timeline(200, JSON_TYPE, dump(completion_body(choices, identity, made.usage)), made.headers)


def _visible_parts(choice: Choice, facts: Facts) -> Iterator[TextPart | RawPart | FailPart | Directive]:
    """The parts that are sent; thoughts only of models whose style puts them into the text (assumed)."""
    for part in adapt_parts(choice.parts, facts.style):
        forbid_media(part, facts.target)
        match part:
            case TextPart(is_thought=False) | RawPart() | FailPart() | Directive():
                yield part
            case CallPart():
                raise AnswerError("completions carries text, but the reply calls a tool")
            case _:
                pass


def _events(
    made: Answer,
    visible: list[list[TextPart | RawPart | FailPart | Directive]],
    identity: Identity,
    matched_stop: int | None,
) -> Iterator[Frame | Directive]:
    """One event for each piece of text, then for each choice an empty one with its finish reason; usage on the last."""
    is_raw = made.is_raw
    for index, parts in enumerate(visible):
        for part in parts:
            match part:
                case TextPart():
                    for piece in part.pieces:
                        yield Frame(completion_event(text_choice(index, piece, None, None), identity, None), len(piece))
                case RawPart():
                    yield Frame(part.written, len(part.written))
                case FailPart():
                    # As in a chat stream (observed there).
                    yield error_frame(part.refusal)
                    return
                case Directive():
                    yield part
        if not is_raw:
            finish = text_choice(index, "", made.choices[index].finish_reason, matched_stop)
            usage = made.usage if index == len(visible) - 1 else None
            yield Frame(completion_event(finish, identity, usage))
    if not is_raw:
        yield Frame(DONE)
