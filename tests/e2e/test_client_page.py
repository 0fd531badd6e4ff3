"""A client's page under `file://`: no server, no module, and what was chosen comes back as a file that can be imported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browsing import Served, opened
from firefox import firefox
from playwright.sync_api import Browser, Dialog, Page, expect
from review_batch import NIGHT, write

from batchgen.files.findings import KeptFindings
from batchgen.handover import client
from batchgen.handover.chosen import choose
from batchgen.ledger.reader import Reader
from batchgen.review import answers
from batchgen.review.client_reports import ClientReport, reports_of
from batchgen.review.picks import Picks

pytestmark = [pytest.mark.e2e, pytest.mark.real_time]

EVIL = "</script><img src=x onerror=alert(1)> & “quotes”"
_WATCH = """
window.forbidden = [];
addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => window.forbidden.push(`${violatedDirective}: ${blockedURI}`));
"""


def made(folder: Path) -> tuple[Path, Path]:
    """Make a batch and a client's page of it; gives the batch folder and the page."""
    prompts = (replace(NIGHT[0], text=EVIL), NIGHT[4])
    batch = write(folder / "night", prompts)
    with closing(Reader(batch)) as reader:
        selects = choose(reader.clips(), {}, lambda *_: True, batch / "clips")
    report = ClientReport.new("2026-11-27T18:00:00.000Z")
    client.write(selects, folder / "out", report, KeptFindings(batch), title=EVIL, shown={"prompts"})
    return batch, folder / "out" / "index.html"


