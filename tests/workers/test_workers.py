"""`serve --workers`: several processes that answer as one, over real sockets."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCENARIO = """
rules:
  - {name: count, when: {last_user: count}, sequence: NUMBERS, then: exhaust}
  - {name: slow, when: {last_user: slow}, pace: {every_ms: 100}, reply: {say: [one, two, three]}}
  - {name: long, when: {last_user: long}, reply: [{say: [one]}, {pause: 600000}, {say: [two]}]}
  - {name: hello, when: {last_user: hello}, reply: Hello.}
""".replace("NUMBERS", str([str(number) for number in range(1, 101)]).replace("'", '"'))


class Cluster:
    """A running `serve --workers 2`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.greeting = json.loads(process.stdout.readline())
        self.port = int(self.greeting["url"].rpartition(":")[2])
        self._clients: list[Client] = []

    def connect(self) -> "Client":
        """A connection of its own; two that are made one after the other reach two workers."""
        client = Client(HTTPConnection("127.0.0.1", self.port, timeout=30))
        self._clients.append(client)
        return client

    def end(self) -> None:
        """Let go of everything."""
        for client in self._clients:
            client.connection.close()
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        self.process.wait()

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text("utf-8").split()]

    def read_error(self, text: str) -> str:
        """Read what is said on standard error up to a line that holds a text."""
        assert self.process.stderr is not None
        return next(line for line in self.process.stderr if text in line)


