"""A request and its answer as a conversation: turns made of text, thoughts, calls, results, pictures and sound."""

from collections.abc import Iterator
from typing import Any

from emulator.redaction import redact, redact_json
from emulator.store.exchange import Exchange, show_body
from emulator.wire.json_text import parse_or_text

Part = dict[str, Any]
"""One part of a turn: `text`, `thought`, `call` with `arguments`, `result`, `image`, `audio`, `video` or `file`."""
_EVENT = "data: "
_FORMATS = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def read_turns(request: Any) -> list[dict[str, Any]]:
    """The turns of a request's body, each with its `role` and `parts`, and the place where it stands."""
    if not isinstance(request, dict):
        return []
    turns = []
    if isinstance(request.get("instructions"), str):
        turns.append({"role": "system", "place": "instructions", "parts": [{"text": request["instructions"]}]})
    for key in ("messages", "input", "prompt"):
        value = request.get(key)
        for index, item in enumerate(value if isinstance(value, list) else [] if value is None else [value]):
            place = f"{key}[{index}]" if isinstance(value, list) else key
            role = item.get("role") if isinstance(item, dict) else None
            parts = list(_read_item(item))
            if not isinstance(role, str):
                role = "tool" if any("result" in part for part in parts) else "user"
            turns.append({"role": role, "place": place, "parts": parts})
    return turns


def _read_item(item: Any) -> Iterator[Part]:
    """The parts of one message, or of one item of the other routes' inputs."""
    if not isinstance(item, dict):
        yield {"text": item if isinstance(item, str) else str(item)}
        return
    if item.get("type") == "function_call_output" or item.get("role") in {"tool", "function"} or "tool_call_id" in item:
        id_, output = item.get("tool_call_id", item.get("call_id")), item.get("output", item.get("content"))
        parts = list(_read_content(output))
        text = "\n".join(part["text"] for part in parts if "text" in part)
        yield {"result": text, "id": id_, "name": item.get("name")}
        yield from (part for part in parts if "text" not in part)
        return
    if item.get("type") == "function_call":
        yield _call(item, item.get("call_id"))
        return
    for key in ("reasoning_content", "reasoning"):
        if isinstance(item.get(key), str):
            yield {"thought": item[key]}
    yield from _read_content(item.get("content"))
    audio = item.get("audio")
    if isinstance(audio, dict) and isinstance(audio.get("data"), str):
        google = (audio.get("extra_content") or {}).get("google") or {}
        yield _media(google.get("mime_type"), audio["data"])
    yield from read_calls(item)


def read_calls(message: dict[str, Any]) -> list[Part]:
    """The tool calls of a message."""
    calls = message.get("tool_calls")
    found = [
        _call(call["function"], call.get("id"))
        for call in (calls if isinstance(calls, list) else ())
        if isinstance(call, dict) and isinstance(call.get("function"), dict)
    ]
    legacy = message.get("function_call")
    return [*found, _call(legacy, None)] if isinstance(legacy, dict) else found


def _call(function: dict[str, Any], id_: Any) -> Part:
    arguments = function.get("arguments")
    return {
        "call": str(function.get("name") or ""),
        "arguments": parse_or_text(arguments) if isinstance(arguments, str) else arguments,
        "id": id_,
    }


def _read_content(content: Any) -> Iterator[Part]:
    if isinstance(content, str):
        yield {"text": content}
        return
    if isinstance(content, dict):
        yield {"text": str(content)}
        return
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, dict):
            yield {"text": str(part)}
            continue
        kind, text = part.get("type"), part.get("text")
        if isinstance(text, str):
            extra = part.get("extra_content")
            google = extra.get("google") if isinstance(extra, dict) else None
            yield {"thought" if isinstance(google, dict) and google.get("thought") else "text": text}
        elif kind in {"image_url", "input_image"}:
            named = part.get("image_url")
            yield _address(named.get("url") if isinstance(named, dict) else named)
        elif kind == "input_audio" and isinstance(part.get("input_audio"), dict):
            sound = part["input_audio"]
            yield _media(_FORMATS.get(str(sound.get("format")), f"audio/{sound.get('format')}"), sound.get("data"))
        else:
            yield {"file": f"{kind or 'part'}: {', '.join(key for key in part if key != 'type')}"}


