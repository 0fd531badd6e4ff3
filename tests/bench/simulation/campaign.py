"""Play many nights, and print what came of them: `python tests/bench/simulation/campaign.py --nights 100`.

Each night has a seed: `--night SEED` plays one again, to the same step. A night with a finding is printed with the
command that repeats it, and the campaign ends with exit 1.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import logging
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

HERE = Path(__file__).resolve().parent
RECORD = HERE.parent / "simulation.json"
#: In memory where there is such a folder: each sync of a simulated disk would wait for the real one.
MEMORY = Path("/dev/shm")


def main() -> int:
    """Read the options, play, print."""
    options = _options()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of a set is part of a night's course
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"PYTHONHASHSEED": "0"})
    seeds = [options.night] if options.night is not None else range(options.seed, options.seed + options.nights)
    one = partial(
        play_one, clips=options.clips, deaths=options.deaths, mood=options.mood, accident=options.accident,
        again=options.again,
    )  # fmt: skip
    began, totals = perf_counter(), Totals()
    for done, result in enumerate(_results(one, seeds, options.jobs), 1):
        totals.add(result)
        for finding in result["findings"]:
            print(f"night {result['seed']}: {finding}")
        if result["findings"]:
            print(f"  again: python {Path(sys.argv[0])} --night {result['seed']} --clips {options.clips} "
                  f"--deaths {options.deaths}{options.mood and f' --mood {options.mood!r}'}"
                  f"{options.accident and f' --accident {options.accident!r}'}")  # fmt: skip
        elif options.night is not None or done % 100 == 0:
            print(f"{done} nights, {totals.counts['clips']:,} clips, {perf_counter() - began:.0f} s", flush=True)
    facts = totals.facts(perf_counter() - began, options)
    print(json.dumps(facts, indent=2))
    if options.record:
        RECORD.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return 1 if totals.broken else 0


class Totals:
    """The sums of a campaign."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.checks: dict[str, list[int]] = {}  #: by promise: checks, findings
        self.broken: list[int] = []
        self.findings: list[str] = []
        self.healed_s = 0.0  #: the longest
        self.courses = hashlib.sha256()

    def add(self, result: dict[str, Any]) -> None:
        """Add a night."""
        self.counts.update({"nights": 1, "clips": result["clips"], "runs": result["runs"]})
        self.counts["virtual_hours"] += round(result["virtual_s"] / 3600)
        self.courses.update(result["course"].encode())
        self.healed_s = max(self.healed_s, result["healed_s"])
        self.deaths.update(result["deaths"])
        self.faults.update(result["faults"])
        for name, checked, findings in result["promises"]:
            sums = self.checks.setdefault(name, [0, 0])
            sums[0] += checked
            sums[1] += findings
        if result["findings"]:
            self.broken.append(result["seed"])
            self.findings += [f"night {result['seed']}: {finding}" for finding in result["findings"]]

    def facts(self, elapsed_s: float, options: argparse.Namespace) -> dict[str, Any]:
        """Say it all, for people and for the record."""
        return {
            "at": time.strftime("%Y-%m-%d", time.gmtime()), "python": platform.python_version(),
            "cores": len(os.sched_getaffinity(0)), "processes": options.jobs,
            "seed": options.seed, **self.counts, "deaths": sum(self.deaths.values()), "elapsed_s": round(elapsed_s),
            "healed_within_s": round(self.healed_s), "courses": self.courses.hexdigest()[:16],
            "deaths_at": dict(self.deaths.most_common()), "faults": dict(self.faults.most_common()),
            "promises": {name: {"checked": sums[0], "broken": sums[1]} for name, sums in self.checks.items()},
            "broken_nights": self.broken, "findings": self.findings,
        }  # fmt: skip


def play_one(
    seed: int, clips: int, deaths: int, mood: str = "", accident: str = "", *, again: bool = False
) -> dict[str, Any]:
    """Play a night in a process of many; `again`: a second time, to see that it takes the same course."""
    import night

    gc.freeze()  # what the modules are made of need not be searched again and again
    gc.set_threshold(50_000, 50, 1_000)
    logging.getLogger("batchgen").addHandler(logging.NullHandler())
    logging.getLogger("batchgen").propagate = False
    results = []
    for _ in range(2 if again else 1):
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
            path = Path(folder) / "night"
            results.append(night.play(seed, path, clips=clips, deaths=deaths, mood=mood, accident=accident))
    result = results[0]
    findings = [*result.findings]
    if results[-1].course != result.course:
        findings.append("it took another course the second time")
    return {
        "seed": seed, "clips": clips, "runs": result.runs, "virtual_s": result.virtual_s, "course": result.course,
        "healed_s": result.healed_s, "deaths": dict(result.deaths), "faults": dict(result.faults),
        "findings": findings,
        "promises": [(promise.name, promise.checked, len(promise.findings)) for promise in result.promises],
    }  # fmt: skip


def _results(one: Any, seeds: Any, jobs: int) -> Iterator[dict[str, Any]]:
    if jobs == 1 or len(seeds) == 1:
        yield from map(one, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(one, seeds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", type=int, default=100)
    parser.add_argument("--clips", type=int, default=100, help="a night")
    parser.add_argument("--deaths", type=int, default=3, help="kills and power cuts a night")
    parser.add_argument("--seed", type=int, default=1, help="of the first night")
    parser.add_argument("--night", type=int, help="the seed of one night to play again")
    parser.add_argument("--mood", default="", help="the service's only one: a name, or doses as `--fault` takes them")
    parser.add_argument("--accident", default="", help="the only one that happens, in every round: a name")
    parser.add_argument("--again", action="store_true", help="play each night twice: both must take the same course")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="nights at once")
    parser.add_argument("--record", action="store_true", help=f"write the totals to {RECORD.name}, for the docs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parents[1])]
    sys.exit(main())
