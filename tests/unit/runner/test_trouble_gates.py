"""Telling the service's trouble from a clip's: what closes the service's gate, and what opens it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from batchgen.runner.context import Candidate, RunContext
from batchgen.runner.trouble_gates import NEVER_STOP, REFUSED_CLIPS, UNSURE_FEW, UNSURE_MOST, ServiceGate
from batchgen.testing import wanted

ERROR = "500 internal error"
PAGE = ("503 maintenance", 30.0)
CANDIDATE = Candidate(1, (1, 0, 0, 1), wanted(0), "class")


def gate(out: int = 0) -> ServiceGate:
    return ServiceGate(cast("RunContext", SimpleNamespace(dice=lambda: 1.0, give_up_s=7200.0, posts_out=out)))


def closed(one: ServiceGate) -> bool:
    return one.closed_for(CANDIDATE, 0.0) is not None


async def test_one_clip_that_meets_500s_is_to_blame_itself() -> None:
    """A bad parameter answers so every time."""
    one = gate()
    assert not any(one.refused(1, ERROR) for _ in range(50))
    assert not one.careful
    assert not closed(one)


async def test_many_clips_that_meet_500s_are_not_to_blame() -> None:
    """An outage must not fail a night clip by clip."""
    one = gate()
    blamed = [one.refused(row, ERROR) for row in range(REFUSED_CLIPS + 2)]
    assert blamed == [False] * (REFUSED_CLIPS - 1) + [True] * 3
    assert closed(one)


async def test_waits_grow_while_trouble_lasts_and_its_start_stays() -> None:
    """When to give up counts from the first sign."""
    one, waits = gate(), []
    loop = asyncio.get_running_loop()
    for n in range(12):
        one.refused(n, ERROR)
        if not one.refusals.closed:
            waits.append(one.refusals.until - loop.time())
            await asyncio.sleep(waits[-1])
    assert waits == sorted(waits)
    assert waits[0] < waits[-1] <= 60.0
    assert one.refusals.lasted_s(loop.time()) == pytest.approx(sum(waits), abs=0.1)


async def test_a_streak_without_clear_answers_closes_the_gate_for_as_long_as_is_asked_for() -> None:
    """Each unclear POST puts money in doubt; the page says how long."""
    one, seen = gate(), []
    for _ in range(UNSURE_FEW):
        one.unsure(*PAGE)
        seen.append((one.careful, closed(one)))
    assert seen == [(False, False)] * (UNSURE_FEW - 1) + [(True, True)]
    assert 30.0 <= one.silence.until - asyncio.get_running_loop().time() <= 33.0
    assert one.why == "503 maintenance"
    await asyncio.sleep(40.0)
    assert closed(one)  # until a GET was answered


@pytest.mark.parametrize("unsure", range(UNSURE_FEW))
async def test_what_is_in_doubt_and_on_its_way_is_never_more_than_eight(unsure: int) -> None:
    """Only a run without any doubt may have more POSTs out."""
    for out in range(2 * UNSURE_MOST):
        one = gate(out)
        for _ in range(unsure):
            one.unsure(*PAGE)
        assert closed(one) == (unsure > 0 and out + unsure >= UNSURE_MOST)


async def test_one_acceptance_ends_all_suspicion() -> None:
    """The service works."""
    one = gate()
    for n in range(30):
        one.refused(n, ERROR)
        one.unsure(*PAGE)
    one.accepted()
    assert (one.careful, closed(one)) == (False, False)
    one.unsure(*PAGE)
    assert not closed(one)


async def test_a_clip_that_was_refused_while_others_were_accepted_is_to_blame() -> None:
    """Bad clips that are left over at the end of a night must not pass for an outage of hours."""
    one = gate()
    bad = range(REFUSED_CLIPS + 1)
    for row in bad:
        one.refused(row, ERROR)
    one.accepted()
    assert [one.refused(row, ERROR) for row in bad] == [False] * len(bad)


async def test_a_run_that_never_had_anything_accepted_gives_up_after_so_many_tries() -> None:
    """A bad value in the defaults answers 500 every time; hours of tries would not change it."""
    one, loop = gate(), asyncio.get_running_loop()
    for n in range(REFUSED_CLIPS - 1 + NEVER_STOP):
        assert not closed(one)
        one.refused(n % 8, ERROR)
        await asyncio.sleep(max(0.0, one.refusals.until - loop.time()))
    assert closed(one)
    one.accepted()
    assert not closed(one)
