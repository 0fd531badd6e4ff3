"""The picks in order: played one after the other, ordered by keys and by drag. And the thumb of a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from film_batch import TAKES
from films import numbered
from playwright.sync_api import Browser, Page
from view_pages import app, choices, focused, reviewing, until

pytestmark = [pytest.mark.e2e, pytest.mark.real_time]


@pytest.fixture
def picks(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """The string-out of four short picks."""
    films = {f"dawn_{take}": numbered(30, mark=take) for take in (1, 2, 3, 4)}
    with reviewing(browser, tmp_path, TAKES, films=films) as page:
        page.keyboard.press("Control+a")
        page.keyboard.press("p")
        until(page, lambda: {each["pick"] for each in choices(page).values()}, {1})
        page.keyboard.press("Home")
        page.keyboard.press("o")
        until(page, lambda: app(page, "app.mode.name"), "selects")
        yield page


def order(page: Page) -> list[str]:
    """Give the picks in the order of the list."""
    return [each.inner_text() for each in page.query_selector_all(".string .name")]


def test_they_play_one_after_the_other_and_stop_at_the_end(picks: Page) -> None:
    seen: list[str] = []

    def now() -> str:
        seen.append(focused(picks))
        return seen[-1]

    until(picks, now, "dawn_4", seconds=40)
    assert list(dict.fromkeys(seen)) == [f"dawn_{take}" for take in (1, 2, 3, 4)]
    until(picks, lambda: app(picks, "app.mode.view.transport.playing"), wanted=False)


def test_keys_move_a_pick_and_undo_moves_it_back(picks: Page) -> None:
    picks.keyboard.press("Space")
    picks.keyboard.press("]")
    until(picks, lambda: order(picks), ["dawn_2", "dawn_1", "dawn_3", "dawn_4"])
    picks.keyboard.press("]")
    until(picks, lambda: order(picks), ["dawn_2", "dawn_3", "dawn_1", "dawn_4"])
    picks.keyboard.press("[")
    until(picks, lambda: order(picks), ["dawn_2", "dawn_1", "dawn_3", "dawn_4"])
    assert focused(picks) == "dawn_1"
    orders = {name: each["order"] for name, each in choices(picks).items()}
    assert sorted(orders, key=lambda name: orders[name]) == order(picks), "the order is kept with the choices"


def test_a_drag_moves_a_pick_and_a_click_shows_it(picks: Page) -> None:
    first, third = (picks.locator(".string li").nth(index).bounding_box() for index in (0, 2))
    assert first
    assert third
    picks.mouse.move(first["x"] + 40, first["y"] + 30)
    picks.mouse.down()
    picks.mouse.move(third["x"] + 40, third["y"] + 30, steps=4)
    picks.mouse.up()
    until(picks, lambda: order(picks), ["dawn_2", "dawn_3", "dawn_1", "dawn_4"])
    picks.locator(".string .thumb").nth(3).click()
    until(picks, lambda: focused(picks), "dawn_4")


def test_without_picks_it_says_how_to_pick(browser: Browser, tmp_path: Path) -> None:
    with reviewing(
        browser, tmp_path, TAKES, films=dict.fromkeys(("dawn_1", "dawn_2", "dawn_3", "dawn_4"), b"")
    ) as page:
        page.keyboard.press("o")
        assert "Nothing is picked yet" in (page.text_content("#toasts") or "")


# --- a phone ------------------------------------------------------------------------------------------------------


@pytest.fixture
def phone(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """The page as a phone opens it."""
    with reviewing(
        browser, tmp_path, TAKES, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    ) as page:
        yield page


def swipe(page: Page, dx: int, dy: int) -> None:
    """Move a finger over the film."""
    touch = page.context.new_cdp_session(page)
    at = {"x": 195, "y": 300}
    for kind, share in (("touchStart", 0.0), ("touchMove", 0.5), ("touchMove", 1.0), ("touchEnd", 1.0)):
        points = [] if kind == "touchEnd" else [{"x": at["x"] + dx * share, "y": at["y"] + dy * share}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_a_thumb_decides(phone: Page) -> None:
    until(phone, lambda: app(phone, "app.mode.name"), "loupe")
    for dx, dy in ((120, 0), (-120, 0), (0, -120)):
        swipe(phone, dx, dy)
    until(phone, lambda: [each["pick"] for each in choices(phone).values()], [1, -1, 0, 0])
    until(phone, lambda: focused(phone), "dawn_4")
    swipe(phone, 0, 120)
    until(phone, lambda: [each["pick"] for each in choices(phone).values()], [1, 0, 0, 0])
    assert focused(phone) == "dawn_2"


def test_films_play_inline_and_buttons_are_as_large_as_a_thumb(phone: Page) -> None:
    until(phone, lambda: app(phone, "app.mode.name"), "loupe")
    assert app(phone, "document.querySelector('.stage video').playsInline") is True
    boxes = [each.bounding_box() for each in phone.query_selector_all(".view button") if each.is_visible()]
    small = [box for box in boxes if box and min(box["width"], box["height"]) < 44]
    assert small == []
    assert app(phone, "document.documentElement.scrollWidth") == 390
