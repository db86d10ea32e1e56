"""Reading a sibling's request."""

from emulator.engine.routes.completions import CompletionsQuestion
from emulator.engine.routes.embeddings import EmbeddingsQuestion
from emulator.engine.routes.responses import ResponsesQuestion
from emulator.engine.routes.route import Question
from emulator.wire.requests import parse_shape
from emulator.wire.routes.completions import COMPLETIONS_REQUEST
from emulator.wire.routes.embeddings import EMBEDDINGS_REQUEST
from emulator.wire.routes.responses import RESPONSES_REQUEST


def read_question(method: str, body: bytes, *, strict_json: bool) -> tuple[Question, tuple[str, ...]]:
    """The question in a body, and what had to be overlooked for it. Raises MalformedRequestError."""
    match method:
        case "embeddings":
            embeddings, warnings = parse_shape(EMBEDDINGS_REQUEST, body, strict_json=strict_json)
            return EmbeddingsQuestion(embeddings), warnings
        case "completions":
            completions, warnings = parse_shape(COMPLETIONS_REQUEST, body, strict_json=strict_json)
            return CompletionsQuestion(completions), warnings
        case _:
            responses, warnings = parse_shape(RESPONSES_REQUEST, body, strict_json=strict_json)
            return ResponsesQuestion(responses), warnings
