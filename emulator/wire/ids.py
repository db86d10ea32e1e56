"""Ids of answers and of tool calls."""

from base64 import urlsafe_b64encode
from uuid import UUID

_SEVEN_BITS = 0x7F


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > _SEVEN_BITS:
        out.append((number & _SEVEN_BITS) | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def make_id(created: int, bits: int) -> str:
    """An answer's id: base64 of its Unix seconds, microseconds and two 32-bit numbers; 88 random `bits` make all but the first.

    Observed: some 20 ids of the documentation decode to this layout; the seconds equal `created` for Gemini. The first of the
    two numbers was always between 0xF7000000 and 0xFF400000.
    """
    microseconds = (bits >> 64) % 1_000_000
    large = 0xF700_0000 + ((bits >> 32) & 0xFFFF_FFFF) % 0x0840_0000
    packed = created.to_bytes(4, "little") + _varint(microseconds) + _varint(large) + _varint(bits & 0xFFFF_FFFF)
    return urlsafe_b64encode(packed).rstrip(b"=").decode()


def make_call_id(bits: int) -> str:
    """A tool call's id, `function-call-` and a version 4 UUID (documented: seed), of 128 random `bits`."""
    return f"function-call-{UUID(int=bits, version=4)}"
