"""The fault catalogue: faults by name, each as it would be written in a scenario."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

GarbleName = Literal[
    "invalid_json",
    "truncated_json",
    "duplicate_chunk",
    "reordered_chunks",
    "unknown_event",
    "comment_lines",
    "crlf",
    "no_done",
    "bom",
    "empty_choices",
    "wrong_content_type",
]
FaultName = Literal[
    "reset_before_headers",
    "close_before_headers",
    "reset_mid_stream",
    "close_mid_stream",
    "end_mid_stream",
    "cut_inside_frame",
    "cut_inside_json",
    "cut_inside_character",
    "stall_before_headers",
    "stall_mid_stream",
    "fail_mid_stream",
    GarbleName,
    "small_writes",
]


@dataclass(frozen=True, slots=True)
class NamedFault:
    """One fault: how it is written under `fault`, and what a client sees."""

    name: FaultName
    written: dict[str, Any]
    effect: str


FAULTS: dict[FaultName, NamedFault] = {
    fault.name: fault
    for fault in (
        NamedFault(
            "reset_before_headers",
            {"cut": "reset", "at": "before_headers"},
            "the connection is reset before there is an answer",
        ),
        NamedFault(
            "close_before_headers",
            {"cut": "close", "at": "before_headers"},
            "the connection is closed in order before there is an answer",
        ),
        NamedFault("reset_mid_stream", {"cut": "reset"}, "the connection is reset in the middle of the answer"),
        NamedFault(
            "close_mid_stream",
            {"cut": "close"},
            "the connection is closed in the middle of the answer, its transfer encoding unfinished",
        ),
        NamedFault(
            "end_mid_stream",
            {"cut": "end"},
            "the answer ends in its middle as if it were complete: HTTP is in order, content and [DONE] are missing",
        ),
        NamedFault(
            "cut_inside_frame",
            {"cut": "close", "at": "inside_frame"},
            "the connection is closed behind the JSON of an event, before the empty line that ends it",
        ),
        NamedFault(
            "cut_inside_json", {"cut": "close", "at": "inside_json"}, "the connection is closed in the middle of JSON"
        ),
        NamedFault(
            "cut_inside_character",
            {"cut": "close", "at": "inside_character"},
            "the connection is closed between the bytes of one character",
        ),
        NamedFault("stall_before_headers", {"stall": "forever", "at": "before_headers"}, "nothing ever comes"),
        NamedFault("stall_mid_stream", {"stall": "forever"}, "the answer begins and never goes on"),
        NamedFault(
            "fail_mid_stream",
            {"fail": 503, "after_chunks": 2},
            "behind two chunks the bare error object, then nothing; a plain answer is the 503 itself",
        ),
        NamedFault("invalid_json", {"garble": "invalid_json"}, "one chunk is no JSON"),
        NamedFault("truncated_json", {"garble": "truncated_json"}, "one chunk stops in its middle, the next follow"),
        NamedFault("duplicate_chunk", {"garble": "duplicate_chunk"}, "one chunk comes twice"),
        NamedFault("reordered_chunks", {"garble": "reordered_chunks"}, "two chunks change places"),
        NamedFault("unknown_event", {"garble": "unknown_event"}, "an event of a kind that no client knows"),
        NamedFault("comment_lines", {"garble": "comment_lines"}, "comment lines between the events"),
        NamedFault("crlf", {"garble": "crlf"}, "lines end in CR LF"),
        NamedFault("no_done", {"garble": "no_done"}, "the stream is complete but for [DONE]"),
        NamedFault("bom", {"garble": "bom"}, "the body begins with a byte order mark"),
        NamedFault("empty_choices", {"garble": "empty_choices"}, "`choices` is empty"),
        NamedFault("wrong_content_type", {"garble": "wrong_content_type"}, "the content type is text/html"),
        NamedFault("small_writes", {"write_size": 7}, "the body arrives seven bytes at a time"),
    )
}

FAULT_NAMES: tuple[FaultName, ...] = get_args(FaultName)
