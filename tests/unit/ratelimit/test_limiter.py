"""The one limiter: never more than the rate in any minute, nobody starves, one pause for all, one scout."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from batchgen.errors import RateLimited, Unreachable
from batchgen.ratelimit.adaptive_rate import CallRecord
from batchgen.ratelimit.base import Call, SubmissionStoppedError
from batchgen.ratelimit.limiter import LocalPacer, LocalPermit
from batchgen.testing import VirtualTimeLoop


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def running(pacer: LocalPacer) -> AsyncIterator[LocalPacer]:
    task = asyncio.get_running_loop().create_task(pacer.run())
    try:
        yield pacer
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def stray(pacer: LocalPacer, call: Call = Call.POLL) -> LocalPermit:
    """A permit of long ago, whose answer comes only now."""
    return LocalPermit(CallRecord(0.0, 0, call, recent=False), pacer)


def limited(permit: LocalPermit, retry_after: float | None) -> None:
    """Its call was one too many."""
    permit.pacer.report(permit.record, RateLimited("429", retry_after=retry_after))


def unreachable(pacer: LocalPacer) -> None:
    """Some call never left this machine."""
    pacer.report(stray(pacer).record, Unreachable("no route to host"))


def reached(pacer: LocalPacer) -> None:
    """Some call was answered."""
    stray(pacer).answered()


def accepted(pacer: LocalPacer) -> None:
    """Some submission was accepted."""
    stray(pacer, Call.SUBMIT).answered()


def most_in_a_minute(times: list[float]) -> int:
    """The most calls in any 60 seconds (a sliding window)."""
    best, start = 0, 0
    for end, at in enumerate(times):
        while times[start] <= at - 60.0:
            start += 1
        best = max(best, end - start + 1)
    return best


async def asking(pacer: LocalPacer, times: list[float], call: Call, until: float) -> None:
    while now() < until:
        await pacer.acquire(call)
        times.append(now())


@pytest.mark.parametrize("rpm", [1, 1.5, 2, 2.5, 5, 5.3, 10, 50, 59.5, 120, 1000])
async def test_no_minute_sees_more_than_the_rate(rpm: float) -> None:
    """`AsyncLimiter(rpm, 60)` lets nearly twice the rate through in its first minute."""
    times: list[float] = []
    async with running(LocalPacer(rpm)) as pacer, asyncio.TaskGroup() as group:
        for call in (Call.SUBMIT, Call.POLL, Call.COLLECT, Call.SUBMIT):
            group.create_task(asking(pacer, times, call, 300.0))
    assert most_in_a_minute(times) <= rpm
    assert len(times) >= 0.9 * int(rpm) * 5


async def test_a_rate_below_one_a_minute_is_kept_and_no_429_speeds_it_up() -> None:
    """Half a call a minute: one in two minutes."""
    times: list[float] = []
    async with running(LocalPacer(0.5, dice=lambda: 0.0)) as pacer:
        await asking(pacer, times, Call.SUBMIT, now() + 1200)
        for _ in range(3):
            limited(await pacer.acquire(Call.SUBMIT), 0.0)
            times.append(now())
            assert pacer.snapshot().rpm == 0.5
        await asking(pacer, times, Call.SUBMIT, now() + 1200)
    assert min(after - before for before, after in itertools.pairwise(times)) >= 120.0
    assert len(times) >= 20


async def test_an_idle_hour_saves_up_no_burst() -> None:
    """The limit is spaced, not a bucket."""
    times: list[float] = []
    async with running(LocalPacer(60)) as pacer:
        await pacer.acquire(Call.SUBMIT)
        await asyncio.sleep(3600)
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(asking(pacer, times, Call.SUBMIT, now() + 60))
    assert most_in_a_minute(times) <= 60


async def test_a_rate_of_0_takes_the_limit_off() -> None:
    """--rpm 0, for a service without one."""
    async with running(LocalPacer(0)) as pacer:
        for _ in range(1000):
            await pacer.acquire(Call.SUBMIT)
        assert now() < 1.0
        limited(stray(pacer), 30.0)
        await pacer.acquire(Call.SUBMIT)
        assert now() >= 30.0


async def test_uncounted_polls_cost_no_rate() -> None:
    """Where the account's limit does not count them, submissions get all of it."""
    async with running(LocalPacer(1, count_polls=False)) as pacer:
        for _ in range(100):
            await pacer.acquire(Call.POLL)
            await pacer.acquire(Call.COLLECT)
        assert now() < 1.0
        await pacer.acquire(Call.SUBMIT)
        await pacer.acquire(Call.SUBMIT)
        assert now() > 60.0


