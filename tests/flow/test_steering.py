"""A run that is steered from another process: paused, resumed, stopped, and told which takes are not to be made."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from batch import Batch, Limits, check

from batchgen.clip import State
from batchgen.errors import Exit
from batchgen.events import SubmitStarted
from batchgen.ledger import FILE, Reader, SkippedError, SqliteLedger, wishes
from batchgen.ledger.wishes import CONTROL, Control, QueuedWish
from batchgen.runner import steering
from batchgen.runner.context import RunContext
from batchgen.testing import FakeProvider, wanted

Steps = Callable[[RunContext], Coroutine[Any, Any, None]]
SLOW = Limits(in_flight=1, expect_s=60.0)


def steered(*steps: tuple[float, Control], grace_s: float = math.inf) -> Steps:
    """Ask for each step so many seconds after the one before."""

    async def beside(tools: RunContext) -> None:
        for after_s, control in steps:
            await asyncio.sleep(after_s)
            await steering.obey(tools, control, grace_s=grace_s)

    return beside


def test_a_pause_holds_submissions_only_and_ends_when_it_is_lifted(tmp_path: Path) -> None:
    """What is paid for is collected meanwhile; nothing is sent for hours."""
    batch = Batch(tmp_path, 3, provider=FakeProvider(run_s=60.0), limits=SLOW)
    done: list[int] = []

    async def beside(tools: RunContext) -> None:
        await asyncio.sleep(30.0)
        await steering.obey(tools, Control.PAUSED, grace_s=0.0)
        await asyncio.sleep(7200.0)
        done.append(tools.ledger.live_totals.counts[State.DONE])
        assert len(batch.provider.posts) == 1
        assert tools.ledger.meta(CONTROL) == Control.PAUSED
        await steering.obey(tools, Control.RUNNING, grace_s=0.0)

    life = batch.live(beside=beside)
    assert done == [1]
    assert batch.states() == [State.DONE] * 3
    check(batch, life)


def test_a_paused_run_can_be_stopped(tmp_path: Path) -> None:
    """As by the first Ctrl-C: what waits stays pending."""
    batch = Batch(tmp_path, 3, provider=FakeProvider(run_s=60.0), limits=SLOW)
    life = batch.live(beside=steered((30.0, Control.PAUSED), (600.0, Control.STOPPING)))
    assert life.exit is Exit.INTERRUPTED
    assert sorted(batch.states()) == [State.DONE, State.PENDING, State.PENDING]
    assert len(batch.provider.posts) == 1
    check(batch, life)


def test_a_stop_leaves_its_grace_to_what_is_in_flight(tmp_path: Path) -> None:
    """Nothing more is submitted; what needs longer is left for the next run."""
    batch = Batch(tmp_path, 2, provider=FakeProvider(run_s=600.0), limits=SLOW)
    life = batch.live(beside=steered((30.0, Control.STOPPING), grace_s=5.0))
    assert life.exit is Exit.INTERRUPTED
    assert sorted(batch.states()) == [State.GENERATING, State.PENDING]
    assert life.lasted_s < 60.0


def test_what_an_ended_run_was_asked_for_is_not_heard_by_the_next(tmp_path: Path) -> None:
    """A pause ends with the run, also one that nobody obeyed any more."""
    with closing(SqliteLedger(tmp_path)) as ledger:
        wishes.add(tmp_path / FILE, QueuedWish(control=Control.PAUSED))
        wishes.add(tmp_path / FILE, QueuedWish(retry=["c1-x"]))
        ledger.remember(CONTROL, Control.PAUSED)
        asyncio.run(steering.begin(ledger, steered=True))
        assert ledger.meta(CONTROL) == Control.RUNNING
        assert [wish.control for _, wish in ledger.wishes()] == [None]
        asyncio.run(steering.begin(ledger, steered=False))
        assert ledger.meta(CONTROL) is None


# --- takes that are not to be made ----------------------------------------------------------------------


@pytest.fixture
def ledger(tmp_path: Path) -> SqliteLedger:
    ledger = SqliteLedger(tmp_path)
    ledger.sync([wanted(n) for n in range(3)])
    return ledger


def test_a_skipped_take_is_refused_by_the_store_itself(ledger: SqliteLedger) -> None:
    """The pick and the submission may come at the same moment: what is on disk first counts."""
    with closing(ledger):
        clip = ledger.clip(1)
        assert wishes.skip(ledger.path, clip.wanted.prompt_id, skip=True) == [clip.key]
        with pytest.raises(SkippedError, match="another take"):
            asyncio.run(ledger.record(clip, SubmitStarted(ledger.now(), 1)))
        assert ledger.clip(1).request is None
        assert ledger.money.reserved == 0


def test_a_skipped_take_is_neither_offered_nor_carried_until_it_is_undone(ledger: SqliteLedger) -> None:
    """By this run and by later ones; undone, the run that passed it over gets it again."""
    with closing(ledger):
        first = ledger.clip(1)
        wishes.skip(ledger.path, first.wanted.prompt_id, skip=True)
        assert [row for row, *_ in asyncio.run(ledger.to_submit())] == [2, 3]
        assert asyncio.run(ledger.claim(1)) is None
        assert ledger.skipped() == {first.key: first.wanted.prompt_id}
        assert wishes.skip(ledger.path, first.wanted.prompt_id, skip=False) == [first.key]
        assert ledger.skipped() == {}
        assert asyncio.run(ledger.claim(1)) == first
        (_, told), (fact, undone) = ledger.wishes()
        assert (told.again, undone.again) == ([], [first.key])
        _, rows = asyncio.run(ledger.fulfil(undone, fact))
        assert rows == [1]


def test_what_was_submitted_is_never_touched(ledger: SqliteLedger) -> None:
    """It is paid for: its answer is taken, and it is collected."""
    with closing(ledger):
        clip = asyncio.run(ledger.record(ledger.clip(1), SubmitStarted(ledger.now(), 1)))
        assert wishes.skip(ledger.path, clip.wanted.prompt_id, skip=True) == []
        assert ledger.skipped() == {}
        assert asyncio.run(ledger.open_clips(State.SUBMITTING)) == [ledger.clip(1)]


def test_a_skip_survives_the_loss_of_the_ledger(ledger: SqliteLedger, tmp_path: Path) -> None:
    """A rebuilt ledger must not pay for what was turned down."""
    prompt_id = ledger.clip(1).wanted.prompt_id
    wishes.skip(ledger.path, prompt_id, skip=True)
    ((fact, wish),) = ledger.wishes()
    asyncio.run(ledger.fulfil(wish, fact))
    ledger.close()
    assert '"f","skipped"' in (tmp_path / "ledger.log").read_text()


def test_a_live_run_passes_over_what_is_skipped_meanwhile(tmp_path: Path) -> None:
    """It ends well: nothing is left that it was to do."""
    batch = Batch(tmp_path, 3, provider=FakeProvider(run_s=60.0), limits=SLOW)

    async def beside(tools: RunContext) -> None:
        await asyncio.sleep(30.0)
        with closing(Reader(batch.folder)) as reader:
            waiting = list(reader.clips(State.PENDING))
        wishes.skip(batch.folder / FILE, waiting[-1].wanted.prompt_id, skip=True)

    life = batch.live(beside=beside)
    assert life.exit is None
    assert batch.states() == [State.DONE, State.DONE, State.PENDING]
    assert len(batch.provider.posts) == 2
    check(batch, life)
    assert batch.live().exit is None
    assert len(batch.provider.posts) == 2
