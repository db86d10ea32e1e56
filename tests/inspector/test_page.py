"""The page in a real browser."""

import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Literal

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from emulator import Emulator
from tests.inspector.conftest import Ask, asker, static_size, weather_dialogue

BASE = "/__emulator__"


def open_list(page: Page) -> None:
    """Open the list and wait for the event stream."""
    page.goto(f"{BASE}/")
    expect(page.locator(".live")).to_have_text("live")


def test_exchanges_arrive_within_a_second(page: Page, ask: Ask) -> None:
    """An answered request stands in the list within a second, with its words."""
    open_list(page)
    expect(page.get_by_text("Nothing has been asked yet")).to_be_visible()
    ask("Hello")
    expect(page.locator("a.row")).to_contain_text(["Hello"], timeout=1000)
    row = page.locator("a.row")
    expect(row).to_contain_text("Hi there, how can I help?")
    expect(row).to_contain_text("greet")
    expect(row).to_contain_text("gemini-2.5-flash")
    expect(row).to_contain_text("demo")
    expect(row).to_contain_text("200")


def test_filters_pause_and_clear(page: Page, vertex: Emulator, ask: Ask) -> None:
    """Each filter keeps what fits, a paused list stands still, and clearing can reset the server."""
    ask("Hello")
    ask("Are you busy?", project="shop")
    ask("What time is it?", project="shop", model="google/gemini-3.5-flash")
    open_list(page)
    rows = page.locator("a.row")
    expect(rows).to_have_count(3)
    for name, value, found in (
        ("project", "shop", ["What time is it?", "Are you busy?"]),
        ("outcome", "miss", ["What time is it?"]),
        ("outcome", "scripted", ["Are you busy?"]),
        ("rule", "greet", ["Hello"]),
        ("model", "google/gemini-3.5-flash", ["What time is it?"]),
    ):
        page.select_option(f"select[name={name}]", value)
        expect(rows.locator(".asked")).to_have_text(found)
        page.select_option(f"select[name={name}]", "")
    page.keyboard.press("/")
    page.get_by_label("Text").fill("HOW CAN i")
    expect(rows.locator(".asked")).to_have_text(["Hello"])
    page.get_by_label("Text").fill("no such words")
    expect(page.get_by_text("No exchange fits these filters.")).to_be_visible()
    page.get_by_label("Text").fill("")
    page.get_by_role("button", name="Pause").click()
    ask("Hello again")
    expect(page.get_by_role("button", name="Resume (1 new)")).to_be_visible()
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="Resume").click()
    expect(rows).to_have_count(4)
    page.get_by_role("button", name="Clear …").click()
    page.get_by_role("button", name="Reset the server").click()
    expect(rows).to_have_count(0)
    assert list(vertex.journal) == []


