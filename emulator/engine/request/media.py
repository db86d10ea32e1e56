"""Media in requests: `image_url`, `input_audio` and files of tool results, MIME types, data URLs, and the size of pictures.

A new way to name media in a message is added to `media_address` (content parts) or `_result_files` (tool results).
"""

import base64
import binascii
import re
import struct
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
class MediaInput:
    """A picture, sound, video or document in a request."""

    medium: Medium
    mime_type: str
    data: str
    """Its base64; empty if the request has only an address."""
    resolution: str | None
    """`low`, `medium`, `high` or `ultra_high`, if the request gives one."""


def mime_type_of(name: str) -> str | None:
    """The MIME type for the extension of a file name, path or URI; None for an unknown extension or none."""
    if "://" in name:
        name = unquote(re.split(r"[?#]", name.split("://", 1)[1], maxsplit=1)[0])
        if "/" not in name:
            return None  # only a host, such as example.py: its ending is no file extension
    file = name.replace("\\", "/").rpartition("/")[2]
    stem, _, extension = file.rpartition(".")
    return _MIME_TYPES.get(extension.lower()) if stem else None


def medium_of(mime_type: str) -> Medium:
    """The medium of a MIME type; everything that is neither image, audio nor video is a document."""
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
        decoded = base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except binascii.Error:
        return None
    return mime_type.strip().lower() or "text/plain", decoded


def media_address(part: Part) -> tuple[str, str] | None:
    """The address (URL or base64) and the given MIME type (empty if none) of a media part; None for other parts."""
    image = part.get("image_url")
    if image is not None:
        return (image if isinstance(image, str) else image.get("url", "")), ""
    audio = part.get("input_audio")
    if audio is not None:
        given = audio.get("format") or ""
        return audio.get("data", ""), given if "/" in given or not given else f"audio/{given}"
    return None


def _result_files(message: Message) -> list[dict[str, Any]]:
    """The files of a multimodal tool result (documented: seed, `extra_content.google.parts`)."""
    parts = ((message.get("extra_content") or {}).get("google") or {}).get("parts")
    files = [
        part.get("file_data") or part.get("inline_data")
        for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, dict)
    ]
    return [one for one in files if isinstance(one, dict)]


def list_kinds(messages: Sequence[Message]) -> frozenset[str]:
    """The kinds of input in the messages: image, audio, video, document, gs_uri."""
    kinds: set[str] = set()
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            for part in content:
                kinds |= media_in(part)
        for file in _result_files(message):
            if str(file.get("file_uri", "")).startswith("gs://"):
                kinds.add("gs_uri")
            if isinstance(file.get("mime_type"), str):
                kinds.add(medium_of(file["mime_type"]))
    return frozenset(kinds)


def media_in(part: Part) -> set[str]:
    """The kinds of input in a content part, as in `list_kinds`; none if it is text."""
    found = media_address(part)
    if found is None:
        return set()
    address, given = found
    kinds: set[str] = {medium_of(_part_type(part, address, given))}
    return kinds | {"gs_uri"} if address.startswith("gs://") else kinds


def type_of_part(part: Part) -> str | None:
    """The MIME type of a media part, `image/*` for an image of an unknown type; None for other parts."""
    found = media_address(part)
    return None if found is None else _part_type(part, *found)


def _part_type(part: Part, address: str, given: str) -> str:
    """The MIME type of a media part with this address and given type."""
    if address.startswith("data:"):
        given = address[5:].partition(",")[0].partition(";")[0] or given
    # Documented: a URI in `image_url` is an image, whatever its name; only a data URL says otherwise.
    return given or ("image/*" if part.get("image_url") is not None else mime_type_of(address) or "audio/wav")


def list_media(messages: Sequence[Message], overall: str | None) -> list[MediaInput]:
    """The media in the messages; `overall` is the resolution that the request sets for all of them."""
    found: list[MediaInput] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            found += [one for part in content if (one := _read_part(part, overall)) is not None]
        for file in _result_files(message) if "extra_content" in message else ():
            mime_type, data = file.get("mime_type"), file.get("data")
            if isinstance(mime_type, str):
                found.append(
                    MediaInput(medium_of(mime_type), mime_type, data if isinstance(data, str) else "", overall)
                )
    return found


def _read_part(part: Part, overall: str | None) -> MediaInput | None:
    """The medium of a part, None for text; its resolution is `detail` (documented for Gemini 3), else the request's."""
    found = media_address(part)
    if found is None:
        return None
    address, given = found
    mime_type = _part_type(part, address, given)
    data = address.partition(",")[2] if address.startswith("data:") else "" if "://" in address[:10] else address
    image = part.get("image_url")
    detail = image.get("detail") if isinstance(image, dict) else None
    return MediaInput(medium_of(mime_type), mime_type, data, resolution_of(detail) or overall)


def resolution_of(value: object) -> str | None:
    """The level of a `detail` or a `media_resolution` such as `MEDIA_RESOLUTION_LOW`; None for an unknown value.

    Assumed: an object holds it in `level`.
    """
    if isinstance(value, dict):
        value = value.get("level")
    if not isinstance(value, str):
        return None
    level = value.lower().removeprefix("media_resolution_")
    return level if level in _RESOLUTIONS else None


_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the JPEG segments that hold the size; the three others are tables."""


def image_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels from the first bytes of a PNG, GIF, WebP or JPEG; None for other or truncated data."""
    try:
        if data.startswith(b"\x89PNG"):
            width, height = struct.unpack_from(">II", data, 16)
            return width, height
        if data.startswith(b"GIF8"):
            width, height = struct.unpack_from("<HH", data, 6)
            return width, height
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
        return _jpeg_size(data) if data.startswith(b"\xff\xd8") else None
    except (struct.error, IndexError):
        return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    match data[12:16]:
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
        case _:
            return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """The size in the first start-of-frame segment; other segments are skipped by their length."""
    at = 2
    while data[at] == 0xFF:  # noqa: PLR2004  # every marker begins so
        if data[at + 1] in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        (length,) = struct.unpack_from(">H", data, at + 2)
        at += 2 + length
    return None
