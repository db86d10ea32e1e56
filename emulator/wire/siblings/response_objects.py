"""What `POST /responses` answers: the response object and the events of its stream.

Documented: the keys of the object down to `previous_response_id`, those of a message and of usage but `total_tokens`' arithmetic,
and the event `response.output_text.delta`. Assumed, as OpenAI's clients expect it: the other keys and events. Keys are
alphabetical at every level. There is no `[DONE]` (assumed): `response.completed` is the end.
"""

from typing import Any

from emulator.values import dataclass
from emulator.wire.json_text import dump
from emulator.wire.replies import Identity
from emulator.wire.siblings.responses import ResponsesRequest
from emulator.wire.usage import Usage

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a response has come; what it was cut for, if it was."""

    fingerprint: str
    output: list[Object]
    usage: Usage | None = None
    """None until it has ended."""
    cut_by: str | None = None

    @property
    def status(self) -> str:
        """The state, as the object names it."""
        return "in_progress" if self.usage is None else "incomplete" if self.cut_by else "completed"


def response_object(request: ResponsesRequest, identity: Identity, progress: Progress) -> Object:
    """The response as it stands; what the request said is repeated in it."""
    has_ended = progress.usage is not None
    reasoning = request.get("reasoning") or {}
    return {
        "background": False,
        "completed_at": identity.created if has_ended else None,
        "created_at": identity.created,
        "error": None,
        "frequency_penalty": request.get("frequency_penalty", 0),
        "id": identity.id,
        "incomplete_details": {"reason": progress.cut_by} if progress.cut_by else None,
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "max_tool_calls": request.get("max_tool_calls"),
        "metadata": dict(
            sorted({**(request.get("metadata") or {}), "system_fingerprint": progress.fingerprint}.items())
        ),
        "model": identity.model,
        "object": "response",
        "output": progress.output,
        "parallel_tool_calls": request.get("parallel_tool_calls", True),
        "presence_penalty": request.get("presence_penalty", 0),
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "service_tier": "default",
        "status": progress.status,
        "store": False,
        "temperature": request.get("temperature"),
        "text": request.get("text") or {"format": {"type": "text"}},
        "tool_choice": request.get("tool_choice") or "auto",
        "tools": request.get("tools") or [],
        "top_logprobs": request.get("top_logprobs", 0),
        "top_p": request.get("top_p"),
        "truncation": "disabled",
        "usage": None if progress.usage is None else response_usage(progress.usage),
        "user": request.get("user"),
    }


def response_usage(usage: Usage) -> Object:
    """Output includes reasoning (observed: answers of xAI's own service), so the total is the sum of input and output."""
    return {
        "extra_properties": {"google": {"traffic_type": usage.traffic}},
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "num_server_side_tools_used": 0,
        "num_sources_used": 0,
        "output_tokens": usage.completion + usage.reasoning,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.sum,
    }


def text_part(text: str) -> Object:
    """The content of a message."""
    return {"annotations": [], "logprobs": [], "text": text, "type": "output_text"}


def message_item(item_id: str, text: str | None, status: str = "completed") -> Object:
    """A message; without text it has only begun."""
    content = [] if text is None else [text_part(text)]
    return {"content": content, "id": item_id, "role": "assistant", "status": status, "type": "message"}


def call_item(item_id: str, call_id: str, name: str, arguments: str, status: str = "completed") -> Object:
    """A function call."""
    return {
        "arguments": arguments,
        "call_id": call_id,
        "id": item_id,
        "name": name,
        "status": status,
        "type": "function_call",
    }


def response_event(kind: str, number: int, **more: Any) -> bytes:
    """One event of a stream, named twice: in its `event` line and in its `type`."""
    data = dump(dict(sorted({**more, "sequence_number": number, "type": kind}.items())))
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)
