"""Thought signatures: verified with the seed alone, valid only for the call they were issued for."""

import base64
import json
import random
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.ruleset import compile_rules
from emulator.engine.signatures import fits_call, sign, sign_call, text_of_call
from emulator.scenario.loading import read_text

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(st.text(), JSON, max_size=4)
MODEL = "google/gemini-3.5-flash"
SALTS = st.integers(0, 2**128 - 1)
SEEDS = st.none() | st.text(max_size=5)


def rewrite(value: Any, shuffle: random.Random) -> Any:
    """The same JSON as another language might hold it: keys in another order, whole numbers as floats."""
    if isinstance(value, dict):
        keys = list(value)
        shuffle.shuffle(keys)
        return {key: rewrite(value[key], shuffle) for key in keys}
    if isinstance(value, list):
        return [rewrite(one, shuffle) for one in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


@given(st.text(), ARGUMENTS, SALTS, SEEDS, st.randoms(use_true_random=False))
def test_signature_survives_clients(
    name: str, arguments: dict[str, Any], salt: int, seed: str | None, shuffle: random.Random
) -> None:
    """However a client parses and writes the same arguments, the signature fits."""
    signature = sign_call(text_of_call(name, json.dumps(arguments)), MODEL, salt, seed)
    assert fits_call(signature, name, json.dumps(arguments, separators=(",", ":"), ensure_ascii=False), MODEL, seed)
    assert fits_call(signature, name, json.dumps(rewrite(arguments, shuffle), indent=2), MODEL, seed)


@given(ARGUMENTS, SALTS, SEEDS, st.data())
def test_altered_signatures_do_not_fit(
    arguments: dict[str, Any], salt: int, seed: str | None, data: st.DataObject
) -> None:
    """One other character, one less or one more: the signature is no longer valid."""
    written = json.dumps(arguments)
    signature = sign_call(text_of_call("f", written), MODEL, salt, seed)
    at = data.draw(st.integers(0, len(signature) - 1))
    other = data.draw(
        st.sampled_from([char for char in string.ascii_letters + string.digits + "+/-_=" if char != signature[at]])
    )
    for altered in (signature[:at] + other + signature[at + 1 :], signature[:at], signature + other, signature[1:]):
        assert not fits_call(altered, "f", written, MODEL, seed)


@given(ARGUMENTS, ARGUMENTS, SALTS, SEEDS)
def test_moved_signatures_do_not_fit(one: dict[str, Any], other: dict[str, Any], salt: int, seed: str | None) -> None:
    """A signature does not fit another function, other arguments, another model or another seed."""
    signature = sign_call(text_of_call("f", json.dumps(one)), MODEL, salt, seed)
    assert not fits_call(signature, "g", json.dumps(one), MODEL, seed)
    assert not fits_call(signature, "f", json.dumps(one), "google/gemini-3.1-pro-preview", seed)
    assert fits_call(signature, "f", json.dumps(one), MODEL.partition("/")[2], seed)
    assert not fits_call(signature, "f", json.dumps(one), MODEL, f"{seed}!")
    assert (
        not fits_call(signature, "f", json.dumps({**other, "more": len(one)}), MODEL, seed)
        or {**other, "more": len(one)} == one
    )


def test_signatures_are_opaque_base64() -> None:
    """48 bytes, different for each salt, without readable parts of the call."""
    signature = sign_call(text_of_call("get_weather", '{"city": "Boston"}'), MODEL, 1, None)
    assert len(base64.b64decode(signature, validate=True)) == 48
    assert signature != sign_call(text_of_call("get_weather", '{"city": "Boston"}'), MODEL, 2, None)
    assert signature == sign_call(text_of_call("get_weather", '{"city":"Boston"}'), MODEL, 1, None)
    assert not fits_call(sign("get_weather", 1, None), "get_weather", "", MODEL, None)


@pytest.mark.parametrize("arguments", ["not json", "", "[", '{"a": NaN}', "\ud800", '{"a": 1e999}', "9" * 5000])
def test_any_arguments_can_be_signed(arguments: str) -> None:
    """What a scenario sends as arguments need not be JSON."""
    assert fits_call(
        sign_call(text_of_call("f", arguments), MODEL, 1, "s"), "f", arguments or None, MODEL, "s"
    ) == bool(arguments)


@pytest.mark.parametrize("signature", ["", "x", "ü", "\ud800", "AAAA", " " * 64, "A" * 64, "A" * 10_000])
def test_any_text_can_be_checked(signature: str) -> None:
    """Arbitrary text does not fit, and raises nothing."""
    assert not fits_call(signature, "f", "{}", MODEL, None)


def test_scripted_signatures_are_collected() -> None:
    """A scenario's own signatures are collected when its rules are compiled: of calls, of pictures, inside `raw`."""
    text = """
rules:
  - {reply: [{call: f, signature: one}, {call: g}, {call: h, signature: none}]}
  - sequence: [{image: auto, signature: two}, {raw: {choices: [{thought_signature: three}]}}, plain]
  - {reply: {raw: 'data: {"thought_signature": "four"}'}}
"""
    assert compile_rules(read_text(text).scenarios).signatures == {"one", "two", "three", "four"}
