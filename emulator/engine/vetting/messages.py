"""Messages one by one: that there are some, their roles, that none is empty."""

from emulator.engine.request.history import MODEL_ROLES, SYSTEM_ROLES, TOOL_ROLES, USER_ROLES, has_calls, is_result
from emulator.engine.request.media import media_address
from emulator.engine.vetting.case import Case
from emulator.wire.errors import Refusal
from emulator.wire.requests import Message, Part

_SPOKEN = USER_ROLES | MODEL_ROLES
_ROLES = _SPOKEN | SYSTEM_ROLES | TOOL_ROLES
_PLAIN_PARTS = frozenset({None, "text", "image_url", "input_audio"})


def check_contents(case: Case) -> Refusal | None:
    """Observed: at least one message that is no system message is needed."""
    facts = case.facts
    if not facts.roles <= SYSTEM_ROLES:
        return None
    found = "is empty" if not facts.messages else "holds only system messages"
    if facts.request.get("messages") is None:
        found = "is missing"
    return case.refuse("contents_required", ("messages",), f"messages {found}; add a user message")


def check_messages(case: Case) -> Refusal | None:
    """Observed: roles are those of the documentation; Gemini refuses empty texts, but for those of tools and the system."""
    facts, is_gemini = case.facts, case.is_gemini
    # What is wrong with none of them need not be looked for in each.
    if all(facts.contents) and list not in facts.content_types and _ROLES.issuperset(facts.roles):
        return None
    for number, message in enumerate(facts.messages):
        role = message.get("role")
        if role not in _ROLES:
            return _refuse_role(case, number, role)
        if is_gemini and role in _SPOKEN:
            content = message.get("content")
            if content and isinstance(content, str):
                continue
            refusal = _check_content(case, number, message)
            if refusal is not None:
                return refusal
    return None


def find_content_warnings(case: Case) -> tuple[str, ...]:
    """The empty contents beside tool calls: one report has them refused, yet widely used clients send them (LangChain.js)."""
    if not case.is_gemini:
        return ()
    return tuple(
        f'messages[{number}] has tool calls and the content "", which Vertex has been seen to refuse once; null is safe'
        for number, message in enumerate(case.facts.messages)
        if message.get("content") == "" and message.get("tool_calls")
    )


def _refuse_role(case: Case, number: int, role: str | None) -> Refusal:
    if role is None:
        explanation = f"messages[{number}] has no role; give it user, assistant, system or tool"
    else:
        explanation = f'messages[{number}] has the role "{role}"; expected user, assistant, system or tool'
    return case.refuse("bad_role", ("messages", number, "role"), explanation)


def _check_content(case: Case, number: int, message: Message) -> Refusal | None:
    """What is wrong with the content of a user or of the model, which is empty or a list."""
    keys = ("messages", number, "content")
    content = message.get("content")
    if is_result(message):
        return None
    if isinstance(content, list):
        return _check_parts(case, number, message, content)
    is_model = message.get("role") in MODEL_ROLES
    if content is None:
        if is_model:
            return None
        explanation = f"messages[{number}] of the user has no content; give it a text or a list of parts"
        return case.refuse("must_have_text_parameter", keys, explanation)
    if is_model and has_calls(message):
        return None
    explanation = f"the content of messages[{number}] is an empty text; leave the message out, or write something"
    return case.refuse("empty_text_parameter", keys, explanation)


def _check_parts(case: Case, number: int, message: Message, parts: list[Part]) -> Refusal | None:
    is_usable = has_calls(message)
    for at, part in enumerate(parts):
        if part.get("text") == "" and media_address(part) is None and part.get("type") in _PLAIN_PARTS:
            keys = ("messages", number, "content", at, "text")
            explanation = f"messages[{number}].content[{at}] is an empty text; leave the part out, or write something"
            return case.refuse("empty_text_parameter", keys, explanation)
        is_usable = is_usable or _is_usable(part)
    if is_usable:
        return None
    explanation = f"messages[{number}].content is a list in which no part has a text or media; add such a part"
    return case.refuse("must_have_text_parameter", ("messages", number, "content"), explanation)


def _is_usable(part: Part) -> bool:
    """Whether there is anything in a part; kinds that are not known count."""
    if part.get("text") or part.get("type") not in _PLAIN_PARTS:
        return True
    found = media_address(part)
    return found is not None and bool(found[0])
