"""Places in flight: never over the bound, in the order of asking, and following the service's queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from batchgen.ratelimit.concurrency import LATEST, START, ConcurrencyLimit

RUN_S = 60.0


async def take(places: ConcurrencyLimit, times: int) -> None:
    for _ in range(times):
        await places.acquire()


async def waits(places: ConcurrencyLimit) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(places.acquire())
    await asyncio.sleep(0)
    return task


async def test_a_run_starts_small() -> None:
    """Before anything was learned, a full queue would let records run out of their hour."""
    places = ConcurrencyLimit(32)
    await take(places, START)
    assert not (await waits(places)).done()


async def test_the_ceiling_holds_whatever_is_learned() -> None:
    """--in-flight is a promise."""
    places = ConcurrencyLimit(6)
    for _ in range(100):
        places.learn(0.0, 60.0, places.ceiling)
    await take(places, 6)
    assert not (await waits(places)).done()
    assert ConcurrencyLimit(0).ceiling == 1
    assert ConcurrencyLimit(2).limit == 2


async def test_who_waits_longest_is_next() -> None:
    """First takes come before second ones."""
    places = ConcurrencyLimit(1)
    await places.acquire()
    order: list[int] = []

    async def ask(n: int) -> None:
        await places.acquire()
        order.append(n)
        places.release()

    async with asyncio.TaskGroup() as group:
        for n in range(5):
            group.create_task(ask(n))
        await asyncio.sleep(0)
        places.release()
    assert order == [0, 1, 2, 3, 4]
    assert places.taken == 0


async def test_a_late_comer_does_not_overtake() -> None:
    """A place that came free belongs to who waits."""
    places = ConcurrencyLimit(1)
    await places.acquire()
    first = await waits(places)
    places.release()
    second = await waits(places)
    assert first.done()
    assert not second.done()


async def test_a_waiter_that_was_cancelled_costs_no_place() -> None:
    """Not before its turn, and not in the turn of being given it."""
    places = ConcurrencyLimit(1)
    await places.acquire()
    before, at_its_turn = await waits(places), await waits(places)
    before.cancel()
    await asyncio.sleep(0)
    places.release()
    at_its_turn.cancel()
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await places.acquire()
    assert places.taken == 1


def nights(
    places: ConcurrencyLimit, queue_of: Callable[[int], float], rounds: int = 30, *, told: bool = True
) -> list[int]:
    """Have a few end at the bound, again and again; gives the bounds that there were."""
    bounds = []
    for _ in range(rounds):
        n, generation = int(places.limit), places.generation
        bounds.append(n)
        for _ in range(LATEST):
            queue = queue_of(n)
            places.learn(queue if told else None, RUN_S if told else RUN_S + queue, n, generation=generation)
    return bounds


def slots(count: int, base: float = 0.0) -> Callable[[int], float]:
    """A service that works at so many of ours at once; the others queue, by Little's law."""
    return lambda n: base + RUN_S * max(0.0, n / count - 1.0)