def test_one_exchange_of_every_outcome(page: Page, vertex: Emulator, ask: Ask) -> None:
    """Answers, scripted errors, misses, refusals, media and token requests each have their view."""
    ask("Hello")
    weather_dialogue(ask)
    ask("Are you busy?")
    ask("What time is it?")
    ask([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 5}}]}])
    ask("Hello", n=99)
    ask("A picture, please", model="google/gemini-2.5-flash-image")
    ask("A sound, please", model="google/gemini-2.5-flash-image")
    open_list(page)
    page.locator("a.row", has_text="Hi there").click()
    expect(page).to_have_url(re.compile(r"/__emulator__/exchanges/1$"))
    expect(page.locator(".turn.user")).to_contain_text("Hello")
    expect(page.locator(".turn.answer")).to_contain_text("Hi there, how can I help?")
    expect(page.locator("details.rule", has_text="greet")).to_contain_text('text containing "hello"')
    page.get_by_role("link", name="Next, #2").click()
    expect(page.locator(".turn.answer .call")).to_contain_text("get_weather called")
    page.keyboard.press("Escape")
    page.locator("a.row", has_text="four degrees").click()
    expect(page.locator(".turn.tool")).to_contain_text('{"celsius": 4}')
    expect(page.locator(".turn.system")).to_contain_text("You are a weather desk.")
    page.goto(f"{BASE}/exchanges/4")
    expect(page.locator("h1")).to_contain_text("busy")
    expect(page.locator(".refused")).to_contain_text("resource_exhausted")
    page.goto(f"{BASE}/exchanges/5")
    expect(page.locator(".turn.error")).to_contain_text("no rule of")
    expect(page.locator("tr.fails")).not_to_have_count(0)
    page.goto(f"{BASE}/exchanges/6")
    expect(page.locator(".refused")).to_contain_text("messages[0].content")
    expect(page.locator("mark.marked")).to_be_visible()
    page.goto(f"{BASE}/exchanges/7")
    expect(page.locator("mark.marked")).to_have_text(re.compile(r'"n": 99'))
    page.goto(f"{BASE}/exchanges/8")
    picture = page.locator(".turn.answer img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
    page.goto(f"{BASE}/exchanges/9")
    sound = page.locator(".turn.answer audio")
    assert sound.evaluate(
        "sound => new Promise((done) => { sound.onerror = () => done(0); sound.onloadedmetadata = () => done(sound.duration); sound.load(); })"
    )
    page.goto(f"{BASE}/exchanges/77")
    expect(page.get_by_role("alert")).to_contain_text("exchange 77 is not in the journal")
    token = httpx.get(
        f"{vertex.url}/computeMetadata/v1/instance/service-accounts/default/token",
        headers={"metadata-flavor": "Google"},
    )
    assert token.status_code == 200
    number = next(entry.number for entry in vertex.service.journal.entries if entry.result == "token")
    page.goto(f"{BASE}/exchanges/{number}")
    expect(page.get_by_text("A token was given out.")).to_be_visible()
    assert token.json()["access_token"] not in page.content()


def test_a_request_that_leads_nowhere(page: Page, vertex: Emulator) -> None:
    """It has its row, its filter and a view that says what was probably meant; its path is text."""
    httpx.post(f"{vertex.url}/v1/chat/completions", json={})
    httpx.get(f"{vertex.url}/<script>document.title='taken'</script>")
    open_list(page)
    page.locator("select[name=outcome]").select_option("unrouted")
    expect(page.locator("a.row")).to_have_count(2)
    page.locator("a.row", has_text="POST /v1/chat/completions").click()
    expect(page.locator("h1")).to_contain_text("no such path")
    expect(page.locator("code")).to_contain_text("/endpoints/openapi/chat/completions")
    page.goto(f"{BASE}/exchanges/2")
    expect(page.locator(".path")).to_contain_text("script")
    assert page.title() != "taken"


def test_an_answer_that_fails_is_shown_with_its_reason(browser: Browser) -> None:
    """A rule that cannot answer is named, and so is the reason."""
    scenario = 'rules:\n  - {name: "<b>demand</b>", reply: {call: auto}}\n'
    with Emulator(scenario) as vertex:
        asker(vertex)("Hello")
        assert [one.result for one in vertex.journal] == ["error"]
        page = browser.new_page()
        page.goto(f"{vertex.url}{BASE}/exchanges/1")
        expect(page.locator(".turn.error")).to_contain_text("cannot answer this request")
        expect(page.locator("h1 .badge")).to_have_text("<b>demand</b>")
        page.close()


def test_the_timeline_of_a_paced_a_cut_and_a_left_stream(page: Page, vertex: Emulator, ask: Ask) -> None:
    """Frames, pauses, faults and the client's leaving are drawn."""
    ask("Tell me a story", stream=True)
    ask("A long one", stream=True)
    page.goto(f"{BASE}/exchanges/1")
    timeline = page.locator(".timeline")
    expect(timeline.locator("circle.planned")).to_have_count(len(vertex.journal[0].outcome.timeline.frames))
    expect(timeline.locator("circle.sent")).to_have_count(len(vertex.journal[0].outcome.timeline.frames))
    expect(timeline.locator(".pause rect")).to_have_count(1)
    expect(timeline.locator(".notes")).to_contain_text("pause, 350 ms")
    expect(timeline.locator("path.fault")).to_have_count(0)
    page.goto(f"{BASE}/exchanges/2")
    expect(timeline.locator("path.fault")).to_have_count(1)
    expect(timeline.locator(".notes")).to_contain_text("cut: the connection is reset")
    body = {"model": "google/gemini-2.5-flash", "stream": True, "messages": [{"role": "user", "content": "story"}]}
    with httpx.stream(
        "POST",
        f"{vertex.session('demo').base_url}/chat/completions",
        json=body,
        headers={"authorization": "Bearer any"},
    ) as answer:
        next(answer.iter_bytes())
    vertex.journal.wait_for(3)
    page.goto(f"{BASE}/exchanges/3")
    expect(timeline.locator(".notes")).to_contain_text("the client left")
    expect(timeline.locator("circle.unsent")).not_to_have_count(0)


def copied(page: Page, form: str) -> str:
    """What a copy button puts into the clipboard."""
    page.locator(f"button[data-form={form}]").click()
    expect(page.locator("#copied-text")).to_be_visible()
    text: str = page.evaluate("navigator.clipboard.readText()")
    assert text == page.locator("#copied-text").text_content()
    return text


def test_a_copied_rule_answers(page: Page, vertex: Emulator, ask: Ask) -> None:
    """A rule made of a miss answers that request and no other."""
    ask("What time is it?")
    page.goto(f"{BASE}/exchanges/1")
    scenario = copied(page, "rule").replace("Write the answer here.", "Five to twelve.")
    with Emulator(scenario) as other:
        again = asker(other)
        assert again("What time is it?").choices[0].message.content == "Five to twelve."
        assert again("What time is it now?").status_code == 418
        assert again("What time is it?", tools=[{"type": "function", "function": {"name": "clock"}}]).status_code == 418


def test_a_copied_test_passes(page: Page, ask: Ask, pytester: pytest.Pytester) -> None:
    """Tests made of an answer, a result, a miss and a refusal pass."""
    weather_dialogue(ask)
    ask("What time is it?")
    ask("Hello", n=99)
    files = {}
    for number in (1, 2, 3, 4):
        page.goto(f"{BASE}/exchanges/{number}")
        files[f"test_copied_{number}"] = copied(page, "test")
    pytester.makepyfile(**files)
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio").assert_outcomes(passed=4)


def test_send_again_and_try_it(page: Page, vertex: Emulator, ask: Ask) -> None:
    """Requests are sent again, composed, and edited; chunks are there before the end."""
    ask("Hello")
    page.goto(f"{BASE}/exchanges/1")
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("Answered with 200")).to_be_visible()
    page.get_by_role("status").get_by_role("link", name="#2").click()
    expect(page).to_have_url(re.compile(r"exchanges/2$"))
    assert vertex.journal[-1].request == vertex.journal[0].request
    page.goto(f"{BASE}/try")
    page.get_by_label("Text of message 1").fill("Tell me a story")
    page.get_by_label("System message").fill("Be brief.")
    page.locator("#model").fill("google/gemini-2.5-flash")
    page.get_by_label("Thinking").select_option("1024")
    page.get_by_role("button", name="Put in an example").click()
    page.get_by_label("Tool choice").select_option("none")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".chunks li")).to_have_count(1)
    expect(page.locator(".run")).to_contain_text("200 complete after")
    expect(page.locator(".answer-text")).to_have_text('get_weather({"city":"Oslo"})')
    sent = vertex.journal[-1].request
    assert sent is not None
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Tell me a story"},
    ]
    assert sent["extra_body"] == {"google": {"thinking_config": {"thinking_budget": 1024}}}
    page.get_by_label("Tools").fill("")
    page.get_by_label("Text of message 1").fill("Hold the line")
    page.get_by_role("button", name="Send").click()
    # Chunks are there before the end, which never comes.
    expect(page.locator(".answer-text")).to_have_text("A part of it. ")
    expect(page.get_by_text("Arriving …")).to_be_visible()
    page.get_by_role("button", name="Leave before the end").click()
    page.get_by_label("Text of message 1").fill("Tell me a story")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".answer-text")).to_contain_text("It shone.")
    page.locator(".run").get_by_role("link").click()
    page.get_by_role("button", name="Edit and send").click()
    body = json.loads(page.locator("textarea[name=body]").input_value())
    body["messages"] = [{"role": "user", "content": "Hello"}]
    page.locator("textarea[name=body]").fill(json.dumps(body))
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".answer-text")).to_have_text("Hi there, how can I help?")


