"""The one poller: a fault while polling is never the job's failure, and every wait ends by the deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from batchgen.errors import AccountError
from batchgen.polling.poller import POLLS_AT_ONCE, RESULT_TRIES, Ended, Overdue, Poller, Probes, Wait
from batchgen.polling.schedule import SCOUTS, UNKNOWN_S, RunTimes
from batchgen.providers.base import Cause, Completed, Gone, Refused, Running
from batchgen.ratelimit.base import Call
from batchgen.ratelimit.limiter import LocalPacer
from batchgen.testing import COST, EPOCH, FakeJob, FakeProvider, always, first, wall

PARAMS = {"prompt": "x", "seed": 1}


@dataclass
class World:
    """A poller at work."""

    provider: FakeProvider
    poller: Poller
    pacer: LocalPacer
    times: RunTimes = field(default_factory=lambda: RunTimes(60.0))

    async def job(self, **params: object) -> FakeJob:
        """Submit one job behind the poller's back."""
        accepted = await self.provider.submit("wan-2.5-t2v", {**PARAMS, **params})
        return self.provider.jobs[accepted.request_id]

    async def wait(self, job: FakeJob) -> Ended:
        """Wait for its end."""
        return (await self.watched(job)).ended

    async def watched(self, job: FakeJob) -> Wait:
        """Wait for its end; gives also what was seen on the way."""
        return await self.poller.wait(job.request_id, job.at, self.times)


@asynccontextmanager
async def world(
    provider: FakeProvider, *, rpm: float = 0.0, deadline_s: float = 3300.0, probes: Probes | None = None
) -> AsyncIterator[World]:
    pacer = LocalPacer(rpm)
    poller = Poller(provider, pacer, deadline_s=deadline_s, wall_clock=wall, probes=probes)
    tasks = [asyncio.get_running_loop().create_task(each) for each in (pacer.run(), poller.run())]
    try:
        async with asyncio.timeout(100_000):
            yield World(provider, poller, pacer)
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_the_end_brings_link_cost_and_times() -> None:
    """Cost and link must be on disk before the download."""
    async with world(FakeProvider()) as at:
        job = await at.job()
        ended = await at.wait(job)
    assert isinstance(ended, Completed)
    assert (ended.url, ended.cost, ended.queue_s) == (job.url, job.cost, 0.0)


async def test_it_is_seen_soon_after_it_happened_in_few_polls() -> None:
    """Once a second would be 60 calls of 50 a minute."""
    async with world(FakeProvider(spread=0.0)) as at:
        job = await at.job()
        await at.wait(job)
        late = wall() - job.ends
    assert late < 0.25 * at.provider.run_s
    assert len(at.provider.calls) < 20


async def test_every_poll_is_counted_whatever_came_of_it() -> None:
    """Each is a call of a scarce rate: also the one that met a fault; the result is none of them."""
    async with world(FakeProvider(get=first("server", "ok", "server"))) as at:
        one, other = await at.job(), await at.job(seed=2)
        for wait in await asyncio.gather(at.watched(one), at.watched(other)):
            assert wait.polls == at.provider.status_calls[wait.request_id] > 1


async def test_hundreds_wait_at_once_within_the_rate() -> None:
    """One task over a heap, not a loop for each."""
    async with world(FakeProvider(spread=0.5), rpm=600) as at, asyncio.TaskGroup() as group:
        for n in range(200):
            job = await at.job(seed=n)
            group.create_task(at.wait(job))
        await asyncio.sleep(100)
        assert len([call for call in at.provider.calls if call > now() - 60]) <= 600
    assert not at.poller.submitted()


@pytest.mark.parametrize("fate", ["transient", "final", "blocked"])
async def test_a_failed_job_says_why(fate: str) -> None:
    """What happens then is the core's affair."""
    async with world(FakeProvider(fate=always(fate))) as at:
        ended = await at.wait(await at.job())
    assert isinstance(ended, Refused)
    assert ended.cause is Cause(fate)


@pytest.mark.parametrize("fault", ["server", "rate", "rate-30", "unreachable"])
async def test_a_fault_while_polling_is_asked_again(fault: str) -> None:
    """It is about now, not about the job."""
    async with world(FakeProvider(get=first(*[fault] * 12))) as at:
        job = await at.job()
        ended = await at.wait(job)
    assert isinstance(ended, Completed)
    assert ended.url == job.url


