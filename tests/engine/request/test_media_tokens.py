"""Tokens of media: the documented numbers, with size and length read from the first bytes."""

import base64
import io
import wave
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from emulator.engine.request.facts import Facts
from emulator.engine.request.media import MediaInput, Medium, image_size, resolution_of
from emulator.engine.request.token_estimates import estimate_media, estimate_media_output
from emulator.wire.urls import Target


def encode(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode()


def picture(kind: str, size: tuple[int, int]) -> bytes:
    """A picture of a size, as a file."""
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind)
    return file.getvalue()


def sound(seconds: float) -> str:
    """A WAV of a length, as base64."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(bytes(int(16_000 * seconds)))
    return encode(file.getvalue())


def count(medium: Medium, data: str = "", mime_type: str = "", *, resolution: str | None = None, new: bool) -> int:
    """The tokens of a medium for Gemini 3 or the one before."""
    return estimate_media(MediaInput(medium, mime_type, data, resolution), 3.1 if new else 2.5)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "JPEG", "WEBP"])
def test_sizes_are_read_from_headers(kind: str) -> None:
    """Width and height of each kind of file."""
    assert image_size(picture(kind, (640, 123))) == (640, 123)


def test_sizes_of_other_webps() -> None:
    """Lossless and extended WebP, whose headers differ."""
    for options in ({"lossless": True}, {"exif": b"Exif\0\0"}):
        file = io.BytesIO()
        Image.new("RGB", (300, 200)).save(file, "WEBP", **options)
        assert image_size(file.getvalue()) == (300, 200)


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"RIFFxxxxWEBPVP8X"]))
def test_broken_pictures_have_no_size_or_some(rest: bytes, start: bytes) -> None:
    """Arbitrary bytes raise nothing, and the result can be counted."""
    image_size(start + rest)
    assert count("image", encode(start + rest), new=False) >= 258


@pytest.mark.parametrize(
    ("size", "tokens"),
    [((384, 384), 258), ((385, 100), 258 * 2), ((960, 540), 258 * 6), ((2000, 2000), 258 * 9), ((768, 768), 258 * 4)],
)
def test_pictures_before_gemini_3_count_by_tiles(size: tuple[int, int], tokens: int) -> None:
    """Small pictures are one tile; larger ones have tiles of the shorter side divided by 1.5, 256 to 768 pixels."""
    assert count("image", encode(picture("PNG", size)), new=False) == tokens


def test_what_cannot_be_measured_counts_as_one() -> None:
    """A picture of which only the address is known counts 258."""
    assert count("image", new=False) == 258


@pytest.mark.parametrize(
    ("medium", "resolution", "tokens"),
    [
        ("image", None, 1120),
        ("image", "low", 280),
        ("image", "medium", 560),
        ("image", "ultra_high", 2240),
        ("document", None, 560),
        ("document", "high", 1120),
        ("video", None, 700),
        ("video", "high", 2800),
        ("video", "ultra_high", 2800),
    ],
)
def test_gemini_3_counts_by_resolution(medium: Medium, resolution: str | None, tokens: int) -> None:
    """The documented numbers; every video counts as ten seconds."""
    assert count(medium, resolution=resolution, new=True) == tokens


def test_others_before_gemini_3() -> None:
    """258 for a page and for a second of video, 32 for a second of sound, 25 from Gemini 3 on."""
    assert count("document", new=False) == 258
    assert count("video", new=False) == 2580
    assert count("audio", sound(3), new=False) == 96
    assert count("audio", sound(3), new=True) == 75
    assert count("audio", "not base64 !", new=False) == 320


def test_pages_and_texts() -> None:
    """A PDF's pages are counted, a text's tokens estimated."""
    pdf = b"%PDF-1.4 << /Type /Pages >> << /Type /Page >> <</Type/Page/Parent 1 0 R>>"
    assert count("document", encode(pdf), "application/pdf", new=True) == 1120
    assert count("document", encode(b"x" * 40), "text/plain", new=True) == 10


def test_output() -> None:
    """1120 for a picture, 25 for a second of sound."""
    assert estimate_media_output(encode(picture("PNG", (9, 9))), "image/png") == 1120
    assert estimate_media_output(sound(2), "audio/wav") == 50
    assert estimate_media_output(sound(0), "audio/wav") == 1


def test_resolutions_have_several_spellings() -> None:
    """`detail`, the native enum, the native object; anything else is none."""
    assert resolution_of("LOW") == resolution_of("MEDIA_RESOLUTION_LOW") == "low"
    assert resolution_of({"level": "MEDIA_RESOLUTION_ULTRA_HIGH"}) == "ultra_high"
    assert resolution_of("auto") is resolution_of(3) is resolution_of(None) is None


def facts(body: dict[str, Any], *headers: tuple[bytes, bytes]) -> Facts:
    """The facts of a request."""
    return Facts(Target("v1", "p", "global", "openapi"), headers, body)  # type: ignore[arg-type]  # a request


def test_the_documented_picture_comes_near() -> None:
    """The green shirt's request has 1139 prompt tokens in the documentation."""
    file = {"mime_type": "image/jpg", "display_name": "dress.jpg", "file_uri": "gs://bucket/dress.jpg"}
    arguments = '{"item_name":"green shirt"}'
    messages = [
        {"role": "user", "content": "Show me the green shirt I ordered last month."},
        {"role": "assistant", "tool_calls": [{"id": "x", "function": {"name": "get_image", "arguments": arguments}}]},
        {
            "role": "tool",
            "tool_call_id": "x",
            "content": '{"image_ref":{"$ref":"dress.jpg"}}',
            "extra_content": {"google": {"parts": [{"file_data": file}]}},
        },
    ]
    counted = facts({"model": "google/gemini-3.1-pro-preview", "messages": messages}).prompt_tokens
    assert abs(counted - 1139) < 20


