"""One simulated night: a batch, its service, its disk and everything that goes wrong with them, from one seed.

The run is the real one (`Session`), with its SQLite files, its HTTP and its downloads; only the clock, the wire and the
chances are ours (`virtual_world`). It is killed, its power is cut, its disk fills up, its files are deleted or rolled
back, its network breaks, the service misbehaves; then everything heals, and the books of the service are compared with
the ledger and the folder.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from virtual_world import WorldLoop, rule  # isort: skip - before anything of batchgen

import retakes
from accidents import ACCIDENTS, Accident
from machine import CHANGE, Machine, Moment, Planned
from observations import Observations
from simulated_service import EACH, MOODS, PORT, SimulatedService

from batchgen.errors import Exit
from batchgen.failpoints import STEPS
from batchgen.torture.evidence import gather
from batchgen.torture.judge import SETTLED, Promise, verdict

#: A run ends within this time (virtual seconds), whatever happens to it.
RUN_S = 12 * 3600.0
#: Once all is well, all clips have come to their end within so many runs and this time (virtual seconds).
HEALED_RUNS, HEALED_S = 4, 3 * 3600.0
#: A file that the service has no whole copy of is waited for so long (virtual seconds): its seven days, and more.
FILES_S = 8 * 86400.0
#: So often `recover` is called after one refused run, at most: it may be killed.
_RECOVERIES = 5
#: What a cap allows in the end, in multiples of a clip's price: twice the price may be reserved.
_PLENTY = 6
_HEAD = "defaults: {size: 832*480, duration: 5}\nprompts:\n"


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
    healed_s: float  #: from the moment when all was well until all clips had come to their end

    @property
    def findings(self) -> list[str]:
        """What broke a promise."""
        return [f"{promise.name}: {finding}" for promise in self.promises for finding in promise.findings]


class Night:
    """A night from a seed.

    Args:
        seed: of everything that happens.
        folder: of its own; nothing may be in it.
        clips: wanted in the end.
        deaths: kills and power cuts that are wanted; some miss a run that ends before.
        mood: the only one that the service is ever in: a name, or doses of the sandbox's faults; empty: all.
        accident: the only kind that happens, in every round; empty: all, now and then.
    """

    def __init__(
        self, seed: int, folder: Path, *, clips: int = 100, deaths: int = 3, mood: str = "", accident: str = ""
    ) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, WorldLoop)
        self._loop, self._net = loop, loop.network
        self.seed, self.clips, self.deaths = seed, clips, deaths
        self.dice = random.Random(f"night:{seed}")
        self.machine = Machine(folder / "host", self.dice)
        moods = {mood: MOODS.get(mood, mood)} if mood else MOODS
        self.service = SimulatedService(folder / "service", seed, self.dice, moods)
        self._seen = Observations(self.machine, self.service.folder)
        self._accident = accident
        self._accidents: Counter[str] = Counter()
        self._wanted = self._cap = 0
        self._damaged = False  # a run may be refused until `recover`
        self._forgotten = False  # the state folder knows nothing
        self._blind = False  # the account's history is the only witness of what was paid for
        self._dear = False  # the price has risen
        # A take that was re-rolled is in no manifest: where the ledger's files are lost, nobody may know of it.
        self._rerolls = not accident and self.dice.random() < 0.3
        self._healed_s = 0.0

    async def play(self) -> Result:
        """Live through it, and judge."""
        self.machine.root.mkdir(parents=True)
        os.environ["XDG_STATE_HOME"] = str(self.machine.root / "state")
        await self.service.restart(calm=True)
        for _ in range(20 * self.deaths):
            if self.machine.deaths.total() >= self.deaths:
                break
            await self._round()
        promises = self._judged(await self._heal())
        await self.service.close()
        return Result(
            self.seed, self.clips, self.machine.runs, self.machine.deaths, self.service.struck + self._accidents,
            promises, self.machine.course, self._loop.time(), self._healed_s,
        )  # fmt: skip

    # --- what happens ---------------------------------------------------------------------------------------

    async def _round(self) -> None:
        """One run, in bad weather."""
        dice = self.dice
        if dice.random() < 0.5:
            await self.service.restart()
        self._write(dice.randint(1, self.clips))
        self._cap = max(self._cap, round(self.clips * EACH * dice.choice((0.4, 0.8, 1.2, 3.0))))
        planned = [*self._a_death(), *self._an_accident(), *self._a_rise(), *await self._a_retake()]
        self._weather()
        if self._blind:  # of what happens then, the account's history is the only witness: it has to answer
            await self._bright()
        command = dice.choice(("run", "run", "run", "run", "run", "run", "reconcile", "verify"))
        code = await self._run(command, self._settings(), planned)
        await self._bright(restart=False)
        if code == Exit.USAGE:
            self._repair()
        elif dice.random() < 0.3:
            self.machine.files.keep()
        await asyncio.sleep(dice.choice((1.0, 60.0, 4_000.0)))

    def _weather(self) -> None:
        """Let connections break, nobody listen for a while, or the disk be full."""
        dice, now = self.dice, self._loop.time
        rate = dice.choice((0.0, 0.0, 0.0, 0.02, 0.1))
        self._net.weather = lambda: dice.randint(0, 4_000) if dice.random() < rate else None
        down_until = now() + dice.choice((0.0, 0.0, 0.0, 30.0, 900.0))
        self._net.refuses = lambda: now() < down_until
        if dice.random() < 0.1:
            begin = now() + dice.uniform(0, 600)
            self.machine.disk_full = begin, begin + dice.choice((1.0, 300.0))
            self._accidents["disk full"] += 1

    async def _bright(self, *, restart: bool = True) -> None:
        """End all bad weather; with the service's own, after its history has caught up."""
        self._net.weather, self._net.refuses, self.machine.disk_full = lambda: None, lambda: False, (0.0, 0.0)
        if restart:
            await asyncio.sleep(60.0)
            await self.service.restart(calm=True)

    def _a_moment(self) -> Moment:
        dice, way = self.dice, self.dice.random()
        if way < 0.55:
            return Moment(at_step=round(10 ** dice.uniform(0, 3)))
        if way < 0.75:
            return Moment(at_step=dice.randint(1, 12), step=dice.choice(list(STEPS)))
        return Moment(at_s=10 ** dice.uniform(0, 3.3))

    def _a_death(self) -> list[Planned]:
        power, moment = self.dice.random() < 0.4, self._a_moment()
        return [Planned(moment, partial(self.machine.die, power=power))] if self.dice.random() < 0.9 else []

    def _an_accident(self) -> list[Planned]:
        """Let one happen before the run, or plan it for a moment of the run."""
        dice, files, chosen = self.dice, self.machine.files, bool(self._accident)
        if dice.random() > (1.0 if chosen else 0.25) or not files.has_ledger or files.away:
            return []
        name = self._accident or dice.choice(list(ACCIDENTS))
        accident = ACCIDENTS[name]
        running = dice.random() < 0.5 if accident.while_running is None else accident.while_running
        if (accident.needs_backup and not files.has_backup) or (accident.damages and self._rerolls):
            return []
        strike = partial(self._strike, name, accident)
        if running:
            return [Planned(self._a_moment(), strike)]
        strike("")
        return []

    def _strike(self, name: str, accident: Accident, where: str) -> None:
        self._accidents[f"{name} (while running)" if where and accident.while_running is None else name] += 1
        self._damaged = self._damaged or accident.damages
        self._forgotten = self._forgotten or accident.forgets
        self._blind = self._blind or accident.blinds or (accident.damages and self._forgotten)
        self._seen.learns = self._seen.learns and not accident.damages
        self.machine.suffer(accident.strikes)
        if accident.second_run:
            self.machine.second_run(self._settings(), takes_over=accident.needs_backup)

    def _a_rise(self) -> list[Planned]:
        """Let the price rise once, in some nights."""
        if self._dear or self.dice.random() > 0.1:
            return []
        self._dear, factor = True, self.dice.choice((1.2, 1.6, 3.0))

        def rise(_where: str) -> None:
            self._accidents["price rises"] += 1
            self.service.charge(factor)

        return [Planned(Moment(at_s=10 ** self.dice.uniform(0, 3.3)), rise)]

    async def _a_retake(self) -> list[Planned]:
        """Retry failed clips, or ask for another take, before the run or next to it."""
        if self.dice.random() > 0.15 or self._damaged or not self.machine.files.has_ledger:
            return []
        name, ask = ("reroll", retakes.reroll) if self._rerolls else ("retry", retakes.retry)
        self._accidents[name] += 1
        if self.dice.random() < 0.5:
            return [Planned(self._a_moment(), partial(self._ask, ask))]
        await retakes.alone(ask, self.machine.batch, self.dice)
        return []

    def _ask(self, ask: retakes.Ask, _where: str) -> None:
        self._loop.call_soon(ask, self.machine.batch, self.dice)

    def _write(self, wanted: int) -> None:
        """Write the manifest: it grows, and its order may change."""
        self._wanted = wanted = max(wanted, self._wanted)
        prompts = [f"  - Clip {n} of a night\n" for n in range(wanted)]
        turn = self.dice.randrange(wanted) if self.dice.random() < 0.2 else 0
        self.machine.root.joinpath("night.yaml").write_text(_HEAD + "".join(prompts[turn:] + prompts[:turn]), "utf-8")

    # --- commands -------------------------------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        dice = self.dice
        return self._given() | {
            "rpm": dice.choice((0.0, 120.0, 600.0)),
            "in_flight": dice.choice((1, 8, 64)),
            "submit_concurrency": dice.choice((1, 8)),
            "downloads": dice.choice((1, 8)),
            "expect_latency": dice.choice((5.0, 60.0, 200.0)),
            "give_up": dice.choice((120.0, 1800.0)),
        }

    def _given(self) -> dict[str, Any]:
        return {"base_url": f"http://127.0.0.1:{PORT}", "max_usd": self._cap}

    async def _run(
        self, command: str, settings: Mapping[str, Any], planned: Sequence[Planned] = (), within_s: float = RUN_S
    ) -> int | None:
        before = len(self.service.jobs())
        code = await self.machine.run(command, settings, planned, within_s)
        jobs = self.service.jobs()
        self._seen.after_run(jobs, self._cap)
        if code == Exit.USAGE:
            full = self.machine.disk_full != (0.0, 0.0)
            self._seen.refused(len(jobs) - before, damaged=self._damaged or full)
        elif code not in {None, Exit.LOCKED} and command == "run":
            self._blind = self._forgotten = False
        return code

    def _repair(self) -> None:
        """Do as a person does whose run was refused: move back what was moved, or call `recover`."""
        files, dice = self.machine.files, self.dice
        if not self._damaged:
            return
        if files.away:
            files.put_back()
            return
        killed = False
        for _ in range(_RECOVERIES):
            death = Planned(Moment(dice.randint(1, 12), CHANGE), partial(self.machine.die, power=dice.random() < 0.4))
            code = self.machine.recover([death] if dice.random() < 0.3 else [])
            if code is not None:
                break
            killed = True
        if code and not (code == Exit.USAGE and killed):  # one that was killed at its very end has done it
            self._seen.unrecovered(code)
        self._damaged = False

    # --- what must hold -------------------------------------------------------------------------------------

    async def _heal(self) -> int | None:
        """Let all be well, and run until nothing is left to do, with the user's word for what is absent.

        Returns:
            The exit code of the last run.
        """
        await self.service.restart(healed=True)
        self._write(self.clips)
        self._cap = (self.clips + self._accidents["reroll"]) * self.service.price * _PLENTY
        began, code = self._loop.time(), None
        if self._accidents:
            await self._healed("verify", 0)
        for n in range(HEALED_RUNS):
            code = await self._healed("run", n)
            if self._states() <= SETTLED:
                break
            await asyncio.sleep(120.0)
            if self._waits():
                self._healed_s = self._loop.time() - began
                await asyncio.sleep(FILES_S)
                began = self._loop.time() - self._healed_s
        else:
            self.machine.late.append(f"not settled after {HEALED_RUNS} runs: {sorted(self._states())}")
        self._healed_s = self._loop.time() - began
        if self._healed_s > HEALED_S:
            self.machine.late.append(f"settled {self._healed_s:.0f} s after all was well")
        return code

    async def _healed(self, command: str, n: int) -> int | None:
        """Run as a person does; from the second run on with the word that what the history lacks was not accepted."""
        word = n > 0
        settings = self._given() | {
            "rpm": 600.0, "in_flight": 64, "submit_concurrency": 8, "downloads": 8, "expect_latency": 60.0,
            "give_up": 1800.0, "resubmit_unconfirmed": word, "history_settle": 60.0 if word else 7200.0,
        }  # fmt: skip
        for _ in range(3):
            code = await self._run(command, settings, within_s=HEALED_S)
            if code != Exit.USAGE:
                break
            self._repair()
        return code

    def _waits(self) -> bool:
        """Return whether all that is left are files that the service itself has no whole copy of."""
        broken = {job.request_id for job in self.service.jobs() if "broken_file" in job.fates}
        query = (
            "SELECT c.state, r.request_id FROM clip c JOIN request r ON r.clip = c.id AND r.n = c.n "
            f"WHERE c.state NOT IN ({','.join(repr(state) for state in SETTLED)})"
        )
        with closing(sqlite3.connect(f"file:{self.machine.batch / 'ledger.db'}?mode=ro", uri=True)) as db:
            left = set(db.execute(query))
        return bool(left) and all(state == "downloading" and request_id in broken for state, request_id in left)

    def _states(self) -> set[str]:
        with closing(sqlite3.connect(f"file:{self.machine.batch / 'ledger.db'}?mode=ro", uri=True)) as db:
            return {state for (state,) in db.execute("SELECT state FROM clip")}

    def _judged(self, final: int | None) -> list[Promise]:
        code = -1 if final is None else final
        found = gather(self.machine.batch, self.service.folder, self.service.books(), code)
        found = replace(found, ledger_lost=not self._seen.learns)
        return [*verdict(found), *self._seen.promises()]


def play(seed: int, folder: Path, *, clips: int = 100, deaths: int = 3, mood: str = "", accident: str = "") -> Result:
    """Play a night in a loop of its own; see `Night`."""

    async def whole() -> Result:
        return await Night(seed, folder, clips=clips, deaths=deaths, mood=mood, accident=accident).play()

    with asyncio.Runner(loop_factory=WorldLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, WorldLoop)
        rule(loop, seed)
        return runner.run(whole())
