"""The machine of a simulated night: runs one command after another on one disk, and dies when it is told to.

A death leaves what `Disk.picture` gives; the next run finds that, and nothing of the process before it.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virtual_world import WorldLoop  # isort: skip - before anything of batchgen

from disk import Disk

from batchgen import failpoints
from batchgen.errors import BatchgenError, Exit
from batchgen.manifest import load
from batchgen.redact import Secret
from batchgen.runner.session import Session
from batchgen.settings import merge


@dataclass(frozen=True)
class Death:
    """How a run ends before its time.

    Attributes:
        at_step: at the so-manieth step of `failpoints`; 0: at none.
        step: the only step that is counted; empty: all are.
        at_s: seconds after the start, in place of a step.
        power: a power cut: what is not synced may be lost.
    """

    at_step: int = 0
    step: str = ""
    at_s: float = 0.0
    power: bool = False


@dataclass
class Machine:
    """The disk under `root`, and the process on it.

    Attributes:
        root: what a death copies: `night.yaml`, the batch folder, the state folder.
        dice: of all chances.
        deaths: how it died so far.
        crashes: what no command may do.
        late: commands that did not end in their time.
        disk_full: from when until when no write succeeds (virtual seconds).
    """

    root: Path
    dice: random.Random
    deaths: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    disk_full: tuple[float, float] = (0.0, 0.0)
    runs: int = 0

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, WorldLoop)
        self._loop = loop
        self._disk = Disk()
        self._disk.watch()
        failpoints.reach = self._reach  # type: ignore[misc] # Final for the product
        self._course = hashlib.sha256()
        self._death: Death | None = None
        self._dead = False
        self._steps = 0
        self._task: asyncio.Task[int] | None = None

    @property
    def batch(self) -> Path:
        """The batch folder."""
        return self.root / "night"

    @property
    def course(self) -> str:
        """A digest of all steps so far and of their times: two plays of a seed have the same."""
        return self._course.hexdigest()[:16]

    async def run(self, command: str, settings: Mapping[str, Any], death: Death | None, within_s: float) -> int | None:
        """Run `run`, `reconcile` or `verify` until it ends (its exit code) or dies (None)."""
        self.runs += 1
        self._death, self._dead, self._steps, self._task = death, False, 0, None
        try:
            session = Session.open(
                load(self.root / "night.yaml"), self.batch, merge(settings, None), Secret("SG_simulated_night")
            )
        except BatchgenError as error:
            code: int | None = int(error.exit_code)
        else:
            code = None if self._dead else await self._watched(self._command(session, command), command, within_s)
            with suppress(*((BatchgenError, OSError, sqlite3.Error) if self._dead else ())):
                session.close()
        if self._dead:
            self._rise()
            return None
        return code

    # --- a command ------------------------------------------------------------------------------------------

    async def _command(self, session: Session, command: str) -> int:
        if command == "reconcile":
            await session.reconcile()
            return 0
        if command == "verify":
            await session.verify()
            return 0
        return int((await session.run()).exit_code)

    async def _watched(self, work: Coroutine[Any, Any, int], command: str, within_s: float) -> int | None:
        self._task = task = self._loop.create_task(work)
        timer = (
            self._loop.call_later(self._death.at_s, self._die, "clock") if self._death and self._death.at_s else None
        )
        ended, _ = await asyncio.wait([task], timeout=within_s)
        if timer:
            timer.cancel()
        if not ended:
            self.late.append(f"run {self.runs}: {command} had not ended after {within_s:.0f} s")
            task.cancel()
            await asyncio.wait([task])
        if self._dead or task.cancelled():
            return None
        error = task.exception()
        if error is None:
            return task.result()
        if isinstance(error, BatchgenError):
            return int(error.exit_code)
        self.crashes.append(f"run {self.runs}: {command}: {error!r} {getattr(error, 'exceptions', '')}")
        return int(Exit.BUG)

    # --- a death --------------------------------------------------------------------------------------------

    def _reach(self, step: str) -> None:
        """Stand for `failpoints.reach`: note the step, and strike."""
        self._course.update(f"{step} {self._loop.time():.6f}\n".encode())
        if self._dead:
            return
        wal = self.batch / "ledger.db-wal"
        if step == "commit.before":
            self._disk.committing[wal] = wal.stat().st_size if wal.exists() else 0
        if self._death and self._death.at_step and self._death.step in {"", step}:
            self._steps += 1
            if self._steps == self._death.at_step:
                self._die(step)
                return
        if step == "commit.after":
            self._disk.committing.pop(wal, None)
        begin, end = self.disk_full
        if failpoints.STEPS[step] and begin <= self._loop.time() < end:
            failpoints._strike("enospc", step)

    def _die(self, where: str) -> None:
        """Die here and now: what is on disk at this moment is what the next run finds."""
        assert self._death is not None
        self._dead = True
        self.deaths[f"{'power cut' if self._death.power else 'kill'} at {where}"] += 1
        next_root = self.root.with_name("next")
        self._disk.picture(self.root, next_root, dice=self.dice if self._death.power else None)
        self._loop.network.cut(lambda: self.dice.random() < 0.5)
        if self._task is not None:
            self._loop.call_soon(self._task.cancel)

    def _rise(self) -> None:
        shutil.rmtree(self.root)
        self.root.with_name("next").rename(self.root)
        self._disk.settle(self.root)
