"""Refusals made from entries of the error catalogue. Which requests are refused is decided by the checks in `vetting/`."""

from typing import Any

from emulator.catalogue.errors import CatalogueError, entry
from emulator.wire.errors import Refusal
from emulator.wire.urls import Target


def values_for(target: Target, model: str = "") -> dict[str, str]:
    """The placeholder values for catalogue texts, from a request's target and model."""
    publisher, slash, name = model.partition("/")
    return {
        "API_VERSION": target.api_version,
        "BASE_MODEL": name if slash else model,
        "LOCATION": target.location,
        "MODEL": name if slash else model,
        "PATH": target.path,
        "PROJECT": target.project,
        "PROJECT_NUMBER": target.project,
        "PUBLISHER": publisher if slash else "google",
        "RPC": target.rpc,
    }


def refuse(
    error: CatalogueError | str,
    values: dict[str, str],
    *,
    place: str = "",
    explanation: str = "",
    message: str | None = None,
    details: list[dict[str, Any]] | None = None,
) -> Refusal:
    """A refusal with the texts of a catalogue entry, or with the given message and details."""
    found = entry(error) if isinstance(error, str) else error
    known_message, known_details = found.fill(**values)
    flat = None
    if found.framing in {"oauth", "vllm"}:
        key = "error_description" if found.framing == "oauth" else "message"
        flat = {**found.extra, key: known_message if message is None else message}
    return Refusal(
        code=found.code,
        status=found.status,
        message=known_message if message is None else message,
        details=known_details if details is None else details,
        framing=found.framing if found.framing in {"object", "html"} else "array",
        legacy_errors=found.extra.get("errors") if flat is None else None,
        flat=flat,
        rule=found.name,
        place=place,
        explanation=explanation,
    )