@pytest.mark.parametrize("hungry", list(Call))
@pytest.mark.parametrize("patient", list(Call))
async def test_no_class_starves_another(hungry: Call, patient: Call) -> None:
    """A hundred polls that ask without end don't keep a submission waiting for ever, nor the other way round."""
    got: list[float] = []
    async with running(LocalPacer(60)) as pacer:
        crowd = [asyncio.get_running_loop().create_task(asking(pacer, [], hungry, 1e9)) for _ in range(30)]
        await asyncio.sleep(10)
        asked = now()
        await pacer.acquire(patient)
        got.append(now() - asked)
        for task in crowd:
            task.cancel()
    assert got[0] <= 60 + 35


async def test_what_is_about_to_expire_goes_first() -> None:
    """A link that is lost was paid for; a submission that waits costs nothing."""
    order: list[Call] = []

    async def ask(pacer: LocalPacer, call: Call) -> None:
        await pacer.acquire(call)
        order.append(call)

    async with running(LocalPacer(60)) as pacer:
        await pacer.acquire(Call.POLL)
        async with asyncio.TaskGroup() as group:
            for call in (Call.HISTORY, Call.POLL, Call.SUBMIT, Call.COLLECT):
                group.create_task(ask(pacer, call))
    assert order == [Call.COLLECT, Call.SUBMIT, Call.POLL, Call.HISTORY]


async def test_a_429_lets_all_wait_as_long_as_the_server_asks() -> None:
    """One pause, shared."""
    async with running(LocalPacer(600, dice=lambda: 0.0)) as pacer:
        limited(await pacer.acquire(Call.POLL), 45.0)
        start = now()
        for call in (Call.SUBMIT, Call.POLL, Call.COLLECT):
            await pacer.acquire(call)
            assert now() - start >= 45.0


async def test_an_answer_in_an_outage_does_not_end_what_a_429_asked_for() -> None:
    """Three calls are out: one is told to wait, one is cut off, and one is answered."""
    async with running(LocalPacer(50, dice=lambda: 0.5)) as pacer:
        limited(await pacer.acquire(Call.POLL), 100.0)
        told = now()
        unreachable(pacer)
        reached(pacer)
        assert pacer.snapshot().why_paused == "the API asked us to slow down"
        await pacer.acquire(Call.POLL)
        assert now() >= told + 100.0


async def test_an_outage_in_a_pause_is_told_as_such_when_the_pause_is_over() -> None:
    """And one goes first all the same."""
    got: list[float] = []
    async with running(LocalPacer(600, dice=lambda: 0.5)) as pacer:
        limited(await pacer.acquire(Call.POLL), 10.0)
        unreachable(pacer)
        crowd = [asyncio.ensure_future(asking(pacer, got, Call.POLL, 1e9)) for _ in range(5)]
        await asyncio.sleep(20)
        assert (len(got), pacer.snapshot().why_paused) == (1, "the API can't be reached")
        reached(pacer)
        await asyncio.sleep(2)
        assert len(got) > 5
        for task in crowd:
            task.cancel()


async def test_a_429_without_a_hint_waits_longer_each_time() -> None:
    """Exponential, with full jitter."""
    waits = []
    async with running(LocalPacer(0, dice=lambda: 1.0)) as pacer:
        for _ in range(5):
            permit = await pacer.acquire(Call.SUBMIT)
            start = now()
            limited(permit, None)
            await pacer.acquire(Call.SUBMIT)
            waits.append(round(now() - start, 1))
        assert waits == [2.0, 4.0, 8.0, 16.0, 32.0]
        accepted(pacer)
        limited(await pacer.acquire(Call.SUBMIT), None)
        assert pacer.snapshot().paused_until - now() == pytest.approx(2.0, abs=0.01)


async def test_a_burst_of_429s_halves_the_rate_once() -> None:
    """Eight calls that were out together are one mistake, not eight."""
    async with running(LocalPacer(80)) as pacer:
        permits = [await pacer.acquire(Call.SUBMIT) for _ in range(8)]
        for permit in permits:
            limited(permit, 1.0)
        assert pacer.snapshot().rpm == 40
        await asyncio.sleep(40)
        limited(await pacer.acquire(Call.SUBMIT), 1.0)
        assert pacer.snapshot().rpm == 40  # its window is still full of what was too much
        await asyncio.sleep(60)
        limited(await pacer.acquire(Call.SUBMIT), 1.0)
        assert pacer.snapshot().rpm == 20