@pytest.fixture
def opened_page(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Gives what opens the page in one browser context; afterwards no script failed and the policy forbade nothing."""
    batch, index = made(tmp_path)
    assert batch.exists()
    wrong: list[str] = []
    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        context.add_init_script(_WATCH)

        def dismiss(dialog: Dialog) -> None:
            wrong.append(dialog.message)
            dialog.dismiss()

        def open_it(init: str = "") -> Page:
            page = context.new_page()
            page.set_default_timeout(15_000)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("dialog", dismiss)
            if init:
                page.add_init_script(init)
            page.goto(index.as_uri())
            page.locator(".clip").first.wait_for()
            return page

        yield open_it
        assert [page.evaluate("window.forbidden") for page in context.pages] == [[]] * len(context.pages)
    assert wrong == []


def sent(page: Page, name: str, folder: Path) -> Path:
    """Send the picks under a name; gives the file."""
    page.get_by_label("Your name").fill(name)
    with page.expect_download() as download:
        page.get_by_role("button", name="Send my picks").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_what_a_client_chooses_by_keys_comes_back_and_is_imported(
    opened_page: Callable[..., Page], tmp_path: Path
) -> None:
    """The whole way: keys, a reload, a file, and the choices of the batch."""
    page = opened_page()
    page.locator(".clip").first.focus()
    for key in ("p", "4", "ArrowRight", "x", "n"):
        page.keyboard.press(key)
    page.keyboard.type("p1 too dark")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("2")
    expect(page.locator("#count")).to_contain_text("1 picked, 1 rejected, 4 open · not sent yet")
    page.wait_for_timeout(500)  # what is kept is on its way to the browser's other process
    page.reload()
    expect(page.locator("#count")).to_contain_text("1 picked, 1 rejected, 4 open")
    path = sent(page, "Anna  Ö.", tmp_path)
    assert path.name == "picks-anna-ö.json"
    expect(page.locator("#count")).to_have_text("1 picked, 1 rejected, 4 open")
    batch, file = tmp_path / "night", answers.read(path)
    with closing(Picks(batch)) as picks, closing(Reader(batch)) as reader:
        names = {clip.key: clip.name for clip in reader.known()}
        answers.merge(picks, file, reports_of(batch)[0].keys(names))
        chosen = {names[key]: (each.pick, each.stars, each.note) for key, each in picks.all().items()}
    first = NIGHT[0].id
    assert chosen == {f"{first}_1": (1, 4, ""), f"{first}_2": (-1, 0, "p1 too dark"), f"{first}_3": (0, 2, "")}
    assert file.reviewer == "Anna Ö."


def test_films_play_from_the_folder_one_at_a_time(opened_page: Callable[..., Page]) -> None:
    page = opened_page()
    page.evaluate("for (const video of document.querySelectorAll('video')) video.muted = true")
    cards = page.locator(".clip")
    for at in (0, 1):
        cards.nth(at).focus()
        page.keyboard.press("Space")
        expect(cards.nth(at).locator("video")).to_have_js_property("paused", value=False)
    expect(cards.nth(0).locator("video")).to_have_js_property("paused", value=True)
    expect(cards.nth(1).locator("video")).to_have_js_property("videoWidth", 832)


def test_texts_of_the_batch_are_texts(opened_page: Callable[..., Page]) -> None:
    page = opened_page()
    expect(page.get_by_role("heading", level=1)).to_have_text(EVIL)
    expect(page.locator(".facts.prompt").first).to_have_text(EVIL)
    assert page.locator("img").count() == 0
    expect(page.locator("header")).to_contain_text("AI-generated")


def test_a_browser_that_keeps_nothing_says_so_and_sends_all_the_same(
    opened_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = opened_page("Object.defineProperty(window, 'localStorage', { get() { throw new Error('forbidden'); } });")
    expect(page.get_by_role("alert")).to_contain_text("send your picks before you close it")
    page.get_by_role("button", name="✓ Pick").first.click()
    assert len(answers.read(sent(page, "Ben", tmp_path)).answers) == 1


def test_two_tabs_keep_what_each_has_chosen(opened_page: Callable[..., Page], tmp_path: Path) -> None:
    one, two = opened_page(), opened_page()
    one.get_by_role("button", name="✓ Pick").nth(0).click()
    two.get_by_role("button", name="✗ Reject").nth(1).click()
    expect(one.locator("#count")).to_contain_text("1 picked, 1 rejected")
    expect(two.locator("#count")).to_contain_text("1 picked, 1 rejected")
    assert len(answers.read(sent(two, "Ben", tmp_path)).answers) == 2


def test_nothing_is_sent_without_a_name_or_without_an_answer(opened_page: Callable[..., Page]) -> None:
    page = opened_page()
    send = page.get_by_role("button", name="Send my picks")
    send.click()
    expect(page.locator("#said")).to_have_text("Write your name first.")
    expect(page.get_by_label("Your name")).to_be_focused()
    page.keyboard.type("Anna")
    send.click()
    expect(page.locator("#said")).to_contain_text("Nothing to send yet")


def test_the_text_to_copy_is_what_the_file_has(opened_page: Callable[..., Page], tmp_path: Path) -> None:
    """Where a browser saves no file, the text goes into a mail."""
    page = opened_page()
    page.get_by_role("button", name="✓ Pick").first.click()
    path = sent(page, "Anna", tmp_path)
    page.get_by_text("Copy this text into a mail").click()
    assert page.get_by_label("Your picks as text").input_value() == path.read_text()


def test_filters_show_a_part_and_say_when_there_is_none(opened_page: Callable[..., Page]) -> None:
    page = opened_page()
    page.get_by_role("button", name="Picked").click()
    expect(page.locator("#empty")).to_be_visible()
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_role("button", name="✓ Pick").nth(1).click()
    page.get_by_role("button", name="Open").click()
    expect(page.locator(".clip:visible")).to_have_count(5)


@pytest.mark.parametrize("width", [390, 1440])
def test_it_fits_its_screen_and_has_buttons_for_thumbs(opened_page: Callable[..., Page], width: int) -> None:
    page = opened_page()
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    small = page.evaluate(
        "[...document.querySelectorAll('button, input')].filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 44).length"
    )
    assert small == 0
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, textarea, video')].filter((each) => each.checkVisibility() && !(each.ariaLabel || each.textContent.trim() || each.labels?.length)).length"
    )
    assert unnamed == 0


_CHOOSE = """async () => {
  document.querySelector('.clip').dispatchEvent(new KeyboardEvent('keydown', { key: 'p', bubbles: true, cancelable: true }));
  const video = document.querySelector('video');
  video.muted = true;
  await video.play();
  return [document.getElementById('count').textContent, video.videoWidth];
}"""


@pytest.mark.slow
def test_it_works_in_firefox_too(tmp_path: Path) -> None:
    _, index = made(tmp_path)
    (profile := tmp_path / "profile").mkdir()

    async def look() -> Any:
        async with firefox(profile) as tab:
            await tab.open(index.as_uri())
            return await tab.run(_CHOOSE)

    assert asyncio.run(look()) == ["1 picked, 0 rejected, 5 open · not sent yet", 832]


def test_the_review_page_shows_what_reviewers_answered(browser: Browser, tmp_path: Path) -> None:
    """In the panel of the clip, as text, under their names."""
    batch, _ = made(tmp_path)
    with closing(Reader(batch)) as reader:
        key = next(reader.known()).key
    with closing(Picks(batch)) as picks:
        said = {"by": "<b>Anna</b>", "at": "2026-11-27T18:00:00.000Z", "pick": -1, "stars": 2, "note": "too dark"}
        picks.change(key, {"answers": [said]}, by="client:<b>Anna</b>")
    with closing(Served(batch)) as server, opened(browser, server.url) as page:
        expect(page.locator("#panel .answers li")).to_have_text("✗ <b>Anna</b>: ★★ too dark")
