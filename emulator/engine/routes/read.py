"""Reading a sibling's request."""

from emulator.engine.routes.completions import CompletionsQuestion
from emulator.engine.routes.embeddings import EmbeddingsQuestion
from emulator.engine.routes.responses import ResponsesQuestion
from emulator.engine.routes.route import Question
from emulator.wire.requests import parse_shape
from emulator.wire.routes.completions import CompletionsRequest
from emulator.wire.routes.embeddings import EmbeddingsRequest
from emulator.wire.routes.responses import ResponsesRequest


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
