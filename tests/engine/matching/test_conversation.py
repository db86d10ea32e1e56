"""`conversation`: the position of a request in its transcript, and what a client may change in what it sends back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.answer import answer
from emulator.engine.matching.choose import Chosen, choose
from emulator.engine.randomness import AnswerInputs
from emulator.engine.request.facts import Facts
from emulator.engine.ruleset import Ruleset, compile_rules
from emulator.engine.session import State
from emulator.scenario.loading import read_text
from emulator.scenario.python_values import quote_templates
from emulator.wire.urls import Target

TARGET = Target("v1", "p-42", "us-central1", "openapi")
BOOKING = r"""
rules:
- name: booking
  conversation:
  - user: fly to Oslo
  - assistant: When?
  - user: {regex: '(?i)(?P<day>tomorrow|today)'}
  - assistant:
    - think: It takes two calls.
    - say: One moment.
    - {call: search, with: {to: Oslo, day: "{{ day }}"}}
    - {call: search, with: {to: Bergen, day: "{{ day }}"}}
    - call: hotels
  - tool: search
  - {tool: search, result: {json: {to: Bergen}}}
  - {tool: hotels, result: {regex: '(?P<count>\d+) hotels'}}
  - assistant: "Flights {{ day }}, {{ count }} hotels."
  - user: thanks
  - assistant: [{json: {bye: [1, true]}}]
"""


def rules_of(text: str) -> Ruleset:
    """Compile a scenario's text."""
    return compile_rules(read_text(text).scenarios)


def user(text: Any) -> dict[str, Any]:
    """A user message."""
    return {"role": "user", "content": text}


def assistant(text: Any = None, **more: Any) -> dict[str, Any]:
    """An assistant message."""
    return {"role": "assistant", "content": text, **more}


def calls(*named: tuple[str, str, Any]) -> list[dict[str, Any]]:
    """Tool calls, each an id, a name and arguments."""
    return [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for id_, name, arguments in named
    ]


def result(id_: str, text: str) -> dict[str, Any]:
    """The result of a call."""
    return {"role": "tool", "tool_call_id": id_, "content": text}


CALLS = calls(
    ("a", "search", {"to": "Oslo", "day": "today"}),
    ("b", "search", {"day": "today", "to": "Bergen"}),
    ("c", "hotels", {"stars": 3}),
)
RESULTS = [result("a", "none"), result("b", '{"to": "Bergen"}'), result("c", "12 hotels")]
ROUND = [user("Fly to Oslo!"), assistant("When?"), user("Today"), assistant("One moment.", tool_calls=CALLS)]


def facts_of(messages: Any, **more: Any) -> Facts:
    """The facts of a request with these messages."""
    request: Any = {"messages": messages, **more}
    return Facts(TARGET, [], request)


def follow(ruleset: Ruleset, messages: list[dict[str, Any]], **more: Any) -> Chosen | None:
    """The rule that answers these messages."""
    found = choose(ruleset, facts_of(messages, **more), State())
    return found if isinstance(found, Chosen) else None


def place(messages: list[dict[str, Any]], text: str = BOOKING, **more: Any) -> int | None:
    """The number of the conversation's answer that comes next."""
    found = follow(rules_of(text), messages, **more)
    return found.position if found else None


