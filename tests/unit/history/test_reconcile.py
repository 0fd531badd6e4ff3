"""Settling doubts from the history: a wrong match would lose a paid clip, so every doubt about a doubt counts."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from doubt_samples import T0, doubt, row

from batchgen.clip import Clip
from batchgen.errors import UnsureError
from batchgen.events import Lost, SubmitStarted, Submitted
from batchgen.history.matching import CLOCK_SKEW_S
from batchgen.history.reconcile import Doubt, Reconciler
from batchgen.history.report import read
from batchgen.providers.base import HistoryPage
from batchgen.providers.paced import PacedProvider
from batchgen.ratelimit.limiter import LocalPacer
from batchgen.states import advance
from batchgen.testing import FakeProvider, always, wall, wanted

# --- reading the history ------------------------------------------------------------------------------------


async def look(
    provider: FakeProvider, clips: list[Clip], *, settle_s: float = 7200.0, age: float = 0.0, **known: Any
) -> list[Doubt]:
    pacer = LocalPacer(0)
    task = asyncio.get_running_loop().create_task(pacer.run())
    try:
        await asyncio.sleep(age)
        reconciler = Reconciler(PacedProvider(provider, pacer), settle_s=settle_s, **{"taken": nothing, **known})
        return [doubt async for doubt in reconciler.check(clips, wall())]
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def posted(provider: FakeProvider, n: int, word: str) -> Clip:
    """A clip in doubt whose POST really went to the service."""
    provider.post = always(word)
    clip = doubt(n, at=wall())
    with suppress(UnsureError):
        await provider.submit(clip.wanted.model, json.loads(clip.wanted.params))
    return clip


async def test_what_was_accepted_is_found_and_what_was_not_is_absent_after_the_settle_time() -> None:
    """The only two things that the history can prove."""
    provider = FakeProvider()
    there, never = await posted(provider, 0, "lost"), await posted(provider, 1, "unsure")
    found, absent = await look(provider, [there, never], age=7300.0)
    assert found.row
    assert found.row.request_id == "r1"
    assert absent.row is None
    assert absent.absent


async def test_absence_does_not_count_before_the_settle_time() -> None:
    """The history may lag behind."""
    provider = FakeProvider()
    [early] = await look(provider, [await posted(provider, 1, "unsure")], age=7000.0)
    assert not early.absent
    assert "conclusive from 2026-09-21 16:13" in early.note


@pytest.mark.parametrize("word", ["down", "part", "blind"])
async def test_a_history_that_can_not_be_read_proves_nothing(word: str) -> None:
    """Unreadable is not absent: a resubmission would pay again."""
    provider = FakeProvider(look=always(word))
    await posted(provider, 0, "ok")
    clip = await posted(provider, 1, "unsure")
    [doubtful] = await look(provider, [clip], age=9000.0)
    assert not doubtful.absent
    assert doubtful.row is None
    assert doubtful.note


async def test_rows_that_look_the_same_leave_it_in_doubt() -> None:
    """Neither found nor absent."""
    provider = FakeProvider()
    clip = await posted(provider, 0, "lost")
    await posted(provider, 0, "lost")
    [doubtful] = await look(provider, [clip], age=9000.0)
    assert doubtful.row is None
    assert not doubtful.absent


@pytest.mark.parametrize("off", [7 * 86_400.0, -3 * 3_600.0])
async def test_where_in_the_history_to_read_is_a_matter_of_the_services_clock(off: float) -> None:
    """Ours was a week behind when the answer was lost, and right by now: the wrong week proved an absence."""
    provider = FakeProvider()
    clip = await posted(provider, 0, "lost")
    assert clip.request
    wrong = replace(clip, request=replace(clip.request, intent_at=clip.request.intent_at - off))
    known = replace(clip, request=replace(clip.request, intent_at=clip.request.intent_at - off, clock_off=off))
    [missed], [found] = await look(provider, [wrong], age=9_000.0), await look(provider, [known])
    assert missed.row is None
    assert found.row
    assert found.row.request_id == "r1"
    assert found.check
    assert found.check.sent_at == known.request.intent_at if known.request else None


async def test_a_lost_clip_is_looked_up_by_its_id() -> None:
    """Whatever its age."""
    provider = FakeProvider()
    await posted(provider, 0, "ok")
    clip = advance(Clip(1, wanted(0)), SubmitStarted(wall()))
    lost = advance(advance(clip, Submitted("r1", wall())), Lost("gone"))
    [found] = await look(provider, [lost], age=90_000.0)
    assert found.row
    assert found.row.request_id == "r1"
    unknown = advance(advance(clip, Submitted("r9", wall())), Lost("gone"))
    [absent] = await look(provider, [unknown], age=9_000.0)
    assert absent.row is None
    assert absent.absent


async def test_what_the_ledger_knows_by_now_is_not_free() -> None:
    """A request of this very run must not be taken for the one in doubt."""
    provider, known = FakeProvider(), set[str]()
    clip = await posted(provider, 0, "lost")

    async def taken() -> set[str]:
        return known

    reconciler = Reconciler(provider, settle_s=0.0, taken=taken)
    [one] = [doubt async for doubt in reconciler.check([clip], wall())]
    known.add("r1")
    [two] = [doubt async for doubt in reconciler.check([replace(clip, row=2)], wall())]
    assert one.row
    assert two.row is None


async def test_hundreds_of_lost_clips_take_one_call() -> None:
    """One lookup each would take the account's rate for a quarter of an hour."""
    provider = FakeProvider(post_s=0.01)
    clips = []
    for n in range(200):
        await posted(provider, n, "ok")
        started = advance(Clip(n + 1, wanted(n)), SubmitStarted(wall()))
        clips.append(advance(advance(started, Submitted(f"r{n + 1}", wall())), Lost("gone")))
    calls = len(provider.calls)
    doubts = await look(provider, clips, age=100.0)
    assert all(doubt.row and doubt.row.request_id == doubt.clip.request_id for doubt in doubts)
    assert len(provider.calls) == calls + 1


