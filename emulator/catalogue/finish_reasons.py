"""The finish reasons that the service and the containers behind endpoints are known to send."""

FINISH_REASONS: dict[str, str] = {
    "stop": "the answer is complete, or a stop sequence was met",
    "length": "the token limit was reached",
    "tool_calls": "the answer ends with tool calls",
    "content_filter": "a filter stopped the answer: safety, recitation, a blocklist, personal data",
    "function_call_filter: MALFORMED_FUNCTION_CALL": "the model wrote a tool call that cannot be read; there is no content",
    "function_call_filter: UNEXPECTED_TOOL_CALL": "the model called a tool that it was not given (assumed)",
    "function_call": "the answer ends with a call in OpenAI's older form",
    "eos_token": "TGI: the answer is complete",
    "stop_sequence": "TGI: a stop sequence was met",
    "abort": "vLLM and SGLang: the request was given up",
}
"""Each reason with what it says. Documented or observed on this route: the first five; the containers' are documented by them."""
_PREFIX = "function_call_filter: "
_FILTERED = (
    *("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"),
    *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
)
NATIVE: dict[str, str] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(_FILTERED, "content_filter"),
    "MALFORMED_FUNCTION_CALL": f"{_PREFIX}MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL": f"{_PREFIX}UNEXPECTED_TOOL_CALL",
}
"""The reasons of the native routes, each with what this route sends for it (observed)."""


def is_known(reason: str) -> bool:
    """Whether a finish reason is known; `function_call_filter: ` goes before any of the native ones."""
    return reason in FINISH_REASONS or reason.startswith(_PREFIX)
