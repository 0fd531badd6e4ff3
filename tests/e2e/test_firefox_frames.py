"""Firefox reports the time that was asked for, not the frame's: the loupe's labels are right there too."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from browsing import Served
from film_batch import TAKES, make
from films import STEPS, numbered
from firefox import firefox

pytestmark = [pytest.mark.e2e, pytest.mark.real_time, pytest.mark.slow]

_OPEN_LOUPE = """async () => {
  const { app } = await import('/assets/app.js');
  const plays = document.createElement('video').canPlayType('video/mp4; codecs="avc1.42E01E"');
  if (!plays) throw new Error('this Firefox has no H.264: install libavcodec59');
  const press = key => document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
  while (!app.focus) await new Promise(done => setTimeout(done, 50));
  for (const key of ['Enter', 'k', 'Home']) press(key);
  await app.mode.view.films.now.settled();
}"""


def test_each_frame_of_a_film_is_reached_forward_and_back_in_firefox(tmp_path: Path) -> None:
    found = asyncio.run(_stepped(tmp_path))
    assert found == [[number, number] for number in [*range(1, 100), *range(98, -1, -1)]]


async def _stepped(folder: Path) -> list[list[int]]:
    (profile := folder / "profile").mkdir()
    films = {"dawn_1": numbered(100), "dawn_2": b"", "dawn_3": b"", "dawn_4": b""}
    with closing(Served(await asyncio.to_thread(make, folder, TAKES, films))) as server:
        async with firefox(profile) as tab:
            await tab.open(server.url)
            await tab.run(_OPEN_LOUPE)
            found: list[list[int]] = await tab.run(STEPS, ["."] * 99 + [","] * 99)
            return found
