"""Several clips at once: by a rectangle, clicks, keys and fingers; and what is done with them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browsing import Served
from playwright.sync_api import Page, expect
from view_pages import app, until

pytestmark = [pytest.mark.e2e, pytest.mark.real_time]


@pytest.fixture
def page(serve: Callable[..., Served], open_page: Callable[..., Page]) -> Page:
    """A night of four cells with three takes each, and some more; nothing plays."""
    return open_page(serve().url, reduced_motion="reduce")


def selected(page: Page) -> list[str]:
    """Names of the selected clips, in their order."""
    return [str(name) for name in app(page, "app.selection.shown().map((key) => app.store.get(key).name)")]


def corner(page: Page, name: str, across: float, down: float) -> tuple[float, float]:
    """Give a point of a card, as shares of its width and height."""
    box = page.get_by_role("gridcell", name=name).bounding_box()
    assert box
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a rectangle and hold it."""
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)


def test_a_rectangle_selects_the_cards_that_it_touches(page: Page) -> None:
    """From anywhere, a card too; it is drawn while it is held, and the click that ends it is none."""
    drag(page, corner(page, "courier-tokyo-dawn_2", 0.6, 0.5), corner(page, "courier-tokyo-dawn_3", 0.3, 0.7))
    expect(page.locator(".rectangle")).to_be_visible()
    assert selected(page) == ["courier-tokyo-dawn_2", "courier-tokyo-dawn_3"]
    page.mouse.up()
    expect(page.locator(".rectangle")).to_be_hidden()
    assert selected(page) == ["courier-tokyo-dawn_2", "courier-tokyo-dawn_3"]
    expect(page.locator(".card.focused")).to_have_attribute("aria-label", "courier-tokyo-dawn_2, undecided")
    page.keyboard.press("p")
    expect(page.locator('.card[data-pick="1"]')).to_have_count(2)


def test_with_ctrl_a_rectangle_adds_and_escape_takes_it_back(page: Page) -> None:
    """What was selected before stays, as a file manager has it."""
    page.get_by_role("gridcell", name="courier-tokyo-dawn_1").click()
    page.keyboard.press("b")
    start, end = corner(page, "courier-tokyo-dawn_3", 0.3, 0.3), corner(page, "courier-tokyo-dawn_3", 0.8, 0.8)
    page.keyboard.down("Control")
    drag(page, start, end)
    assert selected(page) == ["courier-tokyo-dawn_1", "courier-tokyo-dawn_3"]
    page.keyboard.up("Control")
    page.keyboard.press("Escape")
    assert selected(page) == ["courier-tokyo-dawn_1"]
    page.mouse.up()
    assert selected(page) == ["courier-tokyo-dawn_1"]
    drag(page, start, end)
    page.mouse.up()
    assert selected(page) == ["courier-tokyo-dawn_3"]


def test_at_the_border_the_grid_scrolls_and_the_rectangle_reaches_what_was_not_drawn(page: Page) -> None:
    """Clips without an element now are selected as well."""
    page.locator("#toolbar input[type=range]").fill("480")
    drag(page, corner(page, "courier-tokyo-dawn_1", 0.5, 0.5), (700, 899))
    until(page, lambda: len(selected(page)) > 8)
    page.mouse.up()
    assert selected(page)[0] == "courier-tokyo-dawn_1"


def test_clicks_with_shift_and_ctrl(page: Page) -> None:
    """A range, and one more or one less; a plain click ends it."""
    card = page.get_by_role("gridcell")
    card.nth(0).click(modifiers=["Control"])  # the focused one: there is no other
    assert selected(page) == []
    card.nth(1).click(modifiers=["Control"])
    assert app(page, "app.selection.size") == 2
    card.nth(1).click()
    card.nth(3).click(modifiers=["Shift"])
    assert app(page, "app.selection.size") == 3
    card.nth(5).click(modifiers=["Control"])
    card.nth(2).click(modifiers=["Control"])
    assert app(page, "app.selection.size") == 3
    expect(card.nth(2)).to_have_attribute("aria-selected", "false")
    expect(card.nth(5)).to_have_attribute("aria-selected", "true")
    card.nth(0).click()
    assert selected(page) == []


def test_by_keyboard_clips_are_collected_and_decided_together(page: Page) -> None:
    """B takes a clip in or out, moving keeps the others, Shift-B turns it round, Esc ends it."""
    for key in ("b", "ArrowRight", "ArrowRight", "b"):
        page.keyboard.press(key)
    assert selected(page) == ["courier-tokyo-dawn_1", "courier-tokyo-dawn_3"]
    for key in ("x", "1"):
        page.keyboard.press(key)
    expect(page.locator('.card[data-pick="-1"]')).to_have_count(2)
    until(page, lambda: app(page, "app.store.clips.get(app.list()[2]).choice.reason"), "hands")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    expect(page.locator('.card[data-pick="-1"]')).to_have_count(0)
    page.keyboard.press("Shift+B")
    assert app(page, "app.selection.size") == 19
    page.keyboard.press("Escape")
    assert selected(page) == []


def test_the_bar_of_a_selection_has_a_button_for_each_thing_to_do(page: Page) -> None:
    """Pick, reject, clear, note, tags, compare, more takes; and the end of it."""
    bar = page.locator("#decide")
    expect(bar).to_be_hidden()
    page.keyboard.press("Shift+ArrowRight")
    expect(bar.locator(".selected")).to_have_text("2 selected")
    bar.get_by_role("button", name="Pick").click()
    expect(page.locator('.card[data-pick="1"]')).to_have_count(2)
    bar.get_by_role("button", name="Tags").click()
    page.keyboard.type("hero")
    page.keyboard.press("Enter")
    until(
        page,
        lambda: app(page, "[...app.store.clips.values()].filter(({choice}) => choice.tags[0] === 'hero').length"),
        2,
    )
    bar.get_by_role("button", name="Re-roll").click()
    assert app(page, "app.cart.lines.length") == 2
    bar.get_by_role("button", name="Compare the selection").click()
    expect(page.locator(".compare .tile")).to_have_count(2)
    page.keyboard.press("Escape")
    bar.get_by_role("button", name="End the selection").click()
    expect(bar).to_be_hidden()


def test_a_finger_that_rests_on_a_card_collects_it(
    serve: Callable[..., Served], open_page: Callable[..., Page]
) -> None:
    """On a phone a long press begins a selection, and taps go on with it."""
    page = open_page(serve().url, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page.locator("#views .back").tap()
    x, y = corner(page, "courier-tokyo-dawn_1", 0.5, 0.4)
    touch = page.context.new_cdp_session(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    until(page, lambda: selected(page), ["courier-tokyo-dawn_1"])
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.get_by_role("gridcell", name="courier-tokyo-dawn_3").tap(position={"x": 40, "y": 40})
    assert selected(page) == ["courier-tokyo-dawn_1", "courier-tokyo-dawn_3"]
    page.locator("#decide").get_by_role("button", name="Reject").tap()
    expect(page.locator('.card[data-pick="-1"]')).to_have_count(2)
    boxes = page.locator("#decide button:visible").evaluate_all(
        "all => all.map((each) => each.getBoundingClientRect())"
    )
    assert len(boxes) == 6
    assert [box for box in boxes if box["right"] > 390 or min(box["width"], box["height"]) < 43.5] == []
