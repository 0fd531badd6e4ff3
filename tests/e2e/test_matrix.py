"""The matrix by keyboard: cells, tabs, takes, decisions, lines that play in sync, and the roles of a grid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from film_batch import MATRIX
from playwright.sync_api import Browser, Page
from view_pages import app, choices, focused, reviewing, until

pytestmark = [pytest.mark.e2e, pytest.mark.real_time]


@pytest.fixture
def matrix(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """The matrix of three cities by two times, with one cell that failed and one that does not exist."""
    films = {"courier-oslo-dawn_1": b"", "courier-oslo-dawn_2": b""}
    with reviewing(browser, tmp_path, MATRIX, films=films) as page:
        page.keyboard.press("Home")
        page.keyboard.press("t")
        until(page, lambda: app(page, "app.mode.name"), "matrix")
        yield page


def heads(page: Page, role: str) -> list[str]:
    """Give the words of the heads with a role."""
    return [each.inner_text() for each in page.query_selector_all(f".axis-head[role={role}] span")]


def test_it_is_a_grid_with_heads_rows_and_cells(matrix: Page) -> None:
    assert heads(matrix, "columnheader") == ["Tokyo", "Lisbon", "Oslo"]
    assert heads(matrix, "rowheader") == ["dawn", "dusk"]
    assert matrix.get_by_role("grid", name="Matrix").get_by_role("gridcell").count() == 6
    assert matrix.get_attribute(".matrix-grid", "aria-rowcount") == "3"
    assert (
        app(matrix, "document.activeElement.getAttribute('aria-label')") == "courier-tokyo-dawn_1, undecided, 2 takes"
    )


def test_missing_cells_say_why(matrix: Page) -> None:
    assert [each.inner_text() for each in matrix.query_selector_all(".cell[data-missing] .why")] == [
        "the prompt was refused",
        "not in the manifest",
    ]


def test_arrows_go_from_cell_to_cell_and_stop_at_the_border(matrix: Page) -> None:
    seen = []
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowLeft", "End", "ArrowUp", "Home"):
        matrix.keyboard.press(key)
        seen.append(app(matrix, "document.activeElement.getAttribute('aria-label').split(',')[0]"))
    tokyo, lisbon = "courier-tokyo-dusk_1", "courier-lisbon-dusk_1"
    assert seen == [
        "courier-lisbon-dawn_1",
        lisbon,
        tokyo,
        tokyo,
        "not in the manifest",
        "courier-oslo-dawn_1",
        "courier-tokyo-dawn_1",
    ]


def test_a_pick_comes_to_the_top_of_its_cell_and_the_focus_stays(matrix: Page) -> None:
    matrix.keyboard.press("Control+ArrowDown")
    assert focused(matrix) == "courier-tokyo-dawn_2"
    matrix.keyboard.press("p")
    until(matrix, lambda: choices(matrix)["courier-tokyo-dawn_2"]["pick"], 1)
    assert focused(matrix) == "courier-tokyo-dawn_2"
    matrix.keyboard.press("ArrowRight")
    cell = matrix.locator(".cell").first
    until(matrix, lambda: cell.get_attribute("aria-label"), "courier-tokyo-dawn_2, picked, 2 takes")
    assert cell.get_attribute("data-pick") == "1"


def test_an_empty_cell_decides_nothing(matrix: Page) -> None:
    matrix.keyboard.press("ArrowDown")
    matrix.keyboard.press("End")
    matrix.keyboard.press("p")
    assert {each["pick"] for each in choices(matrix).values()} == {0}


def test_rows_and_columns_can_be_swapped_and_chosen(matrix: Page) -> None:
    matrix.keyboard.press("w")
    assert [heads(matrix, "columnheader"), heads(matrix, "rowheader")] == [
        ["dawn", "dusk"],
        ["Tokyo", "Lisbon", "Oslo"],
    ]
    matrix.locator(".axes select").first.select_option("city")
    assert [heads(matrix, "columnheader"), heads(matrix, "rowheader")] == [
        ["Tokyo", "Lisbon", "Oslo"],
        ["dawn", "dusk"],
    ]


def test_a_line_plays_its_films_in_sync_and_stops(matrix: Page) -> None:
    matrix.get_by_label("Play dawn in sync").click()
    films = "app.mode.view.line.clock.films.map(it => it.clip.name)"
    until(matrix, lambda: app(matrix, films), ["courier-tokyo-dawn_1", "courier-lisbon-dawn_1"])
    until(matrix, lambda: app(matrix, "app.mode.view.line.clock.films.every(it => it.playing && it.frame > 0)"))
    assert app(matrix, "app.mode.view.line.clock.films.every(it => it.video.muted)") is True
    matrix.get_by_label("Play dawn in sync").click()
    assert matrix.locator(".cell video").count() == 0


def test_the_loupe_comes_over_it_and_goes_back_to_the_cell(matrix: Page) -> None:
    matrix.keyboard.press("ArrowDown")
    matrix.keyboard.press("Enter")
    until(matrix, lambda: app(matrix, "app.mode.name"), "loupe")
    assert matrix.text_content(".loupe h2") == "courier-tokyo-dusk_1"
    matrix.keyboard.press("Escape")
    assert app(matrix, "app.mode.name") == "matrix"
    matrix.keyboard.press("ArrowUp")
    assert focused(matrix) == "courier-tokyo-dawn_1"
    matrix.keyboard.press("Escape")
    assert app(matrix, "app.mode.name") == "grid"


def test_a_batch_with_one_axis_has_no_matrix_and_it_says_so(browser: Browser, tmp_path: Path) -> None:
    one = MATRIX.replace("  time: [dawn, dusk]\n  exclude: [{city: Oslo, time: dusk}]\n", "  time: [dawn]\n").replace(
        "takes: 2", "takes: 1"
    )
    one = one.replace("[Tokyo, Lisbon, Oslo]", "[Tokyo, Oslo]")
    with reviewing(browser, tmp_path, one) as page:
        page.keyboard.press("t")
        assert "A matrix needs two axes" in (page.text_content("#toasts") or "")
