r"""Server-sent events as the service writes them: one `data:` line and a blank line, `\n` line ends (documented; line end assumed)."""

EVENT_STREAM_TYPE = "text/event-stream"
DONE = b"data: [DONE]\n\n"


def event(data: bytes) -> bytes:
    """One event; `data` is compact JSON, so it has no line break."""
    return b"data: " + data + b"\n\n"
