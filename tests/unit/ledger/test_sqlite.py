"""The state file: what was recorded is there after a restart, and nothing is recorded that must not be."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from full_disk import freed, full

from batchgen.clip import Clip, State, submission_order
from batchgen.errors import IllegalEventError, LedgerWriteError
from batchgen.events import (
    EVENTS,
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
    Moved,
    Released,
    Reopened,
    Retried,
    SubmitDeferred,
    SubmitStarted,
    Submitted,
)
from batchgen.ledger import FencedError, Reader, SqliteLedger
from batchgen.states import NEXT
from batchgen.testing import MODEL, wanted

START = SubmitStarted(10.0, reserved=1_250_000)
GENERATED = Generated("https://files.example/r1", 70.0, 625_000, 9, 1.0, 59.0, poll_count=4)
LIVES: dict[type[Event], list[Event]] = {
    SubmitStarted: [SubmitStarted(10.5, reserved=7, sent='{"audio":"u"}')],
    Submitted: [START, Submitted("r1", 10.0)],
    SubmitDeferred: [START, SubmitDeferred("500", counts=True)],
    AnswerLost: [START, AnswerLost("reset “by peer”")],
    Failed: [START, Failed("422")],
    Blocked: [START, Blocked("policy")],
    FailedForNow: [START, Submitted("r1", 10.0), FailedForNow("worker died")],
    Generated: [START, Submitted("r1", 10.0), GENERATED],
    Lost: [START, Submitted("r1", 10.0), Lost("gone", cost=5)],
    Downloaded: [START, Submitted("r1", 10.0), GENERATED, Downloaded("shot.mp4", 3, "ab", "size", 5.0)],
    Released: [START, AnswerLost("reset"), Released("absent", absent=True), START],
    Forgotten: [START, AnswerLost("reset"), Forgotten("given up")],
    Retried: [START, Failed("422"), Retried()],
    Reopened: [START, Submitted("r1", 10.0), FailedForNow("worker died", cost=0), Reopened("it completed")],
    FileMissing: [START, Submitted("r1", 10.0), GENERATED, Downloaded("shot.mp4", 3, "ab"), FileMissing("gone")],
    Moved: [
        START,
        Submitted("r1", 10.0),
        GENERATED,
        Downloaded("shot.mp4", 3, "ab"),
        Moved("replaced/s.mp4", "shot.mp4"),
    ],
}


async def live(ledger: SqliteLedger, row: int, *events: Event) -> Clip:
    clip = ledger.clip(row)
    for event in events:
        clip = await ledger.record(clip, event)
    return clip


# --- durable ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
async def test_each_event_is_on_disk_when_record_returns(ledger: SqliteLedger, event: type[Event]) -> None:
    """A reader beside the run, and the next run, see the very same clip."""
    clip = await live(ledger, 1, *LIVES[event])
    with closing(Reader(ledger.folder)) as beside:
        assert {found.row: found for found in beside.clips()}[1] == clip
        assert beside.budget() == ledger.money
        assert beside.totals() == ledger.live_totals
    assert ledger.clip(1) == clip


def test_every_arrow_has_an_event_in_the_lives_above() -> None:
    """Else a new event would go untested."""
    assert set(LIVES) == set(EVENTS)
    assert {event for row in NEXT.values() for event in row} == set(EVENTS)


async def test_events_are_kept_with_time_name_state_and_detail(ledger: SqliteLedger) -> None:
    """The audit of the money."""
    await live(ledger, 1, *LIVES[Generated])
    with closing(sqlite3.connect(ledger.path)) as db:
        rows = db.execute("SELECT at, name, state, detail FROM event ORDER BY seq").fetchall()
    assert [row[:3] for row in rows] == [
        (100.0, "SubmitStarted", "submitting"),
        (100.0, "Submitted", "generating"),
        (100.0, "Generated", "downloading"),
    ]
    assert json.loads(rows[2][3])["cost"] == 625_000


async def test_both_requests_of_a_clip_stay_in_the_bill(ledger: SqliteLedger) -> None:
    """The first one was lost, and paid for all the same."""
    lost: list[Event] = [START, Submitted("r1", 10.0), Lost("gone", cost=600_000), Released("word")]
    await live(ledger, 1, *lost, START, Submitted("r2", 20.0), GENERATED)
    assert ledger.money.spent == 1_225_000
    with closing(Reader(ledger.folder)) as beside:
        assert beside.budget().spent == 1_225_000
        assert beside.request_ids() == {"r1", "r2"}


async def test_a_lost_clips_charge_still_tells_the_price(ledger: SqliteLedger) -> None:
    """What was seen was seen; the next run reserves by it too."""
    await live(ledger, 1, START, Submitted("r1", 10.0), GENERATED, Lost("dead"))
    with closing(Reader(ledger.folder)) as beside:
        assert beside.budget().seen == ledger.money.seen == {f"{MODEL} 1280*720 5": 625_000}


async def test_what_a_service_sends_can_always_be_written(ledger: SqliteLedger) -> None:
    """Half an emoji or an absurd number must not end a night."""
    await live(ledger, 1, START, Failed("cut within \ud83d"))
    odd = Generated("https://files.example/\udc00", 70.0, 625_000, 2**70, float("inf"), 59.0)
    await live(ledger, 2, START, Submitted("r\ud83d", 1.0), odd)
    await live(ledger, 3, START)
    with closing(Reader(ledger.folder)) as beside:
        assert {clip.row for clip in beside.clips(State.FAILED, State.DOWNLOADING, State.SUBMITTING)} == {1, 2, 3}


async def test_events_that_come_together_share_a_commit(ledger: SqliteLedger) -> None:
    """An fsync for each would be a hundred times slower."""
    commits = 0
    run = asyncio.get_running_loop().run_in_executor

    def counted(*args: object) -> object:
        nonlocal commits
        commits += 1
        return run(*args)  # type: ignore[arg-type]

    asyncio.get_running_loop().run_in_executor = counted  # type: ignore[method-assign,assignment]
    ledger.sync(wanted(n) for n in range(200))
    async with asyncio.TaskGroup() as group:
        for row in range(1, 201):
            group.create_task(live(ledger, row, START, Submitted(f"r{row}", 1.0)))
    assert commits <= 6
    assert ledger.live_totals.counts[State.GENERATING] == 200


@pytest.mark.real_time
async def test_a_real_thread_writes_while_the_loop_goes_on(tmp_path: Path) -> None:
    """As in a real run: many clips, real commits, and nothing half done when `settle` returns."""
    with closing(SqliteLedger(tmp_path)) as ledger:
        ledger.sync(wanted(n) for n in range(100))
        tasks = [asyncio.get_running_loop().create_task(live(ledger, row, *LIVES[Downloaded])) for row in range(1, 101)]
        await asyncio.wait(tasks)
        await ledger.settle()
        with closing(Reader(tmp_path)) as beside:
            assert beside.totals().counts[State.DONE] == 100
            assert beside.budget().spent == 100 * 625_000


async def test_settle_waits_for_what_nobody_waits_for_any_more(ledger: SqliteLedger) -> None:
    """A cancelled worker's request id is still written."""
    clip = await live(ledger, 1, START)
    task = asyncio.get_running_loop().create_task(ledger.record(clip, Submitted("r1", 1.0)))
    other = asyncio.get_running_loop().create_task(live(ledger, 2, START))
    await asyncio.sleep(0)
    task.cancel()
    other.cancel()
    await ledger.settle()
    with closing(Reader(ledger.folder)) as beside:
        assert next(beside.clips(State.GENERATING)).request_id == "r1"
        assert next(beside.clips(State.SUBMITTING)).row == 2


