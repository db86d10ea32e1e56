"""Media: what kind of file something is, data URLs, and what is drawn to answer with."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, unquote_to_bytes

from emulator.wire.requests import Message, Part

Medium = Literal["image", "audio", "video", "document"]
_RESOLUTIONS = frozenset({"low", "medium", "high", "ultra_high"})


_MIME_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "avif": "image/avif",
    "heic": "image/heic",
    "heif": "image/heif",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "opus": "audio/opus",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "aiff": "audio/aiff",
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
    "avi": "video/x-msvideo",
    "mpg": "video/mpeg",
    "mpeg": "video/mpeg",
    "wmv": "video/x-ms-wmv",
    "flv": "video/x-flv",
    "3gp": "video/3gpp",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "html": "text/html",
    "htm": "text/html",
    "css": "text/css",
    "csv": "text/csv",
    "xml": "application/xml",
    "json": "application/json",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "rtf": "application/rtf",
    "js": "text/javascript",
    "py": "text/x-python",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
_DATA_URL = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class SentMedium:
    """A picture, sound, video or document in a request."""

    medium: Medium
    mime_type: str
    data: str
    """Its base64; empty if the request has only an address."""
    resolution: str | None
    """`low`, `medium`, `high` or `ultra_high`, if the request says so."""


def mime_type_of(name: str) -> str | None:
    """The MIME type that the ending of a file name, path or URI stands for; None when it has none that is known."""
    if "://" in name:
        name = unquote(re.split(r"[?#]", name.split("://", 1)[1], maxsplit=1)[0])
        if "/" not in name:
            return None  # a host alone: the ending of example.py is not a file's
    file = name.replace("\\", "/").rpartition("/")[2]
    stem, _, ending = file.rpartition(".")
    return _MIME_TYPES.get(ending.lower()) if stem else None


def medium_of(mime_type: str) -> Medium:
    """The medium of a MIME type; what is neither image, audio nor video is a document."""
    match mime_type.strip().lower().partition("/")[0]:
        case "image":
            return "image"
        case "audio":
            return "audio"
        case "video":
            return "video"
        case _:
            return "document"


def split_data_url(url: str) -> tuple[str, bytes] | None:
    """The MIME type and the bytes of a base64 data URL; None for anything else.

    Without a type it is `text/plain`, as RFC 2397 has it; other parameters are left out. Both base64 alphabets, missing
    padding, white space and percent escapes are accepted (assumed: Google's JSON readers do the same).
    """
    found = _DATA_URL.fullmatch(url.strip())
    if not found:
        return None
    mime_type, parameters, text = found.groups()
    if "base64" not in [parameter.strip().lower() for parameter in parameters.split(";")]:
        return None
    data = b"".join(unquote_to_bytes(text).split()).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return mime_type.strip().lower() or "text/plain", base64.b64decode(
            data + b"=" * (-len(data) % 4), validate=True
        )
    except binascii.Error:
        return None


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


def resolution_of(written: object) -> str | None:
    """The level that a `detail` or a `media_resolution` such as `MEDIA_RESOLUTION_LOW` names, None for none that is known.

    Assumed: an object holds it in `level`.
    """
    if isinstance(written, dict):
        written = written.get("level")
    if not isinstance(written, str):
        return None
    level = written.lower().removeprefix("media_resolution_")
    return level if level in _RESOLUTIONS else None
