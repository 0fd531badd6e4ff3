"""What the state machine of `test_any_batch` needs: the ledger's own books read anew, and the user's words."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from batch import Batch, Life

from batchgen.clip import State, Wanted
from batchgen.events import Event
from batchgen.history.reconcile import Reconciler
from batchgen.ledger import FILE, Reader, SqliteLedger
from batchgen.providers.paced import PacedProvider
from batchgen.ratelimit.limiter import LocalPacer
from batchgen.runner.doubts import events_for
from batchgen.testing import EPOCH, VirtualTimeLoop, identity, wanted


@dataclass(frozen=True)
class Books:
    """What a plain look into the state file shows, by what was asked for.

    `words` counts how often the user said that something may be paid for once more; `doubts` the requests
    without an id that may have been accepted.
    """

    words: Counter[str]
    doubts: Counter[str]
    spent: int
    held: int
    states: Counter[tuple[str, bool]]

    def add_up(self, batch: Batch, life: Life | None) -> None:
        """The sums that everybody is shown are those of the rows, and no charge is missing in them."""
        money = batch.money()
        assert (money.spent, money.reserved) == (self.spent, self.held)
        assert batch.provider.spent() <= money.spent + money.reserved
        with closing(Reader(batch.folder)) as ledger:
            totals = ledger.totals()
        shown = {(str(state), True): n for state, n in totals.counts.items() if n}
        assert shown == {key: n for key, n in self.states.items() if key[1]}
        assert totals.unwanted == sum(n for (_, wished), n in self.states.items() if not wished)
        if life is not None and not life.killed:
            live = life.tools.ledger
            assert live.live_totals.counts == totals.counts
            assert {
                price_class: held for price_class, held in live.money.reserved_by_class.items() if held
            } == money.reserved_by_class
            assert (live.money.spent, live.money.seen) == (money.spent, money.seen)
            assert {price_class: n for price_class, n in live.money.open.items() if n} == money.open


def books_of(folder: Path) -> Books:
    """Read the books without any of batchgen's own queries."""
    with closing(sqlite3.connect(folder / FILE)) as db:
        params = {row: identity(json.loads(text)) for row, text in db.execute("SELECT id, params FROM clip")}
        words: Counter[str] = Counter()
        for row, name, detail in db.execute("SELECT clip, name, detail FROM event ORDER BY seq"):
            if name == "Forgotten" or (name == "Released" and not json.loads(detail).get("absent")):
                words[params[row]] += 1
        in_doubt = "SELECT clip FROM request WHERE request_id IS NULL AND outcome NOT IN ('absent','refused','failed')"
        doubts = Counter(params[row] for (row,) in db.execute(in_doubt))
        spent, held = db.execute("SELECT coalesce(sum(cost), 0), coalesce(sum(held), 0) FROM request").fetchone()
        rows = db.execute("SELECT state, wanted FROM clip")
        return Books(words, doubts, spent, held, Counter((state, bool(wished)) for state, wished in rows))


def say(batch: Batch, event: Event, states: Iterable[State], places: set[int]) -> None:
    """Record the user's word on some of the clips in these states, as `retry` and `forget` do."""

    async def record(ledger: SqliteLedger) -> None:
        chosen = [clip for place, clip in enumerate(ledger.clips(*states)) if place in places]
        for clip in chosen:
            await ledger.record(clip, event)

    _with_ledger(batch, record)


def reroll(batch: Batch, place: int, take: int, *, instead: bool) -> list[Wanted]:
    """Want another take of a clip, or of a failed one in its place, as `reroll` and `retry --new-seed` do."""
    made: list[Wanted] = []

    async def want(ledger: SqliteLedger) -> None:
        for clip in list(ledger.clips(wanted=True))[place : place + 1]:
            one = replace(wanted(clip.wanted.order, take), reroll_of=clip.wanted.reroll_of or clip.key)
            made.extend(ledger.reroll([one], [clip.key] if instead else []))

    _with_ledger(batch, want)
    return made


def reconcile(batch: Batch) -> None:
    """Hold what is in doubt against the history, as `batchgen reconcile` does."""

    async def look(ledger: SqliteLedger) -> None:
        ledger.recover()
        pacer = LocalPacer(0.0)
        reconciler = Reconciler(
            PacedProvider(batch.provider, pacer),
            settle_s=batch.limits.settle_s,
            taken=ledger.known_ids,
            expected=ledger.expected_ids,
        )
        async with asyncio.TaskGroup() as group:
            granting = group.create_task(pacer.run())
            doubtful = list(ledger.clips(State.UNCONFIRMED, State.LOST))
            looked = [doubt async for doubt in reconciler.check(doubtful, ledger.now())]
            granting.cancel()
        for doubt in looked:
            clip = doubt.clip
            for event in events_for(doubt, ledger.now(), batch.limits.deadline_s):
                clip = await ledger.record(clip, event)

    batch.provider.dead = False
    _with_ledger(batch, look)


def _with_ledger(batch: Batch, work: Callable[[SqliteLedger], Awaitable[None]]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ledger = SqliteLedger(batch.folder, wall_clock=lambda: EPOCH + loop.time())
        try:
            await work(ledger)
            await ledger.settle()
        finally:
            ledger.close()

    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(batch.clock)) as runner:
        runner.run(main())
        batch.clock = runner.get_loop().time()
