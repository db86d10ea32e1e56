"""Media of a reply: files and `data:` URLs as the scenario names them, and generated pictures and sounds for `auto`.

The PNG, JPEG and WAV encoders are ours because the same seed must give the same bytes on every platform and with every version of a
library. They use whole numbers only, and need no image library.
"""

import io
import struct
import wave
from array import array
from base64 import b64encode
from collections.abc import Callable, Iterator
from random import Random
from zlib import adler32, crc32

from emulator.engine.request.media import mime_type_of, split_data_url
from emulator.errors import AnswerError
from emulator.scenario.loading import ScenarioFile
from emulator.scenario.media import find_file, find_prefix

SAMPLE_RATE = 24_000
"""Samples per second of `make_wav`: what Gemini's speech models give. Status: assumed for this endpoint."""

_COLOURS = 16
_SKY = 10
_SUN, _FAR, _NEAR = 10, 11, 12
_PNG_SIZE = 48
_JPEG_BLOCKS = 16
_SAMPLES = 2_400
_AMPLITUDE = 8_000
_PITCHES = (262, 294, 330, 392, 440)

Colour = tuple[int, int, int]
Scene = list[list[int]]
"""Rows of indices into the palette."""


def to_base64(data: bytes) -> str:
    """Bytes as base64 text."""
    return b64encode(data).decode()


def load_media(address: str, mime_type: str | None, file: ScenarioFile) -> tuple[str, str]:
    """The base64 and MIME type of a `data:` URL, of a file, or of a `gs://` address found through `media`.

    Raises AnswerError if there is no such file; `check` says so earlier.
    """
    split = split_data_url(address)
    if split is not None:
        return to_base64(split[1]), mime_type or split[0]
    name = address
    if address.startswith("gs://"):
        prefix = find_prefix(address, file.scenario.media)
        if prefix is None:
            raise AnswerError(f'no prefix under "media" covers "{address}"')
        name = f"{file.scenario.media[prefix]}/{address.removeprefix(prefix).lstrip('/')}"
    try:
        data = find_file(name, file.folder).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no name of a file"
        raise AnswerError(f'cannot read "{address}": {reason}') from None
    return to_base64(data), mime_type or mime_type_of(address) or "application/octet-stream"


def choose_generator(kind: str, mime_type: str | None) -> tuple[Callable[[Random], bytes], str]:
    """The generator of `auto` media of a kind (`image` or `audio`), and its MIME type."""
    if kind == "audio":
        return make_wav, "audio/wav"
    return (draw_jpeg, "image/jpeg") if mime_type == "image/jpeg" else (draw_png, "image/png")


def draw_png(random: Random) -> bytes:
    """A PNG of 48 x 48 pixels in 16 colours, 1.3 KB: hills under a sky with a sun. Not compressed, as builds of zlib differ."""
    palette = _mix_palette(random)
    rows = b"".join(
        b"\0" + bytes(row[x] << 4 | row[x + 1] for x in range(0, _PNG_SIZE, 2)) for row in _paint(_PNG_SIZE, random)
    )
    stored = (
        b"\x78\x01\x01" + struct.pack("<HH", len(rows), len(rows) ^ 0xFFFF) + rows + struct.pack(">I", adler32(rows))
    )
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", _PNG_SIZE, _PNG_SIZE, 4, 3, 0, 0, 0)),
        (b"PLTE", b"".join(bytes(colour) for colour in palette)),
        (b"IDAT", stored),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data)) for kind, data in chunks
    )


