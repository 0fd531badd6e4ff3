"""The page while things happen elsewhere: a run, another tab, a server that is gone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import Served
from command import Desk
from film_batch import TAKES, make
from playwright.sync_api import Page, Route, expect

from batchgen.files.findings import Findings
from batchgen.review import posters

pytestmark = [pytest.mark.e2e, pytest.mark.real_time]

RUN = ("run", "night.yaml", "--sandbox", "--yes", "--json", "--sandbox-latency", "0.2")


def name_of(page: Page) -> str:
    return str(page.locator(".card.focused").get_attribute("aria-label")).partition(",")[0]


def cut(route: Route) -> None:
    route.abort()


def test_two_tabs_disagree_and_the_reader_decides(serve: Callable[..., Served], open_page: Callable[..., Page]) -> None:
    """The slower tab is shown both values; neither is overwritten unasked."""
    url = serve().url
    first, second = open_page(url), open_page(url)
    second.route("**/state?**", cut)  # it has not seen yet what the first one does
    first.keyboard.press("p")
    expect(first.locator('body[data-waiting="0"] .card[data-pick="1"]')).to_have_count(1)
    second.keyboard.press("x")
    toast = second.locator(".toast")
    expect(toast).to_contain_text("courier-tokyo-dawn_1: the other tab picked it.")
    expect(second.locator('.card[data-pick="1"]')).to_have_count(1)
    toast.get_by_role("button", name="Take mine").click()
    expect(second.locator('body[data-waiting="0"] .card[data-pick="-1"]')).to_have_count(1)
    expect(first.locator('.card[data-pick="-1"]')).to_have_count(1)


def test_different_fields_of_two_tabs_are_both_kept(
    serve: Callable[..., Served], open_page: Callable[..., Page]
) -> None:
    """A star in one tab and a pick in another are no conflict."""
    url = serve().url
    first, second = open_page(url), open_page(url)
    second.route("**/state?**", cut)
    first.keyboard.press("4")
    first.locator('body[data-waiting="0"]').wait_for()
    second.keyboard.press("p")
    second.locator('body[data-waiting="0"]').wait_for()
    card = first.locator('.card[data-pick="1"]')
    expect(card).to_have_attribute("aria-label", "courier-tokyo-dawn_1, picked, 4 stars")
    other = second.locator('.card[data-pick="1"]')
    expect(other).to_have_attribute("aria-label", "courier-tokyo-dawn_1, picked, 4 stars")


def test_what_another_tab_decides_does_not_take_the_clip_away(
    serve: Callable[..., Served], open_page: Callable[..., Page]
) -> None:
    """Whoever looks at a clip in `Undecided` keeps it before the eyes."""
    url = serve().url
    first, second = open_page(url), open_page(url)
    second.locator("#rail .queue button", has_text="Undecided").click()
    expect(second.locator("#toolbar .summary")).to_have_text("16 clips")
    first.keyboard.press("p")
    expect(second.locator("#rail .queue button", has_text="Undecided")).to_have_attribute("data-count", "15")
    expect(second.locator(".card.focused")).to_have_attribute("data-pick", "1")


def test_choices_wait_for_a_server_that_is_gone(
    serve: Callable[..., Served], open_page: Callable[..., Page], tmp_path: Path
) -> None:
    """They are shown, kept over a reload of the page's part, and sent when it is back."""
    served = serve()
    page = open_page(served.url)
    served.close()
    page.keyboard.press("p")
    page.keyboard.press("x")
    bar = page.locator("#trouble")
    expect(bar).to_contain_text("The server of this page does not answer")
    expect(bar).to_contain_text("2 choices will be sent when it is back")
    expect(page.locator('.card[data-pick="1"]')).to_have_count(1)
    again = Served(tmp_path / "night", served.port)
    try:
        expect(bar).to_be_hidden()
        page.locator('body[data-waiting="0"]').wait_for()
        page.reload()
        expect(page.locator('.card[data-pick="1"]')).to_have_count(1)
        expect(page.locator('.card[data-pick="-1"]')).to_have_count(1)
    finally:
        again.close()