def test_rules_show_uses_limits_expectations_flags_and_quotas(page: Page, ask: Ask) -> None:
    """The rules of a session follow what is asked."""
    page.goto(f"{BASE}/rules")
    cards = page.locator(".rule-card")
    expect(cards.filter(has_text="greet")).to_contain_text("never used")
    ask("Hello")
    weather_dialogue(ask)
    for _ in range(3):
        ask("Are you busy?")
    ask("A joke")
    expect(cards.filter(has_text="greet")).to_contain_text("used once")
    expect(cards.filter(has_text="greet")).to_contain_text("expects exactly 2, not yet")
    expect(cards.filter(has_text="busy")).to_contain_text("used up")
    expect(cards.filter(has_text="jokes")).to_contain_text("next: reply 2 of 3")
    expect(cards.filter(has_text="farewell")).to_contain_text("never used")
    expect(page.locator(".flags")).to_contain_text("told")
    # One comes back every second.
    expect(page.get_by_text(re.compile(r"^(5[3-9]|60) of 60 requests left$"))).to_be_visible()


def test_clients_by_severity_with_their_evidence(page: Page, ask: Ask) -> None:
    """Verdicts stand with errors first, and lead to the exchanges."""
    for _ in range(2):
        ask("What time is it?", project="shop")
    ask("Hello", extra_body={"top_k": 3})
    page.goto(f"{BASE}/clients")
    verdicts = page.locator(".verdict")
    expect(verdicts).to_have_count(2)
    expect(verdicts.nth(0)).to_contain_text("refusal_retried")
    expect(verdicts.nth(1)).to_contain_text("unsupported_parameter")
    verdicts.nth(0).get_by_role("link", name="#2").click()
    expect(page).to_have_url(re.compile(r"exchanges/2$"))
    expect(page.locator(".verdict")).to_contain_text("refusal_retried")


