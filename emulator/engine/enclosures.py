"""What the messages of a request enclose besides text: pictures, sounds, videos, documents."""

from collections.abc import Sequence
from typing import Any

from emulator.engine.counting import SentMedium, resolution_of
from emulator.engine.media import medium_of, mime_type_of
from emulator.wire.shapes import Message, Part


def list_kinds(messages: Sequence[Message]) -> frozenset[str]:
    """The kinds of input in the messages: image, audio, video, document, gs_uri."""
    kinds: set[str] = set()
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            for part in content:
                kinds |= media_in(part)
        kinds |= _kinds_in_result(message)
    return frozenset(kinds)


def list_media(messages: Sequence[Message], overall: str | None) -> list[SentMedium]:
    """The media in the messages; `overall` is the resolution that the request names for all of them."""
    found: list[SentMedium] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            found += [one for part in content if (one := _sent_in(part, overall)) is not None]
        if "extra_content" in message:
            found += _sent_in_result(message, overall)
    return found


def media_address(part: Part) -> tuple[str, str] | None:
    """The address and stated MIME type (empty if none) of a part that holds media."""
    image = part.get("image_url")
    if image is not None:
        return (image if isinstance(image, str) else image.get("url", "")), ""
    audio = part.get("input_audio")
    if audio is not None:
        stated = audio.get("format") or ""
        return audio.get("data", ""), stated if "/" in stated or not stated else f"audio/{stated}"
    return None


def media_in(part: Part) -> set[str]:
    """The kinds of input that a part holds, as in `Facts.has`; none if it is text."""
    found = media_address(part)
    if found is None:
        return set()
    address, stated = found
    kinds = {"gs_uri"} if address.startswith("gs://") else set[str]()
    if address.startswith("data:"):
        stated = address[5:].partition(";")[0].partition(",")[0] or stated
    if stated or part.get("input_audio") is not None:
        return kinds | {medium_of(stated or mime_type_of(address) or "audio/wav")}
    # Documented: a URI in `image_url` is an image, whatever its name; only a data URL says otherwise.
    return kinds | {"image"}


def _sent_in(part: Part, overall: str | None) -> SentMedium | None:
    """The medium of a part; `detail` says its resolution (documented for Gemini 3), else the request does."""
    found = media_address(part)
    if found is None:
        return None
    address, stated = found
    data = "" if "://" in address[:10] else address
    if address.startswith("data:"):
        head, _, data = address.partition(",")
        stated = head[5:].partition(";")[0] or stated
    image = part.get("image_url")
    detail = image.get("detail") if isinstance(image, dict) else None
    mime_type = stated or ("image/*" if image is not None else mime_type_of(address) or "audio/wav")
    return SentMedium(medium_of(mime_type), mime_type, data, resolution_of(detail) or overall)


def _sent_in_result(message: Message, overall: str | None) -> list[SentMedium]:
    found = []
    for data in _result_files(message):
        mime_type, content = data.get("mime_type"), data.get("data")
        if isinstance(mime_type, str):
            base64 = content if isinstance(content, str) else ""
            found.append(SentMedium(medium_of(mime_type), mime_type, base64, overall))
    return found


def _result_files(message: Message) -> list[dict[str, Any]]:
    """The files of a multimodal tool result (documented: seed, `extra_content.google.parts`)."""
    parts = ((message.get("extra_content") or {}).get("google") or {}).get("parts")
    files = [
        part.get("file_data") or part.get("inline_data")
        for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, dict)
    ]
    return [one for one in files if isinstance(one, dict)]


def _kinds_in_result(message: Message) -> set[str]:
    """The kinds of media in a tool result."""
    kinds: set[str] = set()
    for data in _result_files(message):
        if str(data.get("file_uri", "")).startswith("gs://"):
            kinds.add("gs_uri")
        if isinstance(data.get("mime_type"), str):
            kinds.add(medium_of(data["mime_type"]))
    return kinds