def test_a_killed_server_loses_no_choice_that_the_page_shows_as_saved(
    tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    """What is not marked as waiting is on disk, whatever happens to the server in the same moment."""
    desk = Desk(tmp_path, "")
    make(desk.folder, TAKES, dict.fromkeys(("dawn_1", "dawn_2", "dawn_3", "dawn_4"), b""))
    with desk.start("review", "night.yaml", "--json") as server:
        assert server.stdout
        page = open_page(json.loads(server.stdout.readline())["url"])
        for key in ("p", "x", "p"):
            page.keyboard.press(key)
        page.locator('body[data-waiting="0"]').wait_for()
        server.kill()
        server.wait()
        page.keyboard.press("5")
        expect(page.locator("#trouble")).to_contain_text("1 choice will be sent when it is back")
    listed = desk.call("picks", "night.yaml", "--json").expect(0).obj["clips"]
    assert [(clip["pick"], clip["stars"]) for clip in listed] == [(1, 0), (-1, 0), (1, 0), (0, 0)]


def test_a_poster_comes_onto_its_card_without_a_reload(
    serve: Callable[..., Served], open_page: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is made the first frame stands there, and nobody asks for it; its flags come with it, in words."""
    made = threading.Event()

    class LatePosters(posters.Posters):
        def _made(self, film: posters.Film) -> Findings | None:
            made.wait(30)
            return super()._made(film)

    monkeypatch.setattr("batchgen.review.checks.Posters", LatePosters)
    page = open_page(serve().url)
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    try:
        page.reload()
        expect(page.locator('.card.focused img[src^="blob:"]')).to_have_count(1)
    finally:
        made.set()
    expect(page.locator('.card.focused img[src*="/poster/"]')).to_have_count(1)
    expect(page.get_by_role("gridcell", name="courier-tokyo-dawn_2")).to_contain_text("like take 1")
    assert refused == []


def test_clips_of_a_live_run_come_into_their_place(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """Beside a real run of the sandbox: nothing jumps, the focus stays, and the new clips are counted."""
    desk = Desk(tmp_path, "")
    manifest = desk.folder / "night.yaml"
    text = "model: wan-2.5-t2v\ndefaults: {size: 832*480, duration: 5, takes: %d}\nprompts: [a cat, a dog, an owl]\n"
    manifest.write_text(text % 2)
    desk.call(*RUN).expect(0)
    manifest.write_text(text % 4)
    served = Served(desk.folder / "night.sandbox")
    try:
        page = open_page(served.url, viewport={"width": 1440, "height": 460})
        page.keyboard.press("End")
        name, top = name_of(page), page.locator(".card.focused").bounding_box()
        with desk.start(*RUN) as running:
            expect(page.locator("#header .facts")).to_contain_text("12 of 12 done", timeout=40_000)
            assert running.wait(30) == 0
        assert name_of(page) == name
        assert page.locator(".card.focused").bounding_box() == top
        page.locator("#pill", has_text="new").click()
        assert name_of(page) != name
    finally:
        served.close()


def test_a_live_run_is_paused_and_resumed_from_the_header(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """A pause asks first, shows that it holds, and ends by one click."""
    desk = Desk(tmp_path, "")
    manifest = desk.folder / "night.yaml"
    text = "model: wan-2.5-t2v\ndefaults: {size: 832*480, duration: 5, takes: %d}\nprompts: [a cat, a dog]\n"
    manifest.write_text(text % 1)
    desk.call(*RUN).expect(0)
    manifest.write_text(text % 12)  # longer than it takes to pause it
    served = Served(desk.folder / "night.sandbox")
    try:
        page = open_page(served.url)
        with desk.start(*RUN, "--in-flight", "1") as running:
            live = page.locator("#header .live")
            expect(live).to_have_attribute("data-live", "true")
            page.get_by_role("button", name="Pause").click()
            page.locator("dialog").get_by_role("button", name="Pause").click()
            expect(live).to_have_text("paused", timeout=20_000)  # a run looks every few seconds
            page.get_by_role("button", name="Resume").click()
            expect(page.locator("#header .facts")).to_contain_text("24 of 24 done", timeout=60_000)
            assert running.wait(30) == 0
        expect(live).to_have_text("no run")
    finally:
        served.close()


def test_a_pick_offers_to_stop_the_further_takes(serve: Callable[..., Served], open_page: Callable[..., Page]) -> None:
    """A choice can save the money of takes that are not made yet, and can be taken back."""
    page = open_page(serve().url)
    page.keyboard.press("End")
    page.keyboard.press("Control+ArrowUp")
    page.keyboard.press("Control+ArrowDown")
    page.keyboard.press("p")
    offer = page.locator(".toast", has_text="trouble: 2 further takes not made yet")
    offer.get_by_role("button", name="Stop further takes").click()
    told = page.locator(".toast", has_text="2 pending takes not made")
    expect(told).to_contain_text("saved")
    told.get_by_role("button", name="Undo").click()
    expect(page.locator(".toast", has_text="2 pending takes will be made after all")).to_be_visible()
