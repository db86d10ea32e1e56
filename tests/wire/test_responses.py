"""Ids, usage, refusals, bodies and chunks."""

import base64
import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.wire import responses as replies
from emulator.wire.dialects import GEMINI
from emulator.wire.errors import Refusal
from emulator.wire.ids import make_call_id, make_id
from emulator.wire.responses import Identity
from emulator.wire.usage import Usage

IDENTITY = Identity("bA-NacCPKoae_9MPsNCn6Qc", 1770852204, "google/gemini-3.1-pro-preview")
SEED_USAGE = {
    "completion_tokens": 45,
    "completion_tokens_details": {"reasoning_tokens": 504},
    "extra_properties": {"google": {"traffic_type": "PROVISIONED_THROUGHPUT"}},
    "prompt_tokens": 27,
    "total_tokens": 576,
}


def unvarint(data: bytes, at: int) -> tuple[int, int]:
    """Read a varint; return it and where the next byte is."""
    number, shift = 0, 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return number, at


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**104 - 1))
def test_ids_decode_to_the_observed_layout(created: int, bits: int) -> None:
    """Seconds little-endian, then varints: microseconds, a large number, any number; always of the same length."""
    assert len(make_id(created, bits)) == 23
    packed = base64.urlsafe_b64decode(make_id(created, bits) + "=")
    micros, at = unvarint(packed, 4)
    large, at = unvarint(packed, at)
    small, at = unvarint(packed, at)
    assert int.from_bytes(packed[:4], "little") == created
    assert micros < 1_000_000
    assert 0xF7000000 <= large < 0xFF400000
    assert small < 2**32
    assert at == len(packed)


def test_documented_id_decodes_by_the_same_layout() -> None:
    """An id of the documentation holds its answer's `created`."""
    packed = base64.urlsafe_b64decode("bA-NacCPKoae_9MPsNCn6Qc=")
    assert int.from_bytes(packed[:4], "little") == 1770852204


@given(st.integers(0, 2**128 - 1))
def test_call_ids_are_function_call_and_a_uuid4(bits: int) -> None:
    """`function-call-` and a version 4 UUID."""
    prefix, uuid = make_call_id(bits)[:14], make_call_id(bits)[14:]
    assert prefix == "function-call-"
    assert UUID(uuid).version == 4


def test_usage_adds_reasoning_to_the_total_only() -> None:
    """The documented numbers: 27 + 45 + 504 = 576."""
    usage = Usage(27, 45, 504, traffic="PROVISIONED_THROUGHPUT")
    assert usage.to_wire() == SEED_USAGE
    assert list(usage.to_wire()) == sorted(usage.to_wire())


def test_usage_leaves_out_details_that_are_zero() -> None:
    """Without reasoning and cache there are no details; a total that was given is kept."""
    assert "completion_tokens_details" not in Usage(1, 2).to_wire()
    block = Usage(1, 2, cached=1, total=9).to_wire()
    assert (block["prompt_tokens_details"], block["total_tokens"]) == ({"cached_tokens": 1}, 9)


def test_refusals_are_framed_as_observed() -> None:
    """An array of one, pretty-printed with its odd brackets."""
    refusal = Refusal(404, "NOT_FOUND", "Gone “now”.")
    assert refusal.body().decode() == (
        '[{\n  "error": {\n    "code": 404,\n    "message": "Gone “now”.",\n    "status": "NOT_FOUND"\n  }\n}\n]\n'
    )
    assert json.loads(refusal.body()) == [{"error": {"code": 404, "message": "Gone “now”.", "status": "NOT_FOUND"}}]


@pytest.mark.parametrize(("framing", "start"), [("object", b'{\n  "error"'), ("html", b"page")])
def test_other_framings(framing: Any, start: bytes) -> None:
    """Unary methods answer a bare object, unrouted paths a page."""
    refusal = Refusal(404, "NOT_FOUND", "page", framing=framing)
    assert refusal.body().startswith(start)


def is_sorted(value: Any) -> bool:
    """Whether all keys are in alphabetical order at every level."""
    if isinstance(value, dict):
        return list(value) == sorted(value) and all(map(is_sorted, value.values()))
    return all(map(is_sorted, value)) if isinstance(value, list) else True


def test_plain_bodies_have_the_documented_keys_in_order() -> None:
    """Exactly the documented body, compact."""
    choices = [replies.plain_choice(0, replies.message(dialect=GEMINI, content="Hi."), "stop", GEMINI)]
    usage = Usage(1139, 16)
    assert replies.plain_body(choices, IDENTITY, usage, GEMINI).decode() == (
        '{"choices":[{"finish_reason":"stop","index":0,"logprobs":null,"message":{"content":"Hi.","role":"assistant"}}],'
        '"created":1770852204,"id":"bA-NacCPKoae_9MPsNCn6Qc","model":"google/gemini-3.1-pro-preview",'
        '"object":"chat.completion","system_fingerprint":"","usage":{"completion_tokens":16,'
        '"extra_properties":{"google":{"traffic_type":"ON_DEMAND"}},"prompt_tokens":1139,"total_tokens":1155}}'
    )


def test_everything_together_is_in_alphabetical_order() -> None:
    """Messages, deltas and calls keep their keys sorted whatever they hold."""
    call = replies.tool_call(arguments="{}", name="f", call_id="x", index=0, signature="s")
    media = replies.media("AA==", "image/png")
    assert is_sorted(replies.message(dialect=GEMINI, content="x", tool_calls=[call], audio=media, signature="s"))
    assert is_sorted(json.loads(replies.delta(dialect=GEMINI, tool_calls=[call], audio=media, signature="s")))
    delta = replies.text_template("thought", GEMINI).fill(b'"x"')
    data = replies.last_chunk_template(0, "stop", IDENTITY, Usage(1, 2, 3, 4), GEMINI).fill(delta)
    assert is_sorted(json.loads(data.removeprefix(b"data: ")))


def test_chunks_leave_the_finish_reason_out_until_the_end() -> None:
    """The key is absent, not null."""
    delta = replies.text_template("content", GEMINI).fill(b'"Hi"')
    going = replies.chunk_template(0, IDENTITY, GEMINI).fill(delta)
    last = replies.last_chunk_template(0, "stop", IDENTITY, None, GEMINI).fill(delta)
    assert "finish_reason" not in json.loads(going.removeprefix(b"data: "))["choices"][0]
    assert json.loads(last.removeprefix(b"data: "))["choices"][0]["finish_reason"] == "stop"


def test_chunks_have_the_documented_bytes() -> None:
    """Exactly the documented line, whatever a model's name holds."""
    identity = Identity("nQiNafGyF5rw998PstqooAY", 1770850461, 'google/"delta":null')
    delta = replies.text_template("content", GEMINI).fill(b'"Hi"')
    assert replies.chunk_template(0, identity, GEMINI).fill(delta).decode() == (
        'data: {"choices":[{"delta":{"content":"Hi","role":"assistant"},"index":0,"logprobs":null}],"created":1770850461,'
        '"id":"nQiNafGyF5rw998PstqooAY","model":"google/\\"delta\\":null","object":"chat.completion.chunk",'
        '"system_fingerprint":""}\n\n'
    )
