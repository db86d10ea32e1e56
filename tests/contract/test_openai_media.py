"""openai-python and media: pictures and sound, in and out."""

import base64
import io
import wave
from collections.abc import Callable
from typing import Any, Literal

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessage
from PIL import Image

SCENARIOS = ("picture.yaml", "default.yaml")
MODEL = "google/gemini-3-pro-image-preview"
PIXEL = base64.b64encode(b"not really a picture, but nobody looks inside").decode()
Journal = Callable[[], list[dict[str, Any]]]

INPUTS: dict[str, tuple[Any, str]] = {
    "string": ({"type": "image_url", "image_url": "gs://cloud-samples-data/generative-ai/image/scones.jpg"}, "look"),
    "object": ({"type": "image_url", "image_url": {"url": "gs://a-bucket/a.png", "detail": "low"}}, "look"),
    "data": ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}, "look"),
    "https": ({"type": "image_url", "image_url": {"url": "https://example.com/a.webp"}}, "look"),
    "audio": (
        {
            "type": "input_audio",
            "input_audio": {
                "format": "audio/mp3",
                "data": "gs://cloud-samples-data/generative-ai/audio/pixel.mp3",
            },
        },
        "listen",
    ),
    "base64 audio": ({"type": "input_audio", "input_audio": {"format": "mp3", "data": PIXEL}}, "otherwise"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_input(client: OpenAI, journal: Journal, name: str) -> None:
    """Each documented form of a picture or a sound is taken for what it is, and arrives unchanged."""
    part, rule = INPUTS[name]
    content: Any = [{"type": "text", "text": "Describe this:"}, part]
    answer = client.chat.completions.create(
        model="google/gemini-2.5-flash", messages=[{"role": "user", "content": content}]
    )
    assert answer.choices[0].message.content
    (exchange,) = journal()
    assert exchange["rule"] == rule
    assert exchange["request"]["messages"][0]["content"] == content


def media_of(message: ChatCompletionMessage) -> tuple[str, bytes]:
    """Return MIME type and bytes of the medium in a message, which stands in the slot for audio (documented)."""
    assert message.audio is not None
    extra: Any = message.audio.model_extra
    return extra["extra_content"]["google"]["mime_type"], base64.b64decode(message.audio.data, validate=True)


@pytest.mark.parametrize(("modalities", "text"), [(["image"], "Here you are."), (["text", "image"], "Here you are.")])
def test_picture(client: OpenAI, modalities: Any, text: str) -> None:
    """A picture that is asked for can be opened, beside the text of the rule."""
    message = (
        client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Draw."}], modalities=modalities
        )
        .choices[0]
        .message
    )
    mime_type, data = media_of(message)
    assert (mime_type, message.content) == ("image/png", text)
    with Image.open(io.BytesIO(data)) as picture:
        picture.verify()
        assert picture.format == "PNG"
    google = (message.model_extra or {})["extra_content"]["google"]
    assert google["thought_signature"]


def test_sound(client: OpenAI) -> None:
    """A sound that is asked for can be played."""
    kinds: list[Literal["text", "audio"]] = ["audio"]
    message = (
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Sing."}], modalities=kinds)
        .choices[0]
        .message
    )
    mime_type, data = media_of(message)
    assert mime_type == "audio/wav"
    with wave.open(io.BytesIO(data)) as sound:
        assert sound.getnframes() > 0


def test_streamed_picture(client: OpenAI) -> None:
    """A streamed picture comes whole in one chunk."""
    modalities: Any = ["image"]
    with client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Draw."}], modalities=modalities, stream=True
    ) as stream:
        deltas = [chunk.choices[0].delta.to_dict() for chunk in stream]
    (audio,) = [delta["audio"] for delta in deltas if "audio" in delta]
    assert isinstance(audio, dict)
    assert base64.b64decode(audio["data"]).startswith(b"\x89PNG")
