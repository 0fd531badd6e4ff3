"""The machine of a simulated night: runs one command after another on one disk, and dies when it is told to.

A death leaves what `Disk.picture` gives; the next run finds that, and nothing of the process before it.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virtual_world import WorldLoop  # isort: skip - before anything of batchgen

from accidents import Files
from disk import Disk

from batchgen import failpoints
from batchgen.clip import Clip
from batchgen.errors import BatchgenError, Exit
from batchgen.events import Event
from batchgen.ledger.recovery.rebuild import recover
from batchgen.manifest import Manifest, load
from batchgen.redact import Secret
from batchgen.runner.session import Session
from batchgen.settings import merge
from batchgen.views.events_file import EventsFile

_KEY = "SG_simulated_night"
#: A step of `recover`, which has none of `failpoints`: before a sync or a rename.
CHANGE = "change"


@dataclass(frozen=True)
class Moment:
    """A moment of a run.

    Attributes:
        at_step: the so-manieth step of `failpoints`; 0: at none.
        step: the only step that is counted; empty: all are.
        at_s: seconds after the start, in place of a step.
    """

    at_step: int = 0
    step: str = ""
    at_s: float = 0.0


@dataclass
class Planned:
    """What happens at a moment of a run; the act is given the moment's name."""

    moment: Moment
    act: Callable[[str], None]
    count: int = 0

    def due(self, step: str) -> bool:
        """Count a step; true at the one that was chosen."""
        if not self.moment.at_step or self.moment.step not in {"", step}:
            return False
        self.count += 1
        return self.count == self.moment.at_step


