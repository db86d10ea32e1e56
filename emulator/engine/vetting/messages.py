"""Checks of single messages: that there is one, known roles, no empty content."""

from itertools import islice

from emulator.engine.request.history import MODEL_ROLES, SYSTEM_ROLES, TOOL_ROLES, USER_ROLES, has_calls, is_result
from emulator.engine.request.media import media_address
from emulator.engine.vetting.context import VettingContext
from emulator.suggestions import did_you_mean, find_near, quote
from emulator.wire.errors import Refusal
from emulator.wire.requests import ChatRequest, Message, Part

MOST_KEYS = 20
"""Unknown keys of a request among which a misspelt one is looked for."""
_NON_EMPTY_ROLES = USER_ROLES | MODEL_ROLES
_ROLES = _NON_EMPTY_ROLES | SYSTEM_ROLES | TOOL_ROLES
_KNOWN_PART_TYPES = frozenset({None, "text", "image_url", "input_audio"})


def check_has_messages(context: VettingContext) -> Refusal | None:
    """Observed: Gemini needs at least one message that is no system message. Assumed: others need any message."""
    facts = context.facts
    if not facts.roles <= SYSTEM_ROLES or (facts.messages and not facts.style.is_gemini):
        return None
    found = "is empty" if not facts.messages else "holds only system messages"
    if facts.request.get("messages") is None:
        found = "is missing"
        unknown = islice((key for key in facts.request if key not in ChatRequest.__annotations__), MOST_KEYS)
        near = find_near("messages", unknown)
        if near is not None:
            explanation = f"messages is missing, and {quote(near)} is no parameter; {did_you_mean('messages')}"
            return context.refuse("contents_required", ("messages",), explanation)
    return context.refuse("contents_required", ("messages",), f"messages {found}; add a user message")


def check_messages(context: VettingContext) -> Refusal | None:
    """Observed: roles are those of the documentation; Gemini refuses empty texts, but for those of tools and the system."""
    facts = context.facts
    # The usual case without a loop over the messages.
    if all(facts.contents) and list not in facts.content_types and _ROLES.issuperset(facts.roles):
        return None
    for number, message in enumerate(facts.messages):
        role = message.get("role")
        if role not in _ROLES:
            given = "no role; give it" if role is None else f'the role "{role}"; expected'
            explanation = f"messages[{number}] has {given} user, assistant, system or tool"
            return context.refuse("bad_role", ("messages", number, "role"), explanation)
        if context.is_gemini and role in _NON_EMPTY_ROLES and not is_result(message):
            refusal = _check_content(context, number, message)
            if refusal is not None:
                return refusal
    return None


def _check_content(context: VettingContext, number: int, message: Message) -> Refusal | None:
    """Check the content of a message of the user or the model."""
    path = ("messages", number, "content")
    content = message.get("content")
    if isinstance(content, list):
        return _check_parts(context, number, message, content)
    is_model = message.get("role") in MODEL_ROLES
    if content is None:
        if is_model:
            return None
        explanation = f"messages[{number}] of the user has no content; give it a text or a list of parts"
        return context.refuse("must_have_text_parameter", path, explanation)
    if content or (is_model and has_calls(message)):
        return None
    explanation = f"the content of messages[{number}] is an empty text; leave the message out, or write something"
    return context.refuse("empty_text_parameter", path, explanation)


def _check_parts(context: VettingContext, number: int, message: Message, parts: list[Part]) -> Refusal | None:
    is_usable = has_calls(message)
    for at, part in enumerate(parts):
        is_known = part.get("type") in _KNOWN_PART_TYPES
        address = media_address(part)
        if part.get("text") == "" and address is None and is_known:
            explanation = f"messages[{number}].content[{at}] is an empty text; leave the part out, or write something"
            return context.refuse("empty_text_parameter", ("messages", number, "content", at, "text"), explanation)
        # A part of an unknown type counts as content.
        is_usable = is_usable or not is_known or bool(part.get("text")) or (address is not None and bool(address[0]))
    if is_usable:
        return None
    explanation = f"messages[{number}].content is a list in which no part has a text or media; add such a part"
    return context.refuse("must_have_text_parameter", ("messages", number, "content"), explanation)


def find_content_warnings(context: VettingContext) -> tuple[str, ...]:
    """Warn of empty contents next to tool calls: one report has them refused, yet widely used clients send them (LangChain.js)."""
    if not context.is_gemini:
        return ()
    return tuple(
        f'messages[{number}] has tool calls and the content "", which Vertex has been seen to refuse once; null is safe'
        for number, message in enumerate(context.facts.messages)
        if message.get("content") == "" and message.get("tool_calls")
    )