class Client:
    """A client that keeps its connection, so that it always asks the same worker."""

    def __init__(self, connection: HTTPConnection) -> None:
        self.connection = connection

    def begin(self, text: str) -> HTTPResponse:
        """The stream of a chat request, not read yet."""
        self._send(text, "p", stream=True)
        return self.connection.getresponse()

    def ask(self, text: str, project: str = "p", **more: Any) -> tuple[int, str]:
        """Status and body of a chat request."""
        self._send(text, project, **more)
        response = self.connection.getresponse()
        return response.status, response.read().decode()

    def _send(self, text: str, project: str, **more: Any) -> None:
        body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": text}], **more}
        path = f"/v1/projects/{project}/locations/global/endpoints/openapi/chat/completions"
        self.connection.request("POST", path, json.dumps(body), {"authorization": "Bearer any"})

    def say(self, text: str, project: str = "p") -> str:
        """What is answered; the status where it is no answer."""
        status, body = self.ask(text, project)
        return str(json.loads(body)["choices"][0]["message"]["content"]) if status == 200 else str(status)

    def control(self, path: str, method: str = "GET", body: str | None = None) -> Any:
        """What the control API says."""
        self.connection.request(method, f"/__emulator__/{path}", body)
        response = self.connection.getresponse()
        text = response.read()
        assert response.status < 300, text
        return json.loads(text) if text else None


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Starts `vertex-emulator serve --workers 2` with more arguments."""
    clusters: list[Cluster] = []

    def start(*arguments: str, scenario: str = SCENARIO) -> Cluster:
        (tmp_path / "s.yaml").write_text(scenario, "utf-8")
        command = [sys.executable, "-m", "emulator", "serve", "--port", "0", "--print", "json", "--workers", "2"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [*command, *arguments, "s.yaml"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            text=True,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )
        clusters.append(Cluster(process))
        return clusters[-1]

    yield start
    for one in clusters:
        one.end()


def test_connections_are_shared_out(cluster: Any) -> None:
    """Each worker gets some, as many as the others unless it is busy for long; who keeps its connection keeps its worker."""
    server = cluster()
    clients = [server.connect() for _ in range(8)]
    for client in clients:
        assert client.say("hello") == "Hello."
    held = [len(_connections_of(pid, server.port)) for pid in server.workers()]
    assert (sum(held), min(held) > 1) == (8, True)
    assert server.greeting["workers"] == 2


def _connections_of(pid: int, port: int) -> set[str]:
    """The established connections at a port that a process holds."""
    lines = Path(f"/proc/{pid}/net/tcp").read_text("utf-8").splitlines()[1:]
    fields = [line.split() for line in lines]
    inodes = {field[9] for field in fields if field[1].endswith(f":{port:04X}") and field[3] == "01"}
    links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    return {link for link in links if link.removeprefix("socket:[").removesuffix("]") in inodes}


def test_a_sequence_is_counted_once(cluster: Any) -> None:
    """A hundred requests over eight connections at once get the hundred replies, each one once, and then none is left."""
    server = cluster()

    def ask(_number: int) -> list[str]:
        client = server.connect()
        return [client.say("count") for _ in range(13)]

    with ThreadPoolExecutor(8) as pool:
        said = [one for some in pool.map(ask, range(8)) for one in some]
    assert sorted(said, key=int) == [*(str(number) for number in range(1, 101)), *["418"] * 4]


def test_one_worker_sees_at_once_what_another_did(cluster: Any) -> None:
    """Exchanges, counters, pushed scenarios and resets, as soon as the one who did it is answered."""
    server = cluster()
    first, second = server.connect(), server.connect()
    for number in range(1, 11):
        assert first.say("count") == str(2 * number - 1)
        assert second.say("count") == str(2 * number)
        numbers = [exchange["number"] for exchange in first.control("journal?session=p")["exchanges"]]
        assert numbers == list(range(1, 2 * number + 1))
        assert second.control("scenario?session=p")["rules"][0]["uses"] == 2 * number
    for number in range(10):
        first.control("scenario?session=p", "PUT", f"rules: [{{reply: own {number}}}]")
        assert (second.say("hello"), first.say("hello"), second.say("hello", "q")) == (f"own {number}",) * 2 + (
            "Hello.",
        )
        second.control("scenario?session=p", "DELETE")
        assert (first.say("hello"), second.say("count")) == ("Hello.", "1")
    second.control("reset", "POST")
    assert first.control("journal") == {"exchanges": []}
    assert first.say("count") == "1"
    assert second.control("verify")["passed"]
    assert second.control("verdicts") == {"verdicts": []}


def test_quotas_hold_for_all_together(cluster: Any) -> None:
    """Five requests a minute are five, over whichever connections; a place among concurrent ones goes to who waits at another worker."""
    limit = "{requests_per_minute: 5, model: google/gemini-2.5-flash}"
    single = "{concurrent: 1, queue: {length: 5, wait_ms: 20000}, model: google/gemini-2.5-pro}"
    rules = "rules: [{when: {last_user: slow}, pace: {every_ms: 50}, reply: {say: [a, b]}}, {reply: x}]"
    server = cluster(scenario=f"quota: [{limit}, {single}]\n{rules}")
    clients = [server.connect(), server.connect()]
    statuses = [clients[number % 2].ask("hello")[0] for number in range(8)]
    assert statuses == [200] * 5 + [429] * 3
    with ThreadPoolExecutor(4) as pool:
        asked = pool.map(lambda _: server.connect().ask("slow", model="google/gemini-2.5-pro")[0], range(4))
        assert list(asked) == [200] * 4
    (account,) = clients[0].control("quotas?session=p")["quotas"][1]["accounts"]
    assert (account["in_hand"], account["waiting"]) == (0, 0)


def test_a_killed_worker_is_replaced_and_loses_nothing(cluster: Any) -> None:
    """Whatever a client was answered is in the journal and counted, and its place among concurrent requests is free again."""
    server = cluster(scenario=f"quota: {{concurrent: 20}}\n{SCENARIO}")
    answered: list[str] = []

    def ask(_number: int) -> None:
        client = server.connect()
        for _ in range(150):
            try:
                answered.append(json.loads(client.ask("hello", stream=False)[1])["id"])
            except (HTTPException, OSError):
                client = server.connect()

    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(ask, number) for number in range(4)]
        for _ in range(3):
            os.kill(server.workers()[0], signal.SIGKILL)
            server.read_error("was ended by SIGKILL; process")
        for one in work:
            one.result()
    client = server.connect()
    kept = [json.loads(one["answer"][0])["id"] for one in client.control("journal")["exchanges"]]
    assert len(answered) > 500
    assert set(answered) <= set(kept)
    uses = {rule["name"]: rule["uses"] for rule in client.control("scenario?session=p")["rules"]}
    assert uses["hello"] >= len(answered)
    assert len(server.workers()) == 2
    (account,) = client.control("quotas?session=p")["quotas"][0]["accounts"]
    assert account["in_hand"] == 0


def test_answers_are_those_of_one_worker(cluster: Any) -> None:
    """With a seed, byte for byte, whoever answers."""
    together = cluster("--seed", "s")
    alone = cluster("--seed", "s", "--workers", "1")
    clients, single = [together.connect(), together.connect()], alone.connect()
    for number, text in enumerate(["hello", "count", "count", "hello", "count", "slow"]):
        assert clients[number % 2].ask(text, stream=True) == single.ask(text, stream=True)


def test_all_workers_read_changed_scenarios(cluster: Any, tmp_path: Path) -> None:
    """After `read again` every worker answers by the new rules; a broken edit leaves the last good ones, and is reported once."""
    server = cluster("--watch", "--quiet")
    first, second = server.connect(), server.connect()
    assert (first.say("hello"), second.say("hello")) == ("Hello.", "Hello.")
    (tmp_path / "s.yaml").write_text("rules: [{name: new, reply: New.}]", "utf-8")
    server.read_error("read again: 1 rule")
    assert (first.say("hello"), second.say("hello")) == ("New.", "New.")
    (tmp_path / "s.yaml").write_text("rules: [{name: new, reply: New.", "utf-8")
    server.read_error("the last good scenarios stay in use")
    assert (first.say("hello"), second.say("hello")) == ("New.", "New.")
    os.kill(server.workers()[0], signal.SIGKILL)
    server.read_error("takes its place")
    first, second = server.connect(), server.connect()
    assert (first.say("hello"), second.say("hello")) == ("New.", "New.")
    (tmp_path / "s.yaml").write_text("rules: [{name: new, reply: Newer.}]", "utf-8")
    server.read_error("read again: 1 rule")
    assert (first.say("hello"), second.say("hello")) == ("Newer.", "Newer.")


def test_running_streams_end_within_the_grace(cluster: Any) -> None:
    """SIGTERM to the supervisor: what can end does, the rest is cut, and the status is 0."""
    server = cluster("--grace", "1")
    slow, long = server.connect().begin("slow"), server.connect().begin("long")
    assert all(b"one" in response.readline() for response in (slow, long))
    server.process.send_signal(signal.SIGTERM)
    assert slow.read().endswith(b"data: [DONE]\n\n")
    with pytest.raises(HTTPException):
        long.read()
    assert server.process.wait(30) == 0


@pytest.mark.parametrize("end", ["stdin", "kill"])
def test_workers_do_not_outlive_their_server(cluster: Any, end: str) -> None:
    """They end with the program that started the server, and with a supervisor that was killed."""
    server = cluster("--until-stdin-closes")
    workers = server.workers()
    watched = [os.pidfd_open(pid) for pid in workers]
    if end == "stdin":
        server.process.stdin.close()
        assert server.process.wait(30) == 0
    else:
        server.process.kill()
    for one in watched:
        assert select.select([one], [], [], 30)[0]
        os.close(one)