async def test_the_rate_never_falls_to_nothing() -> None:
    """A night at one call a minute is still a night."""
    async with running(LocalPacer(50, dice=lambda: 0.0)) as pacer:
        for _ in range(20):
            limited(await pacer.acquire(Call.SUBMIT), 0.0)
            assert pacer.snapshot().rpm >= 1.0
            await asyncio.sleep(60)
        assert pacer.snapshot().rpm < 10.0


async def test_a_rate_in_use_grows_back_to_the_ceiling_and_no_further() -> None:
    """A minute that did not use the rate proves nothing; one that did leads near what was refused, and slowly on."""
    times: list[float] = []
    async with running(LocalPacer(60)) as pacer:
        await asking(pacer, [], Call.SUBMIT, now() + 60)
        limited(await pacer.acquire(Call.SUBMIT), 1.0)
        assert pacer.snapshot().rpm == 30
        await asyncio.sleep(3600)
        await pacer.acquire(Call.SUBMIT)
        assert pacer.snapshot().rpm == 30
        await asking(pacer, times, Call.SUBMIT, now() + 120)
        assert 55 < pacer.snapshot().rpm < 56
        await asking(pacer, times, Call.SUBMIT, now() + 400)
        assert 56 < pacer.snapshot().rpm < 58
        await asking(pacer, times, Call.SUBMIT, now() + 7200)
        assert pacer.snapshot().rpm == 60
    assert most_in_a_minute(times) <= 60


@pytest.mark.parametrize("storm_s", [300, 600])
async def test_a_storm_of_429s_does_not_hold_the_night_down(storm_s: float) -> None:
    """However slow it got: at one a minute, every call is a minute that was used."""
    pacer = LocalPacer(50, dice=lambda: 0.5)

    async def work() -> None:
        while True:
            permit = await pacer.acquire(Call.SUBMIT)
            if now() < storm_s:
                limited(permit, None)

    async with running(pacer), asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(8)]
        await asyncio.sleep(storm_s)
        assert pacer.snapshot().rpm < 2
        await asyncio.sleep(15 * 60.0)
        assert pacer.snapshot().rpm > 46
        await asyncio.sleep(15 * 60.0)
        assert pacer.snapshot().rpm == 50
        for worker in workers:
            worker.cancel()


async def test_a_call_let_through_before_the_storm_tells_nothing_of_the_storm() -> None:
    """A refusal that took a minute to come counts back beyond the one before it."""
    async with running(LocalPacer(60, dice=lambda: 0.0)) as pacer:
        await asking(pacer, [], Call.SUBMIT, now() + 60)
        limited(await pacer.acquire(Call.SUBMIT), 0.0)
        slow = await pacer.acquire(Call.SUBMIT)
        await asyncio.sleep(60)
        limited(slow, 0.0)
        assert pacer.snapshot().rpm == 15
        await asking(pacer, [], Call.SUBMIT, now() + 180)
        assert pacer.snapshot().rpm == pytest.approx(0.93 * 60)


@pytest.mark.parametrize("start", [(1.0, 0.93), (4.0, 4.0)])
async def test_a_night_that_starts_very_slow_grows_too(start: tuple[float, float]) -> None:
    """By memory; an older release learned such rates."""
    async with running(LocalPacer(50, start=start)) as pacer:
        await asking(pacer, [], Call.SUBMIT, 45 * 60.0)
        assert pacer.snapshot().rpm == 50


async def test_after_a_429_no_minute_holds_more_than_the_one_that_was_refused_let_through() -> None:
    """The window is still full of what was too much; a second refusal would be in vain."""
    times: list[float] = []
    refused = []
    async with running(LocalPacer(120, dice=lambda: 0.0)) as pacer:
        while now() < 3600:
            permit = await pacer.acquire(Call.SUBMIT)
            if sum(at > now() - 60.0 for at in times) >= 40:
                refused.append(now())
                limited(permit, None)
            else:
                times.append(now())
    assert len(refused) <= 6
    assert len(times) >= 0.92 * 40 * 60


