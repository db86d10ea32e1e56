"""One server for many threads."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from urllib.request import Request, urlopen

from emulator.api.emulator import Emulator

THREADS = 50
REQUESTS = 20
RULES = """
rules:
  - {name: first, times: 1, reply: "first, {{ use }}"}
  - {name: later, reply: "later, {{ use }}, {{ last_user }}"}
"""


def test_fifty_threads_with_fifty_projects_count_for_themselves() -> None:
    """No session sees a counter, a rule or an exchange of another under concurrent requests."""
    together = Barrier(THREADS)

    def talk(name: str) -> list[str]:
        session = vertex.session(name)
        session.on(last_user="you").reply(f"I am {name}.").times(1)
        together.wait(timeout=60)
        return [ask(session.base_url, f"who are you, {name}?") for _ in range(REQUESTS)]

    def ask(base_url: str, text: str) -> str:
        body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": text}]}
        request = Request(f"{base_url}/chat/completions", json.dumps(body).encode(), {"authorization": "Bearer any"})  # noqa: S310  # our own server
        with urlopen(request, timeout=60) as answer:  # noqa: S310  # as above
            said: str = json.load(answer)["choices"][0]["message"]["content"]
        return said

    names = [f"project-{number}" for number in range(THREADS)]
    with Emulator(RULES) as vertex:
        with ThreadPoolExecutor(THREADS) as pool:
            said = dict(zip(names, pool.map(talk, names), strict=True))
        for name in names:
            later = [f"later, {use}, who are you, {name}?" for use in range(1, REQUESTS - 1)]
            assert said[name] == [f"I am {name}.", "first, 1", *later]
            assert [exchange.text for exchange in vertex.session(name).journal] == said[name]
