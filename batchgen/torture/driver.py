"""The torture itself: round after round of mischief, then a calm end, then the verdict."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from batchgen.errors import Exit, UsageError
from batchgen.failpoints import LOG, STEPS, VARIABLE
from batchgen.torture import evidence, plan
from batchgen.torture.batch import Batch
from batchgen.torture.counters import Counters
from batchgen.torture.judge import verdict
from batchgen.torture.plan import MOODS, Round, Wire
from batchgen.torture.process import Command, Ended, Service, environment
from batchgen.torture.proxy import Proxy

#: Rounds for each kill that is wanted, at most: some runs end before anything strikes.
_ROUNDS = 6
#: How often it resumes at the end, at most, before unresolved clips are reported.
_RESUMES = 12
_CALM_S = 300.0
#: No request is on its way between two rounds, and the sandbox's history does not lag: absence is proof.
_WORD = ["--resubmit-unconfirmed"]
_DID_RUN = frozenset({0, 3, 4, 5})


class Torture:
    """One torture of a batch of its own, in a new folder.

    Args:
        folder: made; nothing may be in it.
        clips: how many are wanted in the end, at least; more, while kills are lacking.
        kills: that are wanted.
        seed: of the plan.
        minutes: the mischief ends then at the latest; None: when all kills are done.
        say: is called with lines about the progress.
    """

    def __init__(
        self, folder: Path, *, clips: int, kills: int, seed: int, minutes: float | None, say: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._clips, self._seed, self._minutes, self._say = clips, seed, minutes, say
        self._kills = kills
        self._home = folder / "home"
        self._batch = Batch(folder)
        self._cap = 0
        self._mood = ("calm", 0.0)
        self._rounds = self._under_fire = 0
        self._service = Service(folder / "service", folder, seed)
        self._tally = Counters(secret=f"SG_torture{seed:06d}{'k' * 8}")
        self._command = Command(folder, environment(self._home) | {"SEGMIND_API_KEY": self._tally.secret})
        self._proxy: Proxy | None = None

    async def run(self) -> dict[str, Any]:
        """Torture, resume to the end, judge; returns the report.

        Raises:
            UsageError: the folder is not empty, or the sandbox can't be started.
        """
        self._make_folder()
        began = time.monotonic()
        await self._service.start("", 0.0)
        self._proxy = Proxy(self._service.port, self._seed)
        await self._proxy.listen()
        try:
            await self._mischief(began)
            self._say("the mischief is over: resuming to the end")
            final = await self._calm_end()
            return await self._judged(final, time.monotonic() - began)
        finally:
            await self._proxy.deafen()
            await self._service.stop()

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if any(self._folder.iterdir()):
                raise UsageError(f"{self._folder} is not empty: name another --folder, or delete it")
            self._home.mkdir()
        except OSError as error:
            raise UsageError(f"{self._folder} can't be made: {error.strerror}") from error

    # --- the mischief -----------------------------------------------------------------------------------------

    async def _mischief(self, began: float) -> None:
        for act in plan.rounds(self._seed, STEPS, clips=self._clips, kills=self._kills):
            late = self._minutes is not None and time.monotonic() - began > self._minutes * 60
            if late or self._tally.kills >= self._kills or act.n >= _ROUNDS * self._kills:
                return
            await self._round(act)
            if act.n % 10 == 9:
                done = len(self._batch.files())
                self._say(f"{act.n + 1} rounds, {self._tally.kills} of {self._kills} kills, {done} clips done")

    async def _round(self, act: Round) -> None:
        if (act.mood, act.skew_s) != self._mood:
            self._mood = act.mood, act.skew_s
            await self._service.stop()
            await self._service.start(MOODS[act.mood], act.skew_s)
            self._tally.faults["clock skewed"] += bool(act.skew_s)
        self._batch.write(act.wanted, turn=act.n if act.edit else 0)
        self._tally.faults["manifest edited"] += act.edit
        cap = self._cap = max(self._cap, round(self._batch.price * act.cap))
        self._net().wire = Wire()
        await self._damage(act, cap)
        log = self._folder / "struck"
        env = {VARIABLE: act.failpoint, LOG: str(log)} if act.failpoint else {}
        word = _WORD if act.word else []
        args = self._reconcile() if act.reconcile_first else self._run(cap, "--limit", str(act.limit), *word)
        self._net().wire = act.wire
        process = await self._command.start(*args, **env)
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(self._command.end(process, kill_s=act.kill_s, gentle=act.gentle))
            if act.wire.down_s:
                group.create_task(self._net().down_for(act.wire.down_s))
            if act.service_dies:
                group.create_task(self._service_dies(act))
            if act.second:
                group.create_task(self._second_command(act, cap, process, ending))
        ended = ending.result()
        self._net().drop_all()
        self._tally.struck(log, killed=ended.code == -9, by_step=bool(act.failpoint))
        self._note(f"{act.n:04d}", args, ended)
        await self._inspect(act.n, cap, ended)

    async def _damage(self, act: Round, cap: int) -> None:
        """Let something happen to the ledger's files; then do as a person does: run, and `recover` if it is refused."""
        if not act.damage or not self._batch.damage(act.damage):
            self._batch.keep()
            return
        self._tally.faults[act.damage] += 1
        if act.damage == plan.LOCK_DELETED:
            return
        before = len((await self._service.books())["jobs"])
        args = self._run(cap, "--limit", "1")
        ended = await self._command.call(*args)
        self._note(f"{act.n:04d}-damaged", args, ended)
        accepted = len((await self._service.books())["jobs"]) - before
        recovered = None
        if ended.code == Exit.USAGE:
            args = ["recover", "night.yaml", "--yes", "--json"]
            recovered = await self._command.call(*args)
            self._note(f"{act.n:04d}-recover", args, recovered)
        must = act.damage == plan.LEDGER_DELETED and before > 0
        self._tally.damaged(act.n, must=must, accepted=accepted, refused=ended, recovered=recovered)

    async def _service_dies(self, act: Round) -> None:
        await asyncio.sleep(act.kill_s / 3)
        await self._service.stop()
        self._tally.faults["service killed"] += 1
        await self._service.start(MOODS[act.mood], act.skew_s)

    async def _second_command(
        self, act: Round, cap: int, first: asyncio.subprocess.Process, ending: asyncio.Task[Ended]
    ) -> None:
        await asyncio.wait({ending}, timeout=0.8)
        if first.returncode is not None:
            return
        args = {
            "run": self._run(cap, "--limit", str(act.limit)),
            "reconcile": self._reconcile(),
            "status": ["status", "night.yaml", "--json"],
        }[act.second]
        second = await self._command.end(await self._command.start(*args), kill_s=10.0)
        self._note(f"{act.n:04d}-second", args, second)
        if act.second != "status":
            overlapped = first.returncode is None
            refused = second.code == 6 or (await ending).code == 6
            self._tally.two_runs(act.n, both=overlapped and not refused and second.code in _DID_RUN, refused=refused)

    async def _inspect(self, n: int, cap: int, ended: Ended) -> None:
        """Check what must hold at all times: the cap, and files with their final names."""
        books = await self._service.books()
        self._rounds, self._under_fire = n + 1, len(books["jobs"])
        charged = sum(evidence.booked(job).charged for job in books["jobs"])
        self._tally.wall(n, charged=charged, cap=cap, answer=ended.answer)
        self._tally.half(evidence.half_files(self._batch.clips, self._service.folder, self._tally.sound))

    # --- the end ----------------------------------------------------------------------------------------------

    async def _calm_end(self) -> Ended:
        """Resume without any mischief until all is settled; with the user's word for what is proved absent."""
        self._net().wire = Wire()
        self._batch.write(max(self._clips, self._batch.wanted))
        await self._service.stop()
        await self._service.start("", 0.0)
        word: list[str] = []
        for n in count(1):
            args = self._run(self._batch.price * 3, *word)
            ended = await self._command.call(*args, timeout_s=_CALM_S)
            self._note(f"end-{n}", args, ended)
            settled = self._batch.settled()
            if settled or n >= _RESUMES:
                return ended
            word = _WORD
            await asyncio.sleep(1.0)
        raise AssertionError

    async def _judged(self, final: Ended, elapsed_s: float) -> dict[str, Any]:
        books = await self._service.books()
        self._tally.faults.update(books["faults"])
        self._tally.faults.update(self._net().met)
        seen = [f"{books['keys_at_files']} downloads carried a key"] if books["keys_at_files"] else []
        paths = evidence.files_with(self._tally.secret.encode(), self._folder)
        seen += [f"the key is in {path}" for path in paths]
        found = evidence.gather(self._batch.folder, self._service.folder, books, final.code)
        found = replace(found, ledger_lost=self._tally.ledgers_lost > 0)
        promises = verdict(found) + self._tally.promises(keys=seen, files=len(list(self._folder.rglob("*"))))
        report = {
            "schema_version": 1,
            "ok": not any(promise.findings for promise in promises),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seed": self._seed,
            "clips": self._batch.wanted,
            "elapsed_s": round(elapsed_s, 1),
            **self._tally.facts(),
            "rounds": self._rounds,
            "accepted": len(found.booked),
            "accepted_under_fire": self._under_fire,
            "states": dict(sorted(Counter(kept.state for kept in found.kept).items())),
            "promises": [
                {"promise": each.name, "how": each.how, "checked": each.checked,
                 "ok": not each.findings if each.checked or each.findings else None, "findings": each.findings}
                for each in promises
            ],
            "repeat": f"batchgen torture --clips {self._clips} --kills {self._kills} --seed {self._seed}",
        }  # fmt: skip
        (self._folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        return report

    # --- small things -----------------------------------------------------------------------------------------

    def _net(self) -> Proxy:
        if self._proxy is None:
            raise RuntimeError("the torture has not begun")
        return self._proxy

    def _run(self, cap: int, *more: str) -> list[str]:
        return [
            "run", "night.yaml", "--base-url", self._net().url, "--yes", "--json", "--rpm", "0", "--expect-latency",
            "0.3", "--give-up", "20", "--history-settle", "1", "--grace", "2", "--max-usd", f"{cap / 1e6:.4f}", *more,
        ]  # fmt: skip

    def _reconcile(self) -> list[str]:
        return ["reconcile", "night.yaml", "--base-url", self._net().url, "--json"]

    def _note(self, name: str, args: list[str], ended: Ended) -> None:
        """Keep what a process printed, and check it."""
        said = self._folder / "said"
        said.mkdir(exist_ok=True)
        head = f"batchgen {' '.join(args)}\nexit {ended.code}\n".encode()
        (said / f"{name}.txt").write_bytes(head + ended.stdout + b"\n" + ended.stderr)
        self._tally.ended(name, ended)