async def test_a_long_outage_ends_no_wait() -> None:
    """Out of reach for two hours, past the deadline: the job may well be done."""
    async with world(FakeProvider(outages=[(10.0, 7200.0)], keeps_s=9e9)) as at:
        ended = await at.wait(await at.job())
    assert isinstance(ended, Completed)
    assert now() >= 7200.0


async def test_an_unknown_state_is_waited_on_and_told_at_the_deadline() -> None:
    """A word that we have never seen is no reason to give up a paid job, nor to wait for ever."""
    async with world(FakeProvider(get=always("says WARMING_UP"))) as at:
        job = await at.job()
        ended = await at.wait(job)
        assert wall() - job.at == pytest.approx(3300.0, abs=70.0)
    assert ended == Overdue("WARMING_UP")


async def test_a_stuck_job_ends_at_the_deadline_by_the_wall() -> None:
    """A sleeping laptop's time counts: the service's hour ran on."""
    async with world(FakeProvider(fate=always("stuck")), deadline_s=600.0) as at:
        job = await at.job()
        wait = await at.poller.wait(job.request_id, EPOCH - 500.0, at.times)
        assert now() == pytest.approx(100.0, abs=5.0)
    assert isinstance(wait.ended, Overdue)


async def test_a_state_that_goes_backwards_does_not_confuse() -> None:
    """Seen with services behind several replicas."""
    words = first("says COMPLETING", "ok", "says QUEUED", then="ok")
    async with world(FakeProvider(run_s=30.0, get=words)) as at:
        assert isinstance(await at.wait(await at.job()), Completed)


async def test_a_single_404_of_a_young_request_is_no_news() -> None:
    """It may not be known everywhere yet."""
    async with world(FakeProvider(get=first("gone", then="ok"))) as at:
        assert isinstance(await at.wait(await at.job()), Completed)


async def test_two_404s_of_a_young_request_are_for_its_waiter_to_judge() -> None:
    """The history may know more."""
    async with world(FakeProvider(get=always("gone"))) as at:
        assert isinstance(await at.wait(await at.job()), Gone)
        assert now() < 60.0


async def test_a_404_of_an_old_request_is_the_end_of_its_record() -> None:
    """The history has to be asked then."""
    async with world(FakeProvider(fate=always("stuck"), keeps_s=200.0)) as at:
        assert isinstance(await at.wait(await at.job()), Gone)
        assert now() < 300.0


async def test_a_result_that_does_not_agree_yet_is_asked_for_again() -> None:
    """COMPLETED by the status, still running by the result."""
    provider = FakeProvider(run_s=0.5)
    provider.get = first("ok", "says RUNNING", "says RUNNING")
    async with world(provider) as at:
        ended = await at.wait(await at.job())
    assert isinstance(ended, Completed)
    assert ended.url


async def test_a_result_that_never_agrees_ends_without_a_link() -> None:
    """Not the deadline's fifty minutes of asking."""
    provider = FakeProvider(run_s=0.5)
    provider.get = first("ok", then="says RUNNING")
    async with world(provider) as at:
        ended = await at.wait(await at.job())
        assert now() < 120
    assert isinstance(ended, Completed)
    assert ended.url is None


async def test_completed_without_a_link_keeps_what_was_answered() -> None:
    """Somebody will have to ask support."""
    async with world(FakeProvider(fate=always("no-url"))) as at:
        ended = await at.wait(await at.job())
    assert isinstance(ended, Completed)
    assert (ended.url, ended.body) == (None, "{}")


async def test_account_trouble_reaches_who_waits() -> None:
    """Nothing can be asked any more."""
    async with world(FakeProvider(get=always("key"))) as at:
        with pytest.raises(AccountError):
            await at.wait(await at.job())


async def test_when_the_requests_in_flight_were_submitted_is_known() -> None:
    """No more is submitted than can be collected in time."""
    async with world(FakeProvider(fate=first("stuck")), deadline_s=500.0) as at, asyncio.TaskGroup() as group:
        assert not at.poller.submitted()
        one = await at.job(seed=1)
        group.create_task(at.wait(one))
        await asyncio.sleep(20)
        other = await at.job(seed=2)
        group.create_task(at.wait(other))
        await asyncio.sleep(1)
        assert at.poller.submitted() == [one.at, other.at]
    assert not at.poller.submitted()


