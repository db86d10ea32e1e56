"""Requests that come again: each is answered by what holds now."""

import json
from http.client import HTTPConnection
from typing import Any

from emulator.api.emulator import Emulator
from emulator.catalogue.variations import Variation
from emulator.engine.request.facts import Facts
from emulator.server.settings import Settings


def test_the_same_request_is_judged_anew_by_other_rules() -> None:
    """What Vertex says of request options that are cached holds as long as the scenario and the overrides."""
    path = "/v1/projects/p/locations/global/endpoints/openapi/chat/completions"
    empty = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": ""}]}
    with Emulator("rules: [{reply: one}]\n", settings=Settings(auth="off")) as vertex:
        connection = HTTPConnection(vertex.url.removeprefix("http://"), timeout=30)

        def ask() -> tuple[int, bytes]:
            connection.request("POST", path, json.dumps(empty))
            answer = connection.getresponse()
            return answer.status, answer.read()

        session = vertex.session("p")
        assert ask()[0] == 400
        session.push("vetting: off\nrules: [{reply: two}]\n")
        assert (ask()[0], b"two" in ask()[1]) == (200, True)
        session.push("vetting: off\nrules: [{reply: three}]\n")
        assert b"three" in ask()[1]
        session.reset()
        vertex.service.disturb("p", Variation("bare", "errors are objects", quirks=frozenset({"object_errors"})))
        assert ask()[1].startswith(b"{")
        vertex.reset()
        assert ask()[1].startswith(b"[{")
        connection.close()


def test_functions_may_change_what_they_are_given() -> None:
    """The next request that is the same finds what was sent."""

    def reply(facts: Facts) -> str:
        messages: Any = facts.messages
        return f"{messages.pop()['content']} {len(messages)}"

    with Emulator() as vertex:
        vertex.on(last_user="hello").reply(reply)
        client = vertex.openai()
        said = [
            client.chat.completions.create(
                model="google/gemini-2.5-flash", messages=[{"role": "user", "content": "hello"}]
            )
            .choices[0]
            .message.content
            for _ in range(2)
        ]
    assert said == ["hello 0", "hello 0"]
