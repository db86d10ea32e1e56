"""Token estimates without a tokenizer: of text, tool calls, and media in prompts and answers.

The rules for media are Gemini's, documented for text-and-media prompts in general and assumed to hold on this route and for other
models. The size of a picture, the length of a sound and the pages of a document are read from the first bytes of a data URL; what
is only an address counts with assumed values.
"""

import re
from base64 import b64decode
from collections.abc import Sequence

from emulator.engine.request.media import MediaInput, image_size
from emulator.wire.requests import ToolCall

BYTES_PER_TOKEN = 4
"""Bytes of UTF-8 that count as one token of text (assumed)."""

CACHED_TOKENS = 2048
"""Tokens of `cached_content`: the least that can be cached (documented)."""

# Prompt tokens of media, by generation of Gemini; other models count as the generation before 3 (assumed).
RESOLUTIONS_FROM = 3.0
"""The Gemini generation from which a picture's tokens follow from its resolution setting and not from its size (documented)."""
ASSUMED_SECONDS = 10
"""Length of a sound whose header does not tell, and of every video (assumed)."""

# Documented before Gemini 3.
_TOKENS_PER_TILE = 258
"""Tokens of a small picture, of each tile of a larger one, of a document's page, and of a second of video at one frame a second."""
_LARGEST_SMALL_IMAGE = 384
"""Pixels each way up to which a picture is one tile."""
_SMALLEST_TILE, _LARGEST_TILE = 256, 768
"""Limits of a tile's side in pixels; between them it is the shorter side of the picture divided by 1.5."""
_TOKENS_PER_AUDIO_SECOND_BEFORE_3 = 32

# Documented from Gemini 3 on: at most so many tokens, by resolution.
_TOKENS_PER_IMAGE = {"low": 280, "medium": 560, "high": 1120, "ultra_high": 2240}
_TOKENS_PER_PAGE = {"low": 280, "medium": 560, "high": 1120}
_TOKENS_PER_VIDEO_SECOND = {"low": 70, "medium": 70, "high": 280}
_DEFAULT_RESOLUTION = {"image": "high", "document": "medium", "video": "low"}
_TOKENS_PER_AUDIO_SECOND = 25

# Completion tokens of media.
_TOKENS_PER_IMAGE_OUT = 1120
"""Documented: seed."""
_TOKENS_PER_AUDIO_SECOND_OUT = 25
"""Assumed."""

# How much base64 is decoded, in characters.
_HEADER = 64 * 1024
"""To read the size of a picture or the header of a sound."""
_DOCUMENT = 1024 * 1024
"""To count a document's pages or text."""

_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/_-]")
_PDF_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")


def estimate_tokens(text: str) -> int:
    """One token for every four bytes of UTF-8, rounded up; 0 for an empty text.

    Real tokenizers differ by model and give other numbers. This rule is deterministic, grows with the text, and takes
    constant time for ASCII.
    """
    # A lone surrogate, which JSON can write as an escape, has no UTF-8; it counts as the three bytes it would take.
    size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return -(-size // BYTES_PER_TOKEN)


def estimate_all(texts: Sequence[str]) -> int:
    """The sum of the estimates of several texts."""
    if not "".join(texts).isascii():
        return sum(map(estimate_tokens, texts))
    total = 0
    for text in texts:
        total += (len(text) + BYTES_PER_TOKEN - 1) // BYTES_PER_TOKEN
    return total


def estimate_call(call: ToolCall) -> int:
    """The estimate for a tool call in the history: its name and its arguments."""
    function = call.get("function", {})
    return estimate_tokens(function.get("name", "")) + estimate_tokens(function.get("arguments") or "")


def estimate_media(media: MediaInput, generation: float | None) -> int:
    """The prompt tokens of one medium, at least 1; `generation` is the Gemini generation, None for other models."""
    by_resolution = generation is not None and generation >= RESOLUTIONS_FROM
    match media.medium:
        case "image":
            tokens = (
                _at_resolution(_TOKENS_PER_IMAGE, media) if by_resolution else _image_tiles(media) * _TOKENS_PER_TILE
            )
        case "audio":
            per_second = _TOKENS_PER_AUDIO_SECOND if by_resolution else _TOKENS_PER_AUDIO_SECOND_BEFORE_3
            tokens = round(_audio_seconds(media) * per_second)
        case "video":
            # Documented: one frame per second is looked at; its sound, if it has any, is not counted here.
            per_second = _at_resolution(_TOKENS_PER_VIDEO_SECOND, media) if by_resolution else _TOKENS_PER_TILE
            tokens = ASSUMED_SECONDS * per_second
        case _:
            per_page = _at_resolution(_TOKENS_PER_PAGE, media) if by_resolution else _TOKENS_PER_TILE
            tokens = _document_tokens(media, per_page)
    return max(tokens, 1)


def estimate_media_output(data: str, mime_type: str) -> int:
    """The completion tokens of base64 media in an answer: per picture, or per second of sound."""
    if mime_type.startswith("image/"):
        return _TOKENS_PER_IMAGE_OUT
    return max(round(_audio_seconds(MediaInput("audio", mime_type, data, None)) * _TOKENS_PER_AUDIO_SECOND_OUT), 1)


def _at_resolution(tokens: dict[str, int], media: MediaInput) -> int:
    """The tokens at the medium's resolution; a level that is not in the table counts as the highest that is."""
    level = media.resolution or _DEFAULT_RESOLUTION[media.medium]
    return tokens[level] if level in tokens else max(tokens.values())


def _image_tiles(media: MediaInput) -> int:
    """The number of tiles of a picture (documented before Gemini 3); 1 if its size is not known."""
    size = image_size(_decode(media.data, _HEADER))
    if size is None or min(size) < 1 or max(size) <= _LARGEST_SMALL_IMAGE:
        return 1
    side = min(max(min(size) / 1.5, _SMALLEST_TILE), _LARGEST_TILE)
    columns, rows = (-int(-length // side) for length in size)
    return columns * rows


def _audio_seconds(media: MediaInput) -> float:
    """The length of a WAV by its header and size; `ASSUMED_SECONDS` for other sounds."""
    head = _decode(media.data, _HEADER)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return ASSUMED_SECONDS
    bytes_per_second = int.from_bytes(head[28:32], "little")
    return (len(media.data) * 3 // 4 - 44) / bytes_per_second if bytes_per_second else ASSUMED_SECONDS


def _document_tokens(media: MediaInput, tokens_per_page: int) -> int:
    """Documented: a PDF counts by its pages; pages in compressed objects are not seen. Text counts as text."""
    data = _decode(media.data, _DOCUMENT)
    if media.mime_type.startswith("text/") and data:
        return estimate_tokens(data.decode("utf-8", "replace"))
    return max(len(_PDF_PAGE.findall(data)), 1) * tokens_per_page


def _decode(data: str, limit: int) -> bytes:
    """The bytes of the first `limit` characters of base64, other characters skipped; empty if there are none."""
    start = _NOT_BASE64.sub("", data[:limit]).replace("-", "+").replace("_", "/")
    padding = -len(start) % 4
    # A single character of a group of four carries no byte.
    return b64decode(start[:-1] if padding == 3 else start + "=" * padding)  # noqa: PLR2004  # see the comment
