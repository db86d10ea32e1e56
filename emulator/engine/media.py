"""Media: what kind of file something is, data URLs, and what is drawn to answer with."""

import base64
import binascii
import io
import re
from array import array
from random import Random
from typing import Literal
from urllib.parse import unquote, unquote_to_bytes

from emulator.engine.pictures import draw_jpeg, draw_png

__all__ = ["Medium", "draw_jpeg", "draw_png", "make_wav", "medium_of", "mime_type_of", "split_data_url"]

Medium = Literal["image", "audio", "video", "document"]

SAMPLE_RATE = 24_000
"""Samples per second of `make_wav`: what Gemini's speech models give. Status: assumed for this endpoint."""
_LENGTH = 2_400
_LOUDNESS = 8_000
_PITCHES = (262, 294, 330, 392, 440)

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


def make_wav(random: Random) -> bytes:
    """A tone of a tenth of a second that fades out, as a WAV file: PCM, 16 bits, mono, 24 kHz, about 5 KB.

    A triangle wave in whole numbers, because the last bit of a sine differs between platforms.
    """
    import wave  # noqa: PLC0415  # the server starts quicker so

    period = SAMPLE_RATE // random.choice(_PITCHES)
    samples = array("h")
    for index in range(_LENGTH):
        height = abs(4 * (index % period) - 2 * period) - period  # from period down to -period and up again
        samples.append(height * _LOUDNESS * (_LENGTH - index) // (period * _LENGTH))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(samples.itemsize)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes(samples.tobytes())
    return file.getvalue()
