"""An emulator inside a program: starting, stopping, sessions, clients, credentials."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest

import emulator
from emulator.api.emulator import Emulator
from emulator.api.session import VertexSession
from emulator.errors import ScenarioError, StartError
from emulator.server.settings import Settings

MODEL = "google/gemini-2.5-flash"
HELLO = "rules:\n- reply: Hello\n"


def ask(client: openai.OpenAI, text: str = "hi") -> str | None:
    """The model's answer to a text."""
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}])
    return answer.choices[0].message.content


def test_nothing_but_a_session_is_needed() -> None:
    """Without scenarios, settings or credentials a client gets an answer."""
    with Emulator() as vertex:
        assert ask(vertex.openai())
        assert ask(vertex.session("mine").openai())


def test_scenarios_are_paths_and_texts(tmp_path: Path) -> None:
    """A text with a line break is a scenario, anything else a path; they are tried in their order."""
    path = tmp_path / "weather.yaml"
    path.write_text("rules:\n- when: {last_user: weather}\n  reply: It is cold.\n")
    with Emulator(path, HELLO) as vertex:
        client = vertex.openai()
        assert ask(client, "the weather?") == "It is cold."
        assert ask(client) == "Hello"
    with pytest.raises(ScenarioError, match="there is no such file"):
        Emulator("nowhere.yaml", HELLO)


def test_problems_name_the_text() -> None:
    """Two texts have different names in problems."""
    with pytest.raises(ScenarioError, match=r"^<scenario 2>:2:3: unknown key \"replay\""):
        Emulator(HELLO, "rules:\n- replay: Hello\n")


async def run_async() -> tuple[str | None, str | None]:
    """Send requests through both kinds of clients."""
    async with Emulator(HELLO) as vertex:
        answer = await vertex.async_openai().chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "hi"}]
        )
        client = vertex.session("other").openai()
        return answer.choices[0].message.content, await asyncio.to_thread(ask, client)


def test_async_with_does_the_same() -> None:
    """`async with` starts, stops and closes the clients."""
    assert asyncio.run(run_async()) == ("Hello", "Hello")


def test_clients_whose_loop_is_gone_are_closed_too() -> None:
    """The emulator may outlive the event loop of an asynchronous client, or stop inside another loop."""
    with Emulator(HELLO) as vertex:
        client = vertex.async_openai()

        async def send() -> None:
            await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])

        asyncio.run(send())
        one = vertex.openai()
        ask(one)
    assert client.is_closed()
    assert one.is_closed()


def test_sessions_close_their_clients() -> None:
    """Leaving a session closes its clients, no others."""
    with Emulator(HELLO) as vertex:
        other = vertex.openai()
        with vertex.session("mine") as session:
            client = session.openai()
        assert client.is_closed()
        assert not other.is_closed()


def test_without_the_client_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package openai is only needed for its clients."""
    monkeypatch.setitem(sys.modules, "openai", None)
    with Emulator() as vertex:
        with pytest.raises(StartError, match="pip install openai"):
            vertex.openai()
        with pytest.raises(StartError, match="pip install openai"):
            vertex.session().async_openai()


def test_proxies_of_the_environment_are_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients connect to the emulator and not to a proxy."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Emulator(HELLO) as vertex:
        assert ask(vertex.openai()) == "Hello"


def test_environment_directs_clients_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """An OpenAI client without arguments finds the emulator through the variables."""
    with Emulator(HELLO, settings=Settings(auth="issued")) as vertex:
        variables = vertex.environment("mine")
        assert variables["GOOGLE_CLOUD_PROJECT"] == "mine"
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with openai.OpenAI() as client:
            assert ask(client) == "Hello"
        assert vertex.session("mine").journal.last.text == "Hello"


def test_key_files_get_tokens() -> None:
    """The key file of each project gets tokens of the emulator; it is removed when the emulator stops."""
    service_account = pytest.importorskip("google.oauth2.service_account")
    requests = pytest.importorskip("google.auth.transport.requests")
    with Emulator(HELLO, settings=Settings(auth="issued")) as vertex:
        session = vertex.session("mine")
        paths = vertex.credentials_file, session.credentials_file
        assert session.credentials_file == paths[1] != paths[0]
        credentials = service_account.Credentials.from_service_account_file(
            paths[1], scopes=["https://www.googleapis.com/auth/cloud-platform"]
        )
        assert credentials.project_id == "mine"
        credentials.refresh(requests.Request())
        assert ask(session.openai(api_key=credentials.token)) == "Hello"
        assert paths[1].stat().st_mode & 0o077 == 0
    assert not paths[0].exists()


def test_sessions_have_a_location_and_an_endpoint() -> None:
    """The base URL of a session names its project, location and endpoint."""
    with Emulator() as vertex:
        session = vertex.session("mine", location="global", endpoint="123")
        assert vertex.base_url == vertex.session().base_url
        assert session.base_url.endswith("/v1/projects/mine/locations/global/endpoints/123")


def test_sessions_push_scenarios_of_their_own(tmp_path: Path) -> None:
    """A pushed text or file replaces the server's scenarios for this session until it is reset."""
    path = tmp_path / "own.yaml"
    path.write_text("rules:\n- reply: Mine\n")
    with Emulator(HELLO) as vertex:
        session = vertex.session("mine")
        session.push(path)
        assert ask(session.openai()) == "Mine"
        session.push("rules:\n- when: {last_user: hi}\n  reply: Hi\n")
        assert (ask(session.openai()), ask(vertex.openai())) == ("Hi", "Hello")
        with pytest.raises(ScenarioError, match="there is no such file"):
            session.push("nowhere.yaml")
        session.reset()
        assert ask(session.openai()) == "Hello"
        assert len(session.journal) == 1