def test_a_scenario_broken_and_mended_under_watch(browser: Browser, tmp_path: Path) -> None:
    """The problems of a broken edit are shown until it is mended; an open page does not keep the server from ending."""
    scenario = tmp_path / "desk.yaml"
    scenario.write_text("rules: [{name: first, reply: One.}]")
    command = [sys.executable, "-m", "emulator", "serve", str(scenario), "--port", "0", "--watch", "--print", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            page = browser.new_page(base_url=url)
            page.goto(f"{BASE}/rules")
            expect(page.locator(".rule-card")).to_contain_text(["first"])
            scenario.write_text("rules: [{name: first, repyl: One.}]")
            expect(page.locator(".problems")).to_contain_text(
                'unknown key "repyl" in a rule; did you mean "reply"?', timeout=15_000
            )
            expect(page.locator(".problems")).to_contain_text(re.compile(r"desk\.yaml:1:\d+"))
            expect(page.locator(".rule-card")).to_contain_text(["first"])
            expect(page.get_by_title("The last edit is broken")).to_be_visible()
            scenario.write_text("rules: [{name: second, reply: Two.}]")
            expect(page.locator(".rule-card")).to_contain_text(["second"], timeout=15_000)
            expect(page.locator(".problems")).to_have_count(0)
            # With the page open, the server ends at once.
            server.terminate()
            began = time.monotonic()
            server.wait(timeout=20)
            assert time.monotonic() - began < 4
            expect(page.locator(".live")).to_have_text("not connected")
            page.close()
        finally:
            server.kill()


@pytest.mark.slow
def test_ten_thousand_exchanges(page: Page, vertex: Emulator) -> None:
    """A long list has few rows in the document, and scrolls and filters."""
    open_list(page)
    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "hello"}]}

    def send(count: int) -> None:
        with httpx.Client(headers={"authorization": "Bearer any"}) as client:
            for _ in range(count):
                client.post(f"{vertex.session('demo').base_url}/chat/completions", json=body)

    workers = [threading.Thread(target=send, args=(25,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    expect(page.locator(".count")).to_have_text("100 exchanges")
    # The rest as the stream brings them, 250 at a time.
    page.evaluate(
        """async () => {
          const { state, changed } = await import('/__emulator__/static/state.js');
          for (let n = 101; n <= 10_000; n++) {
            const row = { number: n, position: n, time: '2026-01-01T00:00:00Z', session: 'demo', outcome: 'answer', rule: 'greet', status: 200,
              ms: 1, ended: 'complete', tokens: [1, 2], model: 'google/gemini-2.5-flash', asked: `question ${n}`, answered: 'Hi' };
            state.rows.push(row);
            state.byNumber.set(n, row);
            if (n % 250 === 0) { changed(); await new Promise(requestAnimationFrame); }
          }
        }"""
    )
    expect(page.locator(".count")).to_have_text("10,000 exchanges")
    assert page.locator("a.row").count() < 80
    median = page.evaluate(
        """async () => {
          const box = document.querySelector('.rows');
          const times = [];
          let last = performance.now();
          for (let step = 0; step < 60; step++) {
            box.scrollTop = (box.scrollHeight * step) / 60;
            await new Promise(requestAnimationFrame);
            const now = performance.now();
            times.push(now - last);
            last = now;
          }
          return times.sort((one, other) => one - other)[30];
        }"""
    )
    assert median < 1000
    page.evaluate("document.querySelector('.rows').scrollTop = 1e9")
    expect(page.locator('a.row[data-number="1"]')).to_be_visible()
    page.get_by_label("Text").fill("question 7777")
    expect(page.locator("a.row")).to_have_count(1)


def test_rows_move_by_keys_and_stay_where_they_are_read(page: Page, ask: Ask) -> None:
    """Keys move through the list; new exchanges do not move what is read."""
    for number in range(40):
        ask(f"hello {number}")
    open_list(page)
    page.locator(".rows").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator("a.row:focus")).to_have_attribute("data-number", "39")
    for _ in range(28):
        page.keyboard.press("j")
    expect(page.locator("a.row:focus")).to_have_attribute("data-number", "11")
    before = page.locator("a.row:focus").bounding_box()
    ask("hello again")
    expect(page.locator(".count")).to_have_text("41 exchanges")
    expect(page.locator("a.row:focus")).to_have_attribute("data-number", "11")
    assert page.locator("a.row:focus").bounding_box() == before
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"exchanges/11$"))


