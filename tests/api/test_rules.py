"""Rules made in Python: what they answer, and what is said of wrong ones."""

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import openai
import pytest

from emulator.api.emulator import Emulator
from emulator.api.rules import Conditions, RuleBuilder
from emulator.api.session import VertexSession
from emulator.engine.request.facts import Facts
from emulator.errors import ScenarioError
from emulator.scenario.types import list_keys
from emulator.scenario.when import When
from emulator.server.settings import Settings

MODEL = "google/gemini-2.5-flash"
HERE = Path(__file__).relative_to(Path.cwd()) if Path(__file__).is_relative_to(Path.cwd()) else Path(__file__)


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator("rules:\n- when: {last_user: file}\n  reply: from the file\n") as server:
        yield server


@pytest.fixture
def vertex(server: Emulator, request: pytest.FixtureRequest) -> Iterator[VertexSession]:
    """A session for each test."""
    with server.session(f"test-{crc32(request.node.name.encode())}") as session:
        yield session
        session.reset()


def send(vertex: VertexSession, text: str, **more: Any) -> Any:
    """The message that answers a text."""
    client = vertex.openai(max_retries=0)
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}], **more).choices[0]


def ask(vertex: VertexSession, text: str = "hi") -> Any:
    """The model's answer to a text."""
    return send(vertex, text).message.content