def _address(url: Any) -> Part:
    """A picture, sound, video or file by its address; only `data:` URLs are shown, others would ask another host."""
    if not isinstance(url, str):
        return {"file": "an address that is no text"}
    head, comma, _ = url[:100].partition(",")
    if not (head.lower().startswith("data:") and comma):
        return {"file": url}
    return _by_type(head[5:].partition(";")[0], url)


def _media(mime_type: Any, data: Any) -> Part:
    if not isinstance(data, str):
        return {"file": "media without data"}
    if data.startswith("data:"):
        return _address(data)
    mime_type = mime_type if isinstance(mime_type, str) else "audio/wav"
    return _by_type(mime_type, f"data:{mime_type};base64,{data}")


def _by_type(mime_type: str, url: str) -> Part:
    kind = mime_type.partition("/")[0]
    return {kind: url} if kind in {"image", "audio", "video"} else {"file": f"{mime_type}, {len(url):,} characters"}


def read_answer(exchange: Exchange) -> dict[str, Any]:
    """The first choice of an answer, plain or streamed: its `parts` and its `finish` reason; no parts for errors and embeddings."""
    text = exchange.outcome.timeline.body.decode("utf-8", "replace")
    whole = parse_or_text(text)
    if isinstance(whole, dict):
        return _read_whole(whole)
    message: dict[str, Any] = {"content": [], "tool_calls": {}, "reasoning_content": ""}
    finish = None
    for line in text.split("\n"):
        event = parse_or_text(line.removeprefix(_EVENT)) if line.startswith(_EVENT) else None
        if not isinstance(event, dict):
            continue
        if event.get("type") == "response.completed":
            return _read_whole(event.get("response") or {})
        for choice in event.get("choices") or ():
            if choice.get("index", 0) == 0:
                finish = choice.get("finish_reason") or finish
                _add_delta(message, choice.get("delta") or {"content": choice.get("text")})
    message["tool_calls"] = list(message["tool_calls"].values())
    parts = [part for part in _read_item(message) if part not in ({"text": ""}, {"thought": ""})]
    return {"parts": parts, "finish": finish}


def _read_whole(answer: dict[str, Any]) -> dict[str, Any]:
    parts: list[Part] = []
    finish = answer.get("status")
    for choice in (answer.get("choices") or ())[:1]:
        finish = choice.get("finish_reason")
        parts += _read_item(choice.get("message") or {"content": choice.get("text")})
    for item in answer.get("output") or ():
        parts += _read_item(item)
    return {"parts": parts, "finish": finish}


def _add_delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a chunk to the message that is put together."""
    for part in _read_content(delta.get("content")):
        key = next(iter(part))
        extra = (delta.get("extra_content") or {}).get("google") or {}
        key = "thought" if extra.get("thought") and key == "text" else key
        text, last = next(iter(part.values())), message["content"][-1] if message["content"] else {}
        is_thought = bool((last.get("extra_content") or {}).get("google"))
        if "text" in last and is_thought == (key == "thought"):
            last["text"] += text
        else:
            new: dict[str, Any] = {"type": "text", "text": text}
            message["content"].append(
                new | ({"extra_content": {"google": {"thought": True}}} if key == "thought" else {})
            )
    if isinstance(delta.get("reasoning_content"), str):
        message["reasoning_content"] += delta["reasoning_content"]
    if isinstance(delta.get("audio"), dict):
        message["audio"] = delta["audio"]
    for call in delta.get("tool_calls") or ():
        function = call.get("function") or {}
        known = message["tool_calls"].setdefault(
            call.get("index", 0), {"id": None, "function": {"name": "", "arguments": ""}}
        )
        known["id"] = call.get("id") or known["id"]
        known["function"]["name"] = function.get("name") or known["function"]["name"]
        known["function"]["arguments"] += function.get("arguments") or ""


def show_conversation(exchange: Exchange) -> list[dict[str, Any]]:
    """The turns of an exchange, the answer last, without secrets."""
    turns = read_turns(show_body(exchange.body))
    answer = read_answer(exchange)
    parts = [redact_json(part) if not {"image", "audio", "video"} & set(part) else part for part in answer["parts"]]
    if parts:
        turns.append(
            {"role": "assistant", "place": None, "parts": parts, "finish": answer["finish"], "is_answer": True}
        )
    else:
        outcome = exchange.outcome
        refusal = outcome.refusal
        text = outcome.report or (refusal.message if refusal else "")
        if text:
            turns.append({"role": "error", "place": None, "parts": [{"text": redact(text)}], "is_answer": True})
    return turns