async def test_a_429_that_comes_while_a_call_waits_for_room_is_waited_for() -> None:
    """The limiter is a new one then."""
    async with running(LocalPacer(10, before=[1.0] * 10, dice=lambda: 0.0)) as pacer:
        waiting = asyncio.get_running_loop().create_task(pacer.acquire(Call.SUBMIT))
        await asyncio.sleep(10)
        limited(stray(pacer), 100.0)
        await waiting
        assert now() >= 110.0


async def test_looks_that_do_not_count_take_no_turn_after_a_pause() -> None:
    """They waited for its end, not for the rate."""
    async with running(LocalPacer(6, count_polls=False, dice=lambda: 0.0)) as pacer:
        limited(await pacer.acquire(Call.SUBMIT), 30.0)
        polls = [asyncio.ensure_future(pacer.acquire(Call.POLL)) for _ in range(100)]
        await asyncio.sleep(31)
        assert all(poll.done() for poll in polls)
        await pacer.acquire(Call.SUBMIT)
        assert now() < 60.0


async def test_a_look_that_does_not_count_waits_for_the_end_of_a_pause_and_no_longer() -> None:
    """Also when it came while a submission waited for the rate, a minute of it."""
    async with running(LocalPacer(1, count_polls=False, dice=lambda: 0.0)) as pacer:
        await pacer.acquire(Call.SUBMIT)
        waiting = asyncio.ensure_future(pacer.acquire(Call.SUBMIT))
        await asyncio.sleep(3)
        limited(stray(pacer), 5.0)
        start = now()
        await pacer.acquire(Call.HURRY)
        assert now() - start == pytest.approx(5.0, abs=0.01)
        assert not waiting.done()
        await waiting


async def test_looks_that_do_not_count_send_one_to_see_in_an_outage() -> None:
    """A hundred that all knock at once are an attack, whatever their limit."""
    async with running(LocalPacer(50, count_polls=False, dice=lambda: 0.5)) as pacer:
        unreachable(pacer)
        crowd = [asyncio.ensure_future(pacer.acquire(Call.POLL)) for _ in range(100)]
        for gone in (1, 2):
            await asyncio.sleep(5)
            assert sum(poll.done() for poll in crowd) == gone
            unreachable(pacer)
        reached(pacer)
        await asyncio.sleep(1)
        assert all(poll.done() for poll in crowd)


async def test_a_refused_look_that_does_not_count_lets_all_wait_and_halves_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One is an accident, and so is one an hour; a burst is one."""
    async with running(LocalPacer(50, count_polls=False, dice=lambda: 1.0)) as pacer:
        for _ in range(5):
            for poll in [await pacer.acquire(Call.POLL) for _ in range(8)]:
                limited(poll, 7.0)
            start = now()
            await pacer.acquire(Call.SUBMIT)
            assert now() - start >= 7.0
            assert (pacer.snapshot().rpm, pacer.snapshot().polls_per_s) == (50, math.inf)
            await asyncio.sleep(3600)
    assert not caplog.records


async def test_looks_that_are_refused_again_and_again_count_after_all(caplog: pytest.LogCaptureFixture) -> None:
    """It is said once; submissions are not slowed down to nothing for what polls do."""
    times: list[float] = []
    refused: list[float] = []
    submits: list[float] = []
    pacer = LocalPacer(50, count_polls=False, dice=lambda: 0.5)

    async def poll() -> None:
        while True:
            permit = await pacer.acquire(Call.POLL)
            await asyncio.sleep(0.1)
            if sum(at > now() - 60.0 for at in times[-20:]) >= 20:
                refused.append(now())
                limited(permit, None)
            else:
                times.append(now())
            await asyncio.sleep(5)

    async with running(pacer), asyncio.TaskGroup() as group:
        tasks = [group.create_task(poll()) for _ in range(32)]
        tasks.append(group.create_task(asking(pacer, submits, Call.SUBMIT, 1e9)))
        await asyncio.sleep(2 * 3600.0)
        for task in tasks:
            task.cancel()
    assert len(caplog.records) == 1
    assert "count_polls" in caplog.text
    assert len([at for at in refused if at > 600.0]) <= 20
    assert len(times) >= 0.8 * 20 * 120
    assert len(submits) >= 0.8 * 20 * 120


async def test_a_look_that_waits_out_the_pause_in_which_it_began_to_count_waits_for_the_rate(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A crowd of them is not let through as if nothing had been learned."""
    async with running(LocalPacer(6, count_polls=False, dice=lambda: 0.0)) as pacer:
        limited(await pacer.acquire(Call.POLL), 5.0)
        limited(await pacer.acquire(Call.POLL), 5.0)
        crowd = [asyncio.ensure_future(pacer.acquire(Call.POLL)) for _ in range(20)]
        await asyncio.sleep(60)
        assert 4 <= sum(each.done() for each in crowd) <= 6
        for each in crowd:
            each.cancel()
    assert caplog.records


