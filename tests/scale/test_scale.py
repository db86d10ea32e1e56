"""Several workers of several servers answer as one: over real sockets, with a real Redis."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SCENARIO = """
rules:
  - {name: count, when: {last_user: count}, sequence: NUMBERS, then: exhaust}
  - {name: slow, when: {last_user: slow}, pace: {every_ms: 100}, reply: {say: [one, two, three]}}
  - {name: long, when: {last_user: long}, reply: [{say: [one]}, {pause: 600000}, {say: [two]}]}
  - {name: hello, when: {last_user: hello}, reply: Hello.}
""".replace("NUMBERS", str([str(number) for number in range(1, 1001)]).replace("'", '"'))


@pytest.fixture
def two_servers(serve: Any, redis_server: Any) -> Any:
    """Two servers of two workers each that share a Redis server."""

    def start(*arguments: str, scenario: str = SCENARIO) -> Any:
        store = ("--store", redis_server.url, "--workers", "2")
        return [serve(*store, *arguments, scenario=scenario) for _ in range(2)]

    return start


def test_a_sequence_is_counted_once(two_servers: Any) -> None:
    """A thousand requests over 32 connections get the thousand replies, each one once, and then none is left."""
    servers = two_servers("--quiet")

    def ask(number: int) -> list[str]:
        client = servers[number % 2].connect()
        return [client.say("count") for _ in range(32)]

    with ThreadPoolExecutor(32) as pool:
        said = [one for some in pool.map(ask, range(32)) for one in some]
    assert sorted(map(int, said)) == sorted([*range(1, 1001), *[418] * 24])


def test_what_one_process_does_all_see(two_servers: Any) -> None:
    """Exchanges, counters, pushed scenarios, resets: as soon as who did it is answered."""
    clients = [client for server in two_servers("--quiet") for client in server.connect_each()]
    assert len(clients) == 4
    for number in range(8):
        assert clients[number % 4].say("count") == str(number + 1)
        for client in clients:
            assert len(client.control("journal?session=p")["exchanges"]) == number + 1
            assert client.control("scenario?session=p")["rules"][0]["uses"] == number + 1
    for number, pusher in enumerate(clients * 2):
        pusher.control("scenario?session=p", "PUT", f"rules: [{{reply: own {number}}}]")
        assert [client.say("hello") for client in clients] == [f"own {number}"] * 4
        assert clients[0].say("hello", "q") == "Hello."
        pusher.control("scenario?session=p", "DELETE")
        assert [client.say("hello") for client in clients] == ["Hello."] * 4
    clients[3].control("reset", "POST")
    assert clients[0].control("journal") == {"exchanges": []}
    assert clients[1].say("count") == "1"
    assert clients[2].control("verify")["passed"]


def test_quotas_are_exact(two_servers: Any) -> None:
    """Of 200 requests at once over 16 connections to four processes, exactly as many pass as the quota has room for."""
    limit = "{requests_per_minute: 60, model: google/gemini-2.5-flash}"
    single = "{concurrent: 1, queue: {length: 5, wait_ms: 20000}, model: google/gemini-2.5-pro}"
    rules = "rules: [{when: {last_user: slow}, pace: {every_ms: 50}, reply: {say: [a, b]}}, {reply: x}]"
    servers = two_servers("--quiet", scenario=f"quota: [{limit}, {single}]\n{rules}")

    def ask(number: int) -> list[int]:
        client = servers[number % 2].connect()
        return [client.ask("hello")[0] for _ in range(12)]

    started = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        statuses = [status for some in pool.map(ask, range(16)) for status in some]
    refilled = int(time.monotonic() - started) + 1
    assert 60 <= statuses.count(200) <= 60 + refilled
    assert statuses.count(429) == len(statuses) - statuses.count(200)
    with ThreadPoolExecutor(4) as pool:
        asked = pool.map(
            lambda number: servers[number % 2].connect().ask("slow", model="google/gemini-2.5-pro")[0], range(4)
        )
        assert list(asked) == [200] * 4
    (account,) = servers[0].connect().control("quotas?session=p")["quotas"][1]["accounts"]
    assert (account["in_hand"], account["waiting"]) == (0, 0)


def test_killed_workers_lose_nothing_that_was_answered(two_servers: Any) -> None:
    """Twenty kills under load: every exchange that a client was answered is in the journal and counted."""
    servers = two_servers("--quiet")
    answered: list[str] = []
    done = threading.Event()

    def ask(number: int) -> None:
        client = servers[number % 2].connect()
        while not done.is_set():
            try:
                answered.append(json.loads(client.ask("hello", project=f"p{len(answered) % 7}")[1])["id"])
            except (HTTPException, OSError, ValueError):
                client = servers[number % 2].connect()

    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(ask, number) for number in range(4)]
        seen: set[str] = set()
        for number in range(20):
            server = servers[number % 2]
            os.kill(server.workers()[0], signal.SIGKILL)
            server.read_error("was ended by SIGKILL; process")
            seen |= _kept(servers[0].connect())
        done.set()
        for one in work:
            one.result()
    seen |= _kept(servers[0].connect())
    assert len(answered) > 100
    # The journal keeps the last thousand, and was read after each kill.
    assert set(answered[-900:]) <= seen
    assert [len(server.workers()) for server in servers] == [2, 2]


def _kept(client: Any) -> set[str]:
    while True:
        try:
            exchanges = client.control("journal")["exchanges"]
        except (HTTPException, OSError):
            client = type(client)(client.connection.port)
            continue
        return {json.loads(one["answer"][0])["id"] for one in exchanges}


def test_a_store_that_goes_away_and_comes_back(two_servers: Any, redis_server: Any) -> None:
    """What needs it is answered 418 with the reason within seconds, what does not goes on; then all is as before, with the exchanges of meanwhile."""
    server, _ = two_servers("--quiet")
    client = server.connect_each()[0]
    assert [client.say("count"), client.say("hello")] == ["1", "Hello."]
    # The store has taken both when the journal shows them; what it had not taken would be told again, and be kept.
    assert len(client.control("journal?session=p")["exchanges"]) == 2
    redis_server.stop()
    # Each of the two workers says so.
    for _ in range(2):
        server.read_error("is unreachable")
    assert [client.say("hello") for _ in range(3)] == ["Hello."] * 3
    started = time.monotonic()
    status, body = client.ask("count")
    assert (status, time.monotonic() - started < 5) == (418, True)
    client.connection.request("POST", "/v1/projects/new/locations/global/endpoints/openapi/chat/completions", "{}")
    refused = client.connection.getresponse()
    refused.read()
    assert refused.status == 401
    error = json.loads(body)
    assert "store_unreachable" in json.dumps(error)
    assert "is unreachable" in json.dumps(error)
    redis_server.start()
    for _ in range(2):
        server.read_error("the store answers again after")
    assert client.say("count") == "1"
    kept = [one["outcome"] for one in client.control("journal?session=p")["exchanges"]]
    assert kept == ["answer"] * 3 + ["error", "answer"]


def test_a_store_that_hangs_leaves_nobody_hanging(two_servers: Any, redis_server: Any) -> None:
    """A server that accepts and never answers is as good as away."""
    server, _ = two_servers("--quiet")
    client = server.connect_each()[0]
    assert client.say("count") == "1"
    redis_server.pause()
    assert client.say("count") == "418"
    assert client.say("hello") == "Hello."
    redis_server.resume()
    assert client.say("count") in {"2", "3"}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://u:secret@127.0.0.1:1/0", "the store redis://127.0.0.1:1/0 cannot be reached: connection refused"),
        ("unix:///nowhere.sock", "the store unix:///nowhere.sock cannot be reached: no such file or directory"),
        ("redis+cluster://127.0.0.1:1", "the store redis+cluster://127.0.0.1:1 cannot be reached: connection refused"),
        ("redis+sentinel://127.0.0.1:1", "the store redis+sentinel://127.0.0.1:1 cannot be reached: "),
        (
            "redis://u:secret@h:port/0",
            'the store\'s URL "redis://h:port/0" cannot be read; expected redis://HOST:PORT/0, ',
        ),
        ("redis+sentinel://h:port", 'the store\'s URL "redis+sentinel://h:port" cannot be read; expected '),
        ("redis+cluster://", 'the store\'s URL "redis+cluster://" cannot be read; expected '),
        ("postgres://u:secret@h", '"postgres://h" is no URL of a store; expected redis://HOST:PORT/0, '),
        ("/run/redis.sock", '"/run/redis.sock" is no URL of a store; expected redis://HOST:PORT/0, '),
    ],
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_store_at_the_start_is_one_sentence(url: str, said: str, workers: str) -> None:
    """It says why, without the password, and the status is 1."""
    command = [sys.executable, "-m", "emulator", "serve", "--port", "0", "--store", url, "--workers", workers]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(f"vertex-emulator: {said}")
    assert len(done.stderr.splitlines()) == 1
    assert "secret" not in done.stderr


def test_answers_are_those_of_one_worker(serve: Any) -> None:
    """With a seed, byte for byte, whoever answers; the workers start a Redis server of their own."""
    together = serve("--seed", "s", "--workers", "2", "--quiet", scenario=SCENARIO)
    alone = serve("--seed", "s", "--quiet", scenario=SCENARIO)
    clients, single = together.connect_each(), alone.connect()
    assert len(clients) == 2
    assert together.greeting["workers"] == 2
    for number, text in enumerate(["hello", "count", "count", "hello", "count", "slow"]):
        assert clients[number % 2].ask(text, stream=True) == single.ask(text, stream=True)


def test_all_workers_read_changed_scenarios(serve: Any, tmp_path: Path) -> None:
    """After `read again` every worker answers by the new rules; a broken edit leaves the last good ones, and is reported once."""
    server = serve("--watch", "--quiet", "--workers", "2", scenario=SCENARIO)
    clients = server.connect_each()
    assert [client.say("hello") for client in clients] == ["Hello."] * 2
    (tmp_path / "s.yaml").write_text("rules: [{name: new, reply: New.}]", "utf-8")
    server.read_error("read again: 1 rule")
    assert [client.say("hello") for client in clients] == ["New."] * 2
    (tmp_path / "s.yaml").write_text("rules: [{name: new, reply: New.", "utf-8")
    server.read_error("the last good scenarios stay in use")
    assert [client.say("hello") for client in clients] == ["New."] * 2
    os.kill(server.workers()[0], signal.SIGKILL)
    server.read_error("takes its place")
    clients = server.connect_each()
    assert [client.say("hello") for client in clients] == ["New."] * 2
    (tmp_path / "s.yaml").write_text("rules: [{name: new, reply: Newer.}]", "utf-8")
    server.read_error("read again: 1 rule")
    assert [client.say("hello") for client in clients] == ["Newer."] * 2


def test_running_streams_end_within_the_grace(serve: Any) -> None:
    """SIGTERM to the supervisor: what can end does, the rest is cut, and the status is 0."""
    server = serve("--grace", "1", "--workers", "2", "--quiet", scenario=SCENARIO)
    slow, long = server.connect().begin("slow"), server.connect().begin("long")
    assert all(b"one" in response.readline() for response in (slow, long))
    server.process.send_signal(signal.SIGTERM)
    assert slow.read().endswith(b"data: [DONE]\n\n")
    with pytest.raises(HTTPException):
        long.read()
    assert server.process.wait(30) == 0


@pytest.mark.parametrize("end", ["stdin", "kill"])
def test_no_process_outlives_its_server(serve: Any, end: str) -> None:
    """Workers and Redis end with the program that started the server, and with a supervisor that was killed, even if a worker is busy."""
    busy = r'rules: [{when: {last_user: {regex: "^(x+)+$"}}, reply: bad}, {when: {last_user: hello}, reply: Hello.}]'
    server = serve("--until-stdin-closes", "--workers", "2", "--quiet", scenario=busy)
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text("utf-8").split()
    assert len(children) == 3
    watched = [os.pidfd_open(int(pid)) for pid in children]
    if end == "stdin":
        server.process.stdin.close()
        assert server.process.wait(30) == 0
    else:
        server.process.kill()
    for one in watched:
        assert select.select([one], [], [], 30)[0]
        os.close(one)


def test_probes_tell_whether_the_store_can_be_reached(serve: Any, redis_server: Any) -> None:
    """Readiness needs it, liveness does not."""
    server = serve("--store", redis_server.url, "--quiet", scenario=SCENARIO)
    client = server.connect()

    def probe(path: str) -> int:
        client.connection.request("GET", f"/__emulator__/{path}", headers={"Host": "10.1.2.3:8080"})
        response = client.connection.getresponse()
        response.read()
        status: int = response.status
        return status

    assert (probe("live"), probe("ready")) == (200, 200)
    redis_server.stop()
    server.read_error("is unreachable")
    assert (probe("live"), probe("ready")) == (200, 503)


def test_a_sequence_costs_at_most_two_round_trips(serve: Any, redis_server: Any) -> None:
    """Counted by Redis itself: commands for each request, scripts and what they call."""
    from redis import Redis  # noqa: PLC0415  # only this test counts what Redis does

    server = serve("--store", redis_server.url, "--quiet", scenario=SCENARIO)
    client = server.connect()
    client.say("count")
    redis: Any = Redis(unix_socket_path=str(redis_server.path))

    def calls() -> int:
        number: int = redis.info("commandstats")["cmdstat_evalsha"]["calls"]
        return number

    before = calls()
    for _ in range(100):
        client.say("count")
    # Beside them there is the sign of life, and numbers are reserved in blocks.
    assert calls() - before <= 2 * 100 + 20
    redis.close()
