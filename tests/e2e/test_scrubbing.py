"""The mouse over a card: its eight frames follow it, without a decoder."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browsing import Served
from playwright.sync_api import Page, expect
from review_batch import Prompt
from view_pages import app, until

pytestmark = [pytest.mark.e2e, pytest.mark.real_time]

ONE = (Prompt("street", "A tram turns into a street in the rain.", ("done",)),)
CHECKED = "[...app.store.clips.values()][0].check?.poster === true"


def at(page: Page, share: float) -> None:
    """Move the mouse to a share of the card's width."""
    box = page.locator(".card").bounding_box()
    assert box
    page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)


@pytest.mark.parametrize("share", [0.03, 0.2, 0.55, 0.97])
def test_the_strip_shows_the_frame_at_the_mouse(page: Page, share: float) -> None:
    """The first of eight frames at the left border, the last one at the right."""
    at(page, 0.5 if share < 0.5 else 0.4)
    at(page, share)
    strip = page.locator(".card .strip")
    expect(strip).to_have_css("background-position-x", f"{round(int(share * 8) / 7 * 100, 4):g}%")
    assert "/strip/" in str(strip.evaluate("each => getComputedStyle(each).backgroundImage"))
    expect(strip).to_be_visible()


def test_leaving_the_card_takes_the_strip_away(page: Page) -> None:
    """And resting lets the film play on."""
    at(page, 0.3)
    at(page, 0.6)
    expect(page.locator(".card .strip")).to_have_count(1)
    page.mouse.move(700, 700)
    expect(page.locator(".card .strip")).to_have_count(0)
    at(page, 0.3)
    at(page, 0.6)
    expect(page.locator(".card .strip")).to_have_count(0)
    expect(page.locator(".card video.on")).to_have_count(1)


def test_a_finger_that_scrolls_scrubs_nothing(page: Page) -> None:
    """Hover is the mouse's: a finger moves the page."""
    moved = "new PointerEvent('pointermove', {pointerType: 'touch', bubbles: true, movementX: 9, clientX: 300})"
    page.locator(".card").evaluate(f"card => card.dispatchEvent({moved})")
    expect(page.locator(".card .strip")).to_have_count(0)


@pytest.fixture
def page(shown: Page) -> Page:
    """The page with the mouse away from its one card."""
    shown.mouse.move(700, 700)
    expect(shown.locator(".card .strip")).to_have_count(0)
    return shown


@pytest.fixture(scope="module")
def shown(serve_module: Callable[..., Served], open_module: Callable[..., Page]) -> Page:
    """One page for all: its film is checked, so that there is a strip."""
    page = open_module(serve_module(ONE).url)
    until(page, lambda: app(page, CHECKED), seconds=30)
    return page