async def test_room_is_used_and_a_full_queue_is_left() -> None:
    """More in a full queue would only wait there."""
    places = ConcurrencyLimit(32)
    places.learn(1.0, 60.0, START)
    assert places.limit == START + 1
    places.learn(20.0, 60.0, START + 1)  # neither room nor full
    assert places.limit == START + 1
    for _ in range(LATEST):
        places.learn(59.0, 60.0, START + 1, generation=0)
    assert places.limit == START


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("count", [1, 2, 6, 20])
def test_the_bound_comes_to_what_the_service_has_room_for(count: int, told: bool) -> None:
    """From too many in flight; where it does not tell how long they queued, to what takes three times as long."""
    places = ConcurrencyLimit(32, start=32)
    for n in range(1, 33):  # the first ones go in one after the other, and some are begun at once
        queue = RUN_S * ((n - 1) // count)
        places.learn(queue if told else None, RUN_S if told else RUN_S + queue, n, generation=0)
    bounds = nights(places, slots(count), told=told)[10:]
    assert max(bounds) <= (max(1.6 * count, count + 1) if told else max(3 * count, START))
    assert min(bounds) >= count


def test_a_queue_that_is_not_ours_is_no_reason_for_fewer() -> None:
    """It is there with one in flight, too; others' load would take the night down to one at a time."""
    places = ConcurrencyLimit(32)
    places.probed(queued=True)
    for n in range(1, START + 1):
        places.learn(120.0, RUN_S, n, generation=0)
    bounds = nights(places, lambda _: 120.0, 5)
    assert min(bounds) >= START
    assert bounds[-1] == 32
    assert places.expected == 32


def test_it_does_not_matter_which_of_the_first_requests_ends_first() -> None:
    """The one that went in alone shows that the queue is not ours. When it ended last, the night took 1.76 times."""
    places = ConcurrencyLimit(32)
    for taken in (3, 2):
        places.learn(120.0, RUN_S, taken, generation=0)
    assert places.limit == 1
    narrowed = places.generation
    places.learn(120.0, 2 * RUN_S, 1, generation=0)
    assert places.limit == START
    places.learn(120.0, RUN_S, START, generation=0)  # it went in before the limit was narrowed, and counts again
    assert places.limit > 2 * START
    assert places.generation == narrowed


def test_a_queue_that_does_not_get_shorter_with_fewer_is_not_ours() -> None:
    """Others' load may come, and go, in the midst of the night."""
    places = ConcurrencyLimit(32, start=32)
    assert set(nights(places, lambda _: 0.0)) == {32}
    rising = nights(places, lambda _: 90.0)
    assert START <= min(rising) < 32
    assert set(rising[5:]) == {32}
    assert set(nights(places, lambda _: 0.0)) == {32}
    assert max(nights(places, slots(8))[10:]) <= 13  # what others queued has been forgotten


def test_of_others_queue_and_ours_only_ours_counts() -> None:
    """Both at once."""
    places = ConcurrencyLimit(32, start=32)
    bounds = nights(places, slots(8, base=40.0), 60)[20:]
    assert min(bounds) >= 8
    assert max(bounds) <= 20


def test_others_load_never_hides_more_than_can_be_collected() -> None:
    """Were all slots but these taken, twice as many would take twice as long."""
    places = ConcurrencyLimit(32, safe_s=1800.0)
    for n in range(1, START + 1):
        places.learn(900.0, 600.0, n)
    assert int(places.limit) == 4  # which take 1,500 s
    quick = ConcurrencyLimit(32, safe_s=3600.0)
    for n in range(1, START + 1):
        quick.learn(900.0, 600.0, n)
    assert int(quick.limit) == 9  # no leap beyond 4 × 3,600 / 1,500


def test_a_service_that_shrinks_is_followed_at_once() -> None:
    """By one fewer in each generation, clips would be lost that were submitted long after."""
    places = ConcurrencyLimit(32, start=32)
    nights(places, lambda _: 0.0, 3)
    for behind in range(1, 6):  # one slot is left, and they end one by one
        places.learn(behind * RUN_S, RUN_S, 32, generation=0)
    assert places.limit <= 12


async def test_late_news_neither_widens_nor_narrows_twice() -> None:
    """A hundred that ended at one number of places say one thing."""
    places = ConcurrencyLimit(32)
    for _ in range(100):
        places.learn(0.0, 60.0, START)
    assert places.limit == START + 1
    for _ in range(100):
        places.learn(59.0, 60.0, START, generation=0)
    assert places.limit == START - 1
    places.learn(0.0, 60.0, START, generation=0)
    assert places.limit == START - 1


async def test_an_odd_one_says_nothing() -> None:
    """One that had to queue among many that did not is others' bad luck, not a full service."""
    places = ConcurrencyLimit(32)
    for _ in range(10):
        places.learn(0.0, 60.0, START)
    places.learn(500.0, 60.0, START)
    assert places.limit == START + 1


async def full(places: ConcurrencyLimit) -> asyncio.Task[None]:
    await take(places, int(places.limit) - places.taken)
    return await waits(places)


async def test_a_new_request_that_is_begun_at_once_doubles_the_bound() -> None:
    """A run time is long to wait for leave to send four more."""
    places = ConcurrencyLimit(32)
    waiting = await full(places)
    assert places.wants_probe(START)
    assert not places.wants_probe(START)  # one at a time
    places.probed(queued=False)
    assert places.limit == 2 * START
    await asyncio.sleep(0)
    assert waiting.done()


async def test_a_new_request_that_queues_ends_the_doubling_until_there_is_room_again() -> None:
    """The service is full; what ends tells when it is not."""
    places = ConcurrencyLimit(32)
    await full(places)
    assert places.wants_probe(START)
    places.probed(queued=True)
    assert places.limit == START
    assert not places.wants_probe(START)
    places.learn(0.0, 60.0, START)
    await full(places)
    assert places.wants_probe(places.taken)
    places.probed(queued=False)
    assert START + 1 < places.limit < 2 * START  # near where it belongs, no more leaps


async def test_no_probe_is_wanted_while_places_are_free_or_still_on_their_way() -> None:
    """A look costs a call, and would prove nothing."""
    places = ConcurrencyLimit(32)
    assert not places.wants_probe(0)
    await full(places)
    assert not places.wants_probe(START - 1)
    assert places.wants_probe(START)
    places.probed(queued=None)
    assert places.limit == START
    assert places.wants_probe(START)


async def test_a_new_request_that_is_begun_at_once_ends_the_doubt() -> None:
    """The service was full for a while; the next that ends at fewer places is a run time away."""
    places = ConcurrencyLimit(32, start=32)
    for _ in range(LATEST):
        places.learn(RUN_S, RUN_S, 32)
    narrowed = places.limit
    assert narrowed < 32
    await full(places)
    assert places.wants_probe(places.taken)
    places.probed(queued=False)
    assert places.limit > narrowed


async def test_no_probe_is_wanted_that_could_not_tell() -> None:
    """Others' queue is all that it would see; and a service that never says QUEUED is none to ask."""
    loaded = ConcurrencyLimit(32)
    for n in range(1, START + 1):
        loaded.learn(120.0, RUN_S, n)
    await full(loaded)
    assert not loaded.wants_probe(loaded.taken)
    for seen_s, wants in ((0.0, False), (30.0, True)):
        silent = ConcurrencyLimit(32, start=32)
        for n in range(1, 33):
            silent.learn(None, RUN_S * n, n, generation=0, seen_s=seen_s)
        await full(silent)
        assert silent.limit < 32
        assert silent.wants_probe(silent.taken) is wants


async def test_what_a_look_saw_queueing_counts_as_a_queue() -> None:
    """A service that tells no queue time may still have said QUEUED."""
    places = ConcurrencyLimit(32, start=32)
    for _ in range(LATEST):
        places.learn(None, 400.0, 32, seen_s=300.0)
    assert places.limit < 32


async def test_a_service_that_tells_no_queue_time_is_trusted_up_to_the_ceiling() -> None:
    """Else a night would go at four at a time."""
    places = ConcurrencyLimit(8)
    for _ in range(10):
        places.learn(None, None, 1)
    assert places.limit == 8


async def test_learning_wakes_who_waits() -> None:
    """A grown bound is of use at once."""
    places = ConcurrencyLimit(8)
    await take(places, START)
    waiting = await waits(places)
    places.learn(0.0, 60.0, START)
    await asyncio.sleep(0)
    assert waiting.done()


async def test_what_is_in_flight_already_counts_even_over_the_bound() -> None:
    """A resumed batch has more in flight than a new one may start."""
    places = ConcurrencyLimit(8)
    for _ in range(10):
        places.acquire_at_once()
    waiting = await waits(places)
    for _ in range(6):
        places.release()
    await asyncio.sleep(0)
    assert not waiting.done()
    places.release()
    await asyncio.sleep(0)
    assert waiting.done()


async def test_a_429_narrows_and_never_closes() -> None:
    """One at a time must always go."""
    places = ConcurrencyLimit(8)
    for _ in range(10):
        places.refused()
    assert places.limit == 1


def test_a_queue_time_without_a_run_time_proves_nothing() -> None:
    """An odd metric must not bring the night down to one clip at a time."""
    places = ConcurrencyLimit(32)
    for _ in range(20):
        places.learn(1e9, None, 8)
    assert places.limit == 4
