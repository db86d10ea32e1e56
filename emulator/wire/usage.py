"""The `usage` block, as each kind of model server writes it."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Usage(NamedTuple):
    """Token counts of an answer; reasoning is outside completion and inside the total (documented: seed).

    Where a model counts its thoughts in completion, `total` says so.
    """

    prompt: int
    completion: int
    reasoning: int = 0
    cached: int = 0
    total: int | None = None
    traffic: str = "ON_DEMAND"

    @property
    def sum(self) -> int:
        """`total_tokens`: as given, else prompt, completion and reasoning together."""
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

    def to_sglang(self) -> dict[str, Any]:
        """As SGLang-type models write it: details that are null, and `reasoning_tokens` that is 0 although thoughts are billed (documented)."""
        return {
            "completion_tokens": self.completion,
            "extra_properties": self._traffic(),
            "prompt_tokens": self.prompt,
            "prompt_tokens_details": {"cached_tokens": self.cached} if self.cached else None,
            "reasoning_tokens": self.reasoning,
            "total_tokens": self.sum,
        }

    def to_gemma(self) -> dict[str, Any]:
        """As Gemma writes it: as SGLang, but without `reasoning_tokens` (documented)."""
        block = self.to_sglang()
        del block["reasoning_tokens"]
        return block

    def to_grok(self) -> dict[str, Any]:
        """As Grok writes it: all details, always (keys documented, numbers estimated).

        Assumed: the whole prompt is text; 10,000,000,000 ticks are a dollar, at 2 dollars for a million tokens of input and 6 for
        one of output.
        """
        return {
            "completion_tokens": self.completion,
            "completion_tokens_details": {
                "accepted_prediction_tokens": 0,
                "audio_tokens": 0,
                "reasoning_tokens": self.reasoning,
                "rejected_prediction_tokens": 0,
            },
            "cost_in_usd_ticks": 20_000 * self.prompt + 60_000 * (self.completion + self.reasoning),
            "extra_properties": self._traffic(),
            "num_sources_used": 0,
            "prompt_tokens": self.prompt,
            "prompt_tokens_details": {
                "audio_tokens": 0,
                "cached_tokens": self.cached,
                "image_tokens": 0,
                "text_tokens": self.prompt,
            },
            "total_tokens": self.sum,
        }

    def to_counts(self) -> dict[str, Any]:
        """The three counts alone, as on the generic page of open models (documented) and from TGI (observed)."""
        return {"prompt_tokens": self.prompt, "completion_tokens": self.completion, "total_tokens": self.sum}

    def to_vllm(self) -> dict[str, Any]:
        """As vLLM writes it (its source: `UsageInfo`); details are null unless its server was told to give them."""
        return {**self.to_counts(), "prompt_tokens_details": None}

    def _traffic(self) -> dict[str, Any]:
        return {"google": {"traffic_type": self.traffic}}


UsageWriter = Callable[[Usage], dict[str, Any]]
"""Writes a `usage` block in one format."""
