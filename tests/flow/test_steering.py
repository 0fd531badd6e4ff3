"""A run that is steered from another process: paused, resumed, stopped, and told which takes are not to be made."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Coroutine
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from batch import Batch, Limits, check

from batchgen.billing.budget import Caps
from batchgen.clip import State
from batchgen.errors import Exit
from batchgen.events import SubmitStarted
from batchgen.ledger import FILE, Reader, SkippedError, SqliteLedger, wishes
from batchgen.ledger.wishes import CONTROL, RETUNED, Control, QueuedWish, Retune
from batchgen.runner import steering
from batchgen.runner.context import RunContext, Shutdown
from batchgen.runner.steering import Steering
from batchgen.testing import COST, FakeProvider, wanted

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
        batch: Any = SimpleNamespace(ledger=ledger, shutdown=Shutdown())
        asyncio.run(hearing(batch).begin(batch, steered=True))
        assert ledger.meta(CONTROL) == Control.RUNNING
        assert [wish.control for _, wish in ledger.wishes()] == [None]
        asyncio.run(hearing(batch).begin(batch, steered=False))
        assert ledger.meta(CONTROL) is None


# --- other settings for the rest of a run ---------------------------------------------------------------


def hearing(tools: Any, said: Collection[str] = ()) -> Steering:
    """Give what a session hears other processes by."""

    def set_pace(rpm: float | None, in_flight: int | None) -> None:
        if rpm is not None:
            tools.pacer.retune(rpm)
        if in_flight is not None:
            tools.places.retune(in_flight)

    def set_cap(micro: int) -> None:
        tools.ledger.set_limits(Caps(micro))

    return Steering(tools.ledger, tools.shutdown, grace_s=0.0, said=said, set_pace=set_pace, set_cap=set_cap)


def retuning(*steps: tuple[float, Retune], said: Collection[str] = ()) -> Steps:
    """Set each step so many seconds after the one before, and have the run hear it."""

    async def beside(tools: RunContext) -> None:
        steering = hearing(tools, said)
        await steering.begin(tools, steered=True)
        for after_s, asked in steps:
            await asyncio.sleep(after_s)
            wishes.add(tools.clips_dir.parent / FILE, QueuedWish(retune=asked))
            await steering.wished()

    return beside


def test_a_lower_cap_holds_from_the_next_submission_on(tmp_path: Path) -> None:
    """Below what is spent and reserved: nothing more is sent, what is in flight is collected, and the run ends."""
    provider = FakeProvider(run_s=60.0)
    batch = Batch(tmp_path, 6, provider=provider, limits=Limits(in_flight=2, expect_s=60.0, cap=100 * COST))
    life = batch.live(beside=retuning((30.0, Retune(max_usd=COST))))
    assert (life.exit, life.tools.shutdown.by_budget) == (Exit.STOPPED, True)
    assert len(provider.posts) == 2
    assert sorted(batch.states()) == [State.DONE] * 2 + [State.PENDING] * 4
    check(batch, life)


@pytest.mark.parametrize("cap", [3, 5])
def test_a_cap_that_is_set_is_never_passed(tmp_path: Path, cap: int) -> None:
    """Whatever is being submitted at that moment."""
    provider = FakeProvider(run_s=60.0)
    batch = Batch(tmp_path, 12, provider=provider, limits=Limits(in_flight=1, expect_s=60.0, cap=100 * COST))
    life = batch.live(beside=retuning((70.0, Retune(max_usd=cap * COST))))
    assert life.tools.ledger.money.spent <= cap * COST
    assert len(provider.posts) == cap
    assert (life.exit, life.tools.ledger.money.caps.usd) == (Exit.STOPPED, cap * COST)


def test_a_higher_cap_lets_a_run_go_on_that_waits_for_room(tmp_path: Path) -> None:
    """What waits at the budget's gate is woken."""
    limits = Limits(in_flight=4, expect_s=600.0, cap=2 * COST)
    batch = Batch(tmp_path, 4, provider=FakeProvider(run_s=600.0), limits=limits)

    async def beside(tools: RunContext) -> None:
        await retuning((30.0, Retune(max_usd=100 * COST)))(tools)
        await asyncio.sleep(5.0)
        assert len(batch.provider.posts) > 1

    life = batch.live(beside=beside)
    assert life.exit is None
    assert batch.states() == [State.DONE] * 4
    check(batch, life)


