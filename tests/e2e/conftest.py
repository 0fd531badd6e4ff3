"""The page in a real browser: Debian's Chromium, driven by playwright, over loopback only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import CHROMIUM, Served, opened
from firefox import FIREFOX
from review_batch import NIGHT, Prompt, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

try:
    import playwright.sync_api
except ImportError:
    collect_ignore_glob = ["test_*"]
else:
    if not CHROMIUM.exists():
        collect_ignore_glob = ["test_*"]
    elif not FIREFOX.exists():
        collect_ignore_glob = ["test_firefox_*"]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for all tests of this folder; no longer, since its loop runs in this thread."""
    with playwright.sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def serving(folder: Path) -> Iterator[Callable[..., Served]]:
    """Gives what serves a new batch of some prompts."""
    with ExitStack() as stack:

        def start(prompts: tuple[Prompt, ...] = NIGHT) -> Served:
            served = Served(write(folder / "night", prompts))
            stack.callback(served.close)
            return served

        yield start


@contextmanager
def opening(browser: Browser, **usual: str) -> Iterator[Callable[..., Page]]:
    """Gives what opens an address in a context of its own; `usual` is what all of them have."""
    with ExitStack() as stack:
        yield lambda url, **context: stack.enter_context(opened(browser, url, **usual, **context))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """`serving`, for one test."""
    with serving(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def serve_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """`serving`, for tests that share a batch because none of them changes it."""
    with serving(tmp_path_factory.mktemp("shared")) as start:
        yield start


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`opening`, for one test."""
    with opening(browser) as start:
        yield start


@pytest.fixture
def open_still(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`opening` of pages where no film plays by itself: most tests need none, and decoders are what costs most."""
    with opening(browser, reduced_motion="reduce") as start:
        yield start


@pytest.fixture(scope="module")
def open_module(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`opening`, for tests that share a page."""
    with opening(browser) as start:
        yield start
