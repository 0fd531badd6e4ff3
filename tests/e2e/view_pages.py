"""The page as a test drives it: opened over a batch, read through its own modules, and free of errors at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from browsing import Served, opened
from film_batch import make
from playwright.sync_api import Browser, Page


@contextmanager
def reviewing(browser: Browser, folder: Path, manifest: str, **more: Any) -> Iterator[Page]:
    """Open the page over a new batch; fails when a script had an error, or the page broke its own content policy.

    Args:
        browser: as the fixture gives it.
        folder: an empty one.
        manifest: its text.
        more: `films` and `made` as `make` takes them; anything else as a browser context does.
    """
    batch = make(folder, manifest, more.pop("films", None), more.pop("made", None))
    with closing(Served(batch)) as server, opened(browser, server.url, **more) as page:
        yield page


def app(page: Page, script: str) -> Any:
    """Ask the page's `app`: an expression in JavaScript, with `app` in it."""
    return page.evaluate(f"async () => {{ const {{ app }} = await import('/assets/app.js'); return {script}; }}")


def until(page: Page, ask: Callable[[], Any], wanted: Any = True, *, seconds: float = 15.0) -> None:
    """Wait until an answer is the wanted one. Playwright's own wait needs `unsafe-eval`, which the page forbids."""
    end = monotonic() + seconds
    while (found := ask()) != wanted:
        assert monotonic() < end, f"it stayed {found!r}, and never was {wanted!r}"
        page.wait_for_timeout(20)


def focused(page: Page) -> str:
    """Give the name of the clip in focus."""
    return str(app(page, "app.store.get(app.focus).name"))


def choices(page: Page) -> dict[str, Any]:
    """Give what is chosen about each clip, by name."""
    found: dict[str, Any] = app(
        page, "Object.fromEntries([...app.store.clips.values()].map(({name, choice}) => [name, choice]))"
    )
    return found