# --- what must hold before anything is called absent ----------------------------------------------------------


@dataclass
class Shows(FakeProvider):
    """A history that shows what it is told to, whatever is asked."""

    page: HistoryPage = field(default_factory=HistoryPage)

    async def window(self, model: str, since: float, until: float) -> HistoryPage:
        """Show the page."""
        return self.page


async def said(page: HistoryPage, clip: Clip, *, settle_s: float = 0.0, **known: Any) -> Doubt:
    [one] = await look(Shows(page=page), [clip], settle_s=settle_s, age=9_999.0, **known)
    return one


async def test_an_empty_history_read_whole_proves_an_absence() -> None:
    """What the tests below take away piece by piece."""
    assert (await said(HistoryPage([], True, T0 + 9_999), doubt())).absent


@pytest.mark.parametrize(
    "shown",
    [
        {"params": None},
        {"params": {"input": {"prompt": "shot 0"}}},
        {"params": {"prompt": "shot 0, in other words", "seed": 1000}},
        {"params": {"prompt": "sho", "seed": 1000}},
        {"params": {"prompt": " SHOT  0", "seed": 1000.0}},
        {"model": "Wan 2.5 (text to video)"},
        {"at": T0 - 19_800.0},
    ],
)
async def test_a_row_that_can_not_be_ruled_out_forbids_to_say_absent(shown: dict[str, Any]) -> None:
    """A history in an odd form, with cut or dressed-up prompts, must not be a reason to pay again."""
    one = await said(HistoryPage([replace(row(doubt()), **shown)], True, T0 + 9_999), doubt())
    assert (one.row, one.absent) == (None, False)
    assert one.check
    assert [candidate.request_id for candidate in one.check.candidates] == ["r1"]


async def test_a_history_that_does_not_say_what_time_it_is_proves_no_absence() -> None:
    """Our own clock may have jumped ahead; the settle time is by the service's."""
    one = await said(HistoryPage([], True, None), doubt())
    assert not one.absent
    assert "did not give the time" in one.note


async def test_the_clock_of_the_service_counts_where_ours_is_ahead() -> None:
    """By ours it is hours later, by the service's one hour."""
    one = await said(HistoryPage([], True, T0 + 3_600), doubt(), settle_s=7_200.0)
    assert not one.absent
    assert one.check
    assert (one.check.at, one.check.counts_at) == (T0 + 3_601, T0 + 7_200)


