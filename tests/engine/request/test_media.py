"""Generated pictures and tones are valid files, the same on every platform; MIME types and data URLs are read."""

import base64
import hashlib
import io
import wave
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from emulator.engine.reply.media import draw_jpeg, draw_png, make_wav
from emulator.engine.request.media import Medium, medium_of, mime_type_of, split_data_url


def rng(seed: int) -> Random:
    """Give the randomness of a seed."""
    return Random(seed)  # noqa: S311  # to be repeated, not to be secret


@given(st.integers(0, 10**6))
def test_png_is_a_picture(seed: int) -> None:
    """Every PNG can be decoded, checksums included, and is about 1 KB."""
    data = draw_png(rng(seed))
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert (image.format, image.size, image.mode) == ("PNG", (48, 48), "P")
        assert len(image.convert("RGB").getcolors() or []) > 5
    assert len(data) < 1500


@given(st.integers(0, 10**6))
def test_jpeg_is_a_picture(seed: int) -> None:
    """Every JPEG can be decoded and is about 1 KB."""
    data = draw_jpeg(rng(seed))
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert (image.format, image.size, image.mode) == ("JPEG", (128, 128), "RGB")
    assert len(data) < 1500


def test_jpeg_shows_what_was_drawn() -> None:
    """The blocks of a JPEG have the colours of the scene: sky above, hills below."""
    with Image.open(io.BytesIO(draw_jpeg(rng(0)))) as image:
        top, bottom = image.getpixel((4, 4)), image.getpixel((4, 124))
    assert isinstance(top, tuple)
    assert isinstance(bottom, tuple)
    assert top[2] == max(top)
    assert bottom[1] == max(bottom)


def test_wav_is_a_tone() -> None:
    """The tone is a tenth of a second of 16 bit mono PCM at 24 kHz, and is not silent."""
    with wave.open(io.BytesIO(make_wav(rng(0)))) as reader:
        assert reader.getparams()[:4] == (1, 2, 24_000, 2_400)
        samples = memoryview(reader.readframes(2_400)).cast("h")
    assert max(samples) > 5_000
    assert min(samples) < -5_000
    assert abs(samples[-1]) < 10


@pytest.mark.parametrize(
    ("make", "digest"),
    [(draw_png, "20e31defdc950907"), (draw_jpeg, "6d699124adc08950"), (make_wav, "96ba573342eac347")],
    ids=["png", "jpeg", "wav"],
)
def test_bytes_are_the_same_everywhere(make: Callable[[Random], bytes], digest: str) -> None:
    """The same seed gives these bytes on every platform."""
    assert hashlib.sha256(make(rng(1))).hexdigest()[:16] == digest
    assert make(rng(1)) != make(rng(2))


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [
        ("photo.JPG", "image/jpeg"),
        ("gs://bucket/folder/scan.pdf", "application/pdf"),
        ("https://example.com/a%2Eb/clip.mp4?alt=media&x=a.png#t=1.wav", "video/mp4"),
        ("https://example.com/song.mp3", "audio/mpeg"),
        ("folder\\sound.wav", "audio/wav"),
        ("archive.tar.webp", "image/webp"),
        ("https://example.py", None),
        ("gs://bucket.v1/file", None),
        (".png", None),
        ("png", None),
        ("file.unknown", None),
        ("", None),
    ],
)
def test_ending_tells_the_type(name: str, mime_type: str | None) -> None:
    """The extension of a name or URI gives its MIME type; without one there is none."""
    assert mime_type_of(name) == mime_type


@pytest.mark.parametrize(
    ("mime_type", "medium"),
    [
        ("image/png", "image"),
        ("Audio/WAV", "audio"),
        ("video/mp4; codecs=x", "video"),
        ("application/pdf", "document"),
        ("", "document"),
    ],
)
def test_type_tells_the_medium(mime_type: str, medium: Medium) -> None:
    """A MIME type belongs to one of four media."""
    assert medium_of(mime_type) == medium


@given(st.binary(), st.sampled_from(["image/png", "audio/wav", "text/plain;charset=utf-8"]))
def test_data_url_is_split(data: bytes, mime_type: str) -> None:
    """A data URL gives back what was put in, in either alphabet, padded or not."""
    expected = (mime_type.partition(";")[0], data)
    assert split_data_url(f"data:{mime_type};base64,{base64.b64encode(data).decode()}") == expected
    assert split_data_url(f"data:{mime_type};base64,{base64.urlsafe_b64encode(data).decode().rstrip('=')}") == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("data:;base64,aGk=", ("text/plain", b"hi")),
        ("DATA:Image/PNG;name=a.png;Base64,aGk", ("image/png", b"hi")),
        ("data:image/png;base64,aG\nk%3D", ("image/png", b"hi")),
        ("data:image/png;base64,", ("image/png", b"")),
        ("data:image/png,aGk=", None),
        ("data:image/png;base64,a", None),
        ("data:image/png;base64,äöü", None),
        ("data:image/png;base64", None),
        ("https://example.com/a.png", None),
        ("", None),
    ],
)
def test_odd_data_urls(url: str, expected: tuple[str, bytes] | None) -> None:
    """Unusual data URLs are read where they are valid; the rest is None."""
    assert split_data_url(url) == expected


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    """No text crashes the readers."""
    split_data_url("data:image/png;base64," + text)
    split_data_url(text)
    mime_type_of(text)
    medium_of(text)
