# mypy: ignore-errors
# The framework is not installed where types are checked.
"""LangChain's standard tests of chat models, for ChatOpenAI against the emulator. Run by pytest where they are installed."""

import os
from base64 import b64decode
from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

PICTURE = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


@pytest.fixture(autouse=True)
def _no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests fetch their picture and their sound from elsewhere; any bytes will do."""
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(200, content=PICTURE))


class TestVertex(ChatModelIntegrationTests):
    """All that a chat model with tools, structured output, pictures, sounds and usage has to pass."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        """The class under test."""
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """How it is made."""
        return {"model": os.environ["MODEL"], "base_url": os.environ["BASE_URL"], "api_key": os.environ["API_KEY"]}

    @property
    def model_override_value(self) -> str:
        """Another model for a single call."""
        return "google/gemini-2.5-pro"

    @property
    def supports_json_mode(self) -> bool:
        """`response_format: json_object`."""
        return True

    @property
    def supports_image_inputs(self) -> bool:
        """Pictures in messages, as data."""
        return True

    @property
    def supports_image_urls(self) -> bool:
        """Pictures in messages, by their addresses."""
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        """Sounds in messages."""
        return True

    # PDF files come as `file` parts, and pictures in tool results as parts of `content`; neither is documented for Vertex.
