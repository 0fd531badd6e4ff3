"""Compare and tournament: one clock, one sound, one zoom, and decisions about the tile in front."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from film_batch import TAKES
from films import READ, numbered
from playwright.sync_api import Browser, Page
from view_pages import app, choices, focused, reviewing, until

pytestmark = [pytest.mark.e2e, pytest.mark.real_time]


@pytest.fixture
def grid(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """The grid over four takes; the second is shorter than the others."""
    with reviewing(browser, tmp_path, TAKES, films={"dawn_2": numbered(40, mark=90)}) as page:
        yield page


def frames(page: Page) -> list[int]:
    """Give the frame that each tile shows."""
    until(page, lambda: app(page, "app.mode.view.clock.seeking"), wanted=False)
    return [page.evaluate(READ, video) for video in page.query_selector_all(".tile video")]


def playing(page: Page) -> bool:
    """Say whether all tiles have begun to play."""
    return bool(app(page, "app.mode.view.clock.films.every(it => it.frame > 0)"))


def test_all_takes_stop_and_step_on_the_same_frame(grid: Page) -> None:
    grid.keyboard.press("Shift+C")
    until(grid, lambda: playing(grid))
    grid.keyboard.press("k")
    first, short, *others = frames(grid)
    assert others == [first, first]
    assert short == min(first, 39), "a shorter film waits on its last frame"
    grid.keyboard.press("Home")
    for _ in range(4):
        grid.keyboard.press("Shift+ArrowRight")
    assert frames(grid) == [48, 39, 48, 48]


def test_at_its_end_all_begin_again_together(grid: Page) -> None:
    grid.keyboard.press("Shift+C")
    until(grid, lambda: playing(grid))
    grid.keyboard.press("End")
    grid.keyboard.press("Shift+ArrowLeft")
    grid.keyboard.press("Space")
    until(grid, lambda: app(grid, "app.mode.view.clock.films.every(it => it.playing && it.frame < 39)"))


def test_one_film_is_heard_the_one_in_front(grid: Page) -> None:
    grid.keyboard.press("Shift+C")
    heard = "app.mode.view.clock.films.map(it => !it.video.muted)"
    assert app(grid, heard) == [True, False, False, False]
    grid.locator(".tile").nth(2).click()
    assert app(grid, heard) == [False, False, True, False]
    assert focused(grid) == "dawn_3"
    grid.keyboard.press("ArrowRight")
    assert app(grid, heard) == [False, False, False, True]
    grid.keyboard.press("m")
    assert app(grid, heard) == [False] * 4


def test_a_decision_is_about_the_tile_in_front_and_stays_there(grid: Page) -> None:
    grid.keyboard.press("Control+a")
    grid.keyboard.press("c")
    grid.keyboard.press("ArrowRight")
    grid.keyboard.press("p")
    until(grid, lambda: choices(grid)["dawn_2"]["pick"], 1)
    assert [each["pick"] for each in choices(grid).values()] == [0, 1, 0, 0]
    assert focused(grid) == "dawn_2"
    assert grid.get_attribute(".tile >> nth=1", "data-pick") == "1"


def test_flip_shows_them_in_turn_in_one_place(grid: Page) -> None:
    grid.keyboard.press("Shift+C")
    seen = []
    for _ in range(3):
        grid.keyboard.press("f")
        seen.append([index for index in range(4) if grid.locator(".tile").nth(index).is_visible()])
    assert seen == [[0], [1], [2]]
    grid.keyboard.press("q")
    assert all(grid.locator(".tile").nth(index).is_visible() for index in range(4))


def test_wipe_is_for_two_and_follows_the_mouse(grid: Page) -> None:
    grid.keyboard.press("Shift+ArrowRight")
    grid.keyboard.press("c")
    grid.keyboard.press("v")
    box = grid.locator(".tiles").bounding_box()
    assert box
    grid.mouse.move(box["x"] + box["width"] / 2, box["y"] + 200)
    grid.mouse.down()
    grid.mouse.move(box["x"] + box["width"] / 4, box["y"] + 200)
    grid.mouse.up()
    assert app(grid, "document.querySelector('.tiles').style.getPropertyValue('--wipe')") == "25%"
    assert "inset" in app(grid, "getComputedStyle(document.querySelectorAll('.tile')[1]).clipPath")


def test_a_zoom_is_the_same_in_all_tiles(grid: Page) -> None:
    grid.keyboard.press("Shift+C")
    until(grid, lambda: playing(grid))
    grid.locator(".tile .stage").nth(1).hover()
    grid.mouse.wheel(0, -400)
    shapes = app(grid, "[...document.querySelectorAll('.tile video')].map(it => it.style.transform)")
    assert len(set(shapes)) == 1
    assert "scale(2)" in shapes[0]


def test_blind_mode_hides_which_is_which(grid: Page) -> None:
    grid.keyboard.press("Shift+C")
    grid.keyboard.press("b")
    text = grid.locator(".compare").inner_text()
    assert [name for name in ("dawn_", "Take", "Seed") if name in text] == []
    assert [grid.text_content(f".tile-name >> nth={index}") for index in range(4)] == ["A", "B", "C", "D"]
    grid.keyboard.press("b")
    assert sorted(grid.text_content(f".tile-name >> nth={index}") or "" for index in range(4)) == [
        f"dawn_{take}" for take in (1, 2, 3, 4)
    ]


def test_a_tournament_of_four_takes_three_keys_and_picks_its_winner(grid: Page) -> None:
    grid.keyboard.press("Shift+T")
    names = "app.mode.view.compared.map(key => app.store.get(key).name)"
    assert app(grid, names) == ["dawn_1", "dawn_2"]
    grid.keyboard.press("ArrowRight")
    assert app(grid, names) == ["dawn_2", "dawn_3"]
    grid.keyboard.press("ArrowRight")
    grid.keyboard.press("Backspace")
    assert app(grid, names) == ["dawn_2", "dawn_3"], "a decision can be taken back"
    grid.keyboard.press("ArrowLeft")
    grid.keyboard.press("ArrowLeft")
    assert "dawn_2 won against 3 others" in (grid.text_content(".result") or "")
    grid.keyboard.press("Enter")
    until(grid, lambda: [each["pick"] for each in choices(grid).values()], [0, 1, 0, 0])
    assert app(grid, "app.mode.name") == "grid"
    assert focused(grid) == "dawn_2"


def test_the_winner_s_film_is_not_loaded_again(grid: Page) -> None:
    grid.keyboard.press("Shift+T")
    until(grid, lambda: playing(grid))
    app(grid, "(window.kept = app.mode.view.clock.films[0]) && 1")
    grid.keyboard.press("ArrowLeft")
    assert app(grid, "app.mode.view.clock.films[0] === window.kept") is True


def test_less_than_two_films_are_not_compared_and_it_says_why(browser: Browser, tmp_path: Path) -> None:
    films = dict.fromkeys(("dawn_2", "dawn_3", "dawn_4"), b"")
    with reviewing(browser, tmp_path, TAKES, films=films) as page:
        page.keyboard.press("Shift+C")
        assert app(page, "app.mode.name") == "grid"
        assert "Compare needs two clips" in (page.text_content("#toasts") or "")