async def test_what_nobody_waits_for_is_no_longer_polled() -> None:
    """A cancelled clip costs no calls."""
    async with world(FakeProvider()) as at:
        job = await at.job()
        task = asyncio.get_running_loop().create_task(at.wait(job))
        await asyncio.sleep(0.5)
        task.cancel()
        calls = len(at.provider.calls)
        await asyncio.sleep(500)
        assert len(at.provider.calls) == calls
        assert not at.poller.submitted()


async def test_a_pause_puts_the_first_poll_off() -> None:
    """What only the history knows is not asked for at once."""
    async with world(FakeProvider(run_s=1.0)) as at:
        job = await at.job()
        asked = len(at.provider.calls)
        waiting = asyncio.get_running_loop().create_task(at.poller.wait(job.request_id, job.at, at.times, pause_s=60))
        await asyncio.sleep(59)
        assert len(at.provider.calls) == asked
        await waiting


async def test_polls_at_once_are_bounded() -> None:
    """A slow service must not be met with a thousand sockets."""
    provider = FakeProvider(run_s=1.0, spread=0.0, get_s=30.0, post_s=0.01)
    out, most = 0, 0
    asked = provider._ask

    async def counted(request_id: str) -> object:
        nonlocal out, most
        out += 1
        most = max(most, out)
        try:
            return await asked(request_id)
        finally:
            out -= 1

    provider._ask = counted  # type: ignore[method-assign,assignment]
    async with world(provider) as at, asyncio.TaskGroup() as group:
        for _ in range(SCOUTS):
            at.times.learn(1.0)  # else few would be polled for all
        for n in range(POLLS_AT_ONCE + 40):
            group.create_task(at.wait(await at.job(seed=n)))
    assert most == POLLS_AT_ONCE


async def test_what_was_learned_moves_the_polls_of_those_that_wait() -> None:
    """The expectation was 200 s, and the first ones took 5."""
    async with world(FakeProvider(run_s=5.0, spread=0.0)) as at:
        at.times = RunTimes(1000.0)
        job = await at.job()
        waiting = asyncio.get_running_loop().create_task(at.wait(job))
        await asyncio.sleep(1)
        for _ in range(5):
            at.times.learn(5.0)
        at.poller.reschedule()
        await waiting
        assert now() < 10.0


async def test_while_nothing_is_known_few_are_polled_for_all_and_their_end_moves_the_polls_of_all() -> None:
    """Each of forty would else be polled again and again: they run for far longer than was expected."""
    in_vain: set[str] = set()

    def get(job: FakeJob | None) -> str:
        if job and wall() < job.ends:
            in_vain.add(job.request_id)
        return "ok"

    async with world(FakeProvider(run_s=1500.0, spread=0.0, get=get)) as at:
        jobs = [await at.job(seed=n) for n in range(40)]
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(_taught(at, job))
        assert wall() < jobs[-1].ends + 120.0
    assert {job.request_id for job in jobs[:SCOUTS]} <= in_vain
    assert len(in_vain) <= 2 * SCOUTS


async def _taught(at: World, job: FakeJob) -> None:
    """Wait for it, and learn from its end as a run does."""
    await at.wait(job)
    at.times.learn(job.ends - job.at)
    at.poller.reschedule()


async def test_where_those_polled_for_all_end_without_a_run_time_the_next_ones_are_polled() -> None:
    """Blocked prompts end within seconds, and say nothing of how long a clip takes."""
    fates = first(*["blocked"] * SCOUTS, then="done")
    async with world(FakeProvider(run_s=60.0, spread=0.0, slots=40, fate=fates)) as at:
        async with asyncio.TaskGroup() as group:
            for n in range(3 * SCOUTS):
                group.create_task(at.wait(await at.job(seed=n)))
        assert now() < UNKNOWN_S / 2


async def test_what_still_queues_is_not_polled_before_it_could_end() -> None:
    """The service says that it has not begun it, and how soon one ends after that is known."""
    async with world(FakeProvider(slots=1, run_s=60.0, spread=0.0)) as at:
        for _ in range(10):
            at.times.learn(60.0, 60.0)
        await at.job(seed=0)
        for n in range(1, 4):
            await at.job(seed=n)
        job = await at.job(seed=5)  # begins after four others
        before = len(at.provider.calls)
        await at.wait(job)
        assert job.starts - job.at > 200
        assert len(at.provider.calls) - before <= 12