async def test_a_date_header_cut_to_whole_seconds_does_not_delay_a_settle_time_of_none() -> None:
    """--history-settle 0 a moment after the kill: what a whole history has not is absent."""
    assert (await said(HistoryPage([], True, T0), doubt(at=T0 + 0.7))).absent


async def nothing() -> set[str]:
    return set()


async def r7(*_: object) -> set[str]:
    return {"r7"}


async def test_a_history_that_lacks_what_we_know_it_has_proves_nothing() -> None:
    """It filters by another name, or does not list such requests at all: its silence says nothing of the others."""
    one = await said(HistoryPage([], True, T0 + 9_999), doubt(), expected=r7)
    assert not one.absent
    assert "lacks 1" in one.note
    page = HistoryPage([row(doubt(7), "r7")], True, T0 + 9_999)
    assert (await said(page, doubt(), expected=r7)).absent


async def test_only_what_must_be_there_by_now_is_a_witness() -> None:
    """What was made within the settle time may be missing in a history that lags."""
    asked: list[tuple[str, float, float]] = []

    async def expected(*window: Any) -> set[str]:
        asked.append(window)
        return set()

    await said(HistoryPage([], True, T0), doubt(), settle_s=9_700.0, expected=expected)
    [(model, since, until)] = asked
    assert (model, since) == (doubt().wanted.model, T0 - CLOCK_SKEW_S)
    assert until == pytest.approx(T0 + 9_999 - 9_700 - 60, abs=1)


async def test_a_lost_clip_is_absent_only_by_a_whole_history_of_the_right_time() -> None:
    """Its id is unknown to a history that may lag, or be read in part."""
    clip = advance(advance(Clip(1, wanted(0)), SubmitStarted(T0)), Submitted("r9", T0))
    lost = advance(clip, Lost("gone"))
    assert (await said(HistoryPage([], True, T0 + 9_999), lost)).absent
    for page in (HistoryPage([], True, T0 + 60), HistoryPage([], False, T0 + 9_999), HistoryPage([], True, None)):
        assert not (await said(page, lost, settle_s=7_200.0)).absent


# --- one row, one clip ----------------------------------------------------------------------------------------


async def test_a_row_that_names_no_model_is_claimed_once_by_two_models() -> None:
    """The same parameters may go to two models, and one of them was never accepted."""
    one = doubt(0)
    other = replace(one, row=2, wanted=replace(one.wanted, model="other"))
    provider = Shows(page=HistoryPage([replace(row(one), model="")], True, T0 + 1))
    found = await look(provider, [one, other])
    assert [bool(doubt.row) for doubt in found] == [True, False]


async def test_what_another_batch_of_this_machine_has_is_not_free() -> None:
    """It was paid for by that one, and is no candidate either."""
    page = HistoryPage([row(doubt())], True, T0 + 9_999)
    assert (await said(page, doubt())).row
    assert (await said(page, doubt(), elsewhere=lambda: {"r1"})).absent


async def test_a_tie_shows_the_clips_and_the_requests() -> None:
    """Two clips sent the same, one request came of it: a person can decide, if all is side by side."""
    twins = [replace(doubt(0, at=T0), row=1), replace(doubt(0, at=T0 + 20), row=2)]
    one, other = await look(Shows(page=HistoryPage([row(twins[0])], True, T0 + 9_999)), twins, age=9_999.0)
    assert one.check and other.check
    assert [(c.request_id, c.status, c.at) for c in one.check.candidates] == [("r1", "completed", T0 + 1)]
    assert one.check.candidates == other.check.candidates
    assert [rival.sent_at for rival in one.check.rivals] == [T0 + 20]
    assert [rival.sent_at for rival in other.check.rivals] == [T0]
    assert not one.absent
    assert not other.absent


async def test_a_look_can_be_kept_and_read() -> None:
    """`status` shows it without asking the service; an unknown form is no look."""
    one = await said(HistoryPage([row(doubt(), "r1"), row(doubt(), "r2")], True, T0, pages=3), doubt())
    assert one.check
    assert (one.check.pages, one.check.rows, len(one.check.candidates)) == (3, 2, 2)
    assert read(one.check.text()) == one.check
    assert [read(text) for text in ("", "[]", "{}", '{"at": 1}', "null")] == [None] * 5
