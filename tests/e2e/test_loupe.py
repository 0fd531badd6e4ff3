"""The loupe by keyboard: open, watch, decide, note at a frame, go on, and back to the same card."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from film_batch import TAKES
from playwright.sync_api import Browser, Page
from view_pages import app, choices, focused, reviewing, until

pytestmark = [pytest.mark.e2e, pytest.mark.real_time]


@pytest.fixture
def loupe(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """The loupe on the first of four takes."""
    with reviewing(browser, tmp_path, TAKES) as page:
        page.keyboard.press("Enter")
        until(page, lambda: app(page, "app.mode.name"), "loupe")
        yield page


def film(page: Page, script: str) -> object:
    """Ask the film that is shown: an expression with `it`."""
    return app(page, f"(it => {script})(app.mode.view.films.now)")


def test_it_plays_in_a_loop_with_sound_and_comes_back_to_the_same_card(loupe: Page) -> None:
    until(loupe, lambda: film(loupe, "it.playing && it.frame > 1"))
    assert film(loupe, "[it.video.loop, it.video.muted]") == [True, False]
    loupe.keyboard.press("m")
    assert film(loupe, "it.video.muted") is True
    loupe.keyboard.press("ArrowRight")
    assert film(loupe, "it.video.muted") is True, "silence stays over to the next clip"
    loupe.keyboard.press("Escape")
    assert app(loupe, "app.mode.name") == "grid"
    assert app(loupe, "document.activeElement.dataset.key === app.focus") is True
    assert focused(loupe) == "dawn_2"
    assert loupe.locator("#views video").count() == 0, "no decoder stays behind"


def test_the_next_clip_was_loaded_before_it_was_asked_for(loupe: Page) -> None:
    asked: list[str] = []
    until(loupe, lambda: film(loupe, "it.playing"))
    until(
        loupe,
        lambda: app(
            loupe, "performance.getEntriesByType('resource').filter(it => it.name.includes('dawn_2.mp4')).length > 0"
        ),
    )
    loupe.on("request", lambda request: asked.append(request.url))
    loupe.keyboard.press("ArrowRight")
    until(loupe, lambda: film(loupe, "it.playing && it.clip.name"), "dawn_2")
    assert [url for url in asked if "dawn_2.mp4" in url] == []


def test_every_decision_works_and_goes_on(loupe: Page) -> None:
    for key in ("p", "x", "3"):
        loupe.keyboard.press(key)
        if key == "x":
            loupe.keyboard.press("7")  # the reason: sound
    until(loupe, lambda: focused(loupe), "dawn_4")
    assert loupe.text_content(".loupe h2") == "dawn_4"
    found = choices(loupe)
    assert [found["dawn_1"]["pick"], found["dawn_2"]["pick"], found["dawn_2"]["reason"], found["dawn_3"]["stars"]] == [
        1,
        -1,
        "sound",
        3,
    ]
    loupe.keyboard.press("Control+z")
    until(loupe, lambda: loupe.text_content(".loupe h2"), "dawn_3")
    assert choices(loupe)["dawn_3"]["stars"] == 0


def test_a_selection_in_the_grid_is_not_meant_by_a_decision_in_the_loupe(browser: Browser, tmp_path: Path) -> None:
    with reviewing(browser, tmp_path, TAKES) as page:
        page.keyboard.press("Control+a")
        page.keyboard.press("Enter")
        page.keyboard.press("p")
        until(page, lambda: focused(page), "dawn_2")
        assert [each["pick"] for each in choices(page).values()] == [1, 0, 0, 0]


def test_steps_of_frames_and_of_twelve_stop_at_both_ends(loupe: Page) -> None:
    loupe.keyboard.press("k")
    for key, wanted in (
        ("Home", 0),
        (",", 0),
        (".", 1),
        ("Shift+ArrowRight", 13),
        ("Shift+ArrowLeft", 1),
        ("End", 99),
        (".", 99),
    ):
        loupe.keyboard.press(key)
        until(loupe, lambda: film(loupe, "it.frame"), wanted)
    assert loupe.get_attribute(".timeline", "aria-valuetext") == "frame 99, 04:03"


def test_j_k_l_play_backwards_stop_and_play_faster(loupe: Page) -> None:
    until(loupe, lambda: film(loupe, "it.frame > 20"))
    loupe.keyboard.press("j")
    loupe.keyboard.press("j")
    assert app(loupe, "app.mode.view.transport.rate") == -2
    until(loupe, lambda: film(loupe, "it.frame"), 0)
    assert app(loupe, "app.mode.view.transport.playing") is False
    for _ in range(4):
        loupe.keyboard.press("l")
    assert film(loupe, "it.video.playbackRate") == 4
    loupe.keyboard.press("k")
    assert film(loupe, "it.playing") is False
    loupe.keyboard.press("s")
    loupe.keyboard.press("Space")
    assert film(loupe, "it.video.playbackRate") == 0.5


def test_the_next_take_starts_at_the_same_frame_when_that_is_on(loupe: Page) -> None:
    loupe.keyboard.press("k")
    loupe.keyboard.press("Home")
    loupe.keyboard.press("y")
    for _ in range(3):
        loupe.keyboard.press("Shift+ArrowRight")
    until(loupe, lambda: film(loupe, "it.frame"), 36)
    loupe.keyboard.press("ArrowRight")
    until(loupe, lambda: film(loupe, "it.clip.name"), "dawn_2")
    assert film(loupe, "it.frame") >= 36  # type: ignore[operator]


def test_a_note_at_a_frame_is_kept_and_leads_back_to_it(loupe: Page) -> None:
    loupe.keyboard.press("k")
    loupe.keyboard.press("Home")
    loupe.keyboard.press("Shift+ArrowRight")
    loupe.keyboard.press("Shift+N")
    loupe.keyboard.type("the hand <b>slips</b>")
    loupe.keyboard.press("Enter")
    until(loupe, lambda: choices(loupe)["dawn_1"]["marks"], [{"frame": 12, "text": "the hand <b>slips</b>"}])
    assert loupe.text_content(".note-line span") == "the hand <b>slips</b>"
    loupe.keyboard.press("End")
    loupe.locator(".mark").click()
    until(loupe, lambda: film(loupe, "it.frame"), 12)
    loupe.locator(".note-line button").last.click()
    until(loupe, lambda: choices(loupe)["dawn_1"]["marks"], [])


def test_full_size_shows_pixels_of_the_film_as_pixels_of_the_screen(loupe: Page) -> None:
    until(loupe, lambda: film(loupe, "it.video.videoWidth"), 128)
    loupe.keyboard.press("z")
    assert "100 %" in (loupe.text_content(".transport") or "")
    loupe.keyboard.press("z")
    assert app(loupe, "document.querySelector('.stage video').style.transform") == ""


def test_a_clip_that_was_not_made_says_why(browser: Browser, tmp_path: Path) -> None:
    with reviewing(browser, tmp_path, TAKES, films={"dawn_1": b""}) as page:
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
        assert "the prompt was refused" in (page.text_content(".no-film") or "")
        page.keyboard.press("ArrowRight")
        until(page, lambda: film(page, "it.playing && it.clip.name"), "dawn_2")


def test_a_row_of_the_help_runs_what_it_says_in_the_open_view(loupe: Page) -> None:
    loupe.keyboard.press("?")
    words = {row.inner_text() for row in loupe.locator("button.entry span").all()}
    assert {"Pick", "One frame back", "Note at this frame"} <= words
    assert not {"Swap rows and columns", "Keep the left", "Select all that are shown"} & words
    loupe.locator("button.entry", has_text="First frame").click()
    until(loupe, lambda: film(loupe, "[it.frame, it.playing]"), [0, False])