async def test_settle_does_not_wait_for_others_to_share_a_commit(ledger: SqliteLedger) -> None:
    """What gathers for the next commit when all is cancelled is written, and none of it is forgotten."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(live(ledger, row, START)) for row in range(1, 4)]
    await tasks[0]  # its commit is over; the other two came meanwhile, and gather
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await ledger.settle()
    with closing(Reader(ledger.folder)) as beside:
        assert {clip.row for clip in beside.clips(State.SUBMITTING)} == {1, 2, 3}


# --- fences -------------------------------------------------------------------------------------------------


async def test_an_illegal_event_changes_nothing(ledger: SqliteLedger) -> None:
    """Neither in memory nor on disk."""
    clip = await live(ledger, 1, START)
    money = replace(ledger.money)
    with pytest.raises(IllegalEventError):
        await ledger.record(clip, Downloaded("f", 1, "s"))
    assert ledger.clip(1) == clip
    assert ledger.money == money


@pytest.mark.parametrize("until", [2, 3, 4])
async def test_who_holds_an_old_clip_can_not_change_the_new_one(ledger: SqliteLedger, until: int) -> None:
    """Two workers of one clip would pay twice; also after it has settled."""
    old = await live(ledger, 1, START)
    await live(ledger, 1, *LIVES[Downloaded][1:until])
    now = ledger.clip(1)
    with pytest.raises(FencedError, match="too late"):
        await ledger.record(old, AnswerLost("late"))
    assert ledger.clip(1) == now


async def test_two_intents_for_one_clip_are_impossible(ledger: SqliteLedger) -> None:
    """Not even in the same turn of the loop."""
    clip = ledger.clip(1)
    first = asyncio.get_running_loop().create_task(ledger.record(clip, START))
    second = asyncio.get_running_loop().create_task(ledger.record(clip, START))
    await first
    with pytest.raises(FencedError):
        await second
    assert ledger.money.reserved == 1_250_000


# --- a disk that is full ------------------------------------------------------------------------------------


async def test_an_intent_that_can_not_be_written_is_refused(ledger: SqliteLedger) -> None:
    """There is no POST without it."""
    full(ledger.folder, "SubmitStarted")
    with pytest.raises(LedgerWriteError, match="full"):
        await live(ledger, 1, START)
    with closing(Reader(ledger.folder)) as beside:
        assert beside.totals().counts[State.PENDING] == 5


async def test_after_a_failed_write_nothing_more_is_taken(ledger: SqliteLedger) -> None:
    """The memory may be ahead of the disk by now."""
    full(ledger.folder, "SubmitStarted")
    for row in (1, 2):
        with pytest.raises(LedgerWriteError):
            await live(ledger, row, START)
    assert ledger.broken
    freed(ledger.folder)
    with pytest.raises(LedgerWriteError):
        await live(ledger, 3, START)


async def test_a_request_id_that_can_not_be_written_goes_to_the_spill_and_is_taken_up_by_the_next_run(
    ledger: SqliteLedger,
) -> None:
    """It was paid for."""
    for row in (1, 2):
        await live(ledger, row, START)
    full(ledger.folder, "Submitted")
    for row in (1, 2):  # the first finds the disk full, the second a ledger that is known as broken
        with pytest.raises(LedgerWriteError):
            await ledger.record(ledger.clip(row), Submitted(f"r{row}", 33.0))
    ledger.close()
    freed(ledger.folder)
    for _ in range(2):
        with closing(SqliteLedger(ledger.folder)) as again:
            assert again.recover() == 0
            clips = list(again.clips(State.GENERATING))
            assert [(clip.request_id, clip.request.submitted_at if clip.request else 0) for clip in clips] == [
                ("r1", 33.0), ("r2", 33.0),
            ]  # fmt: skip
    ledger.__init__(ledger.folder)  # type: ignore[misc] # for the fixture to close


@pytest.mark.parametrize("verb", ["sync", "remember", "recover"])
async def test_a_disk_that_is_full_at_the_start_is_told_in_plain_words(ledger: SqliteLedger, verb: str) -> None:
    """Exit 4, not a traceback."""
    await live(ledger, 1, START)
    with closing(sqlite3.connect(ledger.path)) as db:
        for table in ("clip", "meta", "event"):
            db.execute(
                f"CREATE TRIGGER full_{table} BEFORE INSERT ON {table} "
                "BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
            )
        db.commit()
    with pytest.raises(LedgerWriteError, match="full"):
        if verb == "sync":
            ledger.sync([wanted(99)])
        elif verb == "remember":
            ledger.remember("name", "night")
        else:
            ledger.recover()


async def test_a_real_full_database_is_as_good_as_a_full_disk(ledger: SqliteLedger) -> None:
    """SQLITE_FULL itself, once."""
    ledger._out.execute("PRAGMA max_page_count=1")
    with pytest.raises(LedgerWriteError, match="full"):
        for n in range(500):
            await live(ledger, 1, START, SubmitDeferred("x" * 500 + str(n)))


# --- resuming -----------------------------------------------------------------------------------------------


async def test_a_post_that_was_on_the_way_is_in_doubt_after_a_restart_and_stays_so(ledger: SqliteLedger) -> None:
    """Recovering twice is recovering once."""
    await live(ledger, 1, START)
    ledger.close()
    for doubts in (1, 0):
        with closing(SqliteLedger(ledger.folder)) as again:
            assert again.recover() == doubts
            [clip] = again.clips(State.UNCONFIRMED)
            assert clip.request
            assert clip.request.reserved == 1_250_000
            assert again.money.reserved == 1_250_000
    ledger.__init__(ledger.folder)  # type: ignore[misc] # for the fixture to close


async def test_what_is_paid_for_comes_oldest_first(ledger: SqliteLedger) -> None:
    """What is about to expire goes first."""
    for row, at in ((1, 30.0), (2, 10.0), (3, 20.0)):
        await live(ledger, row, replace(START, at=at), Submitted(f"r{row}", at))
    await live(ledger, 3, GENERATED)
    assert ledger.paid() == [2, 3, 1]


def test_pending_comes_first_takes_first_then_priority_then_order(tmp_path: Path) -> None:
    """In the morning there is one of everything."""
    clips = [wanted(1, 2), wanted(2), wanted(3), replace(wanted(4), priority=9), wanted(0, 2)]
    with closing(SqliteLedger(tmp_path)) as ledger:
        ledger.sync(clips)
        assert [name for _, _, name in ledger.pending()] == ["shot4_1", "shot2_1", "shot3_1", "shot0_2", "shot1_2"]


def test_the_order_of_submission_is_the_same_in_sql_and_in_python(tmp_path: Path) -> None:
    """Budget, plan and ledger must not disagree about who is first."""
    dice = random.Random(1)
    clips = [
        replace(wanted(n, dice.randint(1, 3)), priority=dice.randint(-1, 1), order=dice.randint(0, 9))
        for n in range(99)
    ]
    with closing(SqliteLedger(tmp_path)) as ledger:
        ledger.sync(clips)
        rows = sorted(range(1, 100), key=lambda row: submission_order(clips[row - 1], row))
        assert [row for row, *_ in ledger.pending()] == rows


async def test_run_times_are_learned_from_the_ledger_the_oldest_first(ledger: SqliteLedger) -> None:
    """The next night starts wiser; what ended while nobody looked teaches nothing."""
    for row in (1, 2, 3):
        done = replace(GENERATED, at=70.0 + row, run_s=50.0 + row if row < 3 else None, queue_s=None)
        await live(ledger, row, START, Submitted(f"r{row}", 10.0), done)
    assert ledger.run_times(10) == {f"{MODEL} 1280*720 5": [51.0, 52.0]}
    assert ledger.run_times(1) == {f"{MODEL} 1280*720 5": [52.0]}


async def test_looks_are_counted_with_those_at_what_failed_and_without_what_is_not_known(ledger: SqliteLedger) -> None:
    """What a clip really took of a scarce rate; what a killed run looked at was not written down, and is no 0."""
    await live(ledger, 1, START, Submitted("r1", 10.0), FailedForNow("worker died", poll_count=3))
    price_class = f"{MODEL} 1280*720 5"
    assert ledger.poll_counts() == {price_class: (3, 0)}
    await live(ledger, 1, START, Submitted("r2", 10.0), GENERATED, replace(GENERATED, url="new", poll_count=None))
    await live(ledger, 2, START, Submitted("r3", 10.0), replace(GENERATED, poll_count=None))
    await live(ledger, 3, START, Submitted("r4", 10.0), replace(GENERATED, poll_count=1), Lost("its file is broken"))
    assert ledger.poll_counts() == {price_class: (8, 1)}


async def test_what_a_plan_asks_for_is_told_of_every_clip_with_all_that_it_cost(ledger: SqliteLedger) -> None:
    """A clip that was lost, and made again, was paid for twice; one that was never sent is free."""
    lost = (START, Submitted("r1", 10.0), Lost("gone", cost=600_000), Released("again"))
    await live(ledger, 1, *lost, START, Submitted("r2", 20.0), GENERATED)
    await live(ledger, 2, START, AnswerLost("reset"))
    await live(ledger, 3, START, Submitted("r3", 10.0), replace(GENERATED, cost=None), Lost("gone"))
    facts = {clip.key: clip for clip in ledger.known()}
    first, second, third, fourth = list(facts.values())[:4]
    assert (first.requests, first.spent, first.reserved, first.uncharged) == (2, 1_225_000, 0, 0)
    assert (second.state, second.spent, second.reserved, second.at) == (State.UNCONFIRMED, 0, 1_250_000, 10.0)
    assert (third.spent, third.reserved, third.reason) == (0, 1_250_000, "gone")
    assert (fourth.state, fourth.requests, fourth.at, fourth.dropped) == (State.PENDING, 0, None, True)
    on_disk = {clip.key: clip for clip in ledger.clips()}
    assert {key: (clip.state, clip.wanted.params, clip.wanted.name) for key, clip in on_disk.items()} == {
        key: (clip.state, clip.params, clip.name) for key, clip in facts.items()
    }


async def test_charges_are_learned_from_the_ledger_the_latest_of_each_class(ledger: SqliteLedger) -> None:
    """A free clip, and one whose cost nobody told, say nothing of the next one's price."""
    for row, cost in ((1, 625_000), (2, 0), (3, None), (4, 800_000)):
        event = replace(GENERATED, at=70.0 + row, cost=cost)
        await live(ledger, row, START, Submitted(f"r{row}", 10.0), event)
    assert ledger.charges(10) == {f"{MODEL} 1280*720 5": [625_000, 800_000]}
    assert ledger.charges(1) == {f"{MODEL} 1280*720 5": [800_000]}


async def test_a_view_that_breaks_does_not_hold_up_the_run(
    ledger: SqliteLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """All who wait for the commit go on, and the other observers hear of it."""
    heard: list[str] = []

    def broken(_clip: Clip, _event: Event) -> None:
        raise RuntimeError("a view")

    ledger.observers += [broken, lambda _clip, event: heard.append(type(event).__name__)]
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for row in (1, 2, 3):
            group.create_task(live(ledger, row, START, Submitted(f"r{row}", 10.0)))
    assert heard.count("Submitted") == 3
    assert "an observer failed" in caplog.text
