"""One simulated night: a batch, its service, its disk and everything that goes wrong with them, from one seed.

The run is the real one (`Session`), with its SQLite files, its HTTP and its downloads; only the clock, the wire and the
chances are ours (`virtual_world`). It is killed, its power is cut, its disk fills up, its network breaks, the service
misbehaves; then everything heals, and the books of the service are compared with the ledger and the folder.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from virtual_world import WorldLoop, rule  # isort: skip - before anything of batchgen

import mp4
from machine import Death, Machine

from batchgen.failpoints import STEPS
from batchgen.sandbox import clips as packaged
from batchgen.sandbox import service, worker
from batchgen.sandbox.faults import Faults
from batchgen.sandbox.protocol import Order
from batchgen.sandbox.server import Sandbox
from batchgen.torture.evidence import booked, gather, sha256
from batchgen.torture.judge import SETTLED, Promise, observed, verdict
from batchgen.torture.plan import MOODS

#: Moods of the service beyond those of `batchgen torture`.
HARDER = {
    "host in trouble": "forbidden=0.5,private=0.1,mislabelled=0.1",
    "host away": "forbidden=1.0",
    "odd files": "odd_link=0.3,stray_bytes=0.3,mislabelled=0.3,forbidden=0.1",
    "contradictions": "accepted500=0.15,early_failed=0.1,contradicts=0.15,failed_charged=0.05,failed=0.05",
    "maintenance": "maintenance=0.9",
    "account overdue": "overdue=1.0",
    "company filter": "filtered=0.9",
    "moved away": "redirected=1.0",
}
PORT = 8
#: Micro-dollars of one clip at the sandbox: 832*480, 5 s.
EACH = 312_500
#: A run ends within this time (virtual seconds), whatever happens to it.
RUN_S = 12 * 3600.0
#: Once everything is healed, so many runs bring all clips to their end, each within `HEALED_S`.
HEALED_RUNS, HEALED_S = 4, 4 * 3600.0
_HEAD = "defaults: {size: 832*480, duration: 5}\nprompts:\n"


class InlinePool:
    """An executor without threads, for the sandbox's renderers."""

    def __init__(self, *_args: object, **_options: object) -> None:
        pass

    def submit(self, call: Any, *args: Any) -> None:
        call(*args)

    def shutdown(self, **_options: object) -> None:
        pass


def small_clip(order: Order, request_id: str, path: Path, _stop: Event) -> None:
    """Make a job's file: a few kilobytes, of the right size and duration, with a stamp of its own."""
    path.write_bytes(mp4.video(2_000, seconds=order.duration, size=(order.width, order.height)))
    packaged.stamp(path, order, request_id)


@dataclass
class Result:
    """What came of a night."""

    seed: int
    clips: int
    runs: int
    deaths: Counter[str]
    faults: Counter[str]
    promises: list[Promise]
    course: str
    virtual_s: float

    @property
    def findings(self) -> list[str]:
        """What broke a promise."""
        return [f"{promise.name}: {finding}" for promise in self.promises for finding in promise.findings]


