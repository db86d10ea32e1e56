"""How a client takes streams: whether it reads them to their end and notices when there is none."""

from collections.abc import Iterator, Sequence

from emulator.engine.request.history import MODEL_ROLES, text_of
from emulator.verdicts.observation import Finding, Observation


def find_taken_for_complete(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Texts of streams that stopped in the middle, sent back as messages of the model."""
    cut: dict[str, int] = {}
    for one in observations:
        for message in one.messages:
            text = text_of(message).strip()
            if message.get("role") in MODEL_ROLES and text in cut:
                sentence = "the text of a stream that broke off came back as a message of the assistant"
                yield Finding((cut.pop(text), one.number), sentence)
        for text in one.answer.texts:
            if one.is_truncated:
                cut[text] = one.number
            else:
                # Whoever was given the same text whole may send it back.
                cut.pop(text, None)


def find_unread(observations: Sequence[Observation]) -> Iterator[Finding]:
    """Answers whose client left before their end."""
    for one in observations:
        if one.client_left:
            yield Finding((one.number,), "the client closed the connection before the answer's end")
