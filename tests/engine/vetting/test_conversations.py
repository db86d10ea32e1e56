"""Property tests: conversations of correct clients are never refused; a wrong signature in the current turn always is."""

import copy
import json
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import SystemClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.wire.errors import Refusal
from emulator.wire.urls import Target

TARGET = Target("v1", "p", "global", "openapi")
Message = dict[str, Any]
Call = tuple[str, dict[str, Any]]

TEXTS = st.text(
    st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"], exclude_characters="{"), min_size=1, max_size=8
)
VALUES = st.integers(-99, 99) | st.floats(-9, 9) | st.booleans() | st.none() | TEXTS | st.lists(TEXTS, max_size=2)
CALLS = st.tuples(st.sampled_from(["f", "g", "look_up"]), st.dictionaries(TEXTS, VALUES, max_size=3))
STEPS = st.lists(CALLS, min_size=1, max_size=3)
TURNS = st.lists(st.tuples(st.lists(STEPS, max_size=3), TEXTS), min_size=1, max_size=3)


@dataclass
class Talk:
    """A conversation with a service that answers in planned steps."""

    service: Service
    draw: Any
    messages: list[Message]

    def send(self, messages: list[Message] | None = None) -> Message | Refusal:
        """Send these or the conversation's messages; returns the answered message or the refusal."""
        body = {"model": "google/gemini-3.1-pro-preview", "messages": self.messages if messages is None else messages}
        outcome = self.service.handle(TARGET, b"", [], json.dumps(body).encode()).outcome
        if outcome.result == "refusal":
            assert outcome.refusal is not None
            return outcome.refusal
        assert outcome.timeline.status == 200, outcome.timeline.body
        message: Message = json.loads(outcome.timeline.body)["choices"][0]["message"]
        return message

    def echo(self, message: Message) -> None:
        """Send an answered message back: unchanged, or rebuilt by a client that keeps `extra_content`."""
        copied = copy.deepcopy(message)
        if self.draw(st.booleans()):
            for call in copied["tool_calls"]:
                arguments = dict(reversed(json.loads(call["function"]["arguments"]).items()))
                call["function"]["arguments"] = json.dumps(arguments, indent=1)
        if self.draw(st.booleans()):
            del copied["content"]
        self.messages.append(copied)

    def put_results(self, message: Message) -> None:
        """Answer the calls in any order."""
        for call in self.draw(st.permutations(message["tool_calls"])):
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": "1"})


def begin(turns: list[tuple[list[list[Call]], str]], draw: Any) -> Talk:
    """A service that gives all steps and texts of the turns in order."""
    replies: list[Any] = []
    for steps, text in turns:
        replies += [[{"call": name, "with": arguments} for name, arguments in step] for step in steps]
        replies.append([{"say": text}])
    scenario = compile_rules(read_text(json.dumps({"rules": [{"sequence": replies}]})).scenarios)
    seed = "seed" if draw(st.booleans()) else None
    return Talk(Service(scenario, Settings(auth="off", seed=seed), clock=SystemClock()), draw, [])


def have(talk: Talk, turns: list[tuple[list[list[Call]], str]]) -> None:
    """Run the whole conversation; the last text is not appended, so that its turn stays the current one."""
    for number, (steps, _) in enumerate(turns):
        talk.messages.append({"role": "user", "content": f"turn {number}"})
        for _ in steps:
            answered = talk.send()
            assert isinstance(answered, dict)
            assert answered.get("tool_calls")
            talk.echo(answered)
            talk.put_results(answered)
        answered = talk.send()
        assert isinstance(answered, dict)
        if number < len(turns) - 1:
            talk.messages.append(answered)


@settings(max_examples=settings().max_examples * 3 // 5)
@given(TURNS, st.data())
def test_correct_conversations_pass(turns: list[tuple[list[list[Call]], str]], data: st.DataObject) -> None:
    """Several turns, steps and parallel calls, results in any order, signatures carried back: nothing is refused."""
    have(begin(turns, data.draw), turns)


def signed_calls(messages: list[Message]) -> list[tuple[int, Message]]:
    """The first calls of the steps of the current turn, each with the position of its message."""
    start = max(number for number, message in enumerate(messages) if message["role"] == "user")
    return [
        (number, messages[number]["tool_calls"][0])
        for number in range(start, len(messages))
        if messages[number].get("tool_calls")
    ]


def block_of(messages: list[Message], number: int) -> int:
    """The number of a message's content block, counted by hand: results next to each other are one."""
    roles = [message["role"] for message in messages[: number + 1]]
    return sum(not (role == "tool" and roles[at - 1] == "tool") for at, role in enumerate(roles))


@settings(max_examples=settings().max_examples * 3 // 5)
@given(TURNS.filter(lambda turns: bool(turns[-1][0])), st.data())
def test_wrong_signatures_are_refused(turns: list[tuple[list[list[Call]], str]], data: st.DataObject) -> None:
    """Without the signature of one step of the current turn, or with another one, the conversation is refused at that step."""
    talk = begin(turns, data.draw)
    have(talk, turns)
    messages = copy.deepcopy(talk.messages)
    number, call = data.draw(st.sampled_from(signed_calls(messages)))
    signature = call["extra_content"]["google"]["thought_signature"]
    place = f"messages[{number}].tool_calls[0]"
    match data.draw(st.sampled_from(["drop", "empty", "alter", "cut", "move"])):
        case "drop":
            del call["extra_content"]
        case "empty":
            call["extra_content"]["google"]["thought_signature"] = ""
        case "alter":
            at = data.draw(st.integers(0, len(signature) - 1))
            changed = signature[:at] + ("A" if signature[at] != "A" else "B") + signature[at + 1 :]
            call["extra_content"]["google"]["thought_signature"] = changed
        case "cut":
            call["extra_content"]["google"]["thought_signature"] = signature[:-4]
        case _:
            call["function"]["name"] += "_else"
    refusal = talk.send(messages)
    assert isinstance(refusal, Refusal)
    if (call.get("extra_content") or {}).get("google", {}).get("thought_signature"):
        assert refusal.rule == "invalid_thought_signature"
        assert refusal.place == f"{place}.extra_content.google.thought_signature"
    else:
        assert (refusal.rule, refusal.place) == ("missing_thought_signature_vertex", place)
        wanted = (
            f"function call `{call['function']['name']}` in the {block_of(messages, number)}. content block is missing"
        )
        assert wanted in refusal.message


@settings(max_examples=settings().max_examples * 3 // 10)
@given(TURNS.filter(lambda turns: bool(turns[-1][0])), st.data())
def test_earlier_turns_need_no_signatures(turns: list[tuple[list[list[Call]], str]], data: st.DataObject) -> None:
    """Signatures of earlier turns may be missing."""
    talk = begin(turns, data.draw)
    have(talk, turns)
    messages = copy.deepcopy(talk.messages)
    for message in messages:
        for call in message.get("tool_calls", ()):
            call.pop("extra_content", None)
    assert not isinstance(talk.send([*messages, {"role": "user", "content": "And now?"}]), Refusal)


def test_signatures_belong_to_their_calls() -> None:
    """The first signature copied to a parallel call is invalid there; a valid one on it changes nothing."""
    talk = begin([([[("f", {"a": 1}), ("g", {"a": 1}), ("f", {"a": 1.0})]], "x")], lambda _: False)
    talk.messages.append({"role": "user", "content": "x"})
    answered = talk.send()
    assert isinstance(answered, dict)
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "1"} for call in answered["tool_calls"]]
    first, other, same = answered["tool_calls"]
    assert ("extra_content" in other, "extra_content" in same) == (False, False)
    same["extra_content"] = first["extra_content"]
    assert not isinstance(talk.send([*talk.messages, answered, *results]), Refusal)
    other["extra_content"] = first["extra_content"]
    refusal = talk.send([*talk.messages, answered, *results])
    assert isinstance(refusal, Refusal)
    assert refusal.rule == "invalid_thought_signature"
    assert refusal.place == "messages[1].tool_calls[1].extra_content.google.thought_signature"
