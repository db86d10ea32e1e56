"""The fragments of a tool call's arguments under `stream_function_call_arguments`.

Documented (seed): a string value comes as key, opening quote and text; then the closing quote by itself; the closing brace last.
Assumed: any other value comes in one piece with its key; a call without arguments is `{}`; what is not an object comes whole.
"""

from typing import Any

from emulator.wire.json_text import dump, parse_or_text


def fragment(arguments: str) -> tuple[str, ...]:
    """The pieces of the arguments' JSON text, which joined are compact JSON of the same value."""
    value: Any = parse_or_text(arguments)
    if not isinstance(value, dict):
        return (arguments,)
    if not value:
        return ("{}",)
    pieces: list[str] = []
    lead = "{"
    for key, one in value.items():
        text = f"{lead}{dump(key).decode()}:{dump(one).decode()}"
        lead = ","
        if isinstance(one, str):
            pieces += [text[:-1], text[-1]]
        else:
            pieces.append(text)
    return (*pieces, "}")


def announce_index(position: int, count: int) -> int:
    """The index in the chunk that announces a call: that of the other call of its pair.

    Documented (seed) for two calls: the first is announced with 1, the second with 0, their fragments have 0 and 1. Assumed
    for one call (its own index) and for more (pairs swap, an odd one keeps its own).
    """
    other = position ^ 1
    return other if other < count else position
