"""Words that would be code in a careless page: in prompts, ids, tags, notes, file names."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browsing import Served
from playwright.sync_api import Page, expect
from review_batch import Prompt

pytestmark = [pytest.mark.e2e, pytest.mark.real_time]

EVIL = """<img src=x onerror="alert(1)"><script>alert(2)</script>'"><svg onload=alert(3)>"""
HOSTILE = (
    Prompt("a'b&c", EVIL, ("done", "done"), cell={"<b>axis</b>": "<i>value</i>"}),
    Prompt("plain", f"another {EVIL}", ("done", "blocked")),
)


def test_hostile_words_stay_words(serve: Callable[..., Served], open_page: Callable[..., Page]) -> None:
    """They are shown as they are, nothing runs, and the policy has nothing to forbid (`opened` asserts both)."""
    page = open_page(serve(HOSTILE).url)
    for key in ("n", EVIL, "g", EVIL.replace(",", ""), "/", EVIL):
        if len(key) == 1:
            page.keyboard.press(key)
            continue
        page.keyboard.insert_text(key)
        page.keyboard.press("Enter")
    page.locator('body[data-waiting="0"]').wait_for()
    expect(page.locator("#panel .prompt")).to_have_text(EVIL)
    expect(page.locator("#panel textarea")).to_have_value(EVIL)
    expect(page.locator("#rail .facets")).to_contain_text(EVIL)
    expect(page.locator("#toolbar .summary")).to_have_text("4 clips")
    assert "q=" in page.url
    page.locator(".group").first.click()
    page.reload()
    expect(page.locator(".group .words").first).to_have_text(EVIL)
    assert page.locator("#panel img, #rail img, .group img, script:not([src])").count() == 0


def test_a_film_with_an_odd_name_plays(serve: Callable[..., Served], open_page: Callable[..., Page]) -> None:
    """Quotes and ampersands in a file's name are part of its address, and end nothing."""
    page = open_page(serve(HOSTILE).url)
    expect(page.locator(".card.focused video.on")).to_have_count(1)
