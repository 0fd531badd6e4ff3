"""The follow-up cart: what it holds, what it shows of price and budget, what it writes, and that it spends nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from film_batch import TAKES
from playwright.sync_api import Browser, Page, Route
from view_pages import app, reviewing, until

pytestmark = [pytest.mark.e2e, pytest.mark.real_time]

_PRICES = {"takes": 312_500, "edit": 312_500, "final": 937_500}
_WRITTEN = {
    "manifest": "jobs/night-2.yaml",
    "plan": "jobs/night-2.plan.json",
    "command": "batchgen run night-2 --plan jobs/night-2.plan.json",
    "clips": 2,
    "usd": "0.625",
    "expected_s": 420,
}


class Prices:
    """Answers as the server's follow-up does, with the prices of Wan 2.5, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.left = "12.50"

    def __call__(self, route: Route) -> None:
        body: dict[str, Any] = json.loads(route.request.post_data or "")
        self.asked.append(body)
        micro = [line["count"] * _PRICES[line["kind"]] for line in body["lines"]]
        lines = [line | {"usd": str(each / 1e6)} for line, each in zip(body["lines"], micro, strict=True)]
        written = _WRITTEN if body["write"] else None
        sizes = ["832*480", "1280*720", "1920*1080"]
        answer = {
            "lines": lines,
            "usd": str(sum(micro) / 1e6),
            "left_usd": self.left,
            "sizes": sizes,
            "faults": [],
            "written": written,
        }
        route.fulfill(status=200, content_type="application/json", body=json.dumps(answer))


@pytest.fixture
def prices() -> Prices:
    """What the server is asked, and answers."""
    return Prices()


@pytest.fixture
def grid(browser: Browser, tmp_path: Path, prices: Prices) -> Iterator[Page]:
    """The grid over four takes, with the server's prices played."""
    with reviewing(browser, tmp_path, TAKES) as page:
        page.route("**/follow-up", prices)
        yield page


def lines(page: Page) -> list[dict[str, Any]]:
    """Give what is in the cart, with names for keys."""
    found: list[dict[str, Any]] = app(
        page, "app.cart.lines.map(line => ({...line, clip: app.store.get(line.clip).name}))"
    )
    return found


def test_r_adds_takes_and_again_more_of_them(grid: Page) -> None:
    grid.keyboard.press("r")
    grid.keyboard.press("r")
    assert lines(grid) == [{"kind": "takes", "clip": "dawn_1", "count": 4}]
    assert "Follow-up 1" in grid.inner_text("#header")


def test_the_cart_survives_a_reload(grid: Page) -> None:
    grid.keyboard.press("r")
    grid.reload()
    grid.wait_for_selector(".card")
    assert lines(grid) == [{"kind": "takes", "clip": "dawn_1", "count": 2}]


def test_an_edited_prompt_goes_into_the_cart_with_its_words(grid: Page) -> None:
    grid.keyboard.press("e")
    grid.keyboard.press("End")
    grid.keyboard.type(" in <i>fog</i>")
    grid.keyboard.press("Control+Enter")
    assert lines(grid) == [
        {"kind": "edit", "clip": "dawn_1", "prompt": "A lighthouse at dawn in <i>fog</i>", "count": 2}
    ]
    grid.keyboard.press("Shift+R")
    assert grid.text_content(".cart-lines .prompt") == "A lighthouse at dawn in <i>fog</i>"


def test_the_final_size_says_that_it_is_another_film_and_what_drafting_comes_to(grid: Page) -> None:
    grid.keyboard.press("d")
    assert (
        "Another size is another film: the seed does not carry over. You get new takes of the same words."
        in grid.inner_text("dialog")
    )
    until(grid, lambda: "$1.88" in grid.inner_text(".draft-sum"))
    text = grid.inner_text(".draft-sum")
    assert "With the 4 drafts ($1.25) that is $3.13; all 4 at this size from the start: $3.75." in text
    assert "Drafts cost less up to 2 final takes." in text
    grid.get_by_text("Add to the cart").click()
    assert lines(grid) == [{"kind": "final", "clip": "dawn_1", "size": "1920*1080", "count": 2}]


def test_the_cart_shows_prices_their_sum_and_what_is_left_and_writes_nothing_by_itself(
    grid: Page, prices: Prices
) -> None:
    grid.keyboard.press("r")
    grid.keyboard.press("Shift+R")
    until(grid, lambda: "$0.63 · $12.50 left of the budget" in grid.inner_text("dialog"))
    grid.locator(".cart-lines input").fill("4")
    grid.locator(".cart-lines input").press("Tab")
    until(grid, lambda: "$1.25 · $12.50 left" in grid.inner_text("dialog"))
    assert [each["write"] for each in prices.asked] == [False] * len(prices.asked)
    grid.locator(".cart-lines button").click()
    assert lines(grid) == []


def test_more_than_the_budget_has_left_is_said(grid: Page, prices: Prices) -> None:
    prices.left = "0.10"
    grid.keyboard.press("r")
    grid.keyboard.press("Shift+R")
    until(grid, lambda: "More than is left" in grid.inner_text("dialog"))


def test_the_follow_up_is_written_once_and_its_command_is_shown(grid: Page, prices: Prices) -> None:
    grid.keyboard.press("r")
    grid.keyboard.press("Shift+R")
    until(grid, lambda: grid.locator(".write").is_enabled())
    grid.locator(".write").click()
    until(grid, lambda: grid.locator(".command code").count(), 1)
    assert grid.inner_text(".command code") == _WRITTEN["command"]
    text = grid.inner_text("dialog")
    assert [
        part
        for part in ("jobs/night-2.yaml", "2 clips", "$0.63", "7 min", "Nothing is submitted yet")
        if part not in text
    ] == []
    assert [each["write"] for each in prices.asked].count(True) == 1
    assert lines(grid) == [], "what is written is in the cart no more"


def test_cost_per_pick_by_prompt_cell_and_model_and_rejects_by_reason(grid: Page) -> None:
    row = {"picks": 2, "rejects": 1, "clips": 4, "spent_usd": "1.25", "per_pick_usd": "0.625"}
    cells = [row | {"axis": "city", "value": "Tokyo"}, row | {"axis": "city", "value": "Oslo", "per_pick_usd": None}]
    models = [row | {"name": "wan-2.5-t2v"}, row | {"name": "other"}]
    cost = {
        "picks": 2,
        "spent_usd": "1.25",
        "per_pick_usd": "0.625",
        "by_prompt": [row | {"name": "dawn"}],
        "by_cell": cells,
        "by_model": models,
        "rejects_by_reason": [{"reason": "hands", "clips": 1, "spent_usd": "0.3125"}],
    }
    grid.route(
        "**/cost", lambda route: route.fulfill(status=200, content_type="application/json", body=json.dumps(cost))
    )
    grid.keyboard.press("$")
    until(grid, lambda: grid.locator(".costs").count(), 1)
    text = grid.inner_text(".costs")
    assert "2 picks of 4 clips, $1.25: $0.63 a pick." in text
    assert [
        part for part in ("city", "Tokyo", "Model", "wan-2.5-t2v", "Prompt", "hands", "$0.31") if part not in text
    ] == []
    assert "–" in text, "a cell without a pick has no cost per pick"