# --- in the order of expiry ---------------------------------------------------------------------------------


async def _aged(here: World, ages: list[float]) -> list[FakeJob]:
    """Jobs of these ages, submitted by a run before; all have ended long since."""
    jobs = [await here.job(seed=n) for n in range(len(ages))]
    for job, age in zip(jobs, ages, strict=True):
        job.at, job.ends = wall() - age, wall() - age + 60.0
    return jobs


async def test_of_what_is_due_the_record_that_ends_first_is_asked_for_and_fetched_first() -> None:
    """Whoever came first to wait is not the one who has least time left."""
    asked: list[str] = []

    def get(job: FakeJob | None) -> str:
        asked.append(job.request_id if job else "")
        return "ok"

    provider = FakeProvider(get=get, keeps_s=1e9)
    async with world(provider, rpm=6.0) as here:
        jobs = await _aged(here, [600.0, 3_000.0, 1_800.0, 2_900.0, 700.0])
        provider.calls.clear()
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(here.wait(job))
    oldest = sorted(jobs, key=lambda job: job.at)
    assert asked == [job.request_id for job in oldest for _ in range(2)]  # a poll, and its result at once


class Curious:
    """Implements `poller.Probes`: wants a probe of the request that makes so many."""

    def __init__(self, at: int) -> None:
        self._at = at

    def wants_probe(self, accepted: int) -> bool:
        """Tell whether it is that one."""
        return accepted == self._at

    def probed(self, *, queued: bool | None) -> None:
        """Nothing follows from it here."""


async def test_a_probe_does_not_wait_behind_all_that_is_due() -> None:
    """Whether there is room for more would be known when the slots have long stood idle."""
    asked: list[str] = []

    def get(job: FakeJob | None) -> str:
        asked.append(job.request_id if job else "")
        return "ok"

    async with world(FakeProvider(get=get, keeps_s=1e9), rpm=6.0, probes=Curious(12)) as here:
        jobs = await _aged(here, [600.0] * 11)
        async with asyncio.TaskGroup() as group:
            for job in [*jobs, newest := await here.job()]:
                group.create_task(here.wait(job))
    assert newest.request_id in asked[:6]


async def test_how_long_it_was_seen_to_queue_is_known() -> None:
    """A service that tells no queue time in the end may have said it on the way."""
    async with world(FakeProvider(slots=1)) as here:
        jobs = [await here.job() for _ in range(3)]
        async with asyncio.TaskGroup() as group:
            first, _, third = [group.create_task(here.watched(job)) for job in jobs]
        assert first.result().queued_s == 0.0
        assert 0.0 < third.result().queued_s <= jobs[2].starts - jobs[2].at


async def test_what_queues_is_known_from_its_last_poll() -> None:
    """The display shows whether the service has begun; once it has, nobody may read "queued"."""
    async with world(FakeProvider(slots=1)) as here:
        jobs = [await here.job() for _ in range(2)]
        seen: list[tuple[float, bool]] = []

        async def watch() -> None:
            while True:
                await asyncio.sleep(1.0)
                seen.append((wall(), here.poller.queues(jobs[1].request_id)))

        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(watch())
            both = [group.create_task(here.wait(job)) for job in jobs]
            await asyncio.wait(both)
            watcher.cancel()
        assert {queues for at, queues in seen if at < jobs[1].starts} == {False, True}
        assert not [at for at, queues in seen if queues and at >= jobs[1].ends]
        assert not [at for at, queues in seen[-5:] if queues]
        assert not here.poller.queues(jobs[1].request_id)


async def test_what_nobody_polled_when_it_was_time_is_polled_at_once() -> None:
    """A run resumes after 50 minutes: to wait for the next planned poll would be to wait for the end of the record."""
    provider = FakeProvider(keeps_s=1e9)
    async with world(provider) as here:
        [job] = await _aged(here, [3_000.0])
        began = now()
        assert isinstance(await here.wait(job), Completed)
        assert now() - began < 1.0