async def test_looks_get_all_of_the_rate_while_no_submission_waits_and_the_other_way_round() -> None:
    """Work-conserving: nothing idles while somebody waits."""
    for call in Call:
        times: list[float] = []
        async with running(LocalPacer(60)) as pacer:
            begun = now()
            async with asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(asking(pacer, times, call, begun + 600))
        assert len(times) >= 0.94 * 600


async def test_looks_and_submissions_take_turns_however_many_of_one_wait() -> None:
    """A crowd that ends together would hold submissions back, and the next crowd would end together, too."""
    async with running(LocalPacer(60)) as pacer:
        crowd = [asyncio.ensure_future(asking(pacer, [], Call.POLL, 1e9)) for _ in range(200)]
        await asyncio.sleep(300)
        times: list[float] = []
        await asking(pacer, times, Call.SUBMIT, now() + 120)
        assert len(times) >= 55
        for task in crowd:
            task.cancel()


async def test_stopped_submissions_are_refused_also_those_in_the_queue() -> None:
    """Polls go on: what is in flight is collected."""
    async with running(LocalPacer(1)) as pacer:
        await pacer.acquire(Call.POLL)
        submit = asyncio.get_running_loop().create_task(pacer.acquire(Call.SUBMIT))
        poll = asyncio.get_running_loop().create_task(pacer.acquire(Call.POLL))
        await asyncio.sleep(1)
        pacer.close_submissions()
        with pytest.raises(SubmissionStoppedError):
            await submit
        with pytest.raises(SubmissionStoppedError):
            await pacer.acquire(Call.SUBMIT)
        await poll
        assert now() < 70.0  # the refused one took no turn


async def test_a_cancelled_asker_takes_no_turn() -> None:
    """A grant is a minute's wait at one a minute."""
    async with running(LocalPacer(1)) as pacer:
        await pacer.acquire(Call.POLL)
        gone = asyncio.get_running_loop().create_task(pacer.acquire(Call.COLLECT))
        await asyncio.sleep(1)
        gone.cancel()
        await pacer.acquire(Call.POLL)
        assert now() < 70.0


async def outage(pacer: LocalPacer, ends: float, tries: list[float], *, workers: int = 20) -> None:
    """Workers that try until the API is back."""

    async def work() -> None:
        while True:
            await pacer.acquire(Call.SUBMIT)
            tries.append(now())
            await asyncio.sleep(0.1)
            if now() >= ends:
                reached(pacer)
                return
            unreachable(pacer)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())


@pytest.mark.parametrize("rpm", [0, 600])
async def test_in_an_outage_one_goes_first_to_see_and_all_follow_when_it_is_over(rpm: float) -> None:
    """A hundred workers that all knock each second are an attack."""
    tries: list[float] = []
    async with running(LocalPacer(rpm)) as pacer:
        await outage(pacer, 1800.0, tries)
        assert pacer.snapshot().outage_s == 0.0
    during = [at for at in tries if 5.0 < at < 1800.0]
    assert len(during) <= 70
    assert max(after - before for before, after in itertools.pairwise(during)) <= 62.0
    assert 1800.0 <= max(tries) <= 1800.0 + 65.0 + (20 * 0.2 if rpm else 0)


async def test_how_long_an_outage_lasts_is_known() -> None:
    """--give-up counts from its start."""
    async with running(LocalPacer(0)) as pacer:
        await asyncio.sleep(100)
        assert pacer.snapshot().outage_s == 0.0
        unreachable(pacer)
        await asyncio.sleep(50)
        unreachable(pacer)
        assert pacer.snapshot().outage_s == pytest.approx(50.0, abs=0.01)
        reached(pacer)
        assert pacer.snapshot().outage_s == 0.0


