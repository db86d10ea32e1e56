"""Facts of a request: the properties that rules, vetting and templates read, each computed on first use.

They consist of the request options, which many requests share, and what is read from the messages.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from copy import copy
from functools import cached_property
from typing import Any

from emulator.catalogue.models import generation
from emulator.engine.request.history import (
    MODEL_ROLES,
    SYSTEM_ROLES,
    TOOL_ROLES,
    USER_ROLES,
    HistoryTurn,
    read_history_turns,
    read_text,
    text_of,
)
from emulator.engine.request.media import MediaInput, list_kinds, list_media, media_in, resolution_of
from emulator.engine.request.open_turn import OpenTurn, read_open_turn
from emulator.engine.request.options import RequestOptions, vertex_headers
from emulator.engine.request.readings import Readings
from emulator.engine.request.token_estimates import estimate_all, estimate_call, estimate_media
from emulator.scenario.rules import Endpoint
from emulator.suggestions import quote
from emulator.wire.requests import ChatRequest, Message, PlainMessages
from emulator.wire.urls import Target

__all__ = ["MODEL_ROLES", "SYSTEM_ROLES", "TOOL_ROLES", "USER_ROLES", "Facts", "media_in", "text_of"]

_TEXT: AbstractSet[type] = frozenset({str})
_PLAIN_KEYS = frozenset({"role", "content"})


class Facts(RequestOptions):
    """The properties of one request that rules, vetting and templates read."""

    clock: Callable[[], float] | None = None
    """A clock, in seconds, if work for this request that takes long raises LongWorkError; None where it may take long."""

    def __init__(
        self,
        target: Target,
        headers: Sequence[tuple[bytes, bytes]],
        request: ChatRequest,
        endpoint: Endpoint | None = None,
        *,
        options: RequestOptions | None = None,
        plain: PlainMessages | None = None,
    ) -> None:
        """`options` are the request's cached options, if known; `plain` are its messages if they consist of roles and texts only."""
        if options is None:
            super().__init__(
                target, vertex_headers({name.lower(): value for name, value in headers}), request, endpoint
            )
        else:
            self.__dict__ = options.__dict__.copy()
            self.request = request
        self.raw_headers = headers
        self.messages: Sequence[Message] = request.get("messages") or ()
        if plain is not None:
            self.message_keys, self.content_types, self.may_have_media = _PLAIN_KEYS, _TEXT, False
            self.roles, self.contents = plain
            if self.messages and self.messages[-1]["role"] == "user":
                self.last_user = self.contents[-1]
            if not self.google:
                # Every answer needs it. Without a thought marker the texts count as they are.
                self.prompt_tokens = self.tokens_outside_messages + estimate_all(self.contents)

    def __repr__(self) -> str:
        """What is asked, in short."""
        number = len(self.messages)
        parts = [
            self.answering_model,
            f"{number} message{'s' if number != 1 else ''}",
            f"last_user {quote(self.last_user)}",
        ]
        parts += [f"tools {', '.join(self.tool_names)}"] if self.tools else []
        parts += ["stream"] if self.stream else []
        return f"<Facts {'; '.join(parts)}>"

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The request headers, names in lower case, repeated ones joined by commas."""
        found: dict[str, str] = {}
        for raw_name, raw_value in self.raw_headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    @cached_property
    def message_keys(self) -> AbstractSet[str]:
        """The union of all messages' keys, so that absent keys need not be searched for."""
        return frozenset().union(*self.messages)

    @cached_property
    def roles(self) -> AbstractSet[str | None]:
        """The roles of all messages."""
        return frozenset([message.get("role") for message in self.messages])

    @cached_property
    def contents(self) -> Sequence[Any]:
        """The contents of all messages."""
        return [message.get("content") for message in self.messages]

    @cached_property
    def content_types(self) -> AbstractSet[type]:
        """The Python types of these contents: str, list, NoneType."""
        return frozenset(map(type, self.contents))

    @cached_property
    def may_have_media(self) -> bool:
        """Whether a message may contain something other than text."""
        return "extra_content" in self.message_keys or list in self.content_types

    @cached_property
    def last_user(self) -> str | None:
        """The text of the last user message."""
        for message in reversed(self.messages):
            if message.get("role") in USER_ROLES:
                return text_of(message)
        return None

    @cached_property
    def any_user(self) -> list[str]:
        """The texts of all user messages."""
        return [text_of(message) for message in self.messages if message.get("role") in USER_ROLES]

    @cached_property
    def system(self) -> str | None:
        """The system messages, joined by line breaks."""
        texts = [text_of(message) for message in self.messages if message.get("role") in SYSTEM_ROLES]
        return "\n".join(texts) if texts else None

    @property
    def last(self) -> str | None:
        """The role of the last message."""
        return self.messages[-1].get("role") if self.messages else None

    @cached_property
    def turn(self) -> int:
        """The number of user turns; consecutive user messages are one turn."""
        turns, inside = 0, False
        for message in self.messages:
            is_user = message.get("role") in USER_ROLES
            turns += is_user and not inside
            inside = is_user
        return turns

    @cached_property
    def dialogue(self) -> Sequence[HistoryTurn]:
        """The messages as turns without system messages, as conversation rules compare them with their transcripts."""
        return read_history_turns(self.messages, self.google.get("thought_tag_marker"))

    @cached_property
    def open_turn(self) -> OpenTurn:
        """The last question, the tools called since, and their results."""
        return read_open_turn(self.messages)

    @cached_property
    def _results(self) -> list[Message]:
        """The tool messages at the end of the conversation."""
        end = len(self.messages)
        start = end
        while start and self.messages[start - 1].get("role") in TOOL_ROLES:
            start -= 1
        return list(self.messages[start:end])

    @cached_property
    def answered_tools(self) -> list[str]:
        """The names of the tools whose results end the conversation, looked up by call id, else as the result names them."""
        names = {
            call.get("id"): call.get("function", {}).get("name", "")
            for message in self.messages
            for call in message.get("tool_calls") or ()
        }
        return [names.get(result.get("tool_call_id")) or result.get("name") or "" for result in self._results]

    @cached_property
    def tool_results(self) -> list[str]:
        """The texts of the tool results that end the conversation."""
        return [text_of(result) for result in self._results]

    @cached_property
    def readings(self) -> Readings:
        """The request's texts as conditions compare them."""
        return Readings(self.clock)

    @property
    def is_short(self) -> bool:
        """Whether work that takes long has to be done elsewhere."""
        return self.clock is not None

    def for_long_work(self) -> "Facts":
        """A copy for work that may take long, in another thread: it shares nothing that changes."""
        found = copy(self)
        found.clock = None
        found.__dict__.pop("readings", None)
        found.tool_stems, found.vetted, found.encoded = list(self.tool_stems), dict(self.vetted), {}
        found.on_growth = lambda _size: None
        return found

    @cached_property
    def has(self) -> frozenset[str]:
        """The kinds of input in the messages: image, audio, video, document, gs_uri."""
        return list_kinds(self.messages) if self.may_have_media else frozenset()

    @cached_property
    def media(self) -> list[MediaInput]:
        """The media in the messages."""
        resolution = resolution_of(self.google.get("media_resolution"))
        return list_media(self.messages, resolution) if self.may_have_media else []

    @cached_property
    def prompt_tokens(self) -> int:
        """Estimated prompt tokens: texts, tool calls, media, and everything outside the messages."""
        google, total = self.google, self.tokens_outside_messages
        marker = google.get("thought_tag_marker") if google else None
        marker = marker if isinstance(marker, str) else None
        if marker is None and not self.may_have_media and self.content_types <= _TEXT:
            # No part can be a thought, so the texts count as they are.
            total += estimate_all(self.contents)
        else:
            total += estimate_all([read_text(one, marker) for one in self.messages])
            total += sum(estimate_media(one, generation(self.answering_model)) for one in self.media)
        if "tool_calls" in self.message_keys:
            total += sum(estimate_call(call) for message in self.messages for call in message.get("tool_calls") or ())
        return total
