"""The roles of messages, and their plain text."""

from emulator.engine.thoughts import MODEL_ROLES
from emulator.wire.shapes import Message

__all__ = ["MODEL_ROLES", "SYSTEM_ROLES", "TOOL_ROLES", "USER_ROLES", "text_of"]

USER_ROLES = frozenset({"user"})
SYSTEM_ROLES = frozenset({"system", "developer"})
TOOL_ROLES = frozenset({"tool", "function"})


def text_of(message: Message) -> str:
    """The text of a message: its content, or its text parts one after the other."""
    content = message.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content)
