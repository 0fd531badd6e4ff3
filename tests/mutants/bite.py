"""Show that the suite bites: apply each mutant of `mutants.toml` to a copy of the tree, and see its tests go red.

    python tests/mutants/bite.py            all of them
    python tests/mutants/bite.py fsync rpm  those whose name holds one of the words

A mutant is one fault that a promise forbids, made by replacing one text in one file. It is killed when at
least one of its tests fails; the same tests pass on the tree as it is (checked first).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("mutants.toml")


#: A mutant that makes the suite run for ever has been noticed, too (seconds).
ENDLESS_S = 150.0


@dataclass(frozen=True)
class Mutant:
    """One fault: in `file`, `old` (there exactly once) becomes `new`; `tests` must notice."""

    name: str
    promise: str
    file: str
    old: str
    new: str
    tests: list[str]

    def applied_to(self, tree: Path) -> None:
        """Change the file in a copy of the tree."""
        path = tree / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise SystemExit(f"{self.name}: its text is {text.count(self.old)} times in {self.file}, not once")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


def load() -> list[Mutant]:
    """Read the list."""
    return [Mutant(**entry) for entry in tomllib.loads(LIST.read_text(encoding="utf-8"))["mutant"]]


def passes(tree: Path, tests: list[str]) -> bool:
    """Run some tests in a tree, on that tree's own code; a run without end is no pass."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-m", "", "-p", "no:cacheprovider", *tests]
    environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        command, cwd=tree, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:
        try:
            said, _ = process.communicate(timeout=ENDLESS_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return False
    if process.returncode not in (0, 1, 2):
        raise SystemExit(f"pytest could not run {tests}:\n{said.decode()[-2000:]}")
    return process.returncode == 0


def survives(mutant: Mutant, sound: Path) -> bool:
    """Apply one mutant to a copy of the tree and run its tests there."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(sound, tree)
        mutant.applied_to(tree)
        alive = passes(tree, mutant.tests)
    print(f"{'SURVIVED' if alive else 'killed  '}  {mutant.name}  ({time.monotonic() - started:.0f} s)", flush=True)
    return alive


def main() -> int:
    """Try the chosen mutants, two at a time; exit 1 when one survives."""
    words = sys.argv[1:]
    chosen = [mutant for mutant in load() if not words or any(word in mutant.name for word in words)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        sound = Path(folder) / "sound"
        shutil.copytree(ROOT, sound, ignore=shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache"))
        tests = sorted({test for mutant in chosen for test in mutant.tests})
        red = [
            test
            for test, green in zip(tests, pool.map(lambda test: passes(sound, [test]), tests), strict=True)
            if not green
        ]
        if red:
            raise SystemExit(f"these tests fail on the tree as it is: {' '.join(red)}")
        survivors = sum(pool.map(lambda mutant: survives(mutant, sound), chosen))
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
