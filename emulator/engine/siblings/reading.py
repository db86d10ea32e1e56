"""Reading a sibling's request."""

from emulator.engine.siblings.completing import CompletionsQuestion
from emulator.engine.siblings.embedding import EmbeddingsQuestion
from emulator.engine.siblings.questions import Question
from emulator.engine.siblings.responding import ResponsesQuestion
from emulator.wire.requests import parse_shape
from emulator.wire.siblings.completions import CompletionsRequest
from emulator.wire.siblings.embeddings import EmbeddingsRequest
from emulator.wire.siblings.responses import ResponsesRequest


def read_question(method: str, body: bytes, *, strict_json: bool) -> tuple[Question, tuple[str, ...]]:
    """The question in a body, and what had to be overlooked for it. Raises MalformedRequestError."""
    match method:
        case "embeddings":
            embeddings, warnings = parse_shape(EmbeddingsRequest, body, strict_json=strict_json)
            return EmbeddingsQuestion(embeddings), warnings
        case "completions":
            completions, warnings = parse_shape(CompletionsRequest, body, strict_json=strict_json)
            return CompletionsQuestion(completions), warnings
        case _:
            responses, warnings = parse_shape(ResponsesRequest, body, strict_json=strict_json)
            return ResponsesQuestion(responses), warnings
