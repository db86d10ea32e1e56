"""Requests compared by meaning."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import StartError
from emulator.recording.meaning import Differences, canonical, compile_placeholders, find_differences, read_meaning
from emulator.recording.recording import RecordedRequest

PATH = "/v1/projects/p/locations/us-central1/endpoints/openapi/chat/completions"


def ask(body: Any, path: str = PATH, query: str = "", **headers: str) -> RecordedRequest:
    """A request with a body as JSON, or as it is."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RecordedRequest("POST", "host", path, query, tuple(headers.items()), data)


def is_same(one: RecordedRequest, other: RecordedRequest, differences: Differences = Differences()) -> bool:  # noqa: B008  # it is frozen
    """Whether two requests mean the same."""
    return read_meaning(one, differences).loose == read_meaning(other, differences).loose


def say(text: Any, **fields: Any) -> dict[str, Any]:
    """A chat request of one message."""
    return {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": text}], **fields}


def call(id_: str, signature: str, arguments: str = '{"city": "Oslo"}') -> dict[str, Any]:
    """A chat request behind a tool call and its result."""
    function = {"name": "get_weather", "arguments": arguments}
    signed = {"google": {"thought_signature": signature}}
    return {
        "messages": [
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "tool_calls": [{"id": id_, "type": "function", "function": function, "extra_content": signed}],
            },
            {"role": "tool", "tool_call_id": id_, "content": "rain"},
        ]
    }


def url(data: bytes) -> dict[str, Any]:
    """A chat request with a picture."""
    return say(
        [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(data).decode()}}]
    )