def line() -> int:
    """The line number of the caller."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_the_keys_of_when_are_the_arguments() -> None:
    """`on` accepts the keys of `when`; `not`, a keyword of Python, has an underscore."""
    assert {key.removesuffix("_") for key in Conditions.__annotations__} == set(list_keys(When))


def test_steps_follow_each_other(vertex: VertexSession) -> None:
    """A call, then a text; the last reply is repeated."""
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
    vertex.on(last_user="weather").call("get_weather", city="Oslo").then("It is cold.")
    first = send(vertex, "the weather", tools=tools).message.tool_calls[0].function
    assert (first.name, json.loads(first.arguments)) == ("get_weather", {"city": "Oslo"})
    assert [send(vertex, "the weather", tools=tools).message.content for _ in range(2)] == ["It is cold."] * 2


def test_replies_can_be_of_steps_of_all_kinds(vertex: VertexSession) -> None:
    """Every step has its method, and calls add steps to the reply."""
    vertex.on(last_user="text").think("Hm.").say("One, ").say(["two", "."], chunks=None)
    vertex.on(last_user="json").json({"a": [1, 2.5, None]})
    vertex.on(last_user="steps").reply([{"say": "a"}, {"say": "b"}])
    vertex.on(last_user="step").reply({"say": "c"})
    vertex.on(last_user="picture").image()
    vertex.on(last_user="sound").audio()
    vertex.on(last_user="raw").raw({"choices": [{"message": {"role": "assistant", "content": "raw"}}]})
    assert ask(vertex, "text") == "One, two."
    assert json.loads(ask(vertex, "json")) == {"a": [1, 2.5, None]}
    assert [ask(vertex, text) for text in ("steps", "step", "raw")] == ["ab", "c", "raw"]
    assert send(vertex, "picture").message.audio.extra_content["google"]["mime_type"] == "image/png"
    assert send(vertex, "sound").message.audio.extra_content["google"]["mime_type"] == "audio/wav"


def test_pace_and_faults_of_a_rule(vertex: VertexSession) -> None:
    """Pace, faults and quirks, by name, as a mapping or as a list, change when and how the answer is sent."""
    vertex.on(last_user="slow").say("Slow.").beside(pace={"first_token_ms": 1}, fault="small_writes")
    vertex.on(last_user="busy").say("Free.").beside(fault=[{"fail": 429, "first": 1}, "wrong_content_type"])
    assert ask(vertex, "slow") == "Slow."
    timeline = vertex.journal.last.outcome.timeline
    assert (timeline.end_at, timeline.write_size) == (0.001, 7)
    with pytest.raises(openai.RateLimitError):
        ask(vertex, "busy")
    assert ask(vertex, "busy") == "Free."
    assert ("content-type", "text/html") in vertex.journal.last.outcome.timeline.headers


def test_failures_and_other_keys_of_a_rule(vertex: VertexSession) -> None:
    """Errors of the catalogue, finish reasons, token counts and headers can be set."""
    vertex.on(last_user="busy").fail(429, message="Later.").then().say("Now.")
    vertex.on(last_user="long").say("And so").beside(finish="length", usage={"prompt": 7}, headers={"x-a": "b"})
    with pytest.raises(openai.RateLimitError):
        ask(vertex, "busy")
    assert "Later." in str(vertex.journal.last.to_json()["answer"])
    assert ask(vertex, "busy") == "Now."
    assert send(vertex, "long").finish_reason == "length"


def test_rules_are_used_up_and_loop(vertex: VertexSession) -> None:
    """`times` limits a rule, `after_last` decides what follows its last reply."""
    vertex.on(last_user="hi").reply("once").times(1)
    vertex.on(last_user="hi").reply("a").then("b").after_last("loop")
    assert [ask(vertex) for _ in range(4)] == ["once", "a", "b", "a"]


def test_rules_precede_files_in_their_order(server: Emulator, vertex: VertexSession) -> None:
    """A session's rules come first, then those for all sessions, then the files'."""
    server.on(last_user="file", project=vertex.project).reply("from all")
    assert ask(vertex, "file") == "from all"
    vertex.on(last_user="file").reply("first").times(1)
    vertex.on(last_user="file").reply("second").times(1)
    assert [ask(vertex, "file") for _ in range(3)] == ["first", "second", "from all"]
    assert ask(server.session("another"), "file") == "from the file"
    vertex.reset()
    assert ask(vertex, "file") == "from all"


def test_rules_alone_leave_the_rest_unanswered() -> None:
    """The built-in scenario answers where nobody wrote a rule or gave a scenario; behind rules it would hide what they do not answer."""
    with Emulator() as server:
        vertex, other = server.session("one"), server.session("two")
        vertex.on(last_user="weather").reply("It rains.")
        assert ask(vertex, "weather") == "It rains."
        with pytest.raises(openai.APIStatusError, match="no rule answers this request") as missed:
            ask(vertex, "wether")
        assert missed.value.status_code == 418
        assert ask(other, "wether")
        vertex.reset()
        assert ask(vertex, "wether")
    with Emulator(settings=Settings(fallback="default")) as server:
        server.on(last_user="weather").reply("It rains.")
        assert ask(server.session("one"), "wether")


def test_a_template_needs_the_tool_result_that_it_names(vertex: VertexSession) -> None:
    """The variable exists; it is the request that has none."""
    vertex.on().reply("{{ tool_result.degrees }}")
    with pytest.raises(openai.APIStatusError, match=r"this request has no tool result; .* with `after_tool: true`"):
        ask(vertex)


def test_same_rules_are_counted_apart(server: Emulator, vertex: VertexSession) -> None:
    """Rules made by one line in a loop have different names, so each has its own count."""
    for word in ("a", "b"):
        vertex.on(last_user="hi").reply(word).times(1)
    server.on(last_user="hi", project=vertex.project).reply("c").times(1)
    assert [ask(vertex) for _ in range(3)] == ["a", "b", "c"]
    assert [one.rule for one in vertex.journal][:2] == ["on(last_user='hi')", "on(last_user='hi') #2"]


def test_flags_are_required_and_set(vertex: VertexSession) -> None:
    """A rule requires flags that another sets; several calls add up."""
    vertex.on(last_user="ship").requires("paid").requires("not shipped").reply("Sent.").sets("shipped")
    vertex.on(last_user="pay").reply("Thanks.").sets("paid", "not shipped")
    assert [ask(vertex, text) for text in ("pay", "ship", "pay", "ship")] == ["Thanks.", "Sent."] * 2


def test_a_conversation_is_followed(vertex: VertexSession) -> None:
    """The turns are those of a file, and the messages determine which one is next."""
    vertex.on(model="google/*").conversation(
        [
            {"user": "fly"},
            {"assistant": "Where to?"},
            {"user": {"regex": "(?P<city>Oslo|Rome)"}},
            {"assistant": [{"say": "{{ city }}, then."}]},
        ]
    ).named("booking").times(2)
    messages = [{"role": "user", "content": "fly"}, {"role": "assistant", "content": "Where to?"}]
    messages.append({"role": "user", "content": "To Rome"})
    client = vertex.openai(max_retries=0)
    answer = client.chat.completions.create(model=MODEL, messages=messages)  # type: ignore[arg-type]  # dicts, as clients write them
    assert answer.choices[0].message.content == "Rome, then."
    assert ask(vertex, "fly") == "Where to?"
    with pytest.raises(openai.APIStatusError, match=r"used up: 2 of 2"):
        ask(vertex, "fly")
    assert [one.rule for one in vertex.journal][:2] == ["booking", "booking"]


def test_journal_has_names_and_places(vertex: VertexSession) -> None:
    """The journal names the rule and its Python line."""
    vertex.on(last_user="hi").named("greeting").reply("Hello")
    here = line() - 1
    ask(vertex)
    chosen = vertex.journal.last.outcome.chosen
    assert chosen is not None
    assert (chosen.rule.name, str(chosen.rule.place)) == ("greeting", f"{HERE}:{here}:1")


def test_expectations_are_verified(vertex: VertexSession) -> None:
    """A rule that answered too rarely is reported with its place."""
    vertex.on(last_user="hi").reply("Hello").expect(times=2)
    vertex.on(last_user="ho").reply("Hello").expect(at_least=1)
    ask(vertex)
    assert [one.partition(": ")[2] for one in vertex.verify().problems] == [
        "answered once, expected 2 times",
        "never answered, expected at least once",
    ]
    ask(vertex)
    ask(vertex, "ho")
    assert not vertex.verify().problems


WRONG: list[tuple[Callable[[Any], object], str]] = [
    (lambda on: on(last_usr="weather"), 'unknown key "last_usr" in "when"; did you mean "last_user"?'),
    (lambda on: on(last_user={"regex": "("}), "is not a regular expression"),
    (lambda on: on(turn="4-2"), 'did you mean "2-4"?'),
    (lambda on: on().fail(4299), "the error catalogue has no 4299"),
    (lambda on: on().reply([{"sya": "Hello"}]), 'unknown step "sya"; did you mean "say"?'),
    (lambda on: on().reply("{{ last_usr }}"), '"last_usr" is not known; did you mean "last_user"?'),
    (lambda on: on().reply("a").times(0), '"times" must be 1 or more, not 0'),
    (lambda on: on().reply("a").then([]), 'item 2 of "sequence" must not be empty'),
    (lambda on: on().json({1: 2}), "a key must be a text, not int"),
    (lambda on: on().json(object()), "a value of type object cannot be written as JSON"),
    (lambda on: on().json(float("nan")), "nan cannot be written as JSON"),
    (lambda on: on().image("nowhere.png"), 'there is no file "nowhere.png" beside the scenario'),
    (lambda on: on().reply("a").after_last("again"), '"then" must be repeat, loop or exhaust, not "again"'),
    (lambda on: on().requires("to do").reply("a"), '"requires" must be a flag such as "paid"'),
    (lambda on: on().sets("a", "not a"), '"sets" has both "a" and "not a"'),
    (lambda on: on().conversation([{"user": "a"}]), 'a conversation ends with an "assistant" turn'),
    (lambda on: on().conversation([{"usr": "a"}]), 'unknown turn "usr"; did you mean "user"?'),
    (lambda on: on().reply("a").beside(quirks=["raw_newline"]), 'did you mean "raw_newlines"?'),
    (lambda on: on().reply("a").beside(fault="reset_mid_steam"), 'did you mean "reset_mid_stream"?'),
    (lambda on: on().reply("a").beside(pace="slow-trian"), 'did you mean "slow-train"?'),
]


@pytest.mark.parametrize(("make", "message"), WRONG, ids=[message[:30] for _, message in WRONG])
def test_invalid_rules_are_reported_as_in_a_file(vertex: VertexSession, make: Any, message: str) -> None:
    """The messages are those of a file, the place is the Python line, and the rule is unchanged."""
    with pytest.raises(ScenarioError) as caught:
        make(vertex.on)
    text = str(caught.value)
    number = make.__code__.co_firstlineno
    assert text.startswith(f"{HERE}:{number}:")
    assert message in text
    assert "lambda on:" in text.splitlines()[1]
    assert len(caught.value.problems) == 1


def test_in_a_chain_the_line_of_the_call_is_reported(vertex: VertexSession) -> None:
    """The place is that of the wrong call, and the steps before it still answer."""
    with pytest.raises(ScenarioError) as caught:
        # fmt: off
        (
            vertex.on(last_user="hi")
            .reply("Hello")
            .fail("REsource")
        )
        # fmt: on
    assert caught.value.problems[0].source_line.strip() == '.fail("REsource")'
    assert ask(vertex) == "Hello"


def test_misuse_of_the_builder_is_a_type_error(vertex: VertexSession) -> None:
    """Calls that no scenario file could express raise TypeError."""
    with pytest.raises(TypeError, match="not both"):
        vertex.on().call("f", {"a": 1}, b=2)
    with pytest.raises(TypeError, match="then"):
        vertex.on().reply(lambda _facts: "a").say("b")
    with pytest.raises(TypeError, match="a conversation or with replies, not both"):
        vertex.on().reply("a").conversation([{"user": "a"}, {"assistant": "b"}])
    with pytest.raises(TypeError, match="a conversation or with replies, not both"):
        vertex.on().conversation([{"user": "a"}, {"assistant": "b"}]).then("c")


def test_tools_can_have_any_argument(vertex: VertexSession) -> None:
    """Arguments may have the names of the builder's own, be absent, or be invalid JSON."""
    calls: list[RuleBuilder] = [
        vertex.on(last_user="one").call("f", name="a", arguments=1),
        vertex.on(last_user="two").call("f", {}),
        vertex.on(last_user="three").call("f", "{broken"),
    ]
    assert len(calls) == 3
    got = [send(vertex, text).message.tool_calls[0].function.arguments for text in ("one", "two", "three")]
    assert got == ['{"name":"a","arguments":1}', "{}", "{broken"]


