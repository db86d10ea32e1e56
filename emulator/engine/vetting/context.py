"""What every check gets: the request, the policy it is vetted under, and views of the messages that several checks need."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, NamedTuple

from emulator.catalogue.quirks import QuirkName
from emulator.engine.error_answers import refuse, values_for
from emulator.engine.request.facts import Facts
from emulator.engine.request.history import TOOL_ROLES, ContentBlock, read_blocks
from emulator.wire.errors import Refusal
from emulator.wire.requests import Part, write_place

KnownModels = Literal["any", "known"]
"""Which models are answered: any, or only those that the catalogue knows."""
JsonPath = tuple[int | str, ...]
"""Keys and indexes from the top of the request to a value in it."""
_CALL_KEYS = frozenset({"tool_calls", "tool_call_id", "function_call"})


class VettingPolicy(NamedTuple):
    """The settings of the server and its scenarios that decide what is refused."""

    models: KnownModels = "any"
    seed: str | None = None
    """The seed that thought signatures are made with."""
    signatures: frozenset[str] = frozenset()
    """Thought signatures that the scenario writes itself, which therefore pass."""
    quirks: frozenset[QuirkName] = frozenset()
    """The quirks that hold for the request whatever rule answers, profiles expanded."""
    is_global_host: bool = False
    """Whether the request came to `aiplatform.googleapis.com`, where models of the global location are found under any path."""
    has_endpoints: bool = False
    """Whether the scenario declares its deployed endpoints, so that others are refused."""


class VettingContext:
    """One request under one policy."""

    def __init__(self, facts: Facts, policy: VettingPolicy) -> None:
        self.facts = facts
        self.policy = policy
        self.is_gemini = facts.gemini is not None
        """Whether this is a Gemini on the shared endpoint; what other models refuse is mostly unknown."""
        self.may_have_calls = not (_CALL_KEYS.isdisjoint(facts.message_keys) and TOOL_ROLES.isdisjoint(facts.roles))
        """Whether there may be tool calls or their results in the history."""

    def is_before(self, generation: float) -> bool:
        """Whether this is a Gemini of an earlier generation."""
        return self.facts.gemini is not None and self.facts.gemini < generation

    @cached_property
    def blocks(self) -> list[ContentBlock]:
        """The content blocks of the history."""
        return read_blocks(self.facts.messages)

    @cached_property
    def media_parts(self) -> list[tuple[JsonPath, Part]]:
        """The content parts with media, and their paths."""
        return [
            (("messages", number, "content", at), part)
            for number, message in enumerate(self.facts.messages if self.facts.may_have_media else ())
            if isinstance(content := message.get("content"), list)
            for at, part in enumerate(content)
            if part.get("image_url") is not None or part.get("input_audio") is not None
        ]

    def refuse(
        self,
        name: str,
        path: JsonPath,
        explanation: str,
        *,
        message: str | None = None,
        details: list[dict[str, Any]] | None = None,
        **values: object,
    ) -> Refusal:
        """The refusal of the catalogue's entry `name` for the value at `path`; `values` fill the entry's placeholders."""
        known = values_for(self.facts.target, self.facts.model)
        known |= {key: str(value) for key, value in values.items()}
        return refuse(name, known, place=write_place(path), explanation=explanation, message=message, details=details)


Check = Callable[[VettingContext], Refusal | None]
"""One check; None where it finds nothing wrong."""
