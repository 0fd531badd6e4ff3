"""A morning by keyboard alone: every clip is decided without a mouse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import Served
from playwright.sync_api import Page, expect

from batchgen.review.picks import Picks

pytestmark = [pytest.mark.e2e, pytest.mark.real_time]


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def focused(page: Page) -> str:
    return str(page.locator(".card.focused").get_attribute("aria-label")).partition(",")[0]


def rail(page: Page, words: str) -> str | None:
    return page.locator("#rail .queue button", has_text=words).get_attribute("data-count")


def chosen(page: Page, folder: Path) -> dict[str, dict[str, object]]:
    """What lies on disk once the page has sent everything, by clip key."""
    page.locator('body[data-waiting="0"]').wait_for()
    picks = Picks(folder)
    try:
        return {key: choice.as_json() for key, choice in picks.all().items()}
    finally:
        picks.close()


def test_a_night_is_decided_by_keyboard_alone(
    serve: Callable[..., Served], open_still: Callable[..., Page], tmp_path: Path
) -> None:
    """From the first undecided clip to none: what was pressed is on disk."""
    page = open_still(serve().url)
    assert focused(page) == "courier-tokyo-dawn_1"
    press(page, "p", "x", "1", "3", "ArrowRight")
    assert focused(page) == "courier-tokyo-night_2"
    page.locator("#rail .queue button", has_text="Undecided").focus()
    press(page, "Enter")
    press(page, *["p"] * 14)
    expect(page.locator("#empty")).to_contain_text("All 16 decided: 15 picks.")
    expect(page.locator("#header .decided")).to_have_text("16 of 16 decided, 15 picks")
    found = chosen(page, tmp_path / "night").values()
    assert sorted(choice["pick"] for choice in found) == [-1, *[1] * 15]  # type: ignore[type-var]
    assert [choice["reason"] for choice in found if choice["pick"] == -1] == ["hands"]
    assert [choice["stars"] for choice in found if choice["stars"]] == [3]


def test_the_same_key_twice_changes_nothing(serve: Callable[..., Served], open_still: Callable[..., Page]) -> None:
    """P and X set a decision, they never toggle it: a key that bounces must not lose one."""
    page = open_still(serve().url)
    press(page, "a", "x", "x", "x")
    expect(page.locator(".card.focused")).to_have_attribute("data-pick", "-1")
    press(page, "p", "p")
    expect(page.locator(".card.focused")).to_have_attribute("data-pick", "1")
    press(page, "u", "u")
    expect(page.locator(".card.focused")).to_have_attribute("data-pick", "0")


@pytest.mark.parametrize("shift", [False, True])
def test_with_caps_lock_keys_work_and_go_on_by_themselves(
    serve: Callable[..., Served], open_still: Callable[..., Page], *, shift: bool
) -> None:
    """Caps Lock turns auto-advance on, as in Lightroom; P is P with it, and Shift is told apart from it."""
    page = open_still(serve().url)
    press(page, "a")
    assert page.evaluate("import('/assets/app.js').then(({app}) => app.settings.advance)") is False
    # A keyboard gives the other letter with Shift while Caps Lock is on.
    key = json.dumps({"key": "c" if shift else "P", "shiftKey": shift, "modifierCapsLock": True, "bubbles": True})
    page.evaluate(f"document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key}))")
    if shift:
        expect(page.locator(".compare .tile")).to_have_count(3)
        return
    expect(page.locator('.card[data-pick="1"]')).to_have_count(1)
    assert focused(page) == "courier-tokyo-dawn_2"
    press(page, "p")
    assert focused(page) == "courier-tokyo-dawn_2"


def test_the_page_begins_at_the_first_undecided_clip(
    serve: Callable[..., Served], open_still: Callable[..., Page]
) -> None:
    """The second morning goes on where the first one ended."""
    page = open_still(serve().url)
    press(page, "p", "x", "1")
    page.locator('body[data-waiting="0"]').wait_for()
    page.reload()
    third = re.compile("^courier-tokyo-dawn_3, undecided")  # what its film was found to be may follow
    expect(page.locator(".card.focused")).to_have_attribute("aria-label", third)


def test_a_press_elsewhere_ends_the_question_why(serve: Callable[..., Served], open_still: Callable[..., Page]) -> None:
    """Or a reason would be given to what is not rejected any more."""
    page = open_still(serve().url)
    press(page, "x")
    expect(page.locator(".reasons")).to_be_visible()
    page.locator('#toolbar button[data-key="ctrl+z"]').click()
    expect(page.locator(".reasons")).to_have_count(0)
    press(page, "x")
    page.locator(".reasons").get_by_role("button", name="3 text").click()
    expect(page.locator('.card[aria-label*="rejected: text"]')).to_have_count(1)


def test_undo_brings_back_a_clip_that_the_filter_hides(
    serve: Callable[..., Served], open_still: Callable[..., Page]
) -> None:
    """What was undone is seen, whatever is shown now."""
    page = open_still(serve().url)
    press(page, "p")
    page.locator("#rail .queue button", has_text="Rejected").click()
    expect(page.locator("#empty")).to_contain_text("Nothing is rejected.")
    press(page, "Control+z")
    expect(page.locator(".card.focused")).to_have_attribute("data-pick", "0")
    assert focused(page) == "courier-tokyo-dawn_1"
    press(page, "Control+Shift+z")
    expect(page.locator(".card.focused")).to_have_attribute("data-pick", "1")


def test_moving_goes_by_card_row_and_prompt(serve: Callable[..., Served], open_still: Callable[..., Page]) -> None:
    """Arrows, Home, End, and Ctrl with an arrow; Shift takes clips into the selection."""
    page = open_still(serve().url)
    for key, name in [("ArrowRight", "courier-tokyo-dawn_2"), ("ArrowDown", "courier-tokyo-night_3"),
                      ("ArrowUp", "courier-tokyo-dawn_2"), ("Control+ArrowDown", "tower_1"),
                      ("End", "trouble_6"), ("Home", "courier-tokyo-dawn_1")]:  # fmt: skip
        press(page, key)
        assert focused(page) == name
    press(page, "Shift+ArrowRight", "Shift+ArrowRight")
    expect(page.locator("#toolbar .summary")).to_have_text("3 selected")
    press(page, "p")
    expect(page.locator('.card[data-pick="1"]')).to_have_count(3)
    press(page, "Control+a", "x")
    expect(page.locator("dialog[open] h2")).to_have_text("Change 21 clips at once?")
    press(page, "Escape")
    expect(page.locator('.card[data-pick="1"]')).to_have_count(3)


def test_keys_are_off_in_text_fields_and_can_be_switched_off(
    serve: Callable[..., Served], open_still: Callable[..., Page]
) -> None:
    """Who types or dictates a word must not decide anything by it."""
    page = open_still(serve().url)
    press(page, "/", *"pxu", "Enter")
    expect(page.locator("#toolbar input[type=search]")).to_have_value("pxu")
    assert rail(page, "Picks") == "0"
    page.locator("#empty button").click()
    press(page, "?")
    page.locator("dialog input[type=checkbox]").click()
    press(page, "Escape", "p")
    assert rail(page, "Picks") == "0"
    press(page, "ArrowRight")
    assert focused(page) == "courier-tokyo-dawn_2"


def test_note_and_tags_are_written_by_keyboard(
    serve: Callable[..., Served], open_still: Callable[..., Page], tmp_path: Path
) -> None:
    """N and G open a field, Enter saves, Esc does not."""
    page = open_still(serve().url)
    press(page, "n", *"grain", "Enter", "g", *"hero, b", "Enter", "n", *"lost", "Escape")
    expect(page.locator("#panel textarea")).to_have_value("grain")
    expect(page.locator("#panel .written input")).to_have_value("b, hero")
    (found,) = chosen(page, tmp_path / "night").values()
    assert (found["note"], found["tags"]) == ("grain", ["b", "hero"])


def test_the_filter_is_in_the_address(serve: Callable[..., Served], open_still: Callable[..., Page]) -> None:
    """A reload, or a bookmark, shows the same clips."""
    page = open_still(serve().url)
    page.locator("#rail .facets button", has_text="Lisbon").click()
    press(page, "/", *"-night", "Enter")
    expect(page.locator("#toolbar .summary")).to_have_text("3 clips")
    assert "axis.city=Lisbon&q=-night" in page.url
    page.reload()
    expect(page.locator("#toolbar .summary")).to_have_text("3 clips")
    press(page, "/", *"seed:7001", "Enter")
    expect(page.locator("#toolbar .summary")).to_have_text("0 clips")
    expect(page.locator("#empty")).to_contain_text("No clip fits this filter.")


def test_the_help_lists_every_key_and_each_row_does_it(
    serve: Callable[..., Served], open_still: Callable[..., Page]
) -> None:
    """Everything that a key does, a button does; what it does in several views is listed once; all fit a screen."""
    page = open_still(serve().url)
    press(page, "?")
    shown = page.evaluate("""[...document.querySelectorAll('dialog .entry')].flatMap((row) => {
      const [words, ...keys] = row.querySelectorAll('span, kbd');
      return keys[0].title ? keys.map(({title}) => title) : [[words, ...keys].map((each) => each.textContent).join(' ')];
    })""")
    does = page.evaluate("import('/assets/app.js').then(({app}) => app.keys.entries.map(({does}) => does))")
    assert len(shown) == len(set(shown))
    assert [words for words in does if not any(line.startswith(words) for line in shown)] == []
    assert page.evaluate(
        "document.querySelector('dialog').scrollHeight <= document.querySelector('dialog').clientHeight"
    )
    page.get_by_role("dialog").get_by_role("button", name="3 stars").click()
    expect(page.locator(".card").first).to_have_attribute("aria-label", "courier-tokyo-dawn_1, undecided, 3 stars")
    press(page, "Home", "?")
    page.locator("dialog button.entry", has_text="Pick").first.click()
    expect(page.locator('.card[data-pick="1"]')).to_have_count(1)
    assert json.dumps(rail(page, "Picks")) == '"1"'


def test_a_card_has_buttons_to_pick_and_to_reject(
    serve: Callable[..., Served], open_still: Callable[..., Page]
) -> None:
    """At the card under the mouse, and about that card alone; on a clip without a film there are none."""
    page = open_still(serve().url)
    second = page.get_by_role("gridcell", name="courier-tokyo-dawn_2")
    second.hover()
    second.get_by_role("button", name="Pick").click()
    expect(second).to_have_attribute("data-pick", "1")
    third = page.get_by_role("gridcell", name="courier-tokyo-dawn_3")
    third.hover()
    third.get_by_role("button", name="Reject").click()
    expect(third).to_have_attribute("data-pick", "-1")
    assert page.locator('.card[data-pick="1"], .card[data-pick="-1"]').count() == 2
    press(page, "1", "End")  # a reason; then a clip that is not made yet
    expect(page.locator(".card.focused .quick")).to_have_css("opacity", "0")


def test_what_failed_and_what_is_unconfirmed_come_with_the_next_step(
    serve: Callable[..., Served], open_still: Callable[..., Page]
) -> None:
    """The queue says the cause, what it cost, and the command; the command can be copied."""
    page = open_still(serve().url, permissions=["clipboard-read", "clipboard-write"])
    page.locator("#rail .queue button", has_text="Failed").click()
    cause = page.locator("#notice .cause")
    expect(cause).to_contain_text("1 clip, nothing paid: the prompt was blocked by content moderation")
    command = str(cause.locator("code").text_content())
    assert command.startswith("batchgen ")
    cause.get_by_role("button", name="Copy the command").click()
    expect(page.locator(".toast")).to_contain_text("Copied the command")
    assert page.evaluate("navigator.clipboard.readText()") == command
    page.locator("#rail .queue button", has_text="Unconfirmed").click()
    expect(cause).to_contain_text("trouble_3: submitted")
    expect(cause).to_contain_text("$0.63 reserved")
    expect(cause.locator("code")).to_contain_text("batchgen reconcile")
