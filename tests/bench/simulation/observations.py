"""What must hold after each run of a simulated night, whatever happened in it; findings name the run."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from machine import Machine

from batchgen.clip import Clip
from batchgen.events import Event, Failed, Generated, Lost, SubmitStarted
from batchgen.torture.evidence import clip_of, sha256
from batchgen.torture.judge import Booked, Promise, observed


class Observations:
    """Looks at the books and at the folder after each run.

    Args:
        machine: whose runs; what its ledgers reserve and learn is noted, too.
        service: the service's folder.

    Attributes:
        learns: False once a ledger was lost: a rebuilt one may have forgotten what the service charges.
    """

    def __init__(self, machine: Machine, service: Path) -> None:
        machine.observers.append(self._note)
        self._machine = machine
        self._service = service
        self.learns = True
        self._reserved: dict[str, list[tuple[float, int]]] = defaultdict(list)  #: by clip: when, micro-dollars
        self._charged_at: dict[int, float] = {}  #: by price: when it was first known to be charged
        self._checked = self._refusals = 0
        self._over: list[str] = []
        self._halves: list[str] = []
        self._paid: list[str] = []
        self._sound: set[tuple[str, int]] = set()
        self._made: dict[str, str] = {}

    def after_run(self, jobs: Sequence[Booked], cap: int) -> None:
        """Check the cap, and the files with their final names."""
        self._checked += 1
        run = f"run {self._machine.runs}"
        charged, allowed = sum(job.charged for job in jobs), cap + self._surplus(jobs)
        if charged > allowed:
            self._over.append(f"{run}: {charged} charged, the cap is {cap}, above what was reserved {allowed - cap}")
        for path in self._service.joinpath("files").glob("*.mp4"):
            if path.stem not in self._made:
                self._made[path.stem] = sha256(path)
        made = set(self._made.values())
        for clip in self._machine.batch.glob("clips/**/*.mp4"):
            seen = clip.name, clip.stat().st_mtime_ns
            if seen not in self._sound and sha256(clip) not in made:
                self._halves.append(f"{run}: {clip.name} is nothing that the service made")
            self._sound.add(seen)

    def refused(self, accepted: int, *, damaged: bool) -> None:
        """Check a run that was refused (exit 2): nothing was accepted, and something had happened to its files."""
        self._refusals += 1
        run = f"run {self._machine.runs}"
        if accepted:
            self._paid.append(f"{run}: {accepted} requests were accepted, and then the run was refused")
        if not damaged:
            self._paid.append(f"{run}: refused, though nothing had happened to the files")

    def unrecovered(self, code: int) -> None:
        """Note that `recover` failed where a run had been refused."""
        self._paid.append(f"run {self._machine.runs}: recover ended with exit {code} after a refused run")

    def promises(self) -> list[Promise]:
        """Give what was seen, by promise."""
        machine = self._machine
        checks = [
            ("the budget is a hard limit", "after each run", self._checked, self._over),
            ("no half file at any time", "after each run", self._checked, self._halves),
            ("a ledger that is not the last one is refused", "each refused run", self._refusals, self._paid),
            ("two runs can't share a batch", "each second run", machine.seconds, machine.shared),
            ("no fault of batchgen's own", "each run", self._checked, machine.crashes),
            ("everything ends in time", "each run, and all clips once all is well", self._checked, machine.late),
        ]  # fmt: skip
        return [observed(name, how, checked, findings) for name, how, checked, findings in checks]

    def _surplus(self, jobs: Sequence[Booked]) -> int:
        """Add up what was charged above its reservation, as a price that rises may; a finding where it was known."""
        surplus = 0
        for job in jobs:
            reserved = self._reserved.get(job.clip, ())
            surplus += max(0, job.charged - min((amount for _, amount in reserved), default=job.charged))
            known_at = self._charged_at.get(job.charged, math.inf)
            for at, amount in reserved if self.learns else ():
                if amount < job.charged and at > known_at:
                    self._over.append(f"{job.clip[:60]}: {amount} reserved, {job.charged} was known to be charged")
        return surplus

    def _note(self, clip: Clip, event: Event) -> None:
        if isinstance(event, SubmitStarted):
            self._reserved[clip_of(dict(clip.wanted.values))].append((event.at, event.reserved))
        elif isinstance(event, Generated | Failed | Lost) and event.cost:
            self._charged_at.setdefault(event.cost, time.time())  # it is on disk, and counts from now on
