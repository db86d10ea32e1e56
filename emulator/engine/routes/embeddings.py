"""`POST /embeddings`: deterministic vectors of hashed words and letters; rules can only make it fail."""

import math
import re
import struct
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final

from emulator.engine.answer import Outcome, answer
from emulator.engine.error_answers import refuse, values_for
from emulator.engine.randomness import AnswerInputs
from emulator.engine.reply.parts import Answer
from emulator.engine.request.facts import Facts
from emulator.engine.request.token_estimates import estimate_tokens
from emulator.engine.routes.vetting import refuse_argument, refuse_model
from emulator.engine.ruleset import CompiledRule, Ruleset
from emulator.engine.session import State
from emulator.engine.timeline.timeline import Timeline, plain_timeline, refusal_timeline
from emulator.wire.errors import JSON_TYPE, Refusal
from emulator.wire.headers import Headers
from emulator.wire.requests import ChatRequest
from emulator.wire.responses import Identity
from emulator.wire.routes.embeddings import EmbeddingsRequest, embeddings_body
from emulator.wire.usage import Usage

_WORD = re.compile(r"\w+")
_WORD_WEIGHT = 1.0
_TRIGRAM_WEIGHT = 0.3
_PLACES = 4
"""How many dimensions each feature adds to."""


def embed(text: str, dimensions: int) -> list[float]:
    """A vector of length 1 by feature hashing of words and letter trigrams; its numbers are 32-bit floats.

    It is the same on every machine: only sums, a square root and a division are used.
    """
    sums = [0.0] * dimensions
    for feature, weight in sorted(_features(text).items()):
        digest = blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=4 * _PLACES).digest()
        for number in struct.unpack(f"<{_PLACES}I", digest):
            # The lowest bit is the sign, so that the dot products of unrelated texts average zero.
            sums[(number >> 1) % dimensions] += weight if number & 1 else -weight
    length = math.sqrt(sum(one * one for one in sums))
    if length == 0.0:
        sums[0] = length = 1.0
    return list(struct.unpack(f"<{dimensions}f", struct.pack(f"<{dimensions}f", *(one / length for one in sums))))


def _features(text: str) -> dict[str, float]:
    """The weight of each feature of a text, after case folding and Unicode normalization."""
    text = unicodedata.normalize("NFKC", text).casefold()
    words = _WORD.findall(text)
    found: defaultdict[str, float] = defaultdict(float)
    if not words:
        found[f"text {text}"] = _WORD_WEIGHT
    for word in words:
        found[f"word {word}"] += _WORD_WEIGHT
        padded = f" {word} "
        for start in range(len(padded) - 2):
            found[f"letters {padded[start : start + 3]}"] += _TRIGRAM_WEIGHT
    return found


DIMENSIONS: Final = {
    "intfloat/multilingual-e5-small-maas": 384,
    "intfloat/multilingual-e5-large-instruct-maas": 1024,
}
"""The dimensions of each model's vectors (documented)."""
_DEFAULT_DIMENSIONS: Final = 384
"""For other models, where vetting is off."""
MOST_TOKENS: Final = 512
"""The longest input (documented), in tokens, which the emulator estimates."""
_MODEL_CONDITIONS: Final = frozenset({"model", "publisher"})


@dataclass(frozen=True, slots=True)
class EmbeddingsHandler:
    """Handler of an embeddings request."""

    request: EmbeddingsRequest

    @property
    def inputs(self) -> list[tuple[str, int]]:
        """Each text with its number of tokens; token ids become a text of decimal numbers."""
        given = self.request.get("input", [])
        if isinstance(given, str):
            return [(given, estimate_tokens(given))]
        if given and isinstance(given[0], int):
            return [(_ids_as_text(given), len(given))]
        return [
            (one, estimate_tokens(one)) if isinstance(one, str) else (_ids_as_text(one), len(one))
            for one in given
            if not isinstance(one, int)
        ]

    @property
    def chat(self) -> ChatRequest:
        """A chat request with each text as a user message."""
        return {
            "model": self.request.get("model"),
            "messages": [{"role": "user", "content": text} for text, _ in self.inputs],
        }

    def vet(self, facts: Facts) -> Refusal | None:
        """Check model, input and format; the limit is documented, the texts are assumed.

        Observed: Google's own embedding models, with their publisher or without, are an internal error.
        """
        name = facts.model.rpartition("/")[2]
        if facts.publisher in {"", "google"} and "embedding" in name:
            explanation = (
                f'model is "{facts.model}"; Google\'s own embedding models fail here, use their predict method'
            )
            return refuse("internal", values_for(facts.target), place="model", explanation=explanation)
        refusal = refuse_model(facts, families={"embeddings"}, serves=" and ".join(DIMENSIONS))
        if refusal is not None:
            return refusal
        if facts.model not in DIMENSIONS:
            return refuse(
                "publisher_model_not_found",
                values_for(facts.target, facts.model),
                place="model",
                explanation=f'model is "{facts.model}"; embeddings serves {" and ".join(DIMENSIONS)}',
            )
        if not self.inputs:
            return refuse_argument(facts, "input", "input is missing or empty")
        for index, (_, tokens) in enumerate(self.inputs):
            if tokens > MOST_TOKENS:
                return refuse_argument(
                    facts, f"input[{index}]", f"the input has about {tokens} tokens; the model reads {MOST_TOKENS}"
                )
        encoding = self.request.get("encoding_format")
        if encoding not in {None, "float", "base64"}:
            return refuse_argument(
                facts, "encoding_format", f'encoding_format is "{encoding}"; expected float or base64'
            )
        return None

    def answer(self, rulesets: Sequence[Ruleset], facts: Facts, state: State, inputs: AnswerInputs) -> Outcome:
        """The vectors, unless a rule that names the model fails this request.

        A rule that names no model is meant for chat: an embeddings request neither counts as a use of it nor becomes a miss.
        """
        naming = [
            replace(ruleset, indexes=tuple(index.narrow(_names_model) for index in ruleset.indexes))
            for ruleset in rulesets
        ]
        usage = Usage(prompt=sum(tokens for _, tokens in self.inputs), completion=0)
        outcome = answer(naming, facts, state, inputs, self._render)
        if outcome.result == "miss":
            return Outcome("answer", self._vectors(facts, ()), usage=usage)
        answered = outcome.result == "answer" and outcome.refusal is None
        return outcome._replace(usage=usage) if answered else outcome

    def _render(self, made: Answer, _identity: Identity, facts: Facts) -> Timeline:
        failure = made.failure
        return refusal_timeline(failure, made.headers) if failure else self._vectors(facts, made.headers)

    def _vectors(self, facts: Facts, headers: Headers) -> Timeline:
        vectors = [embed(text, DIMENSIONS.get(facts.model, _DEFAULT_DIMENSIONS)) for text, _ in self.inputs]
        tokens = sum(tokens for _, tokens in self.inputs)
        is_packed = self.request.get("encoding_format") == "base64"
        return plain_timeline(200, JSON_TYPE, embeddings_body(vectors, facts.model, tokens, base64=is_packed), headers)


def _ids_as_text(tokens: Sequence[int | str | list[int]]) -> str:
    return " ".join(map(str, tokens))


def _names_model(rule: CompiledRule) -> bool:
    return any(condition.field in _MODEL_CONDITIONS for condition in rule.conditions)