def test_journal_and_verify_know_their_session() -> None:
    """A session sees its own exchanges, the emulator all of them."""
    with Emulator("rules:\n- when: {last_user: hi}\n  reply: Hello\n") as vertex:
        one, two = vertex.session("one"), vertex.session("two")
        ask(one.openai())
        with pytest.raises(openai.APIStatusError):
            two.openai().chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "no"}])
        assert (len(one.journal), len(two.journal), len(vertex.journal)) == (1, 1, 2)
        assert not one.verify().problems
        assert "no rule" in two.verify().problems[0]
        assert vertex.verify().problems == two.verify().problems
        assert not one.verdicts()
        vertex.reset()
        assert len(vertex.journal) == 0


def test_what_was_sent_is_asserted_of_a_session_and_of_all() -> None:
    """`assert_sent` is a shortcut for that of the journal."""
    with Emulator(HELLO) as vertex:
        one = vertex.session("one")
        ask(one.openai())
        ask(vertex.session("two").openai(), "there")
        assert one.assert_sent(1, last_user="hi") == one.journal.assert_sent(times=1, last_user="hi")
        assert [exchange.session for exchange in vertex.assert_sent(2, status=200)] == ["one", "two"]
        vertex.assert_sent(times=1, session="two", body={"model": MODEL})
        with pytest.raises(AssertionError, match='wanted text containing "there", got "hi"'):
            one.assert_sent(last_user="there")


def test_exchanges_that_the_client_has_left_are_in_the_journal() -> None:
    """Also right behind the client's timeout, when the server is only about to notice it."""
    with Emulator(
        "rules: [{reply: [{say: Once upon a time, chunks: words}], fault: {stall: forever, after_chunks: 2}}]\n#"
    ) as vertex:
        for number in range(10):
            session = vertex.session(f"p{number}")
            client = session.openai(timeout=0.05, max_retries=0)
            with pytest.raises(openai.APITimeoutError):
                list(
                    client.chat.completions.create(
                        model=MODEL, messages=[{"role": "user", "content": "hi"}], stream=True
                    )
                )
            (exchange,) = session.assert_sent(times=1)
            assert (exchange.ended, exchange.outcome.said) == ("stalled", "Once upon ")


def test_a_disturbance_is_written_as_in_a_scenario_or_as_an_option() -> None:
    """A fault is a name, a mapping, or several of both."""
    with Emulator(HELLO) as vertex:
        session = vertex.session("one")
        faults: list[Any] = ["fail=503", {"fail": 503}, [{"fail": 503, "chance": 1}, "crlf"]]
        for fault in faults:
            session.disturb(fault=fault)
            with pytest.raises(openai.InternalServerError):
                ask(session.openai(max_retries=0))
        session.disturb()
        assert ask(session.openai()) == "Hello"


def test_start_and_stop_are_what_with_does() -> None:
    """An emulator can be stopped twice and started again, but not started twice."""
    vertex = Emulator(HELLO)
    with pytest.raises(StartError, match="not been started"):
        _ = vertex.url
    vertex.start()
    with pytest.raises(StartError, match="running already"):
        vertex.start()
    vertex.stop()
    vertex.stop()
    with vertex:
        assert ask(vertex.openai()) == "Hello"


def test_several_live_in_one_process() -> None:
    """Several emulators in a process are independent."""
    with Emulator(HELLO) as one, Emulator("rules:\n- reply: Bye\n") as two:
        assert (ask(one.openai()), ask(two.openai())) == ("Hello", "Bye")
        assert (len(one.journal), len(two.journal)) == (1, 1)


def test_names_of_the_package_are_lazy() -> None:
    """The package exports its names, but imports their modules on first use."""
    assert emulator.VertexSession is VertexSession
    code = "import sys, emulator; print('emulator.api' in sys.modules, 'pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]


async def stop_inside_a_loop() -> bool:
    """Use an asynchronous client under a plain `with`."""
    with Emulator(HELLO) as vertex:
        client = vertex.async_openai()
        await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    return client.is_closed()


def test_plain_with_inside_a_loop_closes_asynchronous_clients() -> None:
    """A running event loop does not keep the clients from being closed."""
    assert asyncio.run(stop_inside_a_loop())


def test_verdicts_of_sessions() -> None:
    """The verdicts on a client are those of its session, and among those of all."""
    with Emulator(HELLO) as vertex:
        session = vertex.session("mine")
        ask(session.openai())
        session.assert_clean()
        with pytest.raises(openai.BadRequestError):
            session.openai().chat.completions.create(
                model="gemini-2.5-flash", messages=[{"role": "user", "content": "hi"}]
            )
        for one in (vertex, session):
            with pytest.raises(AssertionError, match="publisher"):
                one.assert_clean()
        vertex.session("other").assert_clean()