def test_the_messages_give_the_position() -> None:
    """The rule answers before each assistant turn, in any order of requests, and nowhere else."""
    whole = [*ROUND, *RESULTS, assistant("Flights today, 12 hotels."), user("thanks")]
    stands = [place(whole[:end]) for end in range(len(whole) + 1)]
    assert stands == [None, 0, None, 1, None, None, None, 2, None, 3]
    assert place([*whole, assistant('{"bye":[1,true]}')]) is None
    assert place([*whole, assistant('{"bye":[1,true]}'), user("more")]) is None


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "Be brief."}, *ROUND, *RESULTS],
        [*ROUND[:2], {"role": "developer", "content": "Now!"}, *ROUND[2:], *RESULTS],
        [*ROUND, RESULTS[2], RESULTS[1], RESULTS[0]],
        [*ROUND, result("a", '{"to": "Bergen"}'), result("b", "none"), RESULTS[2]],
        [user("I want to"), user("fly to Oslo"), *ROUND[1:], *RESULTS],
        [user([{"type": "text", "text": "fly to Oslo"}]), *ROUND[1:], *RESULTS],
        [ROUND[0], assistant("  When?\n"), *ROUND[2:], *RESULTS],
        [*ROUND[:3], assistant("One moment."), assistant(tool_calls=CALLS), *RESULTS],
        [*ROUND[:3], assistant("It takes two calls.One moment.", tool_calls=CALLS), *RESULTS],
        [*ROUND[:3], assistant("<think>It takes two calls.</think>\n\nOne moment.", tool_calls=CALLS), *RESULTS],
        [*ROUND[:3], {"role": "model", "content": "One moment.", "tool_calls": CALLS}, *RESULTS],
    ],
)
def test_equivalent_histories_match(messages: list[dict[str, Any]]) -> None:
    """System messages, white space, thoughts, split messages and the order of results make no difference."""
    assert place(messages) == 2


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [assistant("When?")],
        [user("sail to Oslo")],
        [ROUND[0], assistant("when?"), ROUND[2]],
        [ROUND[0], assistant("When?", tool_calls=CALLS[:1]), ROUND[2]],
        [*ROUND[:3], assistant("One moment.", tool_calls=CALLS[:2]), *RESULTS[:2]],
        [*ROUND[:3], assistant("One moment.", tool_calls=[CALLS[1], CALLS[0], CALLS[2]]), *RESULTS],
        [*ROUND[:3], assistant("One moment.", tool_calls=calls(("a", "search", {"to": "Oslo"})) + CALLS[1:]), *RESULTS],
        [*ROUND, *RESULTS[:2]],
        [*ROUND, *RESULTS, result("c", "13 hotels")],
        [*ROUND, RESULTS[0], result("b", '{"to": "Paris"}'), RESULTS[2]],
        [*ROUND, RESULTS[0], RESULTS[1], result("c", "no hotel")],
        [*ROUND, *RESULTS[:2], result("unknown", "12 hotels")],
        [*ROUND, *RESULTS, user("and?")],
    ],
)
def test_another_history_is_a_miss(messages: list[dict[str, Any]]) -> None:
    """Other texts, other calls, and missing, surplus or different results do not match the transcript."""
    assert place(messages) is None


def test_the_rules_other_conditions_apply_too() -> None:
    """`when` and `times` mean what they mean in any rule."""
    text = "rules: [{when: {stream: true}, conversation: [{user: hi}, {assistant: Hi.}], times: 1}]"
    ruleset = rules_of(text)
    assert place([user("hi")], text) is None
    assert place([user("hi")], text, stream=True) == 0
    facts = facts_of([user("hi")], stream=True)
    assert not isinstance(choose(ruleset, facts, State({ruleset.rules[0].key: 1})), Chosen)


def test_named_groups_are_variables() -> None:
    """Named groups of `when`, of user turns and of results are captured; `use` counts the session's requests as for any rule."""
    found = follow(rules_of(BOOKING), [*ROUND, *RESULTS])
    assert found is not None
    assert (dict(found.captures), found.use) == ({"day": "Today", "count": "12"}, 1)


def test_conversations_may_start_alike() -> None:
    """The first conversation that matches to the end answers."""
    ruleset = rules_of(
        "rules:\n"
        "- {name: a, conversation: [{user: hi}, {assistant: Yes?}, {user: tea}, {assistant: Tea.}]}\n"
        "- {name: b, conversation: [{user: hi}, {assistant: Yes?}, {user: milk}, {assistant: Milk.}]}\n"
    )
    begun = [user("hi"), assistant("Yes?")]
    names = [
        found.rule.name if (found := follow(ruleset, messages)) else None
        for messages in ([user("hi")], [*begun, user("tea")], [*begun, user("milk")], [*begun, user("beer")])
    ]
    assert names == ["a", "a", "b", None]


