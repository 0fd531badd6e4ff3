"""Settling doubts from the history: a wrong match would lose a paid clip, so every doubt about a doubt counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from fakes import FakeProvider, always, wanted
from virtual_time import wall

from batchgen.clip import AnswerLost, Clip, Lost, SubmitStarted, Submitted, advance
from batchgen.errors import UnsureError
from batchgen.pacer import Pacer
from batchgen.providers.base import Completed, HistoryPage, HistoryRow
from batchgen.reconcile import CLOCK_SKEW_S, LATEST_S, Doubt, Reconciler, agrees, match

T0 = 1_790_000_000.0


def doubt(n: int = 0, *, at: float = T0, sent: Mapping[str, Any] | None = None) -> Clip:
    text = None if sent is None else json.dumps(sent)
    clip = advance(Clip(n + 1, wanted(n)), SubmitStarted(at, held=10, sent=text))
    return advance(clip, AnswerLost("reset"))


def row(clip: Clip, request_id: str = "r1", *, at: float | None = T0 + 1, **changes: Any) -> HistoryRow:
    params = {**json.loads(clip.wanted.params), **changes}
    return HistoryRow(request_id, clip.wanted.model, Completed("u"), params, at)


@pytest.mark.parametrize(
    ("sent", "shown", "same"),
    [
        ({"seed": 5}, {"seed": 5}, True),
        ({"seed": 5}, {"seed": "5"}, True),
        ({"seed": 5}, {"seed": 5.0}, True),
        ({"seed": 5}, {"seed": 6}, False),
        ({"seed": 5}, {}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"on": True}, {"on": "true"}, True),
        ({"on": True}, {"on": True}, True),
        ({"on": True}, {"on": False}, False),
        ({"prompt": "x"}, {"prompt": "x", "prompt_extend": True, "seed": 9}, True),
        ({"prompt": "x"}, {"prompt": " x\r\n"}, True),
        ({"prompt": "a\nb"}, {"prompt": "a\r\nb"}, True),
        ({"prompt": "x"}, {"prompt": "X"}, False),
        ({"negative_prompt": ""}, {}, True),
        ({"negative_prompt": ""}, {"negative_prompt": None}, True),
        ({"negative_prompt": ""}, {"negative_prompt": "blur"}, False),
        ({"audio": None}, {}, True),
        ({"list": [1, 2]}, {"list": [1, 2]}, True),
    ],
)
def test_a_row_shows_what_was_sent(sent: Mapping[str, Any], shown: Mapping[str, Any], same: bool) -> None:
    """Other types, key orders and added defaults are the service's habit; another value is another clip."""
    assert agrees(sent, shown) is same


def test_each_finds_its_own() -> None:
    """Seeds tell takes apart."""
    clips = [doubt(n) for n in range(5)]
    rows = [row(clip, f"r{clip.row}") for clip in reversed(clips)]
    found = match(clips, rows, [])
    assert {n: found[n].request_id for n in found} == {n: f"r{n}" for n in range(1, 6)}


def test_a_row_of_another_clip_is_never_taken() -> None:
    """It was paid for by that one."""
    assert match([doubt(0)], [row(doubt(0), "r1")], ["r1"]) == {}


def test_a_row_without_parameters_matches_nothing() -> None:
    """Nothing may be guessed."""
    blind = replace(row(doubt(0)), params=None)
    assert match([doubt(0)], [blind], []) == {}


def test_a_row_of_another_model_matches_nothing() -> None:
    """The same prompt may go to two models."""
    assert match([doubt(0)], [replace(row(doubt(0)), model="other")], []) == {}


@pytest.mark.parametrize(
    ("offset", "fits"),
    [(0.0, True), (-CLOCK_SKEW_S, True), (-CLOCK_SKEW_S - 1, False), (LATEST_S, True), (LATEST_S + 1, False)],
)
def test_a_row_must_be_of_the_time(offset: float, fits: bool) -> None:
    """Last month's run of the same prompt is another request."""
    assert bool(match([doubt(0)], [row(doubt(0), at=T0 + offset)], [])) is fits


def test_a_row_without_a_date_is_judged_by_what_was_sent() -> None:
    """Some rows have none."""
    assert match([doubt(0)], [row(doubt(0), at=None)], [])


def test_equal_requests_are_matched_in_the_order_of_time_when_the_numbers_agree() -> None:
    """Either row makes the same video."""
    twins = [replace(doubt(0, at=T0), row=1), replace(doubt(0, at=T0 + 20), row=2)]
    rows = [row(twins[0], "late", at=T0 + 21), row(twins[0], "early", at=T0 + 1)]
    found = match(twins, rows, [])
    assert (found[1].request_id, found[2].request_id) == ("early", "late")


@pytest.mark.parametrize("rows", [1, 3])
def test_equal_requests_are_left_in_doubt_when_the_numbers_differ(rows: int) -> None:
    """A wrong match would lose a paid clip, or pay twice."""
    twins = [replace(doubt(0), row=1), replace(doubt(0, at=T0 + 20), row=2)]
    assert match(twins, [row(twins[0], f"r{n}") for n in range(rows)], []) == {}


def test_what_was_sent_counts_where_it_differs_from_the_manifest() -> None:
    """The link of an uploaded audio file is in no manifest."""
    sent = {**json.loads(wanted(0).params), "audio": "https://up/1.mp3"}
    clip = doubt(0, sent=sent)
    assert match([clip], [row(clip, audio="https://up/1.mp3")], [])
    assert match([clip], [row(clip, audio="https://up/2.mp3")], []) == {}


# --- reading the history ------------------------------------------------------------------------------------


async def look(provider: FakeProvider, clips: list[Clip], *, settle_s: float = 7200.0, age: float = 0.0) -> list[Doubt]:
    pacer = Pacer(0)
    task = asyncio.get_running_loop().create_task(pacer.run())
    try:
        await asyncio.sleep(age)
        reconciler = Reconciler(provider, pacer, settle_s=settle_s, taken=set)
        return [doubt async for doubt in reconciler.look(clips, wall())]
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
    assert "counts in" in early.note


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
    reconciler = Reconciler(provider, Pacer(0), settle_s=0.0, taken=lambda: known)
    [one] = [doubt async for doubt in reconciler.look([clip], wall())]
    known.add("r1")
    [two] = [doubt async for doubt in reconciler.look([replace(clip, row=2)], wall())]
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


@pytest.mark.parametrize(
    "shown",
    [
        {"params": None},
        {"params": {"input": {"prompt": "shot 0"}}},
        {"model": "Wan 2.5 (text to video)"},
        {"at": T0 - 19_800.0},
    ],
)
def test_a_row_that_can_not_be_ruled_out_forbids_to_say_absent(shown: dict[str, Any]) -> None:
    """A history in an odd form must not be a reason to pay again."""
    clip = doubt()
    page = HistoryPage([replace(row(clip), **shown)])
    said = Reconciler(FakeProvider(), Pacer(0), settle_s=0.0, taken=set)._said(clip, None, page, set(), T0 + 9_999)
    assert not said.absent


def test_a_date_header_cut_to_whole_seconds_does_not_delay_a_settle_time_of_none() -> None:
    """--history-settle 0 a moment after the kill: what a whole history has not is absent."""
    clip = doubt(at=T0 + 0.7)
    page = HistoryPage([], whole=True, server_time=T0)
    said = Reconciler(FakeProvider(), Pacer(0), settle_s=0.0, taken=set)._said(clip, None, page, set(), T0 + 0.9)
    assert said.absent
