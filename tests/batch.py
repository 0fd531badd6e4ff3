"""A batch that can be run, killed and resumed in virtual time."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from batchgen.billing.budget import Budget, Caps, Sums
from batchgen.clip import Clip, State, Wanted
from batchgen.errors import Exit
from batchgen.events import Event, Retried
from batchgen.files.renames import put_in_place
from batchgen.ledger import Reader, SqliteLedger
from batchgen.runner.assembly import Assembly, Forecast, assemble
from batchgen.runner.context import RunContext
from batchgen.runner.session import alongside
from batchgen.selection import Selection
from batchgen.settings import Settings
from batchgen.testing import (
    COST,
    EPOCH,
    THREAD_S,
    FakeDownloads,
    FakeProvider,
    VirtualTimeLoop,
    content_of,
    identity,
    wanted,
)
from batchgen.window import Window

#: No night lasts longer; a run that does hangs.
NIGHT_S = 24 * 3600.0
Beside = Callable[[RunContext], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Limits:
    """The settings of a run that tests turn."""

    rpm: float = 0.0
    in_flight: int = 32
    submit_concurrency: int = 8
    cap: int | None = None
    day_cap: int | None = None
    clip_cap: int | None = None
    unknown_ok: bool = False
    deadline_s: float = 3300.0
    give_up_s: float = 7200.0
    settle_s: float = 7200.0
    estimate: int | None = COST
    by_size: Mapping[str, int] = field(default_factory=dict)  #: the estimate for clips of a size, in its place
    expect_s: float = 60.0
    window: Window | None = None
    wait: bool = True
    until: float | None = None  #: epoch seconds
    commit_s: float = THREAD_S  #: what a commit takes

    @property
    def settings(self) -> Settings:
        """The same as a run takes them."""
        return Settings(
            rpm=self.rpm,
            in_flight=self.in_flight,
            submit_concurrency=self.submit_concurrency,
            expect_latency=self.expect_s,
            deadline=self.deadline_s,
            give_up=self.give_up_s,
            history_settle=self.settle_s,
            max_usd=self.cap,
            max_usd_per_day=self.day_cap,
            max_clips=self.clip_cap,
            allow_unknown_price=self.unknown_ok,
            window=self.window,
            wait=self.wait,
            until=self.until,
        )

    @property
    def caps(self) -> Caps:
        """What the batch may spend."""
        return self.settings.caps


class FlatForecast(Forecast):
    """Expects the prices that a test sets, whatever is charged."""

    def __init__(self, ledger: SqliteLedger, limits: Limits) -> None:
        super().__init__(ledger.money, limits.settings)
        self._money = ledger.money
        self._limits = limits

    def price(self, wanted: Wanted) -> int | None:
        estimate = self._limits.by_size.get(wanted.values["size"], self._limits.estimate)
        return self._money.worst(wanted.price_class, estimate)

    def estimate(self, wanted: Wanted) -> int | None:
        return self._limits.estimate


@dataclass(frozen=True)
class Kill:
    """Where a run dies: right after its n-th event, inside the n-th POST or after the n-th file's rename.

    Inside a POST is either before the service has it ("arrival"), or after it accepted ("accept").
    """

    where: str = "event"
    n: int = 1


@dataclass
class Life:
    """What one run did."""

    tools: RunContext
    events: list[tuple[Clip, Event]] = field(default_factory=list)
    killed: bool = False
    lasted_s: float = 0.0
    rpm: float = 0.0  #: calls a minute that were permitted at its end

    @property
    def exit(self) -> Exit | None:
        """The exit code of whatever pulled the shutdown."""
        return self.tools.shutdown.exit

    @property
    def why(self) -> str:
        """Why it ended early."""
        return self.tools.shutdown.why

    def names(self, key: str) -> list[str]:
        """The events of one clip."""
        return [type(event).__name__ for clip, event in self.events if clip.key == key]


class Batch:
    """A batch folder and the world round it; each `live` is one run of the program."""

    def __init__(
        self,
        folder: Path,
        clips: int | Sequence[Wanted] = 6,
        *,
        provider: FakeProvider | None = None,
        downloads: FakeDownloads | None = None,
        limits: Limits = Limits(),
    ) -> None:
        self.root = folder
        self.folder = folder / "life0"
        self.wanted = [wanted(n) for n in range(clips)] if isinstance(clips, int) else list(clips)
        self.provider = provider or FakeProvider()
        self.downloads = downloads or FakeDownloads()
        self.limits = limits
        self.clock = 0.0
        self.lives = 0
        self.since: float | None = None  #: from when on the history is searched before the first submission
        self.slept_s = 0.0  #: how far the wall's clock went on while the machine slept, and its timers stood still
        self.traces = False  #: the folder shows that something was paid for which the ledger lacks
        self.boot_clock: Callable[[], float] | None = None  #: None: the machine never sleeps
        self.arrives: Callable[[], bool] = lambda: True  #: does a POST that had left when the run died arrive?

    # --- a life ---------------------------------------------------------------------------------------------

    def live(
        self,
        orders: Selection | None = None,
        *,
        kill: Kill | None = None,
        beside: Beside | None = None,
    ) -> Life:
        """Run until it ends by itself, or dies."""
        with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(self.clock, thread_s=self.limits.commit_s)) as runner:
            try:
                return runner.run(self._live(orders or Selection(), kill, beside))
            finally:
                self.clock = runner.get_loop().time()

    async def _live(self, orders: Selection, kill: Kill | None, beside: Beside | None) -> Life:
        loop = asyncio.get_running_loop()
        began = loop.time()
        ledger = SqliteLedger(self.folder, wall_clock=lambda: EPOCH + loop.time() + self.slept_s)
        try:
            assembly = await self._assembled(ledger, orders)
            life = Life(assembly.context)
            ledger.observers.append(lambda clip, event: None if life.killed else life.events.append((clip, event)))
            work = loop.create_task(self._run(ledger, assembly, beside))
            self._arm(life, kill, work)
            try:
                async with asyncio.timeout(NIGHT_S):
                    await work
            except asyncio.CancelledError:
                if not life.killed:
                    raise
            life.lasted_s = loop.time() - began
            life.rpm = life.tools.pacer.snapshot().rpm
            return life
        finally:
            ledger.close()
            self._next_folder()

    async def _run(self, ledger: SqliteLedger, assembly: Assembly, beside: Beside | None) -> None:
        tools = assembly.context
        ledger.recover()
        ledger.sync(self.wanted)
        ledger.set_limits(self.limits.caps)
        tools.clips_dir.mkdir(exist_ok=True)
        put_in_place(ledger, tools.clips_dir)
        await alongside(assembly.dispatcher.run(), beside and partial(beside, tools))

    async def _assembled(self, ledger: SqliteLedger, selection: Selection) -> Assembly:
        return await assemble(
            ledger,
            self.provider,
            self.downloads,
            self.limits.settings,
            clips_dir=self.folder / "clips",
            selection=selection,
            forecast=FlatForecast(ledger, self.limits),
            since=self.since,
            traces=self.traces,
            dice=self.provider.dice.random,
            boot_clock=self.boot_clock or asyncio.get_running_loop().time,
        )

    # --- a death --------------------------------------------------------------------------------------------

    def _arm(self, life: Life, kill: Kill | None, work: asyncio.Task[None]) -> None:
        """Let the run die at a place: what is on disk at that very moment is what the next one finds."""
        seen = 0

        def count() -> None:
            nonlocal seen
            seen += 1
            if kill and seen == kill.n and not life.killed:
                self._die(life)
                work.cancel()

        self.provider.dead = self.downloads.dead = False
        self.provider.on_arrival = count if kill and kill.where == "arrival" else None
        self.provider.on_accept = count if kill and kill.where == "accept" else None
        self.downloads.on_rename = count if kill and kill.where == "rename" else None
        if kill and kill.where == "event":
            life.tools.ledger.observers.append(lambda _clip, _event: count())

    def _die(self, life: Life) -> None:
        life.killed = True
        shutil.copytree(self.folder, self.root / f"life{self.lives + 1}", ignore=shutil.ignore_patterns("*-shm"))
        self.provider.cut(self.arrives)
        self.downloads.dead = True

    def _next_folder(self) -> None:
        if (self.root / f"life{self.lives + 1}").exists():
            shutil.rmtree(self.folder)
            self.lives += 1
            self.folder = self.root / f"life{self.lives}"

    # --- between two runs -----------------------------------------------------------------------------------

    def retry(self) -> None:
        """Let the user ask for another try of all that failed."""
        with closing(SqliteLedger(self.folder)) as ledger:
            for clip in list(ledger.clips(State.FAILED)):
                asyncio.run(ledger.record(clip, Retried()))

    # --- what is on disk afterwards -------------------------------------------------------------------------

    def clips(self) -> dict[str, Clip]:
        """All clips by key, read anew."""
        with closing(Reader(self.folder)) as ledger:
            return {clip.key: clip for clip in ledger.clips()}

    def states(self) -> list[State]:
        """The states in the order of the manifest."""
        clips = self.clips()
        return [clips[clip.key].state for clip in self.wanted]

    def request_ids(self) -> set[str]:
        """Every request id that was ever written down."""
        with closing(Reader(self.folder)) as ledger:
            return ledger.request_ids()

    def money(self) -> Budget:
        """What the ledger on disk says of the money."""
        with closing(Reader(self.folder)) as ledger:
            return ledger.budget(self.limits.caps)


# --- what must hold after any life --------------------------------------------------------------------------


def check(batch: Batch, life: Life | None = None, *, twice: int = 1) -> None:
    """Nothing paid twice, nothing paid for forgotten, the bill right, done ⇔ the file is there."""
    clips = batch.clips()
    again = {params: n for params, n in batch.provider.paid().items() if n > twice}
    assert not again, f"paid more than once: {again}"
    known = batch.request_ids()
    by_params = {identity(json.loads(clip.wanted.params)): clip for clip in clips.values()}
    for job in batch.provider.jobs.values():
        clip = by_params[identity(job.params)]
        assert job.free or job.request_id in known or clip.state in (State.SUBMITTING, State.UNCONFIRMED), (
            f"{job.request_id} was paid for, and {clip.wanted.name} is {clip.state}"
        )
    for clip in clips.values():
        path = batch.folder / "clips" / f"{clip.wanted.name}.mp4"
        if clip.state is State.DONE:
            assert path.stat().st_size == clip.bytes
            assert clip.request
            assert path.read_bytes() == content_of(clip.request.url or "")
    if life is not None and not life.killed:
        _the_bill_is_right(batch, life, clips)


def _the_bill_is_right(batch: Batch, life: Life, clips: dict[str, Clip]) -> None:
    live, disk = life.tools.ledger.money, batch.money()
    for mine, theirs in ((live, disk), *((live.days.get(day, Sums()), sums) for day, sums in disk.days.items())):
        assert (mine.spent, mine.clips, mine.unpriced) == (theirs.spent, theirs.clips, theirs.unpriced)
        assert (mine.reserved_by_class, mine.open) == (theirs.reserved_by_class, theirs.open)
    assert live.seen == disk.seen
    counts = life.tools.ledger.live_totals.counts
    for state in State:
        assert counts[state] == sum(1 for clip in clips.values() if clip.state is state and not clip.unwanted), state
    if all(clip.state is State.DONE for clip in clips.values()):
        assert disk.spent == batch.provider.spent()
        assert disk.reserved == 0
