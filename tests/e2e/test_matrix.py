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
    assert [each.get_attribute("data-missing") for each in matrix.query_selector_all(".cell[data-missing]")] == [
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


def large() -> str:
    """A manifest of 100 cities by 50 times: 5,000 cells."""
    cities = ", ".join(f"City{number:03}" for number in range(100))
    times = ", ".join(f'"{number // 2:02}:{number % 2 * 3}0"' for number in range(50))
    return f"""
model: wan-2.5-t2v
defaults: {{size: 832*480, duration: 5}}
matrix: {{city: [{cities}], time: [{times}]}}
prompts: [{{id: walk, prompt: "A walk through {{{{ city }}}} at {{{{ time }}}}"}}]
budget: {{max_usd: 9000}}
"""


def test_five_thousand_cells_need_few_elements(browser: Browser, tmp_path: Path) -> None:
    """At most 400 elements wherever one goes; a cell says its place in the whole table, which the grid knows the size of."""
    done = "[...app.store.clips.values()].map((clip) => ({...clip, state: 'done', file: 'none.mp4', v: clip.key}))"
    with reviewing(browser, tmp_path, large(), made=0) as page:
        app(page, f"app.store.merge({{rev: app.store.rev, batch: app.store.batch, whole: false, clips: {done}}})")
        page.keyboard.press("t")
        until(page, lambda: app(page, "app.mode.name"), "matrix")
        grid = page.get_by_role("grid", name="Matrix")
        assert [grid.get_attribute(f"aria-{name}") for name in ("rowcount", "colcount")] == ["101", "51"]
        for key, row, column in [("ArrowDown", 3, 2), ("End", 3, 51), ("ArrowLeft", 3, 50), ("Home", 3, 2)]:
            page.keyboard.press(key)
            cell = page.locator('.cell[tabindex="0"]')
            assert cell.get_attribute("aria-colindex") == str(column)
            assert cell.evaluate("each => each.parentNode.ariaRowIndex") == str(row)
            assert page.evaluate("document.activeElement.className") == "cell"
            box = page.evaluate("(({x, right}) => [x, right])(document.activeElement.getBoundingClientRect())")
            assert box[0] >= 0 and box[1] <= 1440
            assert page.evaluate("document.querySelectorAll('*').length") <= 400
        assert page.locator(".cell img").count() > 40
        page.evaluate("document.querySelector('.matrix-scroll').scrollTo(3000, 6000)")
        until(page, lambda: page.evaluate("document.querySelectorAll('.cell').length > 40"))
        assert page.evaluate("document.querySelectorAll('*').length") <= 400
        rows = page.locator(".matrix-grid [role=row]").evaluate_all("all => all.map(each => Number(each.ariaRowIndex))")
        assert rows == sorted(rows) and rows[:2] == [1, 3]
        in_row = page.locator(".matrix-grid [role=row]").last.locator("[aria-colindex]")
        columns = in_row.evaluate_all("all => all.map(each => Number(each.ariaColIndex))")
        assert columns == sorted(columns) and columns[0] == 1
