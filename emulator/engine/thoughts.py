"""Thoughts that come back in the history: the model does not read its own thoughts again as text."""

import re
from functools import lru_cache

from emulator.wire.shapes import ExtraContent, Message, Part

MODEL_ROLES = frozenset({"assistant", "model"})


def read_text(message: Message, marker: str | None) -> str:
    """The text of a message as the model reads it: what is flagged as a thought, or stands in the marker's tags, is left out.

    Documented (overview): text inside the tags is stripped when the request sets the same marker; `extra_content.google.thought`,
    on the message or a part, decides where it is given.
    """
    content = message.get("content")
    if content is None:
        return ""
    if marker is not None and message.get("role") not in MODEL_ROLES:
        marker = None
    if isinstance(content, str):
        extra = message.get("extra_content")
        return content if extra is None and marker is None else _without_thoughts(content, extra, marker)
    return "".join(_read_part(part, marker) for part in content)


def _read_part(part: Part, marker: str | None) -> str:
    return _without_thoughts(part.get("text") or "", part.get("extra_content"), marker)


def _without_thoughts(text: str, extra: ExtraContent | None, marker: str | None) -> str:
    flag = ((extra or {}).get("google") or {}).get("thought")
    if isinstance(flag, bool):
        return "" if flag else text
    return _tags(marker).sub("", text) if marker else text


@lru_cache(maxsize=64)
def _tags(marker: str) -> re.Pattern[str]:
    name = re.escape(marker)
    return re.compile(f"<{name}>.*?</{name}>", re.DOTALL)