def test_generated_parts_match_anything() -> None:
    """Templates, `auto`, pictures and raw bytes match anything; literal parts next to them are compared."""
    text = """
rules:
- conversation:
  - user: ""
  - assistant: [{say: "Now {{ uuid() }}"}, {say: " and then."}, {call: auto}]
  - tool: [look]
  - assistant: [{image: auto}, {call: "{{ 'draw' }}"}]
  - {tool: draw, result: {not: wrong}}
  - assistant: [{raw: {any: thing}}]
  - user: {equals: bye}
  - assistant: {json: auto}
"""
    looking = assistant("Now or never and then.", tool_calls=calls(("a", "look", {"any": 1})))
    begun = [user("what?"), looking, result("a", ""), assistant("?", tool_calls=calls(("b", "draw", {})))]
    assert place([user("what?")], text) == 0
    assert place(begun[:3], text) == 1
    assert place([begun[0], assistant("Now", tool_calls=looking["tool_calls"]), begun[2]], text) is None
    assert place([*begun, result("b", "fine")], text) == 2
    assert place([*begun, result("b", "wrong")], text) is None
    assert place([*begun, result("b", "fine"), assistant("x", tool_calls=[]), user("bye")], text) == 3


def test_ids_may_be_used_again() -> None:
    """A result belongs to the last call of that id before it."""
    text = """
rules:
- conversation:
  - user: go
  - assistant: {call: one, id: x}
  - tool: one
  - assistant: {call: two, id: x}
  - tool: two
  - assistant: Done.
"""
    first = assistant(tool_calls=calls(("x", "one", {})))
    second = assistant(tool_calls=calls(("x", "two", {})))
    assert place([user("go"), first, result("x", "1"), second, result("x", "2")], text) == 2


def test_long_texts_are_shown_where_they_differ() -> None:
    """A long common prefix is cut, so that the report shows the difference."""
    said = "A very long answer that goes on for quite a while, until it ends in "
    ruleset = rules_of(
        f"rules: [{{conversation: [{{user: hi}}, {{assistant: '{said}Oslo.'}}, {{user: x}}, {{assistant: y}}]}}]"
    )
    facts = facts_of([user("hi"), assistant(f"{said}Rome."), user("x")])
    assert ruleset.rules[0].conversation is not None
    line = ruleset.rules[0].conversation.compare(facts.dialogue, facts.readings).details[-1]
    assert line == 'turn 2  MISS  assistant: … it ends in Oslo." | assistant: … it ends in Rome."'


_WORDS = st.text("ab \n\t<>/{}%#.*?()'\"\\é\u00a0\u3000", max_size=12)
_STEP = st.one_of(
    st.fixed_dictionaries({"say": _WORDS}),
    st.fixed_dictionaries({"think": _WORDS}),
    st.fixed_dictionaries({"json": st.one_of(st.integers(), st.lists(st.booleans()), _WORDS)}),
    st.fixed_dictionaries({"call": st.sampled_from(["f", "g"]), "with": st.dictionaries(_WORDS, _WORDS)}),
    st.fixed_dictionaries({"call": st.sampled_from(["f", "g"])}),
)


@given(st.lists(st.tuples(_WORDS, st.lists(_STEP, min_size=1, max_size=4)), min_size=1, max_size=4), st.booleans())
def test_answers_sent_back_match(
    rounds: list[tuple[str, list[dict[str, Any]]]], thoughts: bool
) -> None:  # an example's value
    """For any transcript, its answers sent back lead from each turn to the next."""
    turns: list[dict[str, Any]] = []
    for said, steps in rounds:
        turns += [{"user": {"equals": said}}, {"assistant": quote_templates(steps)}]
        if called := [step["call"] for step in steps if "call" in step]:
            turns += [{"tool": called[::-1]}, {"assistant": "Done."}]
    ruleset = rules_of(json.dumps({"rules": [{"conversation": turns}]}, ensure_ascii=False))
    extra = {"google": {"thinking_config": {"include_thoughts": thoughts}}}
    messages: list[Any] = []
    answers = 0
    for turn in turns:
        if "user" in turn:
            messages.append(user(turn["user"]["equals"]))
        elif "tool" in turn:
            messages += [result(call["id"], "x") for call in messages[-1]["tool_calls"]]
        else:
            facts = facts_of(messages, model="google/gemini-2.5-pro", extra_body=extra)
            outcome = answer([ruleset], facts, State(), AnswerInputs(0, "seed", b""))
            assert outcome.chosen is not None, outcome.report
            assert outcome.chosen.position == answers
            answers += 1
            messages.append(json.loads(outcome.timeline.body)["choices"][0]["message"])
