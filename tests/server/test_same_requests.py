"""Repeated requests: each is answered by the current scenario and overrides."""

import json
from http.client import HTTPConnection
from typing import Any

from emulator.api.emulator import Emulator
from emulator.catalogue.variations import Variation
from emulator.engine.request.facts import Facts
from emulator.server.settings import Settings


def test_repeated_requests_are_vetted_by_the_current_scenario() -> None:
    """Vetting results of cached request options are not reused after the scenario or the overrides change."""
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


def test_reply_functions_may_modify_the_request() -> None:
    """An identical later request is not affected."""

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
