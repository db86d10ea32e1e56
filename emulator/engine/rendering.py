"""Rendering: an answer becomes a timeline, plain or streamed. Above this module nobody needs to know which."""

from typing import Any

from emulator.engine.facts import Facts
from emulator.engine.parts import Answer, CallPart, Choice, MediaPart, RawPart, TextPart
from emulator.engine.streaming import Manner, stream_events
from emulator.engine.timeline import Timeline, plain_timeline, refusal_timeline, stream_timeline
from emulator.wire.refusals import JSON_TYPE
from emulator.wire.replies import Identity, media, message, plain_body, plain_choice, tool_call


def manner_of(facts: Facts) -> Manner:
    """What the request says about how it wants its answer."""
    thinking = facts.google.get("thinking_config") or facts.google.get("thinkingConfig")
    options = thinking if isinstance(thinking, dict) else {}
    marker = facts.google.get("thought_tag_marker")
    return Manner(
        include_thoughts=bool(options.get("include_thoughts") or options.get("includeThoughts")),
        thought_tag_marker=marker if isinstance(marker, str) and marker else None,
        stream_arguments=facts.google.get("stream_function_call_arguments") is True,
    )


def render(answer: Answer, identity: Identity, facts: Facts) -> Timeline:
    """The timeline of an answer."""
    failure = answer.failure
    if failure is not None and (answer.fails_at_once or not facts.stream):
        # A plain answer has said nothing yet when it fails, so it fails as a whole.
        return refusal_timeline(failure, answer.headers)
    manner = manner_of(facts)
    if facts.stream:
        return stream_timeline(stream_events(answer, identity, manner), answer.headers)
    return _plain(answer, identity, manner)


def _plain(answer: Answer, identity: Identity, manner: Manner) -> Timeline:
    raw = [part.body for choice in answer.choices for part in choice.parts if isinstance(part, RawPart)]
    if raw:
        return plain_timeline(200, JSON_TYPE, b"".join(raw), answer.headers)
    choices = [
        plain_choice(index, _message(choice, manner), choice.finish_reason)
        for index, choice in enumerate(answer.choices)
    ]
    return plain_timeline(200, JSON_TYPE, plain_body(choices, identity, answer.usage), answer.headers)


def _message(choice: Choice, manner: Manner) -> dict[str, Any]:
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    audio: dict[str, Any] | None = None
    signature: str | None = None
    for part in choice.parts:
        match part:
            case TextPart():
                if manner.shows(part):
                    texts += manner.mark(part)
            case CallPart():
                calls.append(
                    tool_call(arguments=part.arguments, name=part.name, call_id=part.id, signature=part.signature)
                )
            case MediaPart():
                audio, signature = media(part.data, part.mime_type), part.signature
            case _:
                pass
    content = "".join(texts) if texts else None
    return message(content=content, tool_calls=calls, audio=audio, signature=signature)
