"""Rendering: an answer becomes a timeline, plain or streamed, with the times of its pace."""

import copy
from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile
from random import Random
from typing import Any

from emulator.engine.families import AnswerStyle
from emulator.engine.rendering.streaming import RenderOptions, stream_events
from emulator.engine.reply.parts import (
    Answer,
    CallPart,
    Choice,
    FailPart,
    MediaPart,
    Part,
    RawPart,
    TextPart,
    make_text,
)
from emulator.engine.request.facts import Facts
from emulator.engine.request.thinking import read_thinking
from emulator.engine.timeline.directives import CompiledPace, Directive
from emulator.engine.timeline.pace import AT_ONCE, apply_pace, match_duration
from emulator.engine.timeline.timeline import Timeline, plain_timeline, refusal_timeline, stream_timeline
from emulator.wire.dialects import Dialect
from emulator.wire.headers import replace_headers
from emulator.wire.responses import Identity, media, message, plain_body, plain_choice, tool_call


def render(answer: Answer, identity: Identity, facts: Facts) -> Timeline:
    """The timeline of a chat completion, in which no time passes yet."""
    failure = answer.failure
    if failure is not None and (answer.fails_at_once or not facts.stream):
        # A plain answer has sent nothing before it fails, so it fails as a whole.
        return refusal_timeline(failure, answer.headers)
    style = facts.style
    if not style.is_gemini:
        choices = tuple(replace(choice, parts=adapt_parts(choice.parts, style)) for choice in answer.choices)
        answer = replace(answer, choices=choices)
    options = render_options_of(facts)
    headers = replace_headers(style.dialect.headers, answer.headers)
    if facts.stream:
        events = stream_events(answer, identity, options, style.dialect, wants_usage=facts.wants_usage)
        return stream_timeline(events, headers)
    raw = [part.body for choice in answer.choices for part in choice.parts if isinstance(part, RawPart)]
    if raw:
        return plain_timeline(200, style.dialect.json_type, b"".join(raw), headers)
    written = [
        plain_choice(index, _message(choice, options, style.dialect), choice.finish_reason, style.dialect)
        for index, choice in enumerate(answer.choices)
    ]
    body = plain_body(written, identity, answer.usage, style.dialect)
    return plain_timeline(200, style.dialect.json_type, body, headers)


def render_options_of(facts: Facts) -> RenderOptions:
    """What the request says about how its answer is written.

    Models other than Gemini show their thoughts if they have any, and filter unless Llama Guard is turned off (documented).
    """
    style = facts.style
    if style.is_gemini:
        thinking = read_thinking(facts)
        return RenderOptions(
            include_thoughts=thinking.include_thoughts,
            thought_tag_marker=thinking.marker,
            stream_arguments=facts.google.get("stream_function_call_arguments") is True
            and (facts.card is None or facts.card.streams_arguments),
        )
    guard = facts.google.get("model_safety_settings")
    is_guarded = not isinstance(guard, dict) or guard.get("enabled") is not False
    return RenderOptions(include_thoughts=True, is_filtered=style.dialect.writes_refusal and is_guarded)


def adapt_parts(parts: tuple[Part, ...], style: AnswerStyle) -> tuple[Part, ...]:
    """The parts of a choice with thoughts where this model writes them, and ids of calls as it makes them."""
    if style.is_gemini:
        return parts
    adapted: list[Part] = []
    calls = 0
    for part in parts:
        match part:
            case TextPart(is_thought=True) if style.reasoning_in == "think_tags":
                adapted.append(make_text(("<think>", *part.pieces, "</think>")))
            case TextPart(is_thought=True) if style.reasoning_in == "open_think_tag":
                adapted.append(make_text((*part.pieces, "</think>")))
            case TextPart(is_thought=True) if style.reasoning_in == "hidden":
                pass
            case CallPart():
                call_id, signature = style.adapt_call(part.id, part.signature, part.name, calls)
                adapted.append(replace(part, id=call_id, signature=signature))
                calls += 1
            case _:
                adapted.append(part)
    return tuple(adapted)


def _message(choice: Choice, options: RenderOptions, dialect: Dialect) -> dict[str, Any]:
    texts: dict[str, str] = {}
    calls: list[dict[str, Any]] = []
    audio: dict[str, Any] | None = None
    signature: str | None = None
    for part in choice.parts:
        match part:
            case TextPart() if options.shows(part):
                key = options.key(part, choice.finish_reason)
                if key == "thought" and dialect.thought_key is None:
                    key = "content"
                texts[key] = texts.get(key, "") + "".join(options.tag(part))
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


def pace_answer(
    timeline: Timeline,
    answer: Answer,
    compiled_pace: CompiledPace,
    random: Callable[[], Random],
    render_stream: Callable[[], Timeline],
) -> Timeline:
    """The timeline of an answer with its times. A plain answer takes as long as its stream, so that is rendered too."""
    if not answer.has_directives and not compiled_pace.takes_time:
        return timeline
    if answer.fails_at_once:
        before = takewhile(lambda part: not isinstance(part, FailPart), answer.choices[0].parts)
        stream = stream_timeline([part for part in before if isinstance(part, Directive)])
        return match_duration(timeline, apply_pace(stream, AT_ONCE, 0, random))
    tokens = max(answer.usage.sum - answer.usage.prompt, 0)
    if timeline.is_stream:
        return apply_pace(timeline, compiled_pace, tokens, random)
    return match_duration(timeline, apply_pace(render_stream(), compiled_pace, tokens, random))


def as_stream(facts: Facts) -> Facts:
    """The same request, but streamed."""
    streamed = copy.copy(facts)
    streamed.stream = True
    return streamed
