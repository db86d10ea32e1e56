"""Routes other than chat completions: what a handler offers, and which handler reads which method.

To add a route: its bodies in `wire/routes/`, a handler here in `routes/`, and a case in `read_route`.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from emulator.engine.answer import Outcome
from emulator.engine.randomness import AnswerInputs
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import Ruleset
from emulator.engine.session import State
from emulator.wire.errors import Refusal
from emulator.wire.requests import ChatRequest, parse_shape

AnswerFunction = Callable[[Sequence[Ruleset], Facts, State, AnswerInputs], Outcome]
"""Answers a vetted request."""


class RouteHandler(Protocol):
    """A request that was read, of any route."""

    @property
    def chat(self) -> ChatRequest:
        """The equivalent chat request, which rules are matched against."""
        ...

    def vet(self, facts: Facts) -> Refusal | None:
        """What Vertex would refuse."""
        ...

    def answer(self, rulesets: Sequence[Ruleset], facts: Facts, state: State, inputs: AnswerInputs) -> Outcome:
        """The answer, in the shape of the route."""
        ...


def read_route(method: str, body: bytes, *, strict_json: bool) -> tuple[RouteHandler, tuple[str, ...]]:
    """Read a request's body; also returns the warnings of what was tolerated in it. Raises MalformedRequestError."""
    # Each route is imported when it is first used: most servers only ever see chat completions.
    match method:
        case "embeddings":
            from emulator.engine.routes.embeddings import EmbeddingsHandler  # noqa: PLC0415  # see the comment
            from emulator.wire.routes.embeddings import EMBEDDINGS_REQUEST  # noqa: PLC0415  # see the comment

            embeddings, warnings = parse_shape(EMBEDDINGS_REQUEST, body, strict_json=strict_json)
            return EmbeddingsHandler(embeddings), warnings
        case "completions":
            from emulator.engine.routes.completions import CompletionsHandler  # noqa: PLC0415  # see the comment
            from emulator.wire.routes.completions import COMPLETIONS_REQUEST  # noqa: PLC0415  # see the comment

            completions, warnings = parse_shape(COMPLETIONS_REQUEST, body, strict_json=strict_json)
            return CompletionsHandler(completions), warnings
        case _:
            from emulator.engine.routes.responses import ResponsesHandler  # noqa: PLC0415  # see the comment
            from emulator.wire.routes.responses import RESPONSES_REQUEST  # noqa: PLC0415  # see the comment

            responses, warnings = parse_shape(RESPONSES_REQUEST, body, strict_json=strict_json)
            return ResponsesHandler(responses), warnings