def draw_jpeg(random: Random) -> bytes:
    """A baseline JPEG of 128 x 128 pixels, about 1 KB: a mosaic in which every block of 8 x 8 has one colour.

    Such a block has only a DC coefficient, so neither a cosine transform nor codes for its other 63 coefficients are needed.
    """
    palette = _mix_palette(random)
    scene = _paint(_JPEG_BLOCKS, random)
    side = _JPEG_BLOCKS * 8
    components = b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    segments = [
        (0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
        (0xDB, b"\0" + bytes([8]) * 64),
        (0xC0, struct.pack(">BHHB", 8, side, side, 3) + components),
        # Huffman tables: nine sizes of a DC difference, each coded in four bits; for AC only the end-of-block code.
        (0xC4, b"\0" + bytes([0, 0, 0, 9] + [0] * 12) + bytes(range(9))),
        (0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0"),
        (0xDA, b"\x03" + b"".join(bytes((number, 0)) for number in (1, 2, 3)) + b"\0\x3f\0"),
    ]
    head = b"".join(b"\xff" + bytes([mark]) + struct.pack(">H", len(data) + 2) + data for mark, data in segments)
    blocks = [_to_ycbcr(palette[index]) for row in scene for index in row]
    return b"\xff\xd8" + head + _pack_bits("".join(_code_blocks(blocks))) + b"\xff\xd9"


def make_wav(random: Random) -> bytes:
    """A tone of a tenth of a second that fades out, as a WAV file: PCM, 16 bits, mono, 24 kHz, about 5 KB.

    A triangle wave in whole numbers, because the last bit of a sine differs between platforms.
    """
    period = SAMPLE_RATE // random.choice(_PITCHES)
    samples = array("h")
    for index in range(_SAMPLES):
        height = abs(4 * (index % period) - 2 * period) - period  # from period down to -period and up again
        samples.append(height * _AMPLITUDE * (_SAMPLES - index) // (period * _SAMPLES))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(samples.itemsize)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


def _mix_palette(random: Random) -> list[Colour]:
    """Ten shades of sky from top to horizon, then sun, far and near hills; the rest is black."""
    top = (random.randint(20, 110), random.randint(60, 150), random.randint(150, 230))
    low = (random.randint(180, 255), random.randint(150, 220), random.randint(120, 200))
    sky = [tuple(a + (b - a) * step // (_SKY - 1) for a, b in zip(top, low, strict=True)) for step in range(_SKY)]
    green = random.randint(90, 150)
    made = [(red, middle, blue) for red, middle, blue in sky]
    made += [
        (255, random.randint(200, 240), 90),
        (green // 2, green, green * 2 // 3),
        (green // 3, green * 2 // 3, green // 4),
    ]
    return made + [(0, 0, 0)] * (_COLOURS - len(made))


def _paint(size: int, random: Random) -> Scene:
    """The scene on a square of that many pixels."""
    x_sun, y_sun, radius = (
        random.randint(size // 5, size * 4 // 5),
        random.randint(size // 6, size // 3),
        max(size // 9, 1),
    )
    far = _draw_ridge(size, size * 11 // 20, random)
    near = _draw_ridge(size, size * 3 // 4, random)
    scene = [[y * _SKY // size] * size for y in range(size)]
    for y in range(size):
        for x in range(size):
            if y >= near[x]:
                scene[y][x] = _NEAR
            elif y >= far[x]:
                scene[y][x] = _FAR
            elif (x - x_sun) ** 2 + (y - y_sun) ** 2 <= radius**2:
                scene[y][x] = _SUN
    return scene


def _draw_ridge(size: int, level: int, random: Random) -> list[int]:
    """The height at which a chain of two or three parabolic hills begins in each column."""
    hills = [(random.randrange(size), random.randint(size // 12, size // 5)) for _ in range(random.randint(2, 3))]
    return [
        level - max(0, *(height - (x - middle) ** 2 * 8 // (size + height) // 2 for middle, height in hills))
        for x in range(size)
    ]


def _to_ycbcr(colour: Colour) -> Colour:
    """The YCbCr values of JFIF, less 128 each (their zero)."""
    red, green, blue = colour
    return (
        (299 * red + 587 * green + 114 * blue) // 1000 - 128,
        (-169 * red - 331 * green + 500 * blue) // 1000,
        (500 * red - 419 * green - 81 * blue) // 1000,
    )


def _code_blocks(blocks: list[Colour]) -> Iterator[str]:
    """The bits of each block: per component the DC difference to the block before, then end-of-block."""
    before = (0, 0, 0)
    for block in blocks:
        for value, last in zip(block, before, strict=True):
            difference = value - last
            size = abs(difference).bit_length()
            yield f"{size:04b}"
            if size:
                yield f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}"
            yield "0"
        before = block


def _pack_bits(bits: str) -> bytes:
    """Bits as bytes, padded with ones; 0xFF is followed by a zero byte, so that it is not taken for a marker."""
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0")