HOSTILE = "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 2'>"


def test_hostile_content_is_text(browser: Browser) -> None:
    """Markup in prompts, answers, project ids, rule names, models and headers is shown as text."""
    scenario = f"rules:\n  - name: {json.dumps('rule ' + HOSTILE)}\n    when: {{last_user: hello}}\n    reply: {json.dumps(HOSTILE)}\n"
    with Emulator(scenario) as vertex:
        context = browser.new_context(base_url=vertex.url)
        page = context.new_page()
        ask = asker(vertex)
        project = "p%3Cimg%20src=x%20onerror=window.hurt=3%3E"
        calls = {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": HOSTILE,
                    "type": "function",
                    "function": {"name": "f", "arguments": json.dumps({HOSTILE: HOSTILE})},
                }
            ],
        }
        ask([{"role": "system", "content": HOSTILE}, {"role": "user", "content": f"hello {HOSTILE}"}], project=project)
        ask(
            [
                {"role": "user", "content": "hello"},
                calls,
                {"role": "tool", "tool_call_id": HOSTILE, "content": HOSTILE},
            ],
            project=project,
        )
        ask(
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": HOSTILE},
                        {"type": "image_url", "image_url": {"url": "http://example.com/x.png"}},
                    ],
                }
            ],
            project=project,
        )
        ask("hello", model=HOSTILE, extra_headers={"x-team": HOSTILE})
        assert len(vertex.journal) == 4
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for path in (
            "/",
            *(f"/exchanges/{number}" for number in range(1, len(vertex.journal) + 1)),
            "/rules",
            "/clients",
            "/try",
        ):
            page.goto(f"{BASE}{path}")
            page.wait_for_load_state("load")
            expect(page.locator(".live")).to_have_text("live")
            if path.startswith("/exchanges/"):
                expect(page.locator(".facts")).to_be_visible()
                page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
            if path == "/":
                expect(page.locator("a.row").first).to_contain_text("hello")
            assert page.evaluate("window.hurt") is None
            assert page.evaluate("document.querySelectorAll('script:not([src]), [onerror], iframe').length") == 0
        page.goto(f"{BASE}/exchanges/1")
        expect(page.locator(".turn.user")).to_contain_text(HOSTILE)
        expect(page.locator(".turn.answer")).to_contain_text(HOSTILE)
        assert all(url.startswith((vertex.url, "data:")) for url in asked)
        context.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    browser: Browser, vertex: Emulator, ask: Ask, scheme: Literal["light", "dark"]
) -> None:
    """No view has a serious obstacle, in either light."""
    ask("Hello")
    weather_dialogue(ask)
    ask("Tell me a story", stream=True)
    ask("What time is it?")
    ask("What time is it?")
    ask("Hello", n=99)
    context = browser.new_context(base_url=vertex.url, color_scheme=scheme)
    page = context.new_page()
    axe = Axe()
    for path in ("/", "/exchanges/3", "/exchanges/4", "/exchanges/7", "/rules", "/try", "/clients"):
        page.goto(f"{BASE}{path}")
        expect(page.locator("main h1")).to_be_attached()
        expect(page.locator(".live")).to_have_text("live")
        found = axe.run(page).response["violations"]
        serious = [
            (one["id"], [node["target"] for node in one["nodes"]][:3])
            for one in found
            if one["impact"] in {"serious", "critical"}
        ]
        assert serious == [], path
    context.close()


def test_readable_at_400_pixels_and_in_either_light(browser: Browser, vertex: Emulator, ask: Ask) -> None:
    """Nothing is wider than a narrow window; the chosen colours stay chosen."""
    ask("Hello")
    ask("Tell me a story", stream=True)
    context = browser.new_context(base_url=vertex.url, viewport={"width": 400, "height": 800})
    page = context.new_page()
    for path in ("/", "/exchanges/1", "/exchanges/2", "/rules", "/try", "/clients"):
        page.goto(f"{BASE}{path}")
        expect(page.locator("main h1")).to_be_attached()
        expect(page.locator(".live")).to_have_text("live")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, path
        assert page.evaluate("document.querySelector('main').scrollWidth") <= 400, path
    background = "getComputedStyle(document.body).backgroundColor"
    page.get_by_label("Colours").select_option("dark")
    dark = page.evaluate(background)
    page.reload()
    expect(page.get_by_label("Colours")).to_have_value("dark")
    assert page.evaluate(background) == dark
    page.get_by_label("Colours").select_option("light")
    assert page.evaluate(background) != dark
    context.close()


def test_the_page_is_small() -> None:
    """All files of the page together."""
    assert static_size() < 150_000