def test_details_and_the_whole_requests_resolution() -> None:
    """A part's `detail` wins over the request's `media_resolution`."""
    parts = [
        {"type": "image_url", "image_url": {"url": "gs://b/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": "gs://b/a.png"},
        {"type": "input_audio", "input_audio": {"format": "wav", "data": sound(4)}},
        {"type": "image_url", "image_url": {"url": f"data:application/pdf;base64,{encode(b'%PDF')}"}},
    ]
    body = {
        "model": "google/gemini-3-flash-preview",
        "messages": [{"role": "user", "content": parts}],
        "extra_body": {"google": {"media_resolution": "MEDIA_RESOLUTION_MEDIUM"}},
    }
    assert [estimate_media(one, 3.0) for one in facts(body).media] == [280, 560, 100, 560]


def test_cached_content_is_part_of_the_prompt() -> None:
    """Cached tokens are part of the prompt tokens."""
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Hi"}]}
    cached = facts({**body, "extra_body": {"google": {"cached_content": "projects/p/locations/l/cachedContents/1"}}})
    assert (cached.cached_tokens, cached.prompt_tokens) == (2048, 2049)
    assert facts(body).cached_tokens == 0


@pytest.mark.parametrize(
    ("headers", "traffic"),
    [
        ([], "ON_DEMAND"),
        ([(b"x-vertex-ai-llm-request-type", b"dedicated")], "PROVISIONED_THROUGHPUT"),
        ([(b"x-vertex-ai-llm-request-type", b"shared")], "ON_DEMAND"),
        ([(b"X-Vertex-AI-LLM-Shared-Request-Type", b"Flex")], "ON_DEMAND_FLEX"),
        (
            [(b"x-vertex-ai-llm-request-type", b"shared"), (b"x-vertex-ai-llm-shared-request-type", b"priority")],
            "ON_DEMAND_PRIORITY",
        ),
    ],
)
def test_headers_choose_the_traffic(headers: list[tuple[bytes, bytes]], traffic: str) -> None:
    """The documented headers, in any case."""
    assert facts({}, *headers).traffic == traffic