async def test_a_scout_that_never_returns_does_not_stop_the_night() -> None:
    """It may have been cancelled; after a minute another one goes."""
    async with running(LocalPacer(0)) as pacer:
        unreachable(pacer)
        await pacer.acquire(Call.SUBMIT)
        start = now()
        await pacer.acquire(Call.SUBMIT)
        assert now() - start <= 61.0


async def test_a_grant_costs_the_same_however_many_calls_the_minute_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 100,000 a minute, to walk over all of them for each grant would burn a core."""

    class Minute(deque[CallRecord]):
        def __iter__(self) -> Iterator[CallRecord]:
            raise AssertionError("walked over the minute")

    pacer = LocalPacer(60_000, start=(6000.0, 6000.0))
    monkeypatch.setattr(pacer._minute, "calls", Minute())
    async with running(pacer):
        await asking(pacer, [], Call.SUBMIT, now() + 60)
        assert pacer.snapshot().rpm == 6000
        await asyncio.sleep(300)
        await asking(pacer, [], Call.SUBMIT, now() + 60)
        assert pacer.snapshot().rpm > 6000
    assert pacer.snapshot().calls_last_minute > 5000


async def test_calls_that_were_refused_prove_nothing_once_or_twice() -> None:
    """Thirty of a burst: neither is the rate in use for ever after, nor never again."""
    async with running(LocalPacer(60, dice=lambda: 0.0)) as pacer:
        for permit in [await pacer.acquire(Call.POLL) for _ in range(30)]:
            limited(permit, 0.0)
            limited(permit, 0.0)
        for _ in range(60):
            await asyncio.sleep(60)
            await pacer.acquire(Call.POLL)
        assert pacer.snapshot().rpm == 30
        await asking(pacer, [], Call.SUBMIT, now() + 120)
        assert pacer.snapshot().rpm == pytest.approx(0.93 * 60)


async def test_calls_of_the_last_minute_are_counted() -> None:
    """The display shows them."""
    async with running(LocalPacer(0)) as pacer:
        for _ in range(5):
            await pacer.acquire(Call.POLL)
        assert pacer.snapshot().calls_last_minute == 5
        await asyncio.sleep(61)
        assert pacer.snapshot().calls_last_minute == 0


Trouble = Callable[[LocalPacer, LocalPermit], None]
EVENTS: list[Trouble] = [
    lambda pacer, _: accepted(pacer),
    lambda pacer, _: reached(pacer),
    lambda pacer, _: unreachable(pacer),
    lambda _, permit: limited(permit, None),
    lambda _, permit: limited(permit, 3.0),
]


@fuzz(40)
@given(
    st.sampled_from([1.0, 5.0, 30.0, 60.0]),
    st.lists(st.tuples(st.integers(0, 4), st.floats(0, 40), st.sampled_from(list(Call))), min_size=5, max_size=60),
)
def test_whatever_happens_no_minute_sees_more_than_the_rate(rpm: float, script: list[tuple[int, float, Call]]) -> None:
    """429s, outages and growth swap limiters; none may let a burst through."""
    times: list[float] = []

    async def night() -> None:
        async with running(LocalPacer(rpm, dice=lambda: 0.5)) as pacer, asyncio.TaskGroup() as group:
            for what, wait, call in script:
                group.create_task(one(pacer, EVENTS[what], wait, call))

    async def one(pacer: LocalPacer, event: Trouble, wait: float, call: Call) -> None:
        await asyncio.sleep(wait)
        for _ in range(3):
            permit = await pacer.acquire(call)
            times.append(now())
            event(pacer, permit)

    run(night())
    assert most_in_a_minute(times) <= rpm


def run(main: Awaitable[None]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(100_000):
            await main

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(whole())


async def test_calls_that_do_not_count_steer_nothing() -> None:
    """A flood of free polls is no reason to wait for a minute, nor a proof that the rate is used."""
    async with running(LocalPacer(60, count_polls=False)) as pacer:
        for _ in range(300):
            await pacer.acquire(Call.POLL)
        limited(await pacer.acquire(Call.SUBMIT), 1.0)
        before = now()
        await pacer.acquire(Call.SUBMIT)
        assert now() - before < 10.0
        for _ in range(20):
            await asyncio.sleep(30)
            await asyncio.gather(*(pacer.acquire(Call.POLL) for _ in range(50)))
            await pacer.acquire(Call.SUBMIT)
        assert pacer.snapshot().rpm == 30
