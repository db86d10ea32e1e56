"""Quirks of streams: functions that edit the JSON of chunks in place, and the ways in which a stream breaks off."""

from emulator.engine.quirks.bodies import Body, calls_of, holder_of, sort_keys
from emulator.engine.refusing import refuse
from emulator.engine.timeline import Frame


def own_index(chunks: list[Body]) -> None:
    """`announce_index`: every chunk of a call gets the index of its last fragment."""
    own = {call["id"]: call["index"] for chunk in chunks for call in calls_of(chunk) if call.get("id")}
    for chunk in chunks:
        for call in calls_of(chunk):
            call["index"] = own.get(call.get("id", ""), call["index"])


def name_once(chunks: list[Body]) -> None:
    """`name_once`: only the first chunk of a call names it; so that fragments find their call, they keep its own index."""
    own_index(chunks)
    seen: set[str] = set()
    for chunk in chunks:
        for call in calls_of(chunk):
            if call.get("id") in seen:
                del call["id"], call["type"], call["function"]["name"]
            else:
                seen.add(call.get("id", ""))


def role_once(chunks: list[Body]) -> None:
    """`role_once`."""
    seen: set[int] = set()
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice["index"] in seen:
                holder_of(choice).pop("role", None)
            seen.add(choice["index"])


def drop_index(chunks: list[Body]) -> None:
    """`no_call_index`."""
    for chunk in chunks:
        for call in calls_of(chunk):
            call.pop("index", None)


def unescape(chunks: list[Body]) -> None:
    """`raw_newlines`."""
    escapes = {"\\n": "\n", "\\r": "\r", "\\t": "\t", '\\"': '"'}
    for chunk in chunks:
        for call in calls_of(chunk):
            for escaped, raw in escapes.items():
                call["function"]["arguments"] = call["function"]["arguments"].replace(escaped, raw)


def stop_on_calls(chunks: list[Body]) -> None:
    """`stop_on_calls`."""
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice.get("finish_reason") == "tool_calls":
                choice["finish_reason"] = "stop"


def write_null_reason(chunks: list[Body]) -> None:
    """`null_finish_reason`."""
    for chunk in chunks:
        for choice in chunk["choices"]:
            if "finish_reason" not in choice:
                choice["finish_reason"] = None
                sort_keys(choice)


def repeat_usage(chunks: list[Body]) -> None:
    """`usage_on_every_chunk`."""
    usage = chunks[-1].get("usage") if chunks else None
    for chunk in chunks:
        if usage is not None:
            chunk["usage"] = usage


def separate_usage(chunks: list[Body]) -> None:
    """`usage_chunk`: servers that send one anyway are left alone."""
    last = chunks[-1] if chunks else {}
    if last.get("choices") and last.get("usage") is not None:
        chunks.append({**last, "choices": [], "usage": last.pop("usage")})


def cancel(frames: list[Frame], calls: list[list[Body]]) -> list[Frame]:
    """`midstream_cancelled`: where the second call begins, the stream breaks off; `calls` are those of each frame."""
    seen: set[str] = set()
    for at, found in enumerate(calls):
        seen.update(call.get("id", "") for call in found)
        if len(seen) > 1:
            return [*frames[:at], _bare("cancelled", frames[at])]
    return frames


def overload(frames: list[Frame], last: int) -> list[Frame]:
    """`midstream_unavailable`: `last` is the number of the last chunk's frame."""
    return [*frames[:last], _bare("unavailable", frames[last])]


def _bare(name: str, instead: Frame) -> Frame:
    """An error as it is written into a stream (observed: without `data:`), when another frame would have come."""
    return instead._replace(data=f"{refuse(name, {}).to_text()}\n".encode())
