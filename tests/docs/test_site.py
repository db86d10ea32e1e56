"""The site that mkdocs.yml describes: it is built without a warning, has every page, finds words, and asks no other host for anything."""

import functools
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, expect

from tests.inspector.conftest import browser

__all__ = ["browser"]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONFIGURATION: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))


def pages_of(entries: list[Any]) -> Iterator[str]:
    """The pages that a part of the navigation names; addresses elsewhere are left out."""
    for entry in entries:
        for value in [entry] if isinstance(entry, str) else entry.values():
            if not isinstance(value, str):
                yield from pages_of(value)
            elif "://" not in value:
                yield value


class Handler(SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(DOCS, folder / "docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=folder,
        env={"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout + done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_navigation_has_every_page_once() -> None:
    """Each page of docs/ stands in the navigation of mkdocs.yml, and no other."""
    pages = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    assert sorted(pages_of(CONFIGURATION["nav"])) == pages


def test_every_page_is_built(site: Path) -> None:
    """Each page has a folder of its own with an index, and what its pictures name is there."""
    for name in pages_of(CONFIGURATION["nav"]):
        path = site / name.removesuffix("index.md").removesuffix(".md") / "index.html"
        text = path.read_text("utf-8")
        tags = re.findall(r"<(?:img|script|source|link(?=[^>]*\brel=\"?(?:stylesheet|icon)))\b[^>]*>", text)
        sources = [found[1] for tag in tags if (found := re.search(r'\b(?:src|href)="?([^"\s>]+)', tag))]
        assert len(sources) > 3
        for source in sources:
            assert "://" not in source
            assert (path.parent / source.partition("?")[0]).resolve().exists(), (name, source)


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_in_a_browser(browser: Browser, address: str, width: int) -> None:
    """Pages fit the width of a screen or a phone, the search finds a recipe, and nothing is asked of another host."""
    context = browser.new_context(viewport={"width": width, "height": 844})
    context.set_default_timeout(15_000)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for name in ("", "cookbook/failures/", "scenarios/", "architecture/"):
        page.goto(f"{address}{name}")
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.goto(address)
    page.keyboard.press("/")
    page.get_by_role("combobox", name="Search").fill("every third request")
    page.get_by_role("listbox").get_by_text("request fails").first.click()
    expect(page.get_by_role("heading", name="Every third request fails")).to_be_visible()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    context.close()
