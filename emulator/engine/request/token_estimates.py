"""Counting tokens of media: what a picture, sound, video or document in a prompt counts, and what one in an answer does.

The rules are Gemini's, documented for text-and-media prompts in general and assumed to hold on this route and for other models.
What an address alone cannot tell (the size of a picture, the length of a sound) is read from the first bytes of a data URL, else
assumed, so these are estimates.
"""

import re
import struct
from base64 import b64decode
from collections.abc import Sequence

from emulator.engine.request.media import SentMedium
from emulator.wire.requests import ToolCall

BYTES_PER_TOKEN = 4
_TO_ROUND_UP = BYTES_PER_TOKEN - 1


def estimate_tokens(text: str) -> int:
    """An estimate that needs no tokenizer: one token for every four bytes of UTF-8, rounded up; 0 for an empty text.

    Real tokenizers differ by model and give other numbers. The rule is deterministic, grows with the text, and takes the
    same short time for an ASCII text of any length.
    """
    # A lone surrogate, which JSON can write as an escape, has no UTF-8; it counts as the three bytes it would take.
    size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return -(-size // BYTES_PER_TOKEN)


def estimate_all(texts: Sequence[str]) -> int:
    """The estimates of several texts, added."""
    if not "".join(texts).isascii():
        return sum(map(estimate_tokens, texts))
    total = 0
    for text in texts:
        total += (len(text) + _TO_ROUND_UP) // BYTES_PER_TOKEN
    return total


def estimate_call(call: ToolCall) -> int:
    """The estimate of a call in the history: of its name and its arguments."""
    function = call.get("function", {})
    return estimate_tokens(function.get("name", "")) + estimate_tokens(function.get("arguments") or "")


FIRST_BY_RESOLUTION = 3.0
"""The Gemini generation from which a picture's tokens follow from its resolution setting and not from its size (documented)."""
ASSUMED_SECONDS = 10
"""How long a sound or video is taken to be when nothing tells."""
CACHED_TOKENS = 2048
"""What `cached_content` is taken to hold: the least that can be cached (documented)."""

_TILE_TOKENS = 258
_WHOLE_PICTURE = 384
_SMALLEST_TILE, _LARGEST_TILE = 256, 768
# Documented for Gemini 3: tokens at most, by resolution; a level that a medium lacks counts as its highest.
_PICTURE = {"low": 280, "medium": 560, "high": 1120, "ultra_high": 2240}
_PAGE = {"low": 280, "medium": 560, "high": 1120}
_VIDEO_SECOND = {"low": 70, "medium": 70, "high": 280}
_DEFAULTS = {"image": "high", "document": "medium", "video": "low"}
_AUDIO_SECOND = 32
_AUDIO_SECOND_FROM_3 = 25
_PICTURE_OUT = 1120
_AUDIO_SECOND_OUT = 25

_HEADER = 64 * 1024
"""Characters of base64 that are decoded to find a size or length."""
_DOCUMENT = 1024 * 1024
"""Characters of base64 of a document that are decoded to count its pages or text."""
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG's segments that hold its size; the three others are tables."""
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/_-]")
_PDF_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")


def count_medium(sent: SentMedium, generation: float | None) -> int:
    """The prompt tokens of one medium, at least 1, for a model of a Gemini generation (models of others count as the one before 3)."""
    is_new = generation is not None and generation >= FIRST_BY_RESOLUTION
    match sent.medium:
        case "image":
            tokens = _of_level(_PICTURE, sent) if is_new else _count_tiles(measure_picture(_decode(sent.data, _HEADER)))
        case "audio":
            # Documented: 32 before Gemini 3, 25 from then on.
            tokens = round(_seconds(sent) * (_AUDIO_SECOND_FROM_3 if is_new else _AUDIO_SECOND))
        case "video":
            # Documented: one frame per second is looked at; its sound, if it has any, is not counted here.
            tokens = ASSUMED_SECONDS * (_of_level(_VIDEO_SECOND, sent) if is_new else _TILE_TOKENS)
        case _:
            tokens = _count_document(sent, _of_level(_PAGE, sent) if is_new else _TILE_TOKENS)
    return max(tokens, 1)


def count_output(data: str, mime_type: str) -> int:
    """The completion tokens of base64 media in an answer: 1120 for a picture (documented: seed), 25 for a second of sound (assumed)."""
    if mime_type.startswith("image/"):
        return _PICTURE_OUT
    return max(round(_seconds(SentMedium("audio", mime_type, data, None)) * _AUDIO_SECOND_OUT), 1)


def measure_picture(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels from the first bytes of a PNG, GIF, WebP or JPEG; None where they do not tell."""
    try:
        if data.startswith(b"\x89PNG"):
            width, height = struct.unpack_from(">II", data, 16)
        elif data.startswith(b"GIF8"):
            width, height = struct.unpack_from("<HH", data, 6)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _measure_webp(data)
        elif data.startswith(b"\xff\xd8"):
            return _measure_jpeg(data)
        else:
            return None
    except (struct.error, IndexError):
        return None
    return width, height


def _measure_webp(data: bytes) -> tuple[int, int] | None:
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


def _measure_jpeg(data: bytes) -> tuple[int, int] | None:
    """The size in the first start-of-frame segment; segments are skipped by their length."""
    at = 2
    while data[at] == 0xFF:  # noqa: PLR2004 - every marker begins so
        marker = data[at + 1]
        if marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        (length,) = struct.unpack_from(">H", data, at + 2)
        at += 2 + length
    return None


def _count_tiles(size: tuple[int, int] | None) -> int:
    """Documented: 258 up to 384 pixels each way; else that for each tile, whose side is the shorter one by 1.5, 256 to 768."""
    if size is None or min(size) < 1 or max(size) <= _WHOLE_PICTURE:
        return _TILE_TOKENS
    side = min(max(min(size) / 1.5, _SMALLEST_TILE), _LARGEST_TILE)
    across, down = (-int(-length // side) for length in size)
    return across * down * _TILE_TOKENS


def _of_level(tokens: dict[str, int], sent: SentMedium) -> int:
    level = sent.resolution or _DEFAULTS[sent.medium]
    return tokens[level] if level in tokens else max(tokens.values())


def _seconds(sent: SentMedium) -> float:
    """The length of a WAV by its header and size; other sounds are taken to last as long as nothing tells."""
    head = _decode(sent.data, _HEADER)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return ASSUMED_SECONDS
    rate = int.from_bytes(head[28:32], "little")
    return (len(sent.data) * 3 // 4 - 44) / rate if rate else ASSUMED_SECONDS


def _count_document(sent: SentMedium, tokens_of_page: int) -> int:
    """Documented: a PDF counts by its pages; a page that cannot be seen in the file (compressed) is missed. Text counts as text."""
    data = _decode(sent.data, _DOCUMENT)
    if sent.mime_type.startswith("text/") and data:
        return estimate_tokens(data.decode("utf-8", "replace"))
    return max(len(_PDF_PAGE.findall(data)), 1) * tokens_of_page


def _decode(data: str, most: int) -> bytes:
    """The beginning of base64 text; empty where it is none."""
    start = _NOT_BASE64.sub("", data[:most]).replace("-", "+").replace("_", "/")
    padding = -len(start) % 4
    # One character alone carries no byte.
    return b64decode(start[:-1] if padding == 3 else start + "=" * padding)  # noqa: PLR2004  # of four characters
