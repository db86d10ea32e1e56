"""What a check is given: the request, and how strictly it is looked at."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, NamedTuple

from emulator.catalogue.quirks import QuirkName
from emulator.engine.refusals import refuse, values_for
from emulator.engine.request.facts import Facts
from emulator.engine.request.history import TOOL_ROLES, Turn, read_turns
from emulator.wire.errors import Refusal
from emulator.wire.requests import Part, write_place

KnownModels = Literal["any", "known"]
"""Which models are answered: any, or only those that the catalogue knows."""
_OF_CALLS = frozenset({"tool_calls", "tool_call_id", "function_call"})
Keys = tuple[int | str, ...]
"""The way from the top of the request to a place in it."""


class Policy(NamedTuple):
    """What the server and its scenario decide about vetting."""

    models: KnownModels = "any"
    seed: str | None = None
    """What thought signatures are made and recognised with."""
    signatures: frozenset[str] = frozenset()
    """Thought signatures that the scenario writes itself, which therefore pass."""
    quirks: frozenset[QuirkName] = frozenset()
    """The quirks that hold for the request whatever rule answers, profiles expanded."""


DEFAULT_POLICY = Policy()


class Case:
    """A request before its checks; what several of them need is worked out once."""

    def __init__(self, facts: Facts, policy: Policy) -> None:
        self.facts = facts
        self.policy = policy
        self.is_gemini = facts.gemini is not None
        """Whether this is a Gemini on the shared endpoint; other models bring checks of their own, which are not known."""
        self.may_have_calls = not (_OF_CALLS.isdisjoint(facts.message_keys) and TOOL_ROLES.isdisjoint(facts.roles))
        """Whether there may be tool calls or their results in the conversation."""

    def is_before(self, generation: float) -> bool:
        """Whether this is a Gemini of an earlier generation."""
        return self.facts.gemini is not None and self.facts.gemini < generation

    @cached_property
    def turns(self) -> list[Turn]:
        """The turns of the conversation."""
        return read_turns(self.facts.messages)

    @cached_property
    def media_parts(self) -> list[tuple[Keys, Part]]:
        """The parts of messages, with their places, that are no plain text."""
        return [
            (("messages", number, "content", at), part)
            for number, message in enumerate(self.facts.messages if self.facts.may_enclose else ())
            if isinstance(content := message.get("content"), list)
            for at, part in enumerate(content)
            if part.get("image_url") is not None or part.get("input_audio") is not None
        ]

    def refuse(
        self,
        name: str,
        keys: Keys,
        explanation: str,
        *,
        message: str | None = None,
        details: list[dict[str, Any]] | None = None,
        **values: object,
    ) -> Refusal:
        """The refusal of the catalogue's entry, because of what stands at a place; `values` fill its placeholders."""
        known = values_for(self.facts.target, self.facts.model)
        known |= {key: str(value) for key, value in values.items()}
        return refuse(name, known, place=write_place(keys), explanation=explanation, message=message, details=details)


CaseCheck = Callable[[Case], Refusal | None]
"""One check, which looks at one thing."""