@dataclass
class Machine:
    """The disk under `root`, and the process on it.

    Attributes:
        root: what a death copies: `night.yaml`, the batch folder, the state folder.
        dice: of all chances.
        deaths: how it died so far.
        crashes: what no command may do.
        late: commands that did not end in their time.
        seconds: how many runs were begun next to another one.
        shared: those that were let in.
        disk_full: from when until when no write succeeds (virtual seconds).
        observers: of every ledger that a run opens.
    """

    root: Path
    dice: random.Random
    deaths: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    seconds: int = 0
    shared: list[str] = field(default_factory=list)
    disk_full: tuple[float, float] = (0.0, 0.0)
    observers: list[Callable[[Clip, Event], None]] = field(default_factory=list)
    runs: int = 0

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, WorldLoop)
        self._loop = loop
        self._disk = Disk()
        self._disk.watch()
        self._disk.before_change = lambda: self._reach(CHANGE)
        failpoints.reach = self._reach  # type: ignore[misc] # Final for the product
        self.files = Files(self.root)
        self._course = hashlib.sha256()
        self._wal = self.batch / "ledger.db-wal"
        self._manifest: tuple[str, Manifest] | None = None
        self._planned: Sequence[Planned] = ()
        self._dead = False
        self._tasks: set[asyncio.Task[int]] = set()
        self._ended_at = time.time()

    @property
    def batch(self) -> Path:
        """The batch folder."""
        return self.root / "night"

    @property
    def course(self) -> str:
        """A digest of all steps so far and of their times: two plays of a seed have the same."""
        return self._course.hexdigest()[:16]

    async def run(
        self, command: str, settings: Mapping[str, Any], planned: Sequence[Planned], within_s: float
    ) -> int | None:
        """Run `run`, `reconcile` or `verify` until it ends (its exit code) or dies (None)."""
        self._begin(planned)
        session = self._opened(command, settings)
        if isinstance(session, int):
            return self._over(session)
        code = None if self._dead else await self._watched(self._command(session, command), command, within_s)
        code = await self._with_all_others(code)
        with suppress(*((BatchgenError, OSError, sqlite3.Error) if self._dead else ())):
            session.close()
        return self._over(code)

    def recover(self, planned: Sequence[Planned]) -> int | None:
        """Call `recover`: its exit code, or None where it died."""
        self._begin(planned)
        self._disk.date(self.root, self._ended_at)
        code = int(Exit.OK)
        try:
            recover(self.batch, self._loaded().wanted)
        except Exception as error:
            code = self._code(error, "recover")
        return self._over(code)

    def suffer(self, accident: Callable[[Files], None]) -> None:
        """Let an accident happen to the files, now."""
        accident(self.files)
        self._disk.trust(self.root)

    def second_run(self, settings: Mapping[str, Any], *, takes_over: bool) -> None:
        """Begin another run next to the one at work, in a moment: it has to be refused.

        Args:
            settings: of that run.
            takes_over: the folder was replaced, so that it may be let in, if the ledger in it is the last one: then the
                other one has lost its own, and must submit nothing more.
        """

        def begin() -> None:
            if self._dead or not self._tasks:
                return
            self.seconds += 1
            session = self._opened("second run", settings)
            if not isinstance(session, Session):
                return
            if not takes_over:
                self.shared.append(f"run {self.runs}: a second run was let in")
            self._tasks.add(self._loop.create_task(self._second(session)))

        self._loop.call_soon(begin)

    def die(self, where: str, *, power: bool) -> None:
        """Die here and now: what is on disk at this moment is what the next run finds; of a power cut, what is synced.

        For `Planned`, with `power` given.
        """
        self._dead = True
        self.deaths[f"{'power cut' if power else 'kill'} at {where}"] += 1
        self._disk.picture(self.root, self.root.with_name("next"), dice=self.dice if power else None)
        self._loop.network.cut(lambda: self.dice.random() < 0.5)
        for task in self._tasks:
            self._loop.call_soon(task.cancel)

    # --- a command ------------------------------------------------------------------------------------------

    def _begin(self, planned: Sequence[Planned]) -> None:
        self.runs += 1
        self._planned, self._dead, self._tasks = planned, False, set()

    def _over(self, code: int | None) -> int | None:
        self._planned, self._tasks, self._ended_at = (), set(), time.time()
        if self._dead:
            shutil.rmtree(self.root)
            self.root.with_name("next").rename(self.root)
            self._disk.settle(self.root)
            return None
        return code

    def _opened(self, command: str, settings: Mapping[str, Any]) -> Session | int:
        """Open the batch; or give the exit code of why not."""
        try:
            session = Session.open(self._loaded(), self.batch, merge(settings, None), Secret(_KEY))
        except Exception as error:
            return self._code(error, command)
        session.ledger.observers += self.observers
        return session

    def _loaded(self) -> Manifest:
        """Read the manifest, or give what was read when it has not changed since: to expand it takes a while."""
        path = self.root / "night.yaml"
        text = path.read_text("utf-8")
        if self._manifest is None or self._manifest[0] != text:
            self._manifest = text, load(path)
        return self._manifest[1]

    async def _command(self, session: Session, command: str) -> int:
        events = EventsFile(self.batch / "events.jsonl", str)
        session.ledger.observers.append(events)
        try:
            if command == "reconcile":
                await session.reconcile()
            elif command == "verify":
                await session.verify()
            else:
                return int((await session.run()).exit_code)
            return int(Exit.OK)
        finally:
            events.close()

    async def _watched(self, work: Coroutine[Any, Any, int], command: str, within_s: float) -> int | None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        timers = [
            self._loop.call_later(each.moment.at_s, self._strike, each, "clock")
            for each in self._planned
            if each.moment.at_s
        ]
        ended, _ = await asyncio.wait([task], timeout=within_s)
        for timer in timers:
            timer.cancel()
        if not ended:
            self.late.append(f"run {self.runs}: {command} had not ended after {within_s:.0f} s")
            task.cancel()
            await asyncio.wait([task])
        return self._result(task, command)

    def _result(self, task: asyncio.Task[int], command: str) -> int | None:
        if self._dead or task.cancelled():
            return None
        error = task.exception()
        return task.result() if error is None else self._code(error, command)

    async def _second(self, session: Session) -> int:
        try:
            return await self._command(session, "run")
        finally:
            session.close()

    async def _with_all_others(self, code: int | None) -> int | None:
        others = [task for task in self._tasks if not task.done()]
        if others:
            await asyncio.wait(others)
        return None if self._dead else code

    def _code(self, error: BaseException, command: str) -> int:
        if isinstance(error, BatchgenError):
            return int(error.exit_code)
        if not self._dead:
            self.crashes.append(f"run {self.runs}: {command}: {error!r} {getattr(error, 'exceptions', '')}")
        return int(Exit.BUG)

    # --- its steps ------------------------------------------------------------------------------------------

    def _reach(self, step: str) -> None:
        """Stand for `failpoints.reach`: note the step, and strike."""
        if step != CHANGE:
            self._course.update(f"{step} {self._loop.time():.6f}\n".encode())
        if self._dead:
            return
        wal = self._wal
        if step == "commit.before":
            self._disk.committing[wal] = wal.stat().st_size if wal.exists() else 0
        for each in self._due(step):
            self._strike(each, step)
        if step == "commit.after":
            self._disk.committing.pop(wal, None)
        begin, end = self.disk_full
        if begin <= self._loop.time() < end and failpoints.STEPS.get(step) and not self._dead:
            failpoints._strike("enospc", step)

    def _due(self, step: str) -> Iterable[Planned]:
        return [each for each in self._planned if each.due(step)] if self._planned else ()

    def _strike(self, planned: Planned, step: str) -> None:
        if not self._dead:
            planned.act(step)
