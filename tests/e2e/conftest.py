"""The page in a real browser: Debian's Chromium, driven by playwright, over loopback only."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from review_batch import NIGHT, Prompt, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
#: Notes what the policy of the page forbade, from the first script on.
_WATCH = """
window.forbidden = [];
addEventListener('securitypolicyviolation', (event) => window.forbidden.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""

try:
    import playwright.sync_api
except ImportError:
    collect_ignore_glob = ["test_*"]
else:
    if not CHROMIUM.exists():
        collect_ignore_glob = ["test_*"]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for all tests of this folder; no longer, since its loop runs in this thread."""
    with playwright.sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Served:
    """The server of a page, in a thread of its own.

    Args:
        folder: the batch folder.
        port: 0 takes a free one.
        token: what the address ends with.
    """

    def __init__(self, folder: Path, port: int = 0, token: str = "token") -> None:
        self._folder, self._port, self._token = folder, port, token
        self.url = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(20)

    async def _serve(self) -> None:
        from batchgen.review.batches import Batches
        from batchgen.review.server import ReviewServer

        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        batches = Batches(lambda: {"night": self._folder})
        async with ReviewServer(batches, port=self._port, token=self._token).serving() as self.url:
            self._ready.set()
            await self._end.wait()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.partition("#")[0].rstrip("/").rpartition(":")[2])

    def close(self) -> None:
        """End it, as Ctrl-C does."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Gives what serves a new batch of some prompts."""
    with ExitStack() as stack:

        def start(prompts: tuple[Prompt, ...] = NIGHT) -> Served:
            served = Served(write(tmp_path / "night", prompts))
            stack.callback(served.close)
            return served

        yield start


@contextmanager
def opened(browser: Browser, url: str, **context: Any) -> Iterator[Page]:
    """A page in a context of its own; afterwards its policy must have had nothing to forbid, and no script failed."""
    with browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **context}) as tab:
        tab.add_init_script(_WATCH)
        page = tab.new_page()
        page.set_default_timeout(15_000)
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(url)
        page.locator(".card.focused").wait_for()
        yield page
        assert page.evaluate("window.forbidden") == []
        assert wrong == []


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Gives what opens an address in a context of its own."""
    with ExitStack() as stack:
        yield lambda url, **context: stack.enter_context(opened(browser, url, **context))
