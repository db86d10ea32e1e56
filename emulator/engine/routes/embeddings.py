"""Answering `POST /embeddings`: vectors made from the texts alone. Rules are asked only for failures."""

import math
import re
import struct
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final

from emulator.engine.answer import Outcome, answer
from emulator.engine.randomness import AnswerInputs
from emulator.engine.refusals import refuse, values_for
from emulator.engine.reply.parts import Answer
from emulator.engine.request.facts import Facts
from emulator.engine.request.token_estimates import estimate_tokens
from emulator.engine.routes.route import refuse_argument, refuse_model
from emulator.engine.ruleset import CompiledRule, Ruleset
from emulator.engine.session import State
from emulator.engine.timeline.timeline import Timeline, plain_timeline, refusal_timeline
from emulator.wire.errors import JSON_TYPE, Refusal
from emulator.wire.requests import ChatRequest
from emulator.wire.responses import Identity
from emulator.wire.routes.embeddings import EmbeddingsRequest, embeddings_body
from emulator.wire.usage import Usage

_WORD = re.compile(r"\w+")
_WORD_WEIGHT = 1.0
_TRIGRAM_WEIGHT = 0.3
_PLACES = 4
"""In how many dimensions each feature leaves its mark."""


def embed(text: str, dimensions: int) -> list[float]:
    """A vector of length 1, made of hashed words and trigrams of letters; its numbers are 32-bit floats.

    Nothing random and nothing of the machine is in it: only sums, a square root and a division, which are the same everywhere.
    """
    sums = [0.0] * dimensions
    for feature, weight in sorted(_features(text).items()):
        digest = blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=4 * _PLACES).digest()
        for number in struct.unpack(f"<{_PLACES}I", digest):
            # The lowest bit is the sign, so that unrelated texts are as often against each other as with each other.
            sums[(number >> 1) % dimensions] += weight if number & 1 else -weight
    length = math.sqrt(sum(one * one for one in sums))
    if length == 0.0:
        sums[0] = length = 1.0
    return list(struct.unpack(f"<{dimensions}f", struct.pack(f"<{dimensions}f", *(one / length for one in sums))))


def _features(text: str) -> dict[str, float]:
    """What a text is made of, case and spelling variants of letters aside, with how much each counts."""
    found: dict[str, float] = {}
    for feature, weight in _weighted(unicodedata.normalize("NFKC", text).casefold()):
        found[feature] = found.get(feature, 0.0) + weight
    return found


def _weighted(text: str) -> Iterator[tuple[str, float]]:
    words = _WORD.findall(text)
    if not words:
        yield f"text {text}", _WORD_WEIGHT
    for word in words:
        yield f"word {word}", _WORD_WEIGHT
        framed = f" {word} "
        for start in range(len(framed) - 2):
            yield f"letters {framed[start : start + 3]}", _TRIGRAM_WEIGHT


DIMENSIONS: Final = {
    "intfloat/multilingual-e5-small-maas": 384,
    "intfloat/multilingual-e5-large-instruct-maas": 1024,
}
"""How long each model's vectors are (documented)."""
_DEFAULT_DIMENSIONS: Final = 384
"""For other models, where vetting lets them pass."""
MOST_TOKENS: Final = 512
"""The longest input (documented), in tokens, which the emulator estimates."""
_NAMING: Final = frozenset({"model", "publisher"})


@dataclass(frozen=True, slots=True)
class EmbeddingsQuestion:
    """A request for vectors."""

    asked: EmbeddingsRequest

    @property
    def inputs(self) -> list[tuple[str, int]]:
        """Each text with its number of tokens; token ids are written as numbers, which makes a text of them."""
        given = self.asked.get("input", [])
        if isinstance(given, str):
            return [(given, estimate_tokens(given))]
        if given and isinstance(given[0], int):
            return [(_write(given), len(given))]
        return [
            (one, estimate_tokens(one)) if isinstance(one, str) else (_write(one), len(one))
            for one in given
            if not isinstance(one, int)
        ]

    @property
    def chat(self) -> ChatRequest:
        """Each text as a user's message."""
        return {
            "model": self.asked.get("model"),
            "messages": [{"role": "user", "content": text} for text, _ in self.inputs],
        }

    def vet(self, facts: Facts) -> Refusal | None:
        """Model, input and format; the limit is documented, the texts are assumed."""
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
        encoding = self.asked.get("encoding_format")
        if encoding not in {None, "float", "base64"}:
            return refuse_argument(
                facts, "encoding_format", f'encoding_format is "{encoding}"; expected float or base64'
            )
        return None

    def answer(self, rulesets: Sequence[Ruleset], facts: Facts, state: State, inputs: AnswerInputs) -> Outcome:
        """The vectors, unless a rule that names the model has a failure for this use.

        A rule that names no model is meant for conversations: it must neither be used up by a request for vectors nor
        turn it into a miss.
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

    def _vectors(self, facts: Facts, headers: tuple[tuple[str, str], ...]) -> Timeline:
        vectors = [embed(text, DIMENSIONS.get(facts.model, _DEFAULT_DIMENSIONS)) for text, _ in self.inputs]
        tokens = sum(tokens for _, tokens in self.inputs)
        is_packed = self.asked.get("encoding_format") == "base64"
        return plain_timeline(200, JSON_TYPE, embeddings_body(vectors, facts.model, tokens, base64=is_packed), headers)


def _write(tokens: Sequence[int | str | list[int]]) -> str:
    return " ".join(map(str, tokens))


def _names_model(rule: CompiledRule) -> bool:
    return any(condition.field in _NAMING for condition in rule.conditions)
