"""The page on a phone, without motion, for those who hear it, and with thousands of clips."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from browsing import Served
from playwright.sync_api import Page, Route, expect
from review_batch import Prompt

pytestmark = [pytest.mark.e2e, pytest.mark.real_time]

MANY = 5000
#: Heads that stand below where their group begins though that can be seen; and how many groups but the first were seen.
_HEADS = """() => {
  const sections = [...document.querySelectorAll('.section')].map((each) => {
    const [whole, head] = [each, each.querySelector('.head')].map((node) => node.getBoundingClientRect());
    return { start: whole.top, head: head.top };
  });
  const view = document.querySelector('#grid').getBoundingClientRect();
  const shown = sections.filter((each) => each.start > view.top && each.start < view.bottom);
  return { later: shown.length, below: shown.filter((each) => each.head > each.start + 1) };
}"""


def test_roles_and_places_are_there_for_those_who_hear_the_page(
    serve: Callable[..., Served], open_page: Callable[..., Page]
) -> None:
    """A grid of rows of cells; one card is in the tab order, and says what it is."""
    page = open_page(serve().url)
    grid = page.get_by_role("grid", name="Clips")
    assert int(str(grid.get_attribute("aria-rowcount"))) > 0
    assert grid.get_by_role("row").count() > 0
    cells = grid.get_by_role("gridcell")
    assert cells.count() > 0
    first = page.get_by_role("gridcell", name="courier-tokyo-dawn_1, undecided")
    assert [first.get_attribute(f"aria-{name}") for name in ("setsize", "posinset", "colindex")] == ["21", "1", "1"]
    assert page.locator('.row[aria-rowindex="1"] .card').count() == 4
    assert page.locator('.card[tabindex="0"]').count() == 1
    heads = page.get_by_role("rowheader").all_inner_texts()
    assert ["courier", "A courier crosses … at … handheld camera, shallow focus.", "4 cells"] == [
        part for text in heads[:1] for part in text.replace(" · ", "\n").splitlines()[:3]
    ]
    expect(first).to_contain_text("Tokyo · dawn · seed 1")
    first.focus()
    page.keyboard.press("ArrowRight")
    assert "courier-tokyo-dawn_2" in str(page.evaluate("document.activeElement.ariaLabel"))
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, textarea, select')]"
        ".filter((each) => each.checkVisibility() && !(each.ariaLabel || each.textContent.trim())).length"
    )
    assert unnamed == 0


def test_on_a_phone_nothing_is_cut_off(serve: Callable[..., Served], open_page: Callable[..., Page]) -> None:
    """390 px: no scrolling sideways, and the decisions are buttons of 44 px within reach."""
    page = open_page(serve().url, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page.locator("#views .back").tap()  # a phone begins in the loupe
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    boxes = page.locator("#decide button:visible").evaluate_all(
        "all => all.map((each) => each.getBoundingClientRect())"
    )
    assert len(boxes) == 7
    assert all(min(box["height"], box["width"]) >= 44 for box in boxes)
    assert all(box["right"] <= 390 and box["bottom"] <= 844 for box in boxes)
    page.locator('#decide button[data-key="p"]').tap()
    expect(page.locator('.card[data-pick="1"]')).to_have_count(1)
    page.locator('#toolbar button[data-key="["]').tap()
    expect(page.locator("#rail")).to_be_visible()


def test_a_groups_head_stands_above_its_clips_wherever_the_view_is(
    serve: Callable[..., Served], open_still: Callable[..., Page]
) -> None:
    """It stays at the top of the view while its clips pass, and goes away with them."""
    page = open_still(serve().url, viewport={"width": 390, "height": 844})
    heads = page.locator(".section > .head")
    expect(heads.first).to_be_visible()
    seen = 0
    for top in range(0, 4800, 300):
        page.evaluate("top => { document.querySelector('#grid').scrollTop = top }", top)
        page.wait_for_timeout(60)  # a frame or two
        wrong = page.evaluate(_HEADS)
        seen += wrong["later"]
        assert wrong["below"] == []
    assert seen


def test_without_motion_no_film_plays_by_itself(serve: Callable[..., Served], open_page: Callable[..., Page]) -> None:
    """`prefers-reduced-motion`: the first frames are there, films play on request."""
    page = open_page(serve().url, reduced_motion="reduce")
    expect(page.locator(".card.focused img[src]")).to_have_count(1)
    page.wait_for_timeout(600)  # longer than any film needs to begin
    expect(page.locator("video")).to_have_count(0)
    page.keyboard.press("Space")
    expect(page.locator(".card.focused video.on")).to_have_count(1)


def test_autoplay_off_stops_all_films(serve: Callable[..., Served], open_page: Callable[..., Page]) -> None:
    """The switch takes the decoders away, and is remembered."""
    page = open_page(serve().url)
    expect(page.locator("video.on").first).to_be_attached()
    page.keyboard.press("Shift+A")
    expect(page.locator("video")).to_have_count(0)
    page.reload()
    expect(page.locator(".card.focused img[src]")).to_have_count(1)
    page.wait_for_timeout(600)
    expect(page.locator("video")).to_have_count(0)


def many(state: dict[str, Any]) -> str:
    """The batch as if it had 5,000 clips in 1,250 prompts: the first one again and again."""
    (first,) = state["clips"]
    clips = []
    for number in range(MANY):
        prompt, take = f"street-{number // 4}", number % 4 + 1
        changed = {"key": f"k{number}", "name": f"{prompt}_{take}", "take": take, "order": number}
        clips.append(first | changed | {"prompt_id": prompt, "group": prompt} | {"seed": number, "v": f"v{number}"})
    return json.dumps(state | {"clips": clips})


def test_five_thousand_clips_need_few_elements_and_little_memory(
    serve: Callable[..., Served], open_page: Callable[..., Page]
) -> None:
    """At most 400 elements, 60 MB and the player's cap of films, before and after a walk through all of them."""

    def fill(route: Route) -> None:
        answer = route.fetch()
        state = answer.json()
        route.fulfill(response=answer, body=many(state) if state["whole"] else json.dumps(state))

    served = serve((Prompt("street", "A tram turns into a street in the rain.", ("done",)),))
    page = open_page(served.url)
    page.route("**/state?since=", fill)
    page.reload()
    expect(page.locator("#toolbar .summary")).to_have_text("5,000 clips", timeout=20_000)
    for key in ("PageDown", "PageDown", "End", "Home", "Control+ArrowDown"):
        page.keyboard.press(key)
        page.wait_for_timeout(200)
        nodes, films, cap = page.evaluate(
            "import('/assets/app.js').then(({app}) => "
            "[document.querySelectorAll('*').length, document.querySelectorAll('video').length, app.player.cap])"
        )
        assert nodes <= 400
        assert films <= cap
    devtools = page.context.new_cdp_session(page)
    devtools.send("HeapProfiler.collectGarbage")
    assert devtools.send("Runtime.getHeapUsage")["usedSize"] <= 60e6
