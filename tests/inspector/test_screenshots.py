"""The pictures of the page in docs/page/: `UPDATE_EXPECTED=1 pytest tests/inspector/test_screenshots.py` makes them anew; look at them."""

import io
import os
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from emulator import Emulator
from tests.inspector.conftest import Ask, weather_dialogue

FOLDER = Path(__file__).parents[2] / "docs" / "page"
MAX_BYTES = 60_000
VIEWS = ("exchanges", "exchange", "rules", "try", "clients")
UPDATE = bool(os.environ.get("UPDATE_EXPECTED"))


def take(page: Page, name: str) -> None:
    """Take a picture, in the few colours that a page has."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    picture.save(FOLDER / f"{name}.png", optimize=True)


@pytest.fixture
def filled(vertex: Emulator, ask: Ask) -> Emulator:
    """The emulator after some requests."""
    ask("Hello!")
    weather_dialogue(ask)
    ask("A long one, please", stream=True)
    ask("Are you busy?", project="shop")
    ask("Are you busy?", project="shop")
    ask("A picture of a lighthouse", model="google/gemini-2.5-flash-image")
    ask("What time is it?", project="shop")
    ask("What time is it?", project="shop")
    ask("Hello", n=99)
    ask("A joke")
    ask("Another joke", extra_body={"top_k": 40})
    ask("Tell me a story", stream=True)
    return vertex


@pytest.mark.skipif(not UPDATE, reason="makes the pictures anew only with UPDATE_EXPECTED=1")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_take_pictures(browser: Browser, filled: Emulator, scheme: Literal["light", "dark"]) -> None:
    """Take a picture of each view."""
    FOLDER.mkdir(exist_ok=True)
    context = browser.new_context(
        base_url=filled.url,
        viewport={"width": 1240, "height": 720},
        color_scheme=scheme,
        locale="en-GB",
        timezone_id="UTC",
    )
    page = context.new_page()
    number = filled.journal[-1].number
    page.goto("/__emulator__/")
    expect(page.locator("a.row")).to_have_count(13)
    take(page, f"exchanges-{scheme}")
    page.goto(f"/__emulator__/exchanges/{number}")
    expect(page.locator(".timeline circle.sent").first).to_be_visible()
    expect(page.locator("details.rule").first).to_be_visible()
    take(page, f"exchange-{scheme}")
    page.goto("/__emulator__/rules")
    page.get_by_label("Project").select_option("demo")
    expect(page.locator("meter").first).to_be_visible()
    take(page, f"rules-{scheme}")
    page.goto("/__emulator__/try")
    page.get_by_label("Text of message 1").fill("Tell me a story")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".run")).to_contain_text("complete after")
    expect(page.locator(".run").get_by_role("link")).to_be_visible()
    page.locator("main").evaluate("main => { main.scrollTop = 0 }")
    take(page, f"try-{scheme}")
    page.goto("/__emulator__/clients")
    expect(page.locator(".verdict").first).to_be_visible()
    take(page, f"clients-{scheme}")
    context.close()


def test_every_view_has_a_small_picture_in_either_light() -> None:
    """The pictures are there, and small."""
    found = {path.name: path.stat().st_size for path in FOLDER.glob("*.png")}
    assert set(found) == {f"{view}-{scheme}.png" for view in VIEWS for scheme in ("light", "dark")}
    assert max(found.values()) < MAX_BYTES, found
