"""Ids of answers and of tool calls."""

from binascii import b2a_base64

# 4 bytes of seconds, then three varints of 3, 5 and 5 bytes, of which all but the last have their highest bit set. `_RANDOM` masks the
# bits that are random; `_LEAST` is added so that each number is as long, and in the range, as it was observed.
_RANDOM = int.from_bytes(b"\x7f\x7f\x1f\x7f\x7f\x7f\x3f\x00\x7f\x7f\x7f\x7f\x07", "little")
_LEAST = int.from_bytes(b"\x80\x80\x10\x80\x80\x80\xb8\x0f\x80\x80\x80\x80\x08", "little")
_WIDTH, _LENGTH = 4 + 3 + 5 + 5, 23
_URL_SAFE = bytes.maketrans(b"+/", b"-_")

_UUID_RANDOM = ~(0xF000 << 64 | 0xC000 << 48)
_VERSION_4 = 0x4000 << 64 | 0x8000 << 48


def make_id(created: int, bits: int) -> str:
    """An answer's id: base64 of its Unix seconds, microseconds and two 32-bit numbers; 104 random `bits` make all but the first.

    Observed: some 20 ids of the documentation decode to this layout; the seconds equal `created` for Gemini. The first of the
    two numbers was always between 0xF7000000 and 0xFF400000. Here all three numbers are so large that ids are equally long.
    """
    packed = created + ((bits & _RANDOM) + _LEAST << 32)
    written = b2a_base64(packed.to_bytes(_WIDTH, "little"), newline=False)
    return written[:_LENGTH].translate(_URL_SAFE).decode()


def make_call_id(bits: int) -> str:
    """A tool call's id, `function-call-` and a version 4 UUID (documented: seed), of 128 random `bits`."""
    return f"function-call-{make_uuid(bits)}"


def make_uuid(bits: int) -> str:
    """A version 4 UUID of 128 random `bits`."""
    uuid = f"{bits & _UUID_RANDOM | _VERSION_4:032x}"
    return f"{uuid[:8]}-{uuid[8:12]}-{uuid[12:16]}-{uuid[16:20]}-{uuid[20:]}"
