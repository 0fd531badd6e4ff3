"""The frame that is labelled is the frame that is shown: a film whose pictures spell their numbers says so."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from film_batch import TAKES
from films import STEPS, WAN, numbered
from playwright.sync_api import Browser
from view_pages import app, reviewing, until

pytestmark = [pytest.mark.e2e, pytest.mark.real_time]

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize("fps", [WAN, pytest.param(NTSC, marks=pytest.mark.slow)], ids=str)
def test_each_frame_of_a_film_is_reached_forward_and_back(browser: Browser, tmp_path: Path, fps: Fraction) -> None:
    films = {"dawn_1": numbered(100, fps), "dawn_2": b"", "dawn_3": b"", "dawn_4": b""}
    with reviewing(browser, tmp_path, TAKES, films=films) as page:
        app(page, f"app.store.get(app.focus).got = {{fps: '{fps}', duration_s: {float(100 / fps)}}}")
        page.keyboard.press("Enter")
        page.keyboard.press("k")
        page.keyboard.press("Home")
        until(page, lambda: app(page, "app.mode.view.films.seeking"), wanted=False)
        found = page.evaluate(STEPS, ["."] * 99 + [","] * 99)
    assert found == [[number, number] for number in [*range(1, 100), *range(98, -1, -1)]]
