"""Trouble at a file host is about the host: files are waited for as long as the service keeps them."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from batch import Batch, Limits, check

from batchgen.clip import State
from batchgen.errors import Exit
from batchgen.events import Generated, Lost
from batchgen.providers.base import Capabilities
from batchgen.runner.file_hosts import FAILING_CLIPS
from batchgen.selection import Selection
from batchgen.testing import COST, FakeDownloads, FakeProvider, always, first

#: 403; HTML or garbage with 200; a redirect to a private address; no connection, TLS.
KINDS = ["dead", "broken", "refused", "trouble"]
DAY_S = 86400.0
SOON = Limits(give_up_s=1800.0)


def _until(seconds: float, word: str) -> FakeDownloads:
    """All downloads of the first seconds after the first one meet the same."""
    began: list[float] = []

    def meets(_: str) -> str:
        now = asyncio.get_running_loop().time()
        began.append(now)
        return word if now < began[0] + seconds else "ok"

    return FakeDownloads(meets=meets)


def _meets_last(kind: str, url: str) -> str:
    return kind if url.endswith("/r4.mp4") else "ok"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seconds", [12.0, 600.0])
def test_trouble_at_the_host_is_waited_out_by_the_same_run(tmp_path: Path, kind: str, seconds: float) -> None:
    """Seconds or minutes of it lost paid clips for good; the links stay the same all the time."""
    batch = Batch(tmp_path, 8, downloads=_until(seconds, kind))
    life = batch.live()
    assert batch.states() == [State.DONE] * 8
    assert not [event for _, event in life.events if isinstance(event, Lost)]
    assert [life.names(f"k{n}.1").count("Generated") for n in range(8)] == [1] * 8
    check(batch, life)


@pytest.mark.parametrize("kind", KINDS)
def test_while_a_host_is_dead_submissions_stop_and_the_next_run_fetches_all(tmp_path: Path, kind: str) -> None:
    """80 clips were paid for while not one download worked, and offered to be paid for again."""
    downloads = FakeDownloads(meets=always(kind))
    batch = Batch(tmp_path, 80, downloads=downloads, limits=replace(SOON, in_flight=4))
    life = batch.live()
    sent = len(batch.provider.posts)
    assert sent <= 4 + FAILING_CLIPS + 5  # in flight, downloads that failed, those between the gate and the POST
    assert life.exit is Exit.STOPPED
    assert life.why.startswith("outage: downloads from files.example fail since ")
    assert Counter(batch.states()) == {State.DOWNLOADING: sent, State.PENDING: 80 - sent}
    assert SOON.give_up_s <= life.lasted_s < SOON.give_up_s + 300.0
    assert len(downloads.asked) < 4 * sent + SOON.give_up_s / 30.0  # one at a time, a minute apart
    check(batch, life)
    downloads.meets = always("ok")
    life = batch.live()
    assert batch.states() == [State.DONE] * 80
    assert len(batch.provider.posts) == 80
    assert batch.money().spent == 80 * COST
    check(batch, life)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("clips", [1, 2])
def test_a_small_batch_waits_for_its_host_as_long_as_a_large_one(tmp_path: Path, kind: str, clips: int) -> None:
    """It has no third clip to prove by that it is the host; it left after 15 minutes, and did not say what for."""
    batch = Batch(tmp_path, clips, downloads=FakeDownloads(meets=always(kind)), limits=SOON)
    life = batch.live()
    assert life.exit is Exit.STOPPED
    assert life.why.startswith("outage: downloads from files.example fail since ")
    assert SOON.give_up_s <= life.lasted_s < SOON.give_up_s + 300.0
    assert batch.states() == [State.DOWNLOADING] * clips
    check(batch, life)
    batch.downloads = _until(1_500.0, kind)
    life = batch.live()
    assert (life.exit, batch.states()) == (None, [State.DONE] * clips)
    check(batch, life)


def test_the_last_clips_link_is_its_own_trouble_and_the_last_clips_host_is_waited_for(tmp_path: Path) -> None:
    """39 files have come: a dead link says nothing of the host, a connection that fails does."""
    for name, kind, waited_s in (("link", "dead", 900.0), ("host", "trouble", SOON.give_up_s)):
        (tmp_path / name).mkdir()
        downloads = FakeDownloads(meets=partial(_meets_last, kind))
        batch = Batch(tmp_path / name, 4, downloads=downloads, limits=replace(SOON, in_flight=1))
        life = batch.live()
        assert Counter(batch.states()) == {State.DONE: 3, State.DOWNLOADING: 1}
        assert life.exit is (Exit.STOPPED if kind == "trouble" else None)
        assert waited_s <= life.lasted_s < waited_s + 4 * 60.0 + 300.0 + 4 * 220.0
        check(batch, life)


def test_the_gate_opens_when_one_file_has_come(tmp_path: Path) -> None:
    """A probe is a file that is to be fetched anyway; nothing is sent to see whether the host is well."""
    batch = Batch(tmp_path, 30, downloads=_until(400.0, "dead"), limits=Limits(in_flight=4))
    life = batch.live()
    assert batch.states() == [State.DONE] * 30
    times = [at for at, _ in batch.provider.posts]
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) > 200.0
    check(batch, life)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [("r1",), ("r1", "r2", "r9")])
def test_bad_links_of_single_clips_hold_no_other_up(tmp_path: Path, kind: str, bad: tuple[str, ...]) -> None:
    """Their clips stay downloading, for the next run; nothing offers to pay for them again."""
    downloads = FakeDownloads(meets=lambda url: kind if url.split("/")[-1][:-4] in bad else "ok")
    batch = Batch(tmp_path, 40, downloads=downloads, limits=Limits(in_flight=2))
    life = batch.live()
    assert Counter(batch.states()) == {State.DONE: 40 - len(bad), State.DOWNLOADING: len(bad)}
    assert life.exit is None
    assert len(life.tools.left) == len(bad)
    assert life.lasted_s < 40 * 60.0 / 2 + 1_800.0
    check(batch, life)
    downloads.meets = always("ok")
    life = batch.live()
    assert batch.states() == [State.DONE] * 40
    check(batch, life)


@pytest.mark.parametrize("kind", ["dead", "broken", "refused"])
def test_a_file_is_lost_only_when_its_life_is_over(tmp_path: Path, kind: str) -> None:
    """Each run tries, for as long as the provider's capabilities say that the file is kept."""
    provider = FakeProvider(capabilities=Capabilities(file_s=3 * DAY_S))
    batch = Batch(tmp_path, 1, provider=provider, downloads=FakeDownloads(meets=always(kind)), limits=SOON)
    for _ in range(3):
        life = batch.live()
        assert batch.states() == [State.DOWNLOADING]
        check(batch, life)
        batch.clock += 0.9 * DAY_S
    batch.clock += DAY_S
    asked = len(batch.downloads.asked)
    life = batch.live()
    assert batch.states() == [State.LOST]
    assert len(batch.downloads.asked) == asked + 1
    assert (batch.money().spent, batch.money().reserved) == (COST, 0)
    check(batch, life)