async def test_a_record_near_its_end_goes_before_submissions() -> None:
    """Young ones wait for a submission that was asked for a moment later; old ones don't."""

    async def grants(age: float) -> list[str]:
        order: list[str] = []

        def get(_job: FakeJob | None) -> str:
            order.append("poll")
            return "ok"

        provider = FakeProvider(get=get, keeps_s=1e9)
        async with world(provider, rpm=6.0) as here:
            [job] = await _aged(here, [age])
            await here.pacer.acquire(Call.HISTORY)  # the next one is ten seconds away

            async def submit() -> None:
                await asyncio.sleep(1.0)
                await here.pacer.acquire(Call.SUBMIT)
                order.append("submit")

            async with asyncio.TaskGroup() as group:
                group.create_task(here.wait(job))
                group.create_task(submit())
        return order

    assert (await grants(3_000.0))[:2] == ["poll", "poll"]
    assert (await grants(600.0))[0] == "submit"


# --- past the deadline --------------------------------------------------------------------------------------

LATE_S = 56 * 60.0


@pytest.mark.parametrize("fault", ["server", "rate", "rate-30", "unreachable"])
async def test_a_fault_past_the_deadline_ends_no_wait_whose_record_still_lives(fault: str) -> None:
    """A run that resumes after 56 minutes has four left: one bad answer must not throw them away."""
    async with world(FakeProvider(get=first(fault))) as at:
        [job] = await _aged(at, [LATE_S])
        ended = await at.wait(job)
        assert now() < 240.0
    assert isinstance(ended, Completed)
    assert (ended.url, ended.cost) == (job.url, job.cost)


@pytest.mark.parametrize("word", ["server", "rate", "unreachable", "says PROCESSING", "no link"])
@pytest.mark.parametrize("age_s", [LATE_S, 3_599.97])
async def test_a_result_that_fails_once_past_the_deadline_is_asked_for_again(word: str, age_s: float) -> None:
    """It is known to have completed, and paid for; its record ends in a moment, or in minutes."""
    async with world(FakeProvider(get=first("ok", word), keeps_s=1e9)) as at:
        [job] = await _aged(at, [age_s])
        ended = await at.wait(job)
    assert isinstance(ended, Completed)
    assert (ended.url, ended.cost) == (job.url, job.cost)


@pytest.mark.parametrize("word", ["server", "says PROCESSING"])
async def test_what_completed_ends_so_with_its_cost_though_its_result_never_comes(word: str) -> None:
    """Not as a job of which nothing is known: its cost is on the bill."""
    provider = FakeProvider(get=first("ok", then=word), keeps_s=1e9)

    async def status(_: str) -> Completed | Running:
        outcome = await provider._ask(job.request_id)
        return Completed(cost=COST) if isinstance(outcome, Completed) else Running("PROCESSING")

    provider.status = status  # type: ignore[method-assign,assignment]
    async with world(provider) as at:
        [job] = await _aged(at, [59.9 * 60.0])
        ended = await at.wait(job)
        assert now() < 120.0
    assert ended == Completed(cost=COST)
    assert len(provider.calls) == 2 + RESULT_TRIES


async def test_faults_without_end_past_the_deadline_end_the_wait() -> None:
    """Others wait for its place; the history is asked then."""
    async with world(FakeProvider(get=always("server"), keeps_s=1e9)) as at:
        [job] = await _aged(at, [LATE_S])
        wait = await at.watched(job)
        assert now() < 120.0
    assert isinstance(wait.ended, Overdue)
    assert wait.polls == RESULT_TRIES


async def test_refusals_for_being_too_quick_end_no_wait_before_the_record_does() -> None:
    """They say nothing of the job; after the hour they end it."""
    async with world(FakeProvider(get=always("rate"), keeps_s=1e9)) as at:
        [job] = await _aged(at, [LATE_S])
        ended = await at.wait(job)
        assert now() >= 240.0
    assert isinstance(ended, Overdue)


async def test_the_state_at_the_deadline_is_the_one_that_was_seen_last() -> None:
    """A run that resumes past the deadline has seen no other: 'nothing' would be untrue."""
    async with world(FakeProvider(get=always("says WARMING_UP"), keeps_s=1e9)) as at:
        [job] = await _aged(at, [LATE_S])
        assert await at.wait(job) == Overdue("WARMING_UP")
