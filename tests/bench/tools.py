"""What the figures share: the command with a home of its own, the local service, and what a process cost.

It imports nothing of batchgen: a process begins with the peak memory of the one that started it.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

KEY = "SG_0123456789abcdef"
HERE = Path(__file__).parent
RESULTS = HERE / "figures.json"


@dataclass(frozen=True, slots=True)
class Done:
    """A process that has ended: what it said, and what it cost by itself, its own children included."""

    out: str
    err: str
    code: int
    seconds: float
    cpu_s: float  #: user and system
    peak_mib: float

    @property
    def json(self) -> dict[str, Any]:
        """Read its answer. Raises AssertionError with all that it said where there is none."""
        assert self.code == 0, self.out + self.err
        told: dict[str, Any] = json.loads(self.out)
        return told


def manifest(folder: Path, clips: int) -> Path:
    """Write a manifest of so many prompts in a CSV file."""
    with (folder / "shots.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt"])
        rows.writerows([f"clip number {number} on a hill at dawn"] for number in range(clips))
    path = folder / "bench.yaml"
    path.write_text("prompts:\n  - file: shots.csv\n")
    return path


def big_batch(folder: Path, clips: int, origin: str, left: int) -> Path:
    """Make a batch of so many clips, of which the last ones are left to be made; gives the batch folder."""
    path = manifest(folder, clips)
    done = script("big_ledger.py", str(path), origin, str(left), cwd=folder)
    assert done.code == 0, done.err
    return Path(done.out.strip())


def environment(home: Path) -> dict[str, str]:
    """Give the environment of a user: bytecode is kept, as it is where a program was installed."""
    mine = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**mine, "SEGMIND_API_KEY": KEY, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}


def run(command: Sequence[str], cwd: Path) -> Done:
    """Run a command to its end."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, env=environment(cwd), stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        for file in (out, err):
            file.seek(0)
        cpu = usage.ru_utime + usage.ru_stime
        return Done(out.read(), err.read(), process.returncode, seconds, cpu, usage.ru_maxrss / 1024)


def batchgen(*args: str, cwd: Path, wrap: Sequence[str] = ()) -> Done:
    """Run our command."""
    return run([*wrap, sys.executable, "-m", "batchgen", *args], cwd)


def script(name: str, *args: str, cwd: Path) -> Done:
    """Run a script of this folder."""
    return run([sys.executable, str(HERE / name), *args], cwd)


def paid(base: str, *more: str) -> list[str]:
    """Give the arguments of a run at full speed."""
    fast = ["--rpm", "0", "--in-flight", "256", "--downloads", "32", "--expect-latency", "0"]
    return ["run", "bench.yaml", "--base-url", base, "--yes", "--json", "-q", *fast, *more]


@contextmanager
def service(latency_s: float = 0.0) -> Iterator[str]:
    """Run the scripted service in a process of its own; gives its address."""
    command = [sys.executable, str(HERE.parent / "scripted_service.py"), "--latency", str(latency_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def keep(figure: str, found: dict[str, Any]) -> None:
    """Keep what a figure came to, with the day, in place of what it was."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results[figure] = {"at": datetime.now(UTC).date().isoformat(), **found}
    RESULTS.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n", encoding="utf-8")
