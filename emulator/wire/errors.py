"""Errors as Google sends them: the envelope and its framing. The texts are in `emulator.catalogue.errors`."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from emulator.wire.json_text import dump

Framing = Literal["array", "object", "html", "text"]

JSON_TYPE = "application/json; charset=UTF-8"
HTML_TYPE = "text/html; charset=UTF-8"
TEXT_TYPE = "text/plain; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer of the emulated service, with the emulator's explanation."""

    code: int
    status: str | None
    message: str
    details: list[dict[str, Any]] | None = None
    framing: Framing = "array"
    flat: Any = None
    """The whole body if it is not Google's error object: that of a token endpoint, of a self-deployed container or of a rule."""
    rule: str = ""
    """The name of the catalogue's entry: the rule of Vertex that was broken."""
    place: str = ""
    """Where in the request: `messages[3].tool_calls[0]`."""
    explanation: str = ""
    """What the client did wrong and what would be accepted, for the log, the journal and a header."""
    legacy_errors: list[dict[str, Any]] | None = None
    """The older `errors` list that some routes add between message and status (observed)."""
    http_status: int | None = None
    """The HTTP status where it is not the error's code."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers that are sent with it."""

    @property
    def content_type(self) -> str:
        """The content type. Observed: errors are JSON, unrouted paths get HTML."""
        return {"html": HTML_TYPE, "text": TEXT_TYPE}.get(self.framing, JSON_TYPE)

    def body(self) -> bytes:
        """The body: pretty-printed, with the brackets of an array of one laid out as observed; a bare object; or the HTML as it is."""
        text = self.to_text()
        if self.framing in {"html", "text"} or self.flat is not None:
            return text.encode("utf-8", "replace")
        return (f"[{text}\n]\n" if self.framing == "array" else f"{text}\n").encode("utf-8", "replace")

    def to_text(self) -> str:
        """The bare error object, indented by two spaces (observed); also what is written into a broken stream."""
        if self.framing in {"html", "text"}:
            return self.message
        if self.flat is not None:
            return dump(self.flat).decode()
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.legacy_errors:
            error["errors"] = self.legacy_errors
        if self.status is not None:
            error["status"] = self.status
        if self.details:
            error["details"] = self.details
        return json.dumps({"error": error}, indent=2, ensure_ascii=False)