def test_pace_and_ceiling_change_in_a_live_run(tmp_path: Path) -> None:
    """A rate of one call a minute is left at once, not after its minute."""
    provider = FakeProvider(run_s=30.0)
    batch = Batch(tmp_path, 8, provider=provider, limits=Limits(rpm=1.0, in_flight=8, expect_s=30.0))

    async def beside(tools: RunContext) -> None:
        await retuning((70.0, Retune(rpm=600.0, in_flight=2)))(tools)
        calls = tools.pacer.snapshot().calls_last_minute
        await asyncio.sleep(5.0)
        assert tools.pacer.snapshot().calls_last_minute > calls + 3

    life = batch.live(beside=beside)
    assert life.rpm == 600.0
    assert life.tools.places.ceiling == 2
    assert life.lasted_s < 300.0
    assert batch.states() == [State.DONE] * 8


def test_paused_by_set_is_the_page_s_pause(tmp_path: Path) -> None:
    """One way for both: what one of them paused, the other one resumes."""
    batch = Batch(tmp_path, 3, provider=FakeProvider(run_s=60.0), limits=SLOW)
    seen: list[str | None] = []

    async def beside(tools: RunContext) -> None:
        await retuning((30.0, Retune(paused=True)))(tools)
        seen.append(tools.ledger.meta(CONTROL))
        await asyncio.sleep(7200.0)
        assert len(batch.provider.posts) == 1
        await steering.obey(tools, Control.RUNNING, grace_s=0.0)

    batch.live(beside=beside)
    assert seen == [Control.PAUSED]
    assert batch.states() == [State.DONE] * 3


def test_what_was_set_is_written_down_for_status_and_ends_with_the_run(tmp_path: Path) -> None:
    """The next run's settings are its own; its next command has the cap that the user wanted last."""
    batch = Batch(tmp_path, 2, provider=FakeProvider(run_s=60.0), limits=SLOW)
    seen: list[tuple[str | None, ...]] = []

    async def beside(tools: RunContext) -> None:
        await tools.ledger.set_facts({"caps_said": '["--max-usd", "1", "--only", "a*"]'})
        await retuning((10.0, Retune(rpm=30.0)), (10.0, Retune(max_usd=12_500_000)))(tools)
        seen.append(tuple(map(tools.ledger.meta, (RETUNED, "cap", "caps_said"))))
        assert tools.retuned == "rpm=30 max-usd=12.5"
        await hearing(tools).begin(tools, steered=True)
        seen.append((tools.ledger.meta(RETUNED),))

    batch.live(beside=beside)
    said = '["--max-usd", "12.5", "--only", "a*"]'
    assert seen == [('{"rpm": 30.0, "max_usd": 12500000}', "12500000", said), (None,)]


@pytest.mark.parametrize(("said", "cap"), [((), 2 * COST), (("max_usd",), 100 * COST)])
def test_what_was_set_before_a_run_holds_before_its_first_submission(
    tmp_path: Path, said: Collection[str], cap: int
) -> None:
    """Unless the run's own command line, which is newer, says otherwise."""
    batch = Batch(tmp_path, 1, limits=Limits(cap=100 * COST))
    seen: list[int | None] = []

    async def beside(tools: RunContext) -> None:
        name, text = wishes.fact_of(QueuedWish(retune=Retune(max_usd=2 * COST)))
        await tools.ledger.set_facts({f"wish:1{name[-5:]}": text})
        await hearing(tools, said).begin(tools, steered=True)
        seen.append(tools.ledger.money.caps.usd)
        assert not tools.ledger.wishes()  # type: ignore[attr-defined]

    batch.live(beside=beside)
    assert seen == [cap]


def test_what_is_set_while_a_run_waits_for_its_question_is_newer_than_its_command_line(tmp_path: Path) -> None:
    """A cap that is lowered from another window must not be dropped."""
    batch = Batch(tmp_path, 1, limits=Limits(cap=100 * COST))
    seen: list[int | None] = []

    async def beside(tools: RunContext) -> None:
        steering = hearing(tools, ("max_usd",))
        wishes.add(tools.clips_dir.parent / FILE, QueuedWish(retune=Retune(max_usd=2 * COST)))
        await steering.begin(tools, steered=True)
        seen.append(tools.ledger.money.caps.usd)

    batch.live(beside=beside)
    assert seen == [2 * COST]


def test_a_run_that_stops_leaves_what_is_set_to_the_next(tmp_path: Path) -> None:
    """It is not lost, and `status` shows that it waits."""
    batch = Batch(tmp_path, 1, provider=FakeProvider(run_s=60.0))
    waiting: list[Retune | None] = []

    async def beside(tools: RunContext) -> None:
        await asyncio.sleep(30.0)
        tools.shutdown.request("interrupted", Exit.INTERRUPTED)
        await retuning((1.0, Retune(rpm=5.0)), (1.0, Retune(rpm=7.0, paused=False)))(tools)
        waiting.append(wishes.retunes(tools.ledger.wishes()))  # type: ignore[attr-defined]

    batch.live(beside=beside)
    assert waiting == [Retune(rpm=7.0, paused=False)]


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
