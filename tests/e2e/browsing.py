"""A page in a browser: the server behind it, and a tab that must end without a complaint."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchgen.review.batches import Batches
from batchgen.review.server import ReviewServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

_BROWSERS = [Path("/usr/bin/chromium"), Path("/usr/bin/google-chrome")]
CHROMIUM = next((path for path in _BROWSERS if path.exists()), _BROWSERS[0])
#: Notes what the policy of the page forbade, from the first script on.
_WATCH = """
window.forbidden = [];
addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
  window.forbidden.push(`${violatedDirective}: ${blockedURI}`));
"""


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


@contextmanager
def opened(browser: Browser, url: str, **context: Any) -> Iterator[Page]:
    """A page in a context of its own; afterwards its policy must have had nothing to forbid, and no script failed."""
    with browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **context}) as tab:
        tab.add_init_script(_WATCH)
        page = tab.new_page()
        page.set_default_timeout(15_000)
        wrong: list[str] = []

        def dismiss(dialog: Dialog) -> None:
            wrong.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", dismiss)
        page.goto(url)
        try:
            page.locator(".card.focused").wait_for()
        except Exception:
            assert wrong == []  # the cause, where a script failed
            raise
        yield page
        assert page.evaluate("window.forbidden") == []
        assert wrong == []
