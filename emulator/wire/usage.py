"""The `usage` block."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of an answer; reasoning is outside completion and inside the total (documented: seed)."""

    prompt: int
    completion: int
    reasoning: int = 0
    cached: int = 0
    total: int | None = None
    traffic: str = "ON_DEMAND"

    @property
    def sum(self) -> int:
        """`total_tokens`: what was said, else prompt, completion and reasoning together."""
        return self.prompt + self.completion + self.reasoning if self.total is None else self.total

    def to_wire(self) -> dict[str, Any]:
        """The block with its keys in wire order; details are absent where they would be zero (documented)."""
        block: dict[str, Any] = {"completion_tokens": self.completion}
        if self.reasoning:
            block["completion_tokens_details"] = {"reasoning_tokens": self.reasoning}
        block["extra_properties"] = {"google": {"traffic_type": self.traffic}}
        block["prompt_tokens"] = self.prompt
        if self.cached:
            block["prompt_tokens_details"] = {"cached_tokens": self.cached}
        block["total_tokens"] = self.sum
        return block