SAME = {
    "key order and whitespace of JSON": (ask(b'{"model": "m", "n": 1}'), ask(b'{"n":1,\n"model":"m"}')),
    "numbers": (ask({"temperature": 1}), ask({"temperature": 1.0})),
    "null and absent": (ask({"stop": None, "n": 1}), ask({"n": 1})),
    "ids of calls and signatures": (ask(call("a", "c2ln")), ask(call("b", "bnVt"))),
    "layout of arguments": (ask(call("a", "x", '{"a":1,"b":2}')), ask(call("a", "x", '{"b": 2, "a": 1}'))),
    "one text part": (ask(say("Hi")), ask(say([{"type": "text", "text": "Hi"}]))),
    "whitespace in texts": (ask(say("Hi  there\n")), ask(say("Hi there"))),
    "timestamps": (ask(say("It is 2026-11-28T10:00:03Z. Go!")), ask(say("It is 2026-11-29T11:30:00Z. Go!"))),
    "dates of mail": (ask(say("Sat, 28 Nov 2026 10:00:03 GMT")), ask(say("Sun, 29 Nov 2026 23:59:59 GMT"))),
    "project, location, version": (
        ask({}, PATH),
        ask({}, "/v1beta1/projects/q/locations/global/endpoints/openapi/chat/completions/"),
    ),
    "resource names": (
        ask({"cached_content": "projects/p/locations/global/cachedContents/1"}),
        ask({"cached_content": "projects/q/locations/us-east1/cachedContents/1"}),
    ),
    "keys in the query": (ask({}, query="alt=sse&key=abc"), ask({}, query="alt=sse")),
    "percent-encoding": (ask({}, "/v1/projects/p/models/a:b"), ask({}, "/v1/projects/p/models/a%3Ab")),
    "layout of base64": (
        ask(say([{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}])),
        ask(say([{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVs bG8"}}])),
    ),
}
OTHER = {
    "text": (ask(say("Weather in Oslo?")), ask(say("Weather in Bergen?"))),
    "dates": (ask(say("Weather on 2026-11-28?")), ask(say("Weather on 2026-11-29?"))),
    "model": (ask({"model": "a"}), ask({"model": "b"})),
    "stream": (ask(say("Hi", stream=True)), ask(say("Hi"))),
    "a parameter": (ask(say("Hi", temperature=0.1)), ask(say("Hi", temperature=0.2))),
    "true and 1": (ask({"n": True}), ask({"n": 1})),
    "arguments": (ask(call("a", "x", '{"city": "Oslo"}')), ask(call("a", "x", '{"city": "Rome"}'))),
    "a picture": (ask(url(b"one")), ask(url(b"two"))),
    "a missing signature": (
        ask(call("a", "x")),
        ask({"messages": [{k: v for k, v in m.items() if k != "tool_calls"} for m in call("a", "x")["messages"]]}),
    ),
    "endpoint": (ask({}, PATH), ask({}, PATH.replace("openapi", "123"))),
    "route": (ask({}, PATH), ask({}, PATH.replace("chat/completions", "embeddings"))),
    "query": (ask({}, query="alt=sse"), ask({}, query="alt=json")),
}


@pytest.mark.parametrize("name", SAME)
def test_what_does_not_matter(name: str) -> None:
    """Requests that say the same mean the same."""
    assert is_same(*SAME[name])
    assert list(find_differences(*(canonical(one, Differences()) for one in SAME[name]))) == []


@pytest.mark.parametrize("name", OTHER)
def test_what_matters(name: str) -> None:
    """Requests that say something else do not, and the difference is named."""
    assert not is_same(*OTHER[name])
    assert list(find_differences(*(canonical(one, Differences()) for one in OTHER[name])))


def test_results_of_parallel_calls_may_change_places() -> None:
    """Results are compared by their calls, whatever their order; exchanged results are others."""
    calls = [{"id": id_, "type": "function", "function": {"name": id_, "arguments": "{}"}} for id_ in ("x", "y")]
    results = [{"role": "tool", "tool_call_id": id_, "content": text} for id_, text in (("x", "1"), ("y", "2"))]
    swapped = [{**results[0], "content": "2"}, {**results[1], "content": "1"}]
    requests = [
        ask({"messages": [{"role": "assistant", "tool_calls": calls}, *one]})
        for one in (results, results[::-1], swapped)
    ]
    assert is_same(requests[0], requests[1])
    assert not is_same(requests[0], requests[2])


def test_exact_meaning_tells_whitespace_and_times_apart() -> None:
    """Prompts that only resemble each other have the same loose meaning and another exact one."""
    one, other = (read_meaning(ask(say(text)), Differences()) for text in ("if a:\n    b()", "if a:\nb()"))
    assert one.loose == other.loose
    assert one.exact != other.exact


@pytest.mark.parametrize(
    ("ignore", "compare", "requests", "same"),
    [
        (["body.temperature"], [], (say("Hi", temperature=0), say("Hi", temperature=1)), True),
        (["body.messages[].name"], [], ({"messages": [{"name": "a"}]}, {"messages": [{"name": "b"}]}), True),
        (["body.metadata.*"], [], ({"metadata": {"run": 1}}, {"metadata": {"run": 2}}), True),
        ([], ["whitespace"], (say("a b"), say("a  b")), False),
        ([], ["timestamps"], (say("2026-11-28T10:00:03Z"), say("2026-11-28T10:00:04Z")), False),
        ([], ["call_ids"], (call("a", "x"), call("b", "x")), False),
        ([], ["signatures"], (call("a", "x"), call("a", "y")), False),
    ],
)
def test_what_matters_can_be_said(ignore: list[str], compare: list[str], requests: tuple[Any, Any], same: bool) -> None:
    """A recording says which further differences do not matter, and which do."""
    assert is_same(ask(requests[0]), ask(requests[1]), Differences.read(ignore, compare, "here")) is same


def test_headers_and_query_can_be_compared() -> None:
    """A header matters once it is named; the query can be left out."""
    named = Differences.read(["query"], ["header X-Team"], "here")
    assert not is_same(ask({}, **{"x-team": "red"}), ask({}, **{"x-team": "blue"}), named)
    assert is_same(ask({}, query="alt=sse"), ask({}), named)


@pytest.mark.parametrize("key", ["ignore", "compare"])
def test_an_unknown_name_is_told(key: str) -> None:
    """A name that is none gets a sentence with what is expected."""
    lists: dict[str, list[str]] = {"ignore": [], "compare": [], key: ["timestamp"]}
    with pytest.raises(StartError, match=rf'here: `{key}` must be .*did you mean "timestamps"'):
        Differences.read(lists["ignore"], lists["compare"], "here")


def test_a_placeholder_stands_for_any_secret() -> None:
    """A secret that the recording does not keep may be any text without spaces, the same one wherever it stands."""
    recorded = ask(say("Mail redacted-account-1@redacted.invalid, then redacted-account-1@redacted.invalid again."))
    pattern = compile_placeholders(read_meaning(recorded, Differences()).text)
    assert pattern is not None
    texts = {
        "Mail a@b.example, then a@b.example again.": True,
        "Mail a@b.example, then c@d.example again.": False,
        "Mail my friend, then my friend again.": False,
    }
    for text, matches in texts.items():
        assert (pattern.fullmatch(read_meaning(ask(say(text)), Differences()).text) is not None) is matches, text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=4))
def test_any_layout_of_the_same_json_means_the_same(body: dict[str, Any]) -> None:
    """However a body is laid out, it means the same."""
    layouts = [
        json.dumps(body, indent=2).encode(),
        json.dumps(dict(reversed(body.items())), ensure_ascii=False).encode("utf-8", "surrogatepass"),
    ]
    assert is_same(ask(body), ask(layouts[0]))
    assert is_same(ask(body), ask(layouts[1]))


@given(st.text('abc{}"\\ \n', max_size=12), st.text('abc{}"\\ \n', max_size=12))
def test_no_text_is_taken_for_another(one: str, other: str) -> None:
    """Two texts mean the same only if they differ in whitespace, or if both are JSON of the same value."""
    same = is_same(ask(say(one)), ask(say(other)))
    plain = " ".join(one.split()) == " ".join(other.split())
    if plain:
        assert same
    elif same:
        assert json.loads(one, strict=False) == json.loads(other, strict=False)
