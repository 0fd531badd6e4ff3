"""Any batch: edited, run, killed, resumed and given words, in any order and any weather, keeps the promises.

A state machine of hypothesis over a whole batch in virtual time. Each rule is something that a user, the service
or the machine does; after each of them the promises are held against the service's own books and the files.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import tempfile
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from any_batch import Books, books_of, reconcile, reroll, say
from batch import Batch, Kill, Life, Limits
from fuzz import fuzz
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from batchgen.clip import Clip, State, Wanted
from batchgen.errors import LockedError
from batchgen.events import Event, Forgotten, Retried
from batchgen.ledger import SqliteLedger
from batchgen.runner.context import RunContext
from batchgen.selection import Selection
from batchgen.testing import COST, FakeDownloads, FakeJob, FakeProvider, content_of, identity, wanted

SLOTS = 4  # POSTs at once
#: What may come, of each kind; an even choice of these is a bad night, and all promises hold in it.
WEATHER = {
    "post": ["ok", "ok", "ok", "lost", "lost", "unsure", "rate-30", "unreachable", "server", "refused", "blocked"],
    "fate": ["done", "done", "transient", "final", "blocked", "no-url", "stuck"],
    "get": ["ok", "server", "rate", "unreachable", "gone", "says ODD", "no link"],
    "look": ["ok", "down", "part", "blind"],
    "file": ["ok", "dead", "broken", "trouble", "full"],
}
KILLS = st.builds(Kill, st.sampled_from(["event", "arrival", "accept", "rename"]), st.integers(1, 5))
WORDS = st.booleans()
SEEDS = st.integers(0, 2**16)
DOUBTS = (State.UNCONFIRMED, State.LOST)
FAILURES = (State.FAILED, State.BLOCKED)


class Weather:
    """What comes next, of each kind; good when nothing is left."""

    def __init__(self) -> None:
        self.left: dict[str, deque[str]] = {kind: deque() for kind in WEATHER}

    def next(self, kind: str, good: str) -> str:
        """Take the next word of a kind."""
        return self.left[kind].popleft() if self.left[kind] else good

    def clear(self) -> None:
        """Let all be well."""
        for words in self.left.values():
            words.clear()


def keys_of(clips: Iterable[Wanted]) -> set[str]:
    """Give the keys of clips."""
    return {clip.key for clip in clips}


class AnyBatch(RuleBasedStateMachine):
    """One batch and the world round it."""

    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.root = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None, prefix="batchgen-"))
        self.weather = Weather()
        self.ids: set[str] = set()  #: every request id that was ever on disk
        self.files: set[str] = set()  #: every file that was ever under its final name
        self.rerolls: list[Wanted] = []
        self.life: Life | None = None
        self.states: Counter[State] = Counter()
        self.sound = False

    def teardown(self) -> None:
        """When all clouds have gone, a run settles everything, and the next one has nothing to pay."""
        try:
            if self.sound:
                self.ends_well()
        finally:
            shutil.rmtree(self.root)

    @initialize(
        clips=st.integers(1, 6),
        in_flight=st.integers(1, 6),
        charge=st.sampled_from([COST // 2, COST, 2 * COST, None]),
        cap=st.none() | st.integers(2, 12),
        arrivals=SEEDS,
    )
    def begin(self, clips: int, in_flight: int, charge: int | None, cap: int | None, arrivals: int) -> None:
        dice = random.Random(arrivals)
        provider = FakeProvider(
            post_s=dice.choice([0.5, 5.0]), post=self.post, get=self.get,
            fate=lambda _: self.weather.next("fate", "done"), look=lambda: self.weather.next("look", "ok"),
            cost=lambda _: charge,
        )  # fmt: skip
        downloads = FakeDownloads(meets=lambda _: self.weather.next("file", "ok"))
        limits = Limits(
            submit_concurrency=SLOTS, in_flight=in_flight, cap=cap and cap * COST, deadline_s=900.0, give_up_s=1800.0
        )
        self.batch = Batch(self.root, clips, provider=provider, downloads=downloads, limits=limits)
        self.batch.arrives = lambda: dice.random() < 0.5

    # --- what the service is asked ------------------------------------------------------------------------------

    def post(self, params: Mapping[str, Any]) -> str:
        asked = identity(params)
        keys = keys_of(self.batch.wanted)
        wishes = [*self.batch.wanted, *(take for take in self.rerolls if take.reroll_of in keys)]
        assert asked in {identity(json.loads(clip.params)) for clip in wishes}, "what nobody wants was submitted"
        return self.weather.next("post", "ok")

    def get(self, job: FakeJob | None) -> str:
        assert job is None or job.request_id in self.batch.request_ids(), "polled before its id was on disk"
        return self.weather.next("get", "ok")

    # --- the user edits, the world turns --------------------------------------------------------------------------

    @rule(seed=SEEDS)
    def edit(self, seed: int) -> None:
        """Take clips out of the manifest, put others in, and put them in another order."""
        dice = random.Random(seed)
        kept = [clip for clip in self.batch.wanted if dice.random() < 0.7]
        numbers = dice.sample(range(40), dice.randint(1, 6))
        fresh = [one for one in (wanted(n, dice.randint(1, 2)) for n in numbers) if one.key not in keys_of(kept)]
        dice.shuffle(wishes := kept + fresh)
        self.batch.wanted = [replace(clip, order=n, priority=dice.randint(0, 2)) for n, clip in enumerate(wishes)]

    @rule(cap=st.none() | st.none() | st.integers(1, 20))
    def another_budget(self, cap: int | None) -> None:
        self.batch.limits = replace(self.batch.limits, cap=cap and cap * COST)

    @rule(seed=SEEDS)
    def clouds(self, seed: int) -> None:
        dice = random.Random(seed)
        for kind, words in WEATHER.items():
            self.weather.left[kind].extend(dice.choices(words, k=dice.randint(0, 5)))

    @rule(weather=st.one_of(
        st.tuples(st.just("outage"), st.sampled_from([30.0, 600.0, 3000.0])),
        st.tuples(st.just("lag"), st.sampled_from([0.0, 20.0, 3600.0])),
        st.tuples(st.just("keeps"), st.sampled_from([50.0, 90.0, 3600.0])),
        st.tuples(st.sampled_from(["storm", "key", "credits"]), st.just(0.0)),
    ), after=st.integers(0, 100))  # fmt: skip
    def climate(self, weather: tuple[str, float], after: int) -> None:
        """An outage, a storm of 429s, a history that lags, records that expire sooner."""
        kind, seconds = weather
        provider, at = self.batch.provider, self.batch.clock + after
        match kind:
            case "outage":
                provider.outages.append((at, at + seconds))
            case "lag":
                provider.history_lag_s = seconds
            case "keeps":
                provider.keeps_s = seconds
            case "storm":
                self.weather.left["post"].extend(["rate"] * 15)
            case _:
                self.weather.left["post"].append(kind)

    @rule(seconds=st.sampled_from([1.0, 60.0, 3000.0, 4000.0, 7300.0, 90_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.batch.clock += seconds

    # --- the user runs ------------------------------------------------------------------------------------------

    @rule(limit=st.none() | st.integers(0, 3), only=st.sampled_from([None, None, "shot[0-4]*"]), submit=WORDS,
          unconfirmed=WORDS, lost=WORDS)  # fmt: skip
    def run(self, limit: int | None, only: str | None, submit: bool, unconfirmed: bool, lost: bool) -> None:
        orders = Selection(
            limit, only, submit=submit or limit is None, resubmit_unconfirmed=unconfirmed, resubmit_lost=lost
        )
        posted = len(self.batch.provider.posts)
        self.live(orders)
        if not orders.submit and not (unconfirmed or lost):
            assert len(self.batch.provider.posts) == posted

    @rule()
    def plain_run(self) -> None:
        self.live(Selection())

    @rule(kill=KILLS, seed=SEEDS, unconfirmed=WORDS, lost=WORDS)
    def killed_run(self, kill: Kill, seed: int, unconfirmed: bool, lost: bool) -> None:
        self.edit(seed)  # a run that has nothing to do does not live long enough to be killed
        if seed % 2:
            self.clouds(seed)
        life = self.live(Selection(resubmit_unconfirmed=unconfirmed, resubmit_lost=lost), kill=kill)
        cut_off = sum(1 for clip in self.batch.clips().values() if clip.state is State.SUBMITTING)
        assert cut_off <= (SLOTS if life.killed else 0)

    @rule()
    def two_runs_at_once(self) -> None:
        async def second(_tools: RunContext) -> None:
            with pytest.raises(LockedError):
                SqliteLedger(self.batch.folder)

        self.live(Selection(), beside=second)

    def live(self, orders: Selection, **how: Any) -> Life:
        """Run once, with an eye on the budget at every event."""
        batch, beside = self.batch, how.pop("beside", None)
        ceiling = max(batch.limits.cap or 0, self.exposure())

        async def watch(tools: RunContext) -> None:
            def see(_clip: Clip, _event: Event) -> None:
                money = tools.ledger.money
                over.append(money.spent + money.reserved)

            tools.ledger.observers.insert(0, see)
            if beside:
                await beside(tools)
            await asyncio.Event().wait()

        over: list[int] = []
        life = self.life = batch.live(orders, beside=watch, **how)
        assert batch.limits.cap is None or max(over, default=0) <= ceiling
        if life.exit is None and not life.killed and orders == Selection():
            assert all(state.settled for state in batch.states())
        return life

    def exposure(self) -> int:
        """What is spent and reserved on disk."""
        if not self.known:
            return 0
        money = self.batch.money()
        return money.spent + money.reserved

    # --- the user's words ---------------------------------------------------------------------------------------

    @property
    def known(self) -> bool:
        """True once a run has made a ledger."""
        return (self.batch.folder / "ledger.db").exists()

    def some(self, *states: State) -> bool:
        """True when some clip was last seen in one of these states."""
        return any(self.states[state] for state in states)

    @precondition(lambda self: self.some(*DOUBTS))
    @rule(unconfirmed=WORDS, lost=WORDS)
    def wait_and_say_that_it_may_be_sent_again(self, unconfirmed: bool, lost: bool) -> None:
        self.batch.clock += 8000.0
        self.live(Selection(resubmit_unconfirmed=unconfirmed, resubmit_lost=lost))

    @precondition(lambda self: self.some(*DOUBTS))
    @rule()
    def look_into_the_history(self) -> None:
        posted = len(self.batch.provider.posts)
        reconcile(self.batch)
        assert len(self.batch.provider.posts) == posted

    @precondition(lambda self: self.some(*DOUBTS))
    @rule(places=st.sets(st.integers(0, 5), min_size=1))
    def give_up_clips_in_doubt(self, places: set[int]) -> None:
        say(self.batch, Forgotten("given up"), DOUBTS, places)

    @precondition(lambda self: self.some(*FAILURES))
    @rule(places=st.sets(st.integers(0, 5), min_size=1))
    def wish_failed_clips_anew(self, places: set[int]) -> None:
        say(self.batch, Retried(), FAILURES, places)

    @precondition(lambda self: self.known)
    @rule(place=st.integers(0, 5), instead=WORDS)
    def want_another_take(self, place: int, instead: bool) -> None:
        self.rerolls += reroll(self.batch, place, 10 + len(self.rerolls), instead=instead)

    # --- the promises -------------------------------------------------------------------------------------------

    @invariant()
    def promises_hold(self) -> None:
        self.sound = False
        if not hasattr(self, "batch") or not self.known:
            return
        books = books_of(self.batch.folder)
        self.nothing_is_paid_twice(books)
        self.nothing_paid_for_is_forgotten(books)
        self.files_are_whole_and_stay()
        books.add_up(self.batch, self.life)
        self.life = None
        self.states = Counter(clip.state for clip in self.batch.clips().values())
        self.sound = True

    def nothing_is_paid_twice(self, books: Books) -> None:
        for params, times in self.batch.provider.paid().items():
            assert times <= 1 + books.words[params], f"{params} was paid for {times} times"

    def nothing_paid_for_is_forgotten(self, books: Books) -> None:
        known = self.batch.request_ids()
        assert self.ids <= known, f"forgotten: {self.ids - known}"
        self.ids |= known
        unknown = Counter(
            identity(job.params)
            for job in self.batch.provider.jobs.values()
            if not job.free and job.request_id not in known
        )
        for params, times in unknown.items():
            assert times <= books.doubts[params], f"{params} was paid for, and nobody knows of it"

    def files_are_whole_and_stay(self) -> None:
        made = {job.url for job in self.batch.provider.jobs.values()}
        whole = {content_of(url) for url in made}
        there = {path.name: path for path in (self.batch.folder / "clips").glob("*.mp4")}
        assert self.files <= there.keys()
        assert all(path.read_bytes() in whole for path in there.values())
        for clip in self.batch.clips().values():
            if clip.state is State.DONE:
                assert clip.file
                assert clip.request
                assert there[clip.file].read_bytes() == content_of(clip.request.url or "")
                self.files.add(clip.file)

    def ends_well(self) -> None:
        self.weather.clear()
        self.batch.provider.outages.clear()
        self.batch.provider.history_lag_s = 0.0
        self.batch.clock += 8000.0
        self.batch.limits = replace(self.batch.limits, cap=None)
        posted = -1
        for _ in range(3):
            posted = len(self.batch.provider.posts)
            self.live(Selection(resubmit_unconfirmed=True))
            self.promises_hold()
        assert len(self.batch.provider.posts) == posted
        assert not self.some(State.UNCONFIRMED, State.SUBMITTING, State.GENERATING, State.DOWNLOADING)


class TestAnyBatch(AnyBatch.TestCase):  # type: ignore[valid-type,misc]  # made by hypothesis
    """A few batches."""

    settings = fuzz(24, stateful_step_count=25)


@pytest.mark.slow
class TestManyBatches(AnyBatch.TestCase):  # type: ignore[valid-type,misc]
    """As many as a night allows; `FUZZ_TIMES` sets how many."""

    settings = fuzz(18, stateful_step_count=25)