def shout(facts: Facts) -> str:
    """A reply made of the request."""
    return (facts.last_user or "").upper()


def test_functions_are_replies(vertex: VertexSession) -> None:
    """A function gets the facts and returns a text, a step or steps; its texts are not templates."""
    vertex.on(last_user="shout").reply(shout)
    vertex.on(last_user="echo").reply(lambda facts: {"say": f"{facts.last_user} {{{{ x }}}} {{% if %}} \\ 'ö😀'\n"})
    vertex.on(last_user="count").reply("one").then(lambda facts: [{"say": f"{facts.turn}"}, {"say": "!"}])
    assert ask(vertex, "shout") == "SHOUT"
    assert ask(vertex, 'echo "{{ 1 }}"') == "echo \"{{ 1 }}\" {{ x }} {% if %} \\ 'ö😀'\n"
    assert [ask(vertex, "count") for _ in range(2)] == ["one", "1!"]


def test_functions_may_stream_and_fail(vertex: VertexSession) -> None:
    """The steps that a function returns may stream and fail like others."""
    vertex.on(last_user="busy").reply(lambda _facts: {"fail": 503})
    vertex.on(last_user="hi").reply(shout)
    with pytest.raises(openai.InternalServerError) as caught:
        ask(vertex, "busy")
    assert caught.value.status_code == 503
    stream = vertex.openai().chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "hi"}], stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "HI"


def broken(facts: Facts) -> str:
    """A function with a mistake."""
    return json.loads("{" + str(facts.turn))  # type: ignore[no-any-return]  # it raises


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda _facts: [{"sya": "Hello"}], 'returned no reply: unknown step "sya"; did you mean "say"?'),
        (lambda _facts: None, 'returned no reply: "reply"'),
        (lambda _facts: {"json": {1}}, "returned no reply: a value of type set cannot be written as JSON"),
        (lambda facts: facts.google["x"], "KeyError: 'x'"),
        (broken, f"failed at {HERE}:{broken.__code__.co_firstlineno + 2}: JSONDecodeError"),
    ],
)
def test_errors_of_functions_name_their_line(vertex: VertexSession, function: Any, message: str) -> None:
    """A function that fails or returns no reply is an error of the rule, with file and line and without a traceback."""
    vertex.on(last_user="hi").reply(function)
    here = line() - 1
    with pytest.raises(openai.APIStatusError) as caught:
        ask(vertex)
    assert caught.value.status_code == 418
    assert message in caught.value.message
    assert f"the function given at {HERE}:{here}:1 " in caught.value.message
    assert "Traceback" not in caught.value.message
