"""Places in flight: never over the bound, in the order of asking, and following the service's queue."""

from __future__ import annotations

import asyncio

from batchgen.pacing.places import START, Places


async def take(places: Places, times: int) -> None:
    for _ in range(times):
        await places.take()


async def waits(places: Places) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(places.take())
    await asyncio.sleep(0)
    return task


async def test_a_run_starts_small() -> None:
    """Before anything was learned, a full queue would let records run out of their hour."""
    places = Places(32)
    await take(places, START)
    assert not (await waits(places)).done()


async def test_the_ceiling_holds_whatever_is_learned() -> None:
    """--in-flight is a promise."""
    places = Places(6)
    for _ in range(100):
        places.learn(0.0, 60.0, places.ceiling)
    await take(places, 6)
    assert not (await waits(places)).done()
    assert Places(0).ceiling == 1
    assert Places(2).bound == 2


async def test_who_waits_longest_is_next() -> None:
    """First takes come before second ones."""
    places = Places(1)
    await places.take()
    order: list[int] = []

    async def ask(n: int) -> None:
        await places.take()
        order.append(n)
        places.give_back()

    async with asyncio.TaskGroup() as group:
        for n in range(5):
            group.create_task(ask(n))
        await asyncio.sleep(0)
        places.give_back()
    assert order == [0, 1, 2, 3, 4]
    assert places.taken == 0


async def test_a_late_comer_does_not_overtake() -> None:
    """A place that came free belongs to who waits."""
    places = Places(1)
    await places.take()
    first = await waits(places)
    places.give_back()
    second = await waits(places)
    assert first.done()
    assert not second.done()


async def test_a_waiter_that_was_cancelled_costs_no_place() -> None:
    """Not before its turn, and not in the turn of being given it."""
    places = Places(1)
    await places.take()
    before, at_its_turn = await waits(places), await waits(places)
    before.cancel()
    await asyncio.sleep(0)
    places.give_back()
    at_its_turn.cancel()
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await places.take()
    assert places.taken == 1


async def test_room_is_used_and_a_full_queue_is_left() -> None:
    """More in a full queue would only wait there."""
    places = Places(32)
    places.learn(1.0, 60.0, START)
    assert places.bound == START + 1
    places.learn(20.0, 60.0, START + 1)  # neither room nor full
    assert places.bound == START + 1
    for taken in range(START + 1, 0, -1):
        places.learn(59.0, 60.0, taken)
    assert places.bound == 1


async def test_late_news_neither_widens_nor_narrows_twice() -> None:
    """A hundred that ended at one number of places say one thing."""
    places = Places(32)
    for _ in range(100):
        places.learn(0.0, 60.0, START)
    assert places.bound == START + 1
    for _ in range(100):
        places.learn(59.0, 60.0, START)
    assert places.bound == START - 1
    places.learn(0.0, 60.0, START - 2)
    assert places.bound == START - 1


async def full(places: Places) -> asyncio.Task[None]:
    await take(places, int(places.bound) - places.taken)
    return await waits(places)


async def test_a_new_request_that_is_begun_at_once_doubles_the_bound() -> None:
    """A run time is long to wait for leave to send four more."""
    places = Places(32)
    waiting = await full(places)
    assert places.wants_probe(START)
    assert not places.wants_probe(START)  # one at a time
    places.probed(queued=False)
    assert places.bound == 2 * START
    await asyncio.sleep(0)
    assert waiting.done()


async def test_a_new_request_that_queues_ends_the_doubling_until_there_is_room_again() -> None:
    """The service is full; what ends tells when it is not."""
    places = Places(32)
    await full(places)
    assert places.wants_probe(START)
    places.probed(queued=True)
    assert places.bound == START
    assert not places.wants_probe(START)
    places.learn(0.0, 60.0, START)
    await full(places)
    assert places.wants_probe(places.taken)
    places.probed(queued=False)
    assert START + 1 < places.bound < 2 * START  # near where it belongs, no more leaps


async def test_no_probe_is_wanted_while_places_are_free_or_still_on_their_way() -> None:
    """A look costs a call, and would prove nothing."""
    places = Places(32)
    assert not places.wants_probe(0)
    await full(places)
    assert not places.wants_probe(START - 1)
    assert places.wants_probe(START)
    places.probed(queued=None)
    assert places.bound == START
    assert places.wants_probe(START)


async def test_a_service_that_tells_no_queue_time_is_trusted_up_to_the_ceiling() -> None:
    """Else a night would go at four at a time."""
    places = Places(8)
    for _ in range(10):
        places.learn(None, None, 1)
    assert places.bound == 8


async def test_learning_wakes_who_waits() -> None:
    """A grown bound is of use at once."""
    places = Places(8)
    await take(places, START)
    waiting = await waits(places)
    places.learn(0.0, 60.0, START)
    await asyncio.sleep(0)
    assert waiting.done()


async def test_what_is_in_flight_already_counts_even_over_the_bound() -> None:
    """A resumed batch has more in flight than a new one may start."""
    places = Places(8)
    for _ in range(10):
        places.take_at_once()
    waiting = await waits(places)
    for _ in range(6):
        places.give_back()
    await asyncio.sleep(0)
    assert not waiting.done()
    places.give_back()
    await asyncio.sleep(0)
    assert waiting.done()


async def test_a_429_narrows_and_never_closes() -> None:
    """One at a time must always go."""
    places = Places(8)
    for _ in range(10):
        places.refused()
    assert places.bound == 1


def test_a_queue_time_without_a_run_time_proves_nothing() -> None:
    """An odd metric must not bring the night down to one clip at a time."""
    places = Places(32)
    for _ in range(20):
        places.learn(1e9, None, 8)
    assert places.bound == 4
