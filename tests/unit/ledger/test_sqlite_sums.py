"""What a ledger adds up when it is opened is what the run that wrote it had in mind."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from batchgen.billing.budget import Budget, day_of
from batchgen.events import AnswerLost, Event, Failed, Forgotten, Generated, Lost, SubmitStarted, Submitted
from batchgen.ledger import FILE, Reader, SqliteLedger
from batchgen.testing import wanted

DAY_S = 86_400.0
NOON = 1_795_003_200.0
LIVES: Sequence[Sequence[Event]] = (
    [
        SubmitStarted(NOON, reserved=7),
        Submitted("r0", NOON),
        Generated("https://f.example/0", NOON, 625_000, 9, 1.0, 9.0),
    ],
    [SubmitStarted(NOON, reserved=7), Submitted("r1", NOON)],
    [SubmitStarted(NOON + 1, reserved=7), Failed("422")],
    [SubmitStarted(NOON - 5 * DAY_S, reserved=0), AnswerLost("reset")],
    [SubmitStarted(NOON - 40 * DAY_S, reserved=9), AnswerLost("reset"), Forgotten("given up")],
    [SubmitStarted(NOON + DAY_S, reserved=7), Submitted("r5", NOON), Lost("gone", cost=312_500)],
)


async def filled(folder: Path) -> SqliteLedger:
    ledger = SqliteLedger(folder, wall_clock=lambda: NOON)
    ledger.sync(wanted(n) for n in range(len(LIVES)))
    for row, events in enumerate(LIVES, 1):
        clip = ledger.clip(row)
        for event in events:
            clip = await ledger.record(clip, event)
    return ledger


def told(wall: Budget) -> object:
    """Give all sums, with those of days that come to nothing left out."""
    days = {
        day: (sums.spent, sums.clips, sums.unpriced, sums.reserved_by_class, sums.open)
        for day, sums in wall.days.items()
    }
    total = (wall.spent, wall.clips, wall.unpriced, wall.reserved_by_class, wall.open)
    return total, wall.seen, {day: sums for day, sums in days.items() if any(sums)}


async def test_the_sums_of_a_ledger_that_is_opened_again_are_those_of_the_run(tmp_path: Path) -> None:
    """Each day's too, and what was refused is in none of them."""
    ledger = await filled(tmp_path)
    with closing(ledger):
        before = told(ledger.money)
    with closing(Reader(tmp_path)) as reader:
        assert told(reader.budget()) == before
        assert reader.budget().days[day_of(NOON)].clips == 2
        assert reader.budget().days[day_of(NOON - 5 * DAY_S)].unpriced == 1


async def test_what_status_says_is_what_the_wall_has(tmp_path: Path) -> None:
    """The one adds up without price classes, since it is asked beside a run; neither may know another truth."""
    (await filled(tmp_path)).close()
    with closing(Reader(tmp_path)) as reader:
        wall = reader.budget()
        for days in (0, 1, -5, -40, -3):
            today = wall.on(day_of(NOON + days * DAY_S))
            expected = (wall.spent, wall.reserved, wall.clips, wall.unpriced, today.spent + today.reserved)
            assert reader.spending(NOON + days * DAY_S) == expected
        assert wall.spent
        assert wall.reserved
        assert wall.unpriced


async def test_a_time_that_no_calendar_has_is_in_the_total_and_in_no_day(tmp_path: Path) -> None:
    """A damaged one must not keep `status` from telling the rest."""
    (await filled(tmp_path)).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as db, db:
        db.execute("UPDATE request SET intent_at = 1e300 WHERE clip = 1")
    with closing(Reader(tmp_path)) as reader:
        assert reader.budget().spent == 625_000 + 312_500
        assert reader.budget().days[day_of(NOON)].clips == 1
