"""Texts of the history without the thoughts in them."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.request.facts import Facts
from emulator.engine.request.history import read_blocks, read_text
from emulator.wire.urls import Target

THOUGHT = "<think>Let me see,\nthis is long.</think>Yes."


def flagged(value: Any) -> dict[str, Any]:
    """An extra_content that says whether this is a thought."""
    return {"google": {"thought": value}}


@pytest.mark.parametrize(
    ("message", "marker", "text"),
    [
        ({"role": "assistant", "content": THOUGHT}, "think", "Yes."),
        ({"role": "model", "content": THOUGHT + THOUGHT}, "think", "Yes.Yes."),
        ({"role": "assistant", "content": THOUGHT}, None, THOUGHT),
        ({"role": "assistant", "content": THOUGHT}, "other", THOUGHT),
        ({"role": "user", "content": THOUGHT}, "think", THOUGHT),
        ({"role": "assistant", "content": "<think>open"}, "think", "<think>open"),
        ({"role": "assistant", "content": THOUGHT, "extra_content": flagged(False)}, "think", THOUGHT),
        ({"role": "assistant", "content": "Hm.", "extra_content": flagged(True)}, None, ""),
        ({"role": "assistant", "content": "Yes.", "extra_content": flagged("odd")}, None, "Yes."),
        (
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "Hm.", "extra_content": flagged(True)},
                    {"type": "text", "text": THOUGHT},
                ],
            },
            "think",
            "Yes.",
        ),
        ({"role": "assistant"}, "think", ""),
        ({"role": "assistant", "content": "<a.b>x</a.b>y<aXb>z</aXb>"}, "a.b", "y<aXb>z</aXb>"),
    ],
)
def test_thoughts_are_not_read_again(message: Any, marker: str | None, text: str) -> None:
    """Flags decide, then the marker's tags; only the model's own messages are stripped of thoughts."""
    assert read_text(message, marker) == text


def test_thoughts_in_the_history_are_no_prompt() -> None:
    """Thoughts do not count as prompt tokens when the request names the marker."""
    messages: Any = [
        {"role": "user", "content": "Is it?"},
        {"role": "assistant", "content": f"<think>{'long ' * 100}</think>Yes."},
        {"role": "user", "content": "Sure?"},
    ]

    def tokens(google: dict[str, Any]) -> int:
        request: Any = {"model": "google/gemini-3-flash", "messages": messages, "extra_body": {"google": google}}
        return Facts(Target("v1", "p", "global", "openapi"), [], request).prompt_tokens

    assert tokens({"thought_tag_marker": "think"}) == 5
    assert tokens({}) > 100


@given(
    st.lists(st.sampled_from(["<t>", "</t>", "<t", "/", "a", "\n", "t>"]), max_size=12),
    st.sampled_from(["t", "t>", "."]),
)
def test_what_stands_in_tags_is_left_out(parts: list[str], marker: str) -> None:
    """As by the shortest match from each opening tag, also where tags are nested or not closed."""
    text, name = "".join(parts), re.escape(marker)
    expected = re.sub(f"<{name}>.*?</{name}>", "", text, flags=re.DOTALL)
    assert read_text({"role": "assistant", "content": text}, marker) == expected


def test_unclosed_tags_cost_nothing() -> None:
    """A million opening tags are read once, not once each."""
    text = "<t>" * 1_000_000
    assert read_text({"role": "assistant", "content": text}, "t") == text


def test_many_results_are_one_block() -> None:
    """A block of results grows in constant time for each."""
    messages: list[Any] = [{"role": "tool", "tool_call_id": "x"}] * 100_000
    (block,) = read_blocks(messages)
    assert block.messages == tuple(range(100_000))
