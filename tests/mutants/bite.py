"""Show that the suite bites: apply each mutant of `mutants.toml` to a copy of the tree, and see its tests go red.

    python tests/mutants/bite.py            all of them
    python tests/mutants/bite.py fsync rpm  those whose name holds one of the words

A mutant is one fault that a promise forbids, made by replacing one text in one file. It is killed when at
least one of its tests fails; the same tests pass on the tree as it is (checked first).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("mutants.toml")


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
    """Run some tests in a tree, on that tree's own code."""
    parallel = ["-n", "2"] if importlib.util.find_spec("xdist") else []
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *parallel, *tests]
    environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode not in (0, 1, 2):
        raise SystemExit(f"pytest could not run {tests}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def main() -> int:
    """Try the chosen mutants; exit 1 when one survives."""
    words = sys.argv[1:]
    chosen = [mutant for mutant in load() if not words or any(word in mutant.name for word in words)]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "sound"
        shutil.copytree(ROOT, sound, ignore=shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache"))
        tests = sorted({test for mutant in chosen for test in mutant.tests})
        if not passes(sound, tests):
            raise SystemExit(f"these tests fail on the tree as it is: {' '.join(tests)}")
        for mutant in chosen:
            started = time.monotonic()
            tree = Path(folder) / "mutant"
            shutil.copytree(sound, tree)
            mutant.applied_to(tree)
            killed = not passes(tree, mutant.tests)
            shutil.rmtree(tree)
            survivors += [] if killed else [mutant.name]
            print(
                f"{'killed  ' if killed else 'SURVIVED'}  {mutant.name}  ({time.monotonic() - started:.0f} s)",
                flush=True,
            )
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
