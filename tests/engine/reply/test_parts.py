"""Answers as parts: what lists and logs show of them."""

from emulator.engine.reply.parts import MAX_PREVIEW, Answer, CallPart, Choice, Part, make_text
from emulator.wire.usage import Usage


def preview(*parts: Part) -> str:
    """The beginning of an answer of these parts."""
    return Answer((Choice(parts, "stop"),), Usage(1, 1)).preview()


def test_texts_are_shown_as_clients_read_them() -> None:
    """Those of several steps without a space between them, thoughts not at all, calls apart."""
    call = CallPart("f", "{}", "call_1", None, None)
    assert preview(make_text(("Hel",)), make_text(("hm",), is_thought=True), make_text(("lo",))) == "Hello"
    assert preview(make_text(("Hi",)), call, call, make_text(("there",))) == "Hi f({}) f({}) there"
    assert preview(*[make_text(("ab",))] * MAX_PREVIEW) == "ab" * (MAX_PREVIEW // 2)
