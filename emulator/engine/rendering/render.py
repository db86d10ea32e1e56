"""Rendering: an answer becomes a timeline, plain or streamed. Above this module nobody needs to know which."""

from dataclasses import replace
from typing import Any

from emulator.engine.rendering.streaming import RenderOptions, stream_events
from emulator.engine.reply.parts import Answer, CallPart, Choice, MediaPart, RawPart, TextPart
from emulator.engine.request.facts import Facts
from emulator.engine.request.thinking import read_thinking
from emulator.engine.timeline.timeline import Timeline, plain_timeline, refusal_timeline, stream_timeline
from emulator.wire.dialects import Dialect
from emulator.wire.errors import JSON_TYPE
from emulator.wire.responses import Identity, media, message, plain_body, plain_choice, tool_call


def render_options_of(facts: Facts) -> RenderOptions:
    """What the request says about how it wants its answer."""
    thinking = read_thinking(facts)
    return RenderOptions(
        include_thoughts=thinking.include_thoughts,
        thought_tag_marker=thinking.marker,
        stream_arguments=facts.google.get("stream_function_call_arguments") is True,
    )


def render(answer: Answer, identity: Identity, facts: Facts) -> Timeline:
    """The timeline of an answer."""
    failure = answer.failure
    if failure is not None and (answer.fails_at_once or not facts.stream):
        # A plain answer has said nothing yet when it fails, so it fails as a whole.
        return refusal_timeline(failure, answer.headers)
    style = facts.style
    if style.is_gemini:
        manner = render_options_of(facts)
    else:
        choices = tuple(replace(choice, parts=style.put(choice.parts)) for choice in answer.choices)
        answer, manner = replace(answer, choices=choices), _open_model_options(facts)
    if facts.stream:
        events = stream_events(answer, identity, manner, style.dialect, wants_usage=facts.wants_usage)
        return stream_timeline(events, answer.headers)
    return _plain(answer, identity, manner, style.dialect)


def _open_model_options(facts: Facts) -> RenderOptions:
    """How models of others answer: with their thoughts, if they have any; filtered, unless Llama Guard is turned off (documented)."""
    guard = facts.google.get("model_safety_settings")
    is_on = not isinstance(guard, dict) or guard.get("enabled") is not False
    return RenderOptions(include_thoughts=True, refuses=facts.style.dialect.refuses and is_on)


def _plain(answer: Answer, identity: Identity, manner: RenderOptions, dialect: Dialect) -> Timeline:
    raw = [part.body for choice in answer.choices for part in choice.parts if isinstance(part, RawPart)]
    if raw:
        return plain_timeline(200, JSON_TYPE, b"".join(raw), answer.headers)
    choices = [
        plain_choice(index, _message(choice, manner, dialect), choice.finish_reason, dialect)
        for index, choice in enumerate(answer.choices)
    ]
    return plain_timeline(200, JSON_TYPE, plain_body(choices, identity, answer.usage, dialect), answer.headers)


def _message(choice: Choice, manner: RenderOptions, dialect: Dialect) -> dict[str, Any]:
    texts: dict[str, str] = {}
    calls: list[dict[str, Any]] = []
    audio: dict[str, Any] | None = None
    signature: str | None = None
    for part in choice.parts:
        match part:
            case TextPart() if manner.shows(part):
                key = manner.key(part, choice.finish_reason)
                if key == "thought" and dialect.thought is None:
                    key = "content"
                texts[key] = texts.get(key, "") + "".join(manner.mark(part))
            case CallPart():
                calls.append(
                    tool_call(arguments=part.arguments, name=part.name, call_id=part.id, signature=part.signature)
                )
            case MediaPart():
                audio, signature = media(part.data, part.mime_type), part.signature
            case _:
                pass
    return message(
        dialect=dialect,
        content=texts.get("content"),
        thought=texts.get("thought"),
        refusal=texts.get("refusal"),
        tool_calls=calls,
        audio=audio,
        signature=signature,
    )