def test_a_lost_clip_is_tried_again_by_every_run_and_never_paid_for_while_it_can_be_fetched(tmp_path: Path) -> None:
    """One GET; its link may work although the service promises it no longer."""
    batch = Batch(tmp_path, 1, downloads=FakeDownloads(meets=always("dead")), limits=SOON)
    batch.live()
    batch.clock += 8 * DAY_S
    batch.live()
    assert batch.states() == [State.LOST]
    asked = len(batch.downloads.asked)
    batch.live()
    assert len(batch.downloads.asked) == asked + 1
    batch.downloads.meets = always("ok")
    life = batch.live(Selection(resubmit_lost=True))
    assert batch.states() == [State.DONE]
    assert len(batch.provider.posts) == 1
    check(batch, life)


def test_what_an_earlier_release_gave_up_within_its_life_is_fetched(tmp_path: Path) -> None:
    """It called links dead for good after seconds of trouble."""
    batch = Batch(tmp_path, 2)
    batch.live()
    with closing(sqlite3.connect(batch.folder / "ledger.db")) as db, db:
        db.execute("UPDATE clip SET state='lost', file=NULL, bytes=NULL, sha256=NULL")
        db.execute("UPDATE request SET outcome='lost'")
    for path in (batch.folder / "clips").iterdir():
        path.unlink()
    life = batch.live()
    assert batch.states() == [State.DONE] * 2
    assert len(batch.provider.posts) == 2
    check(batch, life)


@pytest.mark.parametrize("inline", [False, True])
def test_a_renewed_link_is_tried_and_what_the_service_itself_has_no_more_is_lost(tmp_path: Path, inline: bool) -> None:
    """A video that was the answer lives as long as its record; another file may live on."""
    provider = FakeProvider(fate=always("inline") if inline else always("done"), keeps_s=62.0, spread=0.0)
    batch = Batch(tmp_path, 1, provider=provider, downloads=FakeDownloads(meets=first("dead")), limits=SOON)
    provider.get = lambda job: "gone" if inline and job and asyncio.get_running_loop().time() > 61.5 else "ok"
    batch.live()
    assert batch.states() == [State.LOST if inline else State.DONE]


def test_an_expired_link_is_renewed_at_once(tmp_path: Path) -> None:
    """Links live for minutes: the service gives another one, and nobody waits for the old one."""
    batch = Batch(tmp_path, 1, downloads=FakeDownloads(meets=lambda url: "ok" if url.endswith("r1.mp4") else "dead"))
    asked = iter(["https://files.example/expired"])
    batch.provider.links = lambda job: (next(asked, job.url),)
    life = batch.live()
    assert batch.states() == [State.DONE]
    assert life.lasted_s < 60.0 + 30.0
    check(batch, life)


def test_a_film_behind_the_second_link_of_an_answer_is_fetched_and_its_link_kept(tmp_path: Path) -> None:
    """What is chosen by its name may be a picture; the bytes decide."""
    provider = FakeProvider()
    downloads = FakeDownloads(meets=lambda url: "broken" if url.endswith("cover") else "ok")
    batch = Batch(tmp_path, 1, provider=provider, downloads=downloads)
    provider.links = lambda job: ("https://files.example/cover", job.url)
    life = batch.live()
    assert batch.states() == [State.DONE]
    assert downloads.asked == ["https://files.example/cover", "https://files.example/r1.mp4"]
    assert [event.url for _, event in life.events if isinstance(event, Generated)] == downloads.asked
    check(batch, life)
