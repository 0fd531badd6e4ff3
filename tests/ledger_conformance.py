"""What every `Ledger` promises, as one suite: a test module inherits it and says how such a ledger is opened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import pytest
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from batchgen.billing.budget import Budget, Cap, Caps, SetAside
from batchgen.clip import Clip, State, Wanted
from batchgen.errors import IllegalEventError
from batchgen.events import (
    AnswerLost,
    Blocked,
    Downloaded,
    Event,
    Failed,
    FailedForNow,
    FileMissing,
    Forgotten,
    Generated,
    Lost,
    Released,
    Reopened,
    Retried,
    SubmitDeferred,
    SubmitStarted,
    Submitted,
)
from batchgen.ledger import FencedError, Ledger, NoRoomError, about
from batchgen.states import NEXT
from batchgen.testing import VirtualTimeLoop, wanted

DAY_S = 86_400.0
NOON = 1_795_003_200.0
PRICE = 1_000_000
START = SubmitStarted(NOON, PRICE)
LIFE: Sequence[Event] = (
    START,
    Submitted("r1", NOON),
    Generated("https://files.example/r1", NOON + 60, 625_000),
    Downloaded("shot.mp4", 3, "ab"),
)


class Store(Protocol):
    """One batch in a store, and the processes that come and go on it."""

    def open(self, clips: Iterable[Wanted]) -> Ledger:
        """Let a process begin on the batch, which wants these clips; they get the rows 1, 2, …"""
        ...

    def limit(self, ledger: Ledger, caps: Caps, in_flight: int | None = None) -> None:
        """Set the caps and the in-flight ceiling."""
        ...

    def kill(self, ledger: Ledger) -> None:
        """Let the process end without a word."""
        ...

    def unwant(self, ledger: Ledger, clips: Iterable[Wanted]) -> None:
        """Let the manifest ask for these clips only."""
        ...

    def stored(self) -> dict[int, Clip]:
        """Give all clips by row as another process sees them."""
        ...

    def sums(self) -> Budget:
        """Add up what is stored."""
        ...


async def lead(ledger: Ledger, row: int, *events: Event) -> Clip:
    """Record events of one clip, one after the other."""
    clip = await ledger.read(row)
    for event in events:
        clip = await ledger.record(clip, event)
    return clip


async def outcomes(*records: Awaitable[Clip]) -> list[Clip | BaseException]:
    """Let moves be recorded at once; give what became of each."""
    return list(await asyncio.gather(*records, return_exceptions=True))


def fingerprint(sums: Budget) -> object:
    """Give all sums, without days that come to nothing."""
    days = {day: (each.spent, each.clips, each.unpriced, each.reserved, each.open) for day, each in sums.days.items()}
    total = (sums.spent, sums.clips, sums.unpriced, sums.reserved_by_class, sums.open)
    return total, sums.seen, {day: each for day, each in days.items() if any(each)}


def event_for(kind: type[Event], n: int, *, at: float = NOON, price: int = PRICE, cost: int | None = PRICE) -> Event:
    """Give an event of a kind; `n` makes its request id a new one."""
    events: dict[type[Event], Event] = {
        SubmitStarted: SubmitStarted(at, price),
        Submitted: Submitted(f"r{n}", at),
        SubmitDeferred: SubmitDeferred("500", counts=True),
        AnswerLost: AnswerLost("reset", error=bool(n % 2)),
        Failed: Failed("422", cost=cost, unproven=bool(n % 3)),
        Blocked: Blocked("policy", cost=cost, unproven=bool(n % 3)),
        FailedForNow: FailedForNow("a worker died", cost=0),
        Reopened: Reopened("it runs"),
        Generated: Generated(f"https://files.example/{n}", at + 60, cost),
        Lost: Lost("gone", cost),
        Downloaded: Downloaded(f"shot{n}.mp4", 3, "ab"),
        Released: Released("the user's decision", absent=bool(n % 2)),
        Forgotten: Forgotten("given up"),
        Retried: Retried(),
        FileMissing: FileMissing("gone"),
    }
    return events[kind]


class LedgerConformance:
    """Inherit it as `Test…`, and give `store` (a fixture) and `new_store` (a fresh one for each random example)."""

    @staticmethod
    def with_store(check: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
        """Run a check on a new store of its own, in virtual time, and take the store away after it."""
        raise NotImplementedError

    # --- durable --------------------------------------------------------------------------------------------

    async def test_a_move_is_stored_when_record_returns(self, store: Store) -> None:
        """Another process sees the very clip that the caller got."""
        ledger = store.open([wanted(0)])
        clip = await ledger.read(1)
        for event in LIFE:
            clip = await ledger.record(clip, event)
            assert store.stored()[1] == clip == await ledger.read(1)

    async def test_an_illegal_event_writes_nothing(self, store: Store) -> None:
        """The table of states is the first judge."""
        ledger = store.open([wanted(0)])
        with pytest.raises(IllegalEventError):
            await ledger.record(await ledger.read(1), Submitted("r1", NOON))
        assert store.stored()[1].state is State.PENDING
        assert fingerprint(ledger.money) == fingerprint(store.sums())

    # --- the fence ------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("until", [2, 3, 4])
    async def test_who_holds_an_old_clip_moves_nothing(self, store: Store, until: int) -> None:
        """Two carriers of one clip would pay twice."""
        ledger = store.open([wanted(0)])
        old = await lead(ledger, 1, START)
        now = await lead(ledger, 1, *LIFE[1:until])
        with pytest.raises(FencedError):
            await ledger.record(old, AnswerLost("late"))
        assert store.stored()[1] == now
        assert fingerprint(ledger.money) == fingerprint(store.sums())

    async def test_the_same_state_with_another_request_is_not_the_same_clip(self, store: Store) -> None:
        """The number and the id of the request count, too."""
        ledger = store.open([wanted(0)])
        old = await lead(ledger, 1, START, Submitted("r1", NOON))
        now = await lead(ledger, 1, FailedForNow("a worker died"), START, Submitted("r2", NOON))
        assert old.state is now.state
        with pytest.raises(FencedError):
            await ledger.record(old, Generated("https://files.example/r1", NOON, PRICE))
        assert store.stored()[1] == now

    async def test_of_two_intents_at_once_one_is_written_and_others_are_not_held_up(self, store: Store) -> None:
        """A refused move fails its own caller only, even in one commit."""
        ledger = store.open([wanted(0), wanted(1)])
        clip, other = await ledger.read(1), await ledger.read(2)
        # A store that commits at once what comes first gathers the two others for the next commit.
        third, first, second = await outcomes(*(ledger.record(each, START) for each in (other, clip, clip)))
        assert isinstance(first, Clip)
        assert isinstance(second, FencedError)
        assert isinstance(third, Clip)
        assert ledger.money.reserved == store.sums().reserved == 2 * PRICE

    async def test_moves_of_one_clip_at_once_are_judged_in_their_order(self, store: Store) -> None:
        """What the first one makes of the clip is what the second one must hold."""
        ledger = store.open([wanted(0), wanted(1)])
        clip, other = await lead(ledger, 1, START), await ledger.read(2)
        moves: list[tuple[Clip, Event]] = [
            (other, START), (clip, Submitted("r1", NOON)), (clip, AnswerLost("reset")),
        ]  # fmt: skip
        _, good, late = await outcomes(*(ledger.record(*move) for move in moves))
        assert isinstance(good, Clip)
        assert isinstance(late, FencedError)
        assert store.stored()[1].request_id == "r1"

    # --- caps -----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("caps", "cap"),
        [
            (Caps(usd=3 * PRICE), Cap.TOTAL),
            (Caps(usd_per_day=3 * PRICE), Cap.DAY),
            (Caps(clips=3), Cap.CLIPS),
        ],
    )
    async def test_intents_race_for_the_last_dollar_and_one_wins(self, store: Store, caps: Caps, cap: Cap) -> None:
        """The cap is checked in the write that reserves; no caller has asked before."""
        ledger = store.open(wanted(n) for n in range(4))
        store.limit(ledger, caps)
        await lead(ledger, 1, *LIFE[:2])
        ended = await outcomes(*[ledger.record(await ledger.read(row), START) for row in (2, 3, 4)])
        refused = [each for each in ended if isinstance(each, NoRoomError)]
        assert [each.cap for each in refused] == [cap]
        assert sum(isinstance(each, Clip) for each in ended) == 2
        assert store.sums().reserved == ledger.money.reserved == 3 * PRICE

    async def test_a_day_cap_knows_its_day(self, store: Store) -> None:
        """What was submitted the day before takes no room of today."""
        ledger = store.open([wanted(0), wanted(1)])
        store.limit(ledger, Caps(usd_per_day=PRICE))
        await lead(ledger, 1, replace(START, at=NOON - DAY_S))
        assert (await lead(ledger, 2, START)).state is State.SUBMITTING

    async def test_a_clock_that_is_set_back_gives_no_new_day_to_spend_on(self, store: Store) -> None:
        """Yesterday's dollar would be spent again; what is dated later than now counts today."""
        ledger = store.open(wanted(n) for n in range(3))
        store.limit(ledger, Caps(usd_per_day=2 * PRICE))
        await lead(ledger, 1, START)
        await lead(ledger, 2, replace(START, at=NOON - DAY_S))
        with pytest.raises(NoRoomError) as caught:
            await lead(ledger, 3, replace(START, at=NOON - 2 * DAY_S))
        assert caught.value.cap is Cap.DAY
        assert (await lead(ledger, 3, START)).state is State.SUBMITTING

    async def test_room_that_is_set_aside_is_not_taken(self, store: Store) -> None:
        """A cheap clip must not take what a dearer one before it waits for."""
        ledger = store.open([wanted(0)])
        store.limit(ledger, Caps(usd=2 * PRICE, clips=2))
        clip = await ledger.read(1)
        for set_aside in (SetAside(usd=PRICE + 1), SetAside(clips=2)):
            with pytest.raises(NoRoomError):
                await ledger.record(clip, START, set_aside=set_aside)
        assert ledger.money.reserved == store.sums().reserved == 0
        await ledger.record(clip, START, set_aside=SetAside(PRICE, 1))

    async def test_what_is_not_going_to_be_sent_needs_no_room(self, store: Store) -> None:
        """A request that the history shows was made, whatever the caps say."""
        ledger = store.open([wanted(0)])
        store.limit(ledger, Caps(usd=0, clips=0), in_flight=0)
        await ledger.record(await ledger.read(1), START, set_aside=None)
        assert store.sums().reserved == PRICE

    async def test_a_charge_above_its_reservation_closes_the_cap_at_once(self, store: Store) -> None:
        """What is open is taken for as dear as the dearest that was seen."""
        ledger = store.open(wanted(n) for n in range(3))
        store.limit(ledger, Caps(usd=4 * PRICE))
        await lead(ledger, 1, START)
        await lead(ledger, 2, START, Submitted("r2", NOON), Generated("https://files.example/2", NOON, 2 * PRICE))
        with pytest.raises(NoRoomError):
            await lead(ledger, 3, START)

    async def test_a_failure_that_is_charged_counts_as_any_charge(self, store: Store) -> None:
        """In dollars, in clips, and by its model; what nobody knows of stays reserved."""
        ledger = store.open(wanted(n) for n in range(3))
        store.limit(ledger, Caps(usd=2 * PRICE, clips=2))
        for row, end in ((1, Failed("a worker died", cost=PRICE)), (2, Blocked("policy", unproven=True))):
            await lead(ledger, row, START, Submitted(f"r{row}", NOON), end)
        sums = store.sums()
        assert (sums.spent, sums.reserved, sums.clips) == (PRICE, PRICE, 2)
        assert fingerprint(ledger.money) == fingerprint(sums)
        with pytest.raises(NoRoomError):
            await lead(ledger, 3, START)
        model = wanted(0).model
        assert (await ledger.failures_charged(model), await ledger.failures_charged("x")) == (PRICE, 0)

    async def test_the_sums_outlive_the_process(self, store: Store) -> None:
        """The next one is held to what all before it have spent."""
        clips = [wanted(0), wanted(1)]
        ledger = store.open(clips)
        await lead(ledger, 1, *LIFE)
        store.kill(ledger)
        again = store.open(clips)
        store.limit(again, Caps(usd=PRICE))
        with pytest.raises(NoRoomError):
            await lead(again, 2, START)

    # --- in flight ------------------------------------------------------------------------------------------

    async def test_no_more_are_in_flight_than_the_ceiling(self, store: Store) -> None:
        """Counted in the write, too: submitting and generating, but not what waits for its download."""
        ledger = store.open(wanted(n) for n in range(5))
        store.limit(ledger, Caps(), in_flight=3)
        await lead(ledger, 1, *LIFE[:2])
        ended = await outcomes(*[ledger.record(await ledger.read(row), START) for row in (2, 3, 4)])
        assert [each.cap for each in ended if isinstance(each, NoRoomError)] == [Cap.IN_FLIGHT]
        assert await ledger.in_flight() == 3
        await lead(ledger, 1, LIFE[2])
        assert await ledger.in_flight() == 2
        assert (await lead(ledger, 5, START)).state is State.SUBMITTING

    # --- claim ----------------------------------------------------------------------------------------------

    async def test_a_claim_gives_the_clip_as_it_is_stored(self, store: Store) -> None:
        """In each state in which there is something to carry."""
        ledger = store.open([wanted(0)])
        for event in (None, *LIFE[1:3]):
            if event is not None:
                await lead(ledger, 1, *([START] if event is LIFE[1] else []), event)
            assert await ledger.claim(1) == store.stored()[1]

    @pytest.mark.parametrize(
        "events",
        [LIFE, (START, Failed("422")), (START, Blocked("policy")), (START, AnswerLost("reset"))],
    )
    async def test_a_settled_clip_is_not_claimed(self, store: Store, events: Sequence[Event]) -> None:
        """There is nothing to carry, and a doubt is for the history or the user to settle."""
        ledger = store.open([wanted(0)])
        await lead(ledger, 1, *events)
        assert await ledger.claim(1) is None

    async def test_what_is_no_longer_wanted_is_claimed_only_if_it_is_paid_for(self, store: Store) -> None:
        """A paid clip is collected, whatever the manifest says by now."""
        ledger = store.open([wanted(0), wanted(1)])
        await lead(ledger, 1, START, SubmitDeferred("429"))
        await lead(ledger, 2, *LIFE[:2])
        store.unwant(ledger, [])
        assert await ledger.claim(1) is None
        claimed = await ledger.claim(2)
        assert claimed
        assert claimed.unwanted

    async def test_an_intent_whose_carrier_is_gone_is_in_doubt_before_the_claim_returns(self, store: Store) -> None:
        """Its POST may have left: it is never sent again by itself."""
        ledger = store.open([wanted(0)])
        await lead(ledger, 1, START)
        store.kill(ledger)
        again = store.open([wanted(0)])
        assert await again.claim(1) is None
        assert store.stored()[1].state is State.UNCONFIRMED
        assert again.money.reserved == store.sums().reserved == PRICE

    async def test_an_intent_whose_carrier_lives_is_left_to_it(self, store: Store) -> None:
        """A second hand-out of the same row must not put its own POST in doubt."""
        ledger = store.open([wanted(0)])
        clip = await lead(ledger, 1, START)
        assert await ledger.claim(1) is None
        assert (await ledger.record(clip, LIFE[1])).state is State.GENERATING

    # --- facts ----------------------------------------------------------------------------------------------

    async def test_facts_are_written_and_deleted_one_by_one_and_twice_is_once(self, store: Store) -> None:
        """No carrier's facts take away another's."""
        ledger = store.open([wanted(0)])
        await ledger.set_facts({"look": "no look", "looks": "neither"})
        for _ in range(2):
            await ledger.set_facts({about("looks", 1): "a", about("looks", 22): "b"})
            assert ledger.facts("looks") == {1: "a", 22: "b"}
        for _ in range(2):
            await ledger.set_facts({about("looks", 1): None, about("looks", 22): "c"})
            assert ledger.facts("looks") == {22: "c"}
        assert (ledger.meta("look"), ledger.meta("looks"), ledger.meta("none")) == ("no look", "neither", None)
        store.kill(ledger)
        assert store.open([wanted(0)]).facts("looks") == {22: "c"}

    # --- questions ------------------------------------------------------------------------------------------

    async def test_the_questions_of_a_run(self, store: Store) -> None:
        """What is paid for comes oldest first; a history is held to what was charged."""
        ledger = store.open(wanted(n) for n in range(5))
        for row, at in ((1, 30.0), (2, 10.0), (3, 20.0)):
            await lead(ledger, row, replace(START, at=NOON + at), Submitted(f"r{row}", NOON + at))
        await lead(ledger, 3, LIFE[2])
        assert await ledger.to_collect() == [2, 3, 1]
        assert [clip.row for clip in await ledger.open_clips(State.GENERATING)] == [2, 1]
        assert [row for row, *_ in await ledger.to_submit()] == [4, 5]
        assert await ledger.known_ids() == {"r1", "r2", "r3"}
        model = wanted(0).model
        assert await ledger.expected_ids(model, NOON, NOON + 60) == {"r3"}
        assert (
            await ledger.expected_ids(model, NOON + 21, NOON + 60) == await ledger.expected_ids("x", 0, 1e12) == set()
        )
        assert await ledger.count_by_price_class() == [(4, 2)]

    # --- any order of events --------------------------------------------------------------------------------

    @fuzz(40)
    @given(
        steps=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9), st.integers(0, 3))),
        costs=st.lists(st.sampled_from([None, 0, PRICE, 3 * PRICE]), min_size=4, max_size=4),
    )
    def test_after_any_events_the_mirror_is_what_is_stored(
        self, steps: list[tuple[int, int, int]], costs: list[int | None]
    ) -> None:
        """Sums in memory are those that are added up from the rows, and each clip is what its events made of it."""

        async def check(store: Store) -> None:
            ledger = store.open(wanted(n) for n in range(4))
            clips = {row: await ledger.read(row) for row in range(1, 5)}
            for number, (row, choice, day) in enumerate(steps):
                kinds = [kind for kind in NEXT[clips[row].state] if kind is not Reopened or clips[row].request_id]
                kind = kinds[choice % len(kinds)]
                event = event_for(
                    kind, number, at=NOON + day * DAY_S, price=PRICE * (1 + choice % 3), cost=costs[row - 1]
                )
                clips[row] = await ledger.record(clips[row], event)
            assert store.stored() == clips
            assert fingerprint(ledger.money) == fingerprint(store.sums())
            counts = ledger.live_totals.counts
            assert {state: n for state, n in counts.items() if n} == {
                state: n for state in State if (n := sum(clip.state is state for clip in clips.values()))
            }

        self.with_store(check)

    @fuzz(40)
    @given(
        cap=st.integers(0, 12),
        prices=st.lists(st.integers(0, 5), min_size=2, max_size=8),
        ends=st.lists(st.sampled_from([0, 1, 2, None]), min_size=8, max_size=8),
        by_day=st.booleans(),
    )
    def test_whatever_comes_at_once_the_cap_is_never_passed(
        self, cap: int, prices: list[int], ends: list[int | None], by_day: bool
    ) -> None:
        """All intents at once, then some ends at no more than was reserved, then all that were refused once more."""

        async def check(store: Store) -> None:
            ledger = store.open(wanted(n) for n in range(len(prices)))
            store.limit(ledger, Caps(usd_per_day=cap) if by_day else Caps(usd=cap))
            for _ in range(2):
                rows = [row for row, *_ in await ledger.to_submit()]
                intents = [ledger.record(await ledger.read(row), SubmitStarted(NOON, prices[row - 1])) for row in rows]
                for row, end in zip(rows, await outcomes(*intents), strict=True):
                    sums = store.sums()
                    assert sums.spent + sums.reserved <= cap
                    if isinstance(end, NoRoomError):
                        assert store.stored()[row].state is State.PENDING
                        continue
                    assert isinstance(end, Clip)
                    if (least := ends[row - 1]) is not None:
                        cost = max(0, prices[row - 1] - least)
                        await lead(ledger, row, Submitted(f"r{row}", NOON), Generated("https://f.example", NOON, cost))
            assert fingerprint(ledger.money) == fingerprint(store.sums())

        self.with_store(check)


def in_virtual_time(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(work)
