"""What was done and seen, round by round, for the promises that must be checked on the way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from batchgen.errors import Exit
from batchgen.failpoints import STEPS
from batchgen.torture.judge import Promise, observed
from batchgen.torture.process import Ended

#: Besides these, an exit says that batchgen itself is at fault: 2 is a ledger that can't be set up on a failing disk.
_RIGHT_EXITS = frozenset({0, 2, 3, 4, 5, 6, 130, 143, -9, -15})


class Counters:
    """Counts of mischief, and findings.

    Args:
        secret: the made-up key, searched for in everything that is printed.
    """

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.kills = 0
        self.faults: Counter[str] = Counter()
        self.sound: set[tuple[str, int]] = set()
        self._ended: Counter[int] = Counter()
        self._covered: set[tuple[str, str]] = set()
        self._findings: dict[str, list[str]] = {name: [] for name in ("wall", "half", "bugs", "two", "key", "lost")}
        self.ledgers_lost = 0
        self._walls = self._twos = self._folders = 0

    def struck(self, log: Path, *, killed: bool, by_step: bool) -> None:
        """Count what struck in a round, by the log of its fail-points, and how it ended."""
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        hits = {(fault, step) for fault, step in (line.split() for line in lines)}
        self._covered |= hits
        self.faults.update("kill at a step" if fault == "kill" else f"{fault} at a write" for fault, _ in hits)
        inside = by_step and any(fault == "kill" for fault, _ in hits)
        self.kills += killed
        self.faults["kill at random"] += killed and not inside

    def ended(self, name: str, ended: Ended) -> None:
        """Check what a process said: no traceback, no key, an exit code that is known."""
        self._ended[ended.code] += 1
        said = ended.stdout + ended.stderr
        if b"Traceback" in said or ended.code not in _RIGHT_EXITS:
            self._findings["bugs"].append(f"exit {ended.code} in said/{name}.txt")
        if self.secret.encode() in said:
            self._findings["key"].append(f"the key was said: said/{name}.txt")

    def wall(self, n: int, *, charged: int, cap: int, answer: dict[str, Any]) -> None:
        """Compare the service's sum, and what the run itself reported, with the cap of the round."""
        self._walls += 1
        if charged > cap:
            self._findings["wall"].append(f"round {n}: {charged} micro-dollars were charged under a cap of {cap}")
        spent, reserved = answer.get("spent_usd"), answer.get("reserved_usd")
        if spent is not None and reserved is not None and round((spent + reserved) * 1e6) > cap + 100:
            self._findings["wall"].append(f"round {n}: {spent} spent and {reserved} reserved under {cap / 1e6}")

    def half(self, broken: list[str]) -> None:
        """Note files that have their final name and are not whole."""
        self._folders += 1
        self._findings["half"] += [each for each in broken if each not in self._findings["half"]]

    def two_runs(self, n: int, *, both: bool, refused: bool) -> None:
        """Note how two runs at once fared: one of them has to be refused."""
        self._twos += refused or both
        if both:
            self._findings["two"].append(f"round {n}: two runs were at work at once, see said/{n:04d}*.txt")

    def damaged(self, n: int, *, must: bool, accepted: int, refused: Ended, recovered: Ended | None) -> None:
        """Note how a run fared whose ledger was deleted or rolled back; `must`: it had to be refused."""
        self.ledgers_lost += 1
        if refused.code == Exit.USAGE and accepted:
            self._findings["lost"].append(f"round {n}: {accepted} were accepted, and then the run was refused")
        if must and refused.code != Exit.USAGE:
            self._findings["lost"].append(
                f"round {n}: exit {refused.code} without a ledger, see said/{n:04d}-damaged.txt"
            )
        if recovered and recovered.code:
            self._findings["lost"].append(f"round {n}: exit {recovered.code} of recover, see said/{n:04d}-recover.txt")

    def promises(self, *, keys: list[str], files: int) -> list[Promise]:
        """Give the promises that were watched on the way."""
        return [
            observed("the budget is a wall", "after each round: charged, spent and reserved against its cap",
                     self._walls, self._findings["wall"]),
            observed("no half file at any time", "after each kill: every .mp4 to the byte", self._folders,
                     self._findings["half"]),
            observed("the key never leaves the process", "all files and outputs searched, downloads' headers checked",
                     files, keys + self._findings["key"]),
            observed("two runs can't share a batch", "second commands during a run: one of both is refused", self._twos,
                     self._findings["two"]),
            observed("a ledger that is not the last one is refused", "ledgers deleted or rolled back",
                     self.ledgers_lost, self._findings["lost"]),
            observed("no fault of batchgen's own", "every process: no traceback, no unknown exit code",
                     self._ended.total(), self._findings["bugs"]),
        ]  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Give the counts for the report."""
        covered = sorted(f"{fault} {step}" for fault, step in self._covered)
        return {
            "processes": self._ended.total(),
            "kills": self.kills,
            "exits": {str(code): n for code, n in sorted(self._ended.items())},
            "faults": {name: n for name, n in sorted(self.faults.items()) if n},
            "combinations": {"count": len(covered), "of": combinations(), "covered": covered},
        }


def combinations() -> int:
    """Count all (fault × step) pairs that there are."""
    return sum(3 if fails else 1 for fails in STEPS.values())