@dataclass
class Night:
    """A night from a seed.

    Args:
        seed: of everything that happens.
        folder: of its own; nothing may be in it.
        clips: wanted in the end.
        deaths: kills and power cuts that are wanted; some miss a run that ends before.
        moods: of the service, by name: doses of the sandbox's faults.
    """

    seed: int
    folder: Path
    clips: int = 100
    deaths: int = 3
    moods: dict[str, str] = field(default_factory=lambda: dict(MOODS) | HARDER)

    def __post_init__(self) -> None:
        self.dice = random.Random(f"night:{self.seed}")
        loop = asyncio.get_running_loop()
        assert isinstance(loop, WorldLoop)
        self._loop, self._net = loop, loop.network
        self.machine = Machine(self.folder / "host", self.dice)
        self._service_folder = self.folder / "service"
        self._sandbox: Sandbox | None = None
        self._faults: Counter[str] = Counter()
        self._wanted = self._cap = self._checked = 0
        self._over: list[str] = []
        self._halves: list[str] = []
        self._sound: set[tuple[str, int]] = set()
        self._made: dict[str, str] = {}

    async def play(self) -> Result:
        """Live through it, and judge."""
        self.machine.root.mkdir(parents=True)
        os.environ["XDG_STATE_HOME"] = str(self.machine.root / "state")
        await self._serve(calm=True)
        for _ in range(20 * self.deaths):
            if self.machine.deaths.total() >= self.deaths:
                break
            await self._round()
        promises = await self._judged(await self._heal())
        await self._close()
        return Result(
            self.seed, self.clips, self.machine.runs, self.machine.deaths, self._faults, promises,
            self.machine.course, self._loop.time(),
        )  # fmt: skip

    # --- what happens ---------------------------------------------------------------------------------------

    async def _round(self) -> None:
        """One run, in bad weather."""
        dice, now = self.dice, self._loop.time
        if dice.random() < 0.5:
            await self._serve()
        self._write(dice.randint(1, self.clips))
        rate = dice.choice((0.0, 0.0, 0.0, 0.02, 0.1))
        self._net.weather = lambda: dice.randint(0, 4_000) if dice.random() < rate else None
        down_until = now() + dice.choice((0.0, 0.0, 0.0, 30.0, 900.0))
        self._net.refuses = lambda: now() < down_until
        if dice.random() < 0.1:
            begin = now() + dice.uniform(0, 600)
            self.machine.disk_full = begin, begin + dice.choice((1.0, 300.0))
            self._faults["disk full"] += 1
        self._cap = max(self._cap, round(self.clips * EACH * dice.choice((0.4, 0.8, 1.2, 3.0))))
        command = dice.choice(("run", "run", "run", "run", "run", "run", "reconcile", "verify"))
        await self._run(command, self._a_death())
        self._net.weather, self._net.refuses, self.machine.disk_full = lambda: None, lambda: False, (0.0, 0.0)
        await asyncio.sleep(dice.choice((1.0, 60.0, 4_000.0)))

    def _a_death(self) -> Death | None:
        dice, power, way = self.dice, self.dice.random() < 0.4, self.dice.random()
        if way < 0.5:
            return Death(at_step=round(10 ** dice.uniform(0, 3)), power=power)
        if way < 0.7:
            return Death(at_step=dice.randint(1, 12), step=dice.choice(list(STEPS)), power=power)
        return Death(at_s=10 ** dice.uniform(0, 3.3), power=power) if way < 0.9 else None

    async def _serve(self, *, calm: bool = False) -> None:
        """Restart the service, in another mood."""
        await self._close()
        mood = "" if calm else self.moods[self.dice.choice(sorted(self.moods))]
        self._sandbox = Sandbox(
            self._service_folder,
            port=PORT,
            latency_s=self.dice.choice((5.0, 60.0, 200.0)),
            slots=self.dice.choice((2, 8, 64)),
            rpm=0 if calm else self.dice.choice((0, 0, 120, 600)),
            credits=1_000_000,
            faults=Faults.parse(mood),
            seed=self.seed,
            history_lag_s=0 if calm else self.dice.choice((0.0, 20.0)),
            render=False,
            clock=time.time,
        )
        await self._sandbox.start()

    async def _close(self) -> None:
        if self._sandbox is not None:
            self._faults = Counter(self._sandbox.struck) | self._faults
            await self._sandbox.stop()
            await asyncio.sleep(1.0)

    def _write(self, wanted: int) -> None:
        """Write the manifest: it grows, and its order may change."""
        self._wanted = wanted = max(wanted, self._wanted)
        prompts = [f"  - Clip {n} of a night\n" for n in range(wanted)]
        turn = self.dice.randrange(wanted) if self.dice.random() < 0.2 else 0
        self.machine.root.joinpath("night.yaml").write_text(_HEAD + "".join(prompts[turn:] + prompts[:turn]), "utf-8")

    async def _run(self, command: str, death: Death | None, *, word: bool = False, within_s: float = RUN_S) -> int:
        dice = self.dice
        settings: dict[str, Any] = {
            "base_url": f"http://127.0.0.1:{PORT}",
            "rpm": dice.choice((0.0, 120.0, 600.0)),
            "in_flight": dice.choice((1, 8, 64)),
            "submit_concurrency": dice.choice((1, 8)),
            "downloads": dice.choice((1, 8)),
            "expect_latency": dice.choice((5.0, 60.0, 200.0)),
            "give_up": dice.choice((120.0, 1800.0)),
            "max_usd": self._cap,
            "resubmit_unconfirmed": word,
            "history_settle": 60.0 if word else 7200.0,
        }
        code = await self.machine.run(command, settings, death, within_s)
        self._inspect()
        return -1 if code is None else code

    # --- what must hold -------------------------------------------------------------------------------------

    async def _heal(self) -> int:
        """Let all be well, and run until nothing is left to do, with the user's word for what is absent.

        Returns:
            The exit code of the last run.
        """
        await self._serve(calm=True)
        self._write(self.clips)
        self._cap = self.clips * EACH * 4
        for n in range(HEALED_RUNS):
            code = await self._run("run", None, word=n > 0, within_s=HEALED_S)
            if self._states() <= SETTLED:
                return code
            await asyncio.sleep(120.0)
        self.machine.late.append(f"not settled after {HEALED_RUNS} runs: {sorted(self._states())}")
        return code

    def _states(self) -> set[str]:
        with closing(sqlite3.connect(f"file:{self.machine.batch / 'ledger.db'}?mode=ro", uri=True)) as db:
            return {state for (state,) in db.execute("SELECT state FROM clip")}

    def _books(self) -> dict[str, Any]:
        assert self._sandbox is not None
        return {"jobs": [asdict(line) | {"charged": float(line.charged)} for line in self._sandbox.books]}

    def _inspect(self) -> None:
        """Check what must hold at all times: the cap, and files with their final names."""
        self._checked += 1
        charged = sum(booked(job).charged for job in self._books()["jobs"])
        if charged > self._cap:
            self._over.append(f"run {self.machine.runs}: {charged} charged, the cap is {self._cap}")
        for path in self._service_folder.joinpath("files").glob("*.mp4"):
            if path.stem not in self._made:
                self._made[path.stem] = sha256(path)
        made = set(self._made.values())
        for clip in self.machine.batch.glob("clips/**/*.mp4"):
            seen = clip.name, clip.stat().st_mtime_ns
            if seen not in self._sound and sha256(clip) not in made:
                self._halves.append(f"run {self.machine.runs}: {clip.name} is nothing that the service made")
            self._sound.add(seen)

    async def _judged(self, final: int) -> list[Promise]:
        found = gather(self.machine.batch, self._service_folder, self._books(), final)
        seen = partial(observed, checked=self._checked)
        return [
            *verdict(found),
            seen("the budget is a hard limit", "after each run", findings=self._over),
            seen("no half file at any time", "after each run", findings=self._halves),
            seen("no fault of batchgen's own", "each run", findings=self.machine.crashes),
            seen("everything ends in time", "each run, and all clips once all is well", findings=self.machine.late),
        ]


def play(seed: int, folder: Path, *, clips: int = 100, deaths: int = 3, mood: str = "") -> Result:
    """Play a night in a loop of its own; `mood`: the only one that the service is ever in."""
    vars(worker)["ThreadPoolExecutor"] = InlinePool
    vars(service)["copy"] = small_clip

    async def whole() -> Result:
        night = Night(seed, folder, clips=clips, deaths=deaths)
        if mood:
            night.moods = {mood: night.moods.get(mood, mood)}
        return await night.play()

    with asyncio.Runner(loop_factory=WorldLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, WorldLoop)
        rule(loop, seed)
        return runner.run(whole())
