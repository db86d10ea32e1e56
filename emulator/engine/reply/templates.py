"""Context of a reply and its templates: the request, captures, random generator and time, and filling texts from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from emulator.budget import Budget
from emulator.catalogue.quirks import QuirkName
from emulator.engine.fake import Fake
from emulator.engine.randomness import AnswerInputs, SeededRandom
from emulator.engine.request.facts import Facts
from emulator.scenario.rules import Usage
from emulator.scenario.templates.prices import new_budget
from emulator.scenario.templates.template import compile_template, is_template
from emulator.wire.json_text import parse_or_text

if TYPE_CHECKING:
    from emulator.engine.sampling.sampler import Sampling

_MOST_WARNINGS = 3


@dataclass(frozen=True)
class Request:
    """The inputs of a reply that all of its choices share."""

    facts: Facts
    captures: Mapping[str, str]
    use: int
    rng: SeededRandom
    inputs: AnswerInputs
    quirks: frozenset[QuirkName] = frozenset()
    """The active quirks, of the rule and of the overrides."""

    @cached_property
    def sampling(self) -> "Sampling":
        """The budget and warnings of the values that the request's schemas make; `auto` steps share it."""
        from emulator.engine.sampling.sampler import Sampling  # noqa: PLC0415  # only `auto` needs it

        return Sampling(is_short=self.facts.is_short)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the request's schemas the values made for them are not held to."""
        sampling: Sampling | None = self.__dict__.get("sampling")
        return () if sampling is None else tuple(dict.fromkeys(sampling.warnings))[:_MOST_WARNINGS]

    @cached_property
    def budget(self) -> Budget:
        """The work that all templates of the answer may do together."""
        return new_budget(is_short=self.facts.is_short)

    @cached_property
    def variables(self) -> dict[str, Any]:
        """The template variables that all choices share."""
        facts = self.facts
        results = [parse_or_text(text) for text in facts.tool_results]
        named = {
            "api_version": facts.target.api_version,
            "captures": dict(self.captures),
            "endpoint": facts.target.endpoint,
            "last_user": facts.last_user or "",
            "location": facts.target.location,
            "messages": facts.messages,
            "model": facts.model,
            "now": datetime.fromtimestamp(self.inputs.moment, UTC),
            "project": facts.target.project,
            "publisher": facts.publisher,
            "request": facts.request,
            "stream": facts.stream,
            "system": facts.system or "",
            "tool_results": results,
            "tools": [name for name, _, _ in facts.tools],
            "turn": facts.turn,
            "use": self.use,
        }
        if results:
            named["tool_result"] = results[-1]
        return {**self.captures, **named}


@dataclass(slots=True)
class Context:
    """The state of composing one choice."""

    request: Request
    choice: int
    calls: int = 0
    """The number of tool calls in the choice so far."""
    usage: Usage | None = None
    """Token counts that the reply brings along: those of the default scenario."""
    _variables: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def facts(self) -> Facts:
        """The request's facts."""
        return self.request.facts

    def variables(self) -> dict[str, Any]:
        """All template variables of this choice."""
        if self._variables is None:
            self._variables = {
                **self.request.variables,
                "choice": self.choice,
                "fake": Fake(partial(self.request.rng.random, "fake", str(self.choice))),
                "uuid": _uuid_maker(self.request.rng, self.choice),
            }
        return self._variables


def _uuid_maker(rng: SeededRandom, choice: int) -> Callable[[], str]:
    """The template variable `uuid` of a choice. It does not hold the context: a cycle would keep the request until a garbage collection."""
    made = iter(range(1_000_000))
    return lambda: str(UUID(int=rng.id_bits(128, "uuid", choice, next(made)), version=4))


def fill_text(text: str, context: Context) -> str:
    """Fill in a text's template. Raises TemplateError."""
    return compile_template(text).render(context.variables(), context.request.budget) if is_template(text) else text


def fill_value(value: Any, context: Context) -> Any:
    """Fill in all templates in a JSON value; a string that is a single expression becomes the value itself. Raises TemplateError."""
    match value:
        case str():
            return (
                compile_template(value).evaluate(context.variables(), context.request.budget)
                if is_template(value)
                else value
            )
        case dict():
            return {key: fill_value(one, context) for key, one in value.items()}
        case list():
            return [fill_value(one, context) for one in value]
        case _:
            return value
