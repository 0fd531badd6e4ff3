"""Show that the tests bite: put each mutant into a copy of the tree, and see its tests fail.

A mutant is killed when one of its tests fails; the same tests pass on the tree as it is, which is checked once a test.
Exit code: 0 all are killed, 1 one survived or could not be tried, 2 usage.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Protocol

import catalogue
import generated
from anchors import Applied, AppliedScript, Package
from catalogue import ROOT, CatalogueError

#: Mutants tried at the same time.
AT_ONCE = 2
#: A test that needs this long, or so many times what it needs on the tree as it is, has noticed (seconds, factor).
ENDLESS_S, ENDLESS_TIMES = 60.0, 4.0
#: The longest that a test may take on the tree as it is (seconds).
PATIENCE_S = 900.0
LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache")


class Fault(Protocol):
    """A mutant, written or generated."""

    @property
    def name(self) -> str: ...
    @property
    def tests(self) -> tuple[str, ...]: ...
    def apply(self, package: Package) -> Applied | AppliedScript: ...


class Bench:
    """A copy of the tree, and what its tests need on it."""

    def __init__(self, folder: Path) -> None:
        self._sound, self._folder = folder / "sound", folder
        shutil.copytree(ROOT, self._sound, ignore=LEFT_OUT)
        compileall.compile_dir(self._sound / "batchgen", quiet=1)  # every process of a test would do it again
        self._package = Package(self._sound / "batchgen")
        self._known: dict[str, float] = {}
        self._locks: defaultdict[str, Lock] = defaultdict(Lock)

    def survives(self, fault: Fault) -> bool:
        """Try one mutant; print what became of it."""
        started = time.monotonic()
        tests = [catalogue.path_of(test) for test in fault.tests]
        limit = max(ENDLESS_S, ENDLESS_TIMES * sum(self._needs(test) for test in tests))
        applied = fault.apply(self._package)
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            tree = Path(folder) / "tree"
            shutil.copytree(self._sound, tree)
            (tree / "batchgen" / applied.path).write_text(applied.source, encoding="utf-8")
            alive = passes(tree, tests, limit)
        took = time.monotonic() - started
        print(f"{'SURVIVED' if alive else 'killed  '}  {fault.name}  ({took:.0f} s)", flush=True)
        return alive

    def _needs(self, test: str) -> float:
        """Return how long a test takes on the tree as it is (seconds). Raises CatalogueError when it fails there."""
        with self._locks[test]:
            if test not in self._known:
                started = time.monotonic()
                if not passes(self._sound, [test], PATIENCE_S):
                    raise CatalogueError(f"{test} fails on the tree as it is")
                self._known[test] = time.monotonic() - started
            return self._known[test]


def passes(tree: Path, tests: Sequence[str], limit_s: float) -> bool:
    """Run some tests in a tree, on that tree's own code; no end within the limit is no pass."""
    options = ["-x", "-q", "-p", "no:cacheprovider", "-o", "addopts="]
    environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=tree,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            return process.wait(limit_s) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return False


def chosen(faults: Sequence[Fault], options: argparse.Namespace) -> list[Fault]:
    """Choose by words in the name, by tenth, and a sample of what is left: the same ones each time."""
    found = [fault for fault in faults if not options.words or any(word in fault.name for word in options.words)]
    if options.tenth is not None:
        found = [fault for fault in found if _rank(fault) % 10 == options.tenth % 10]
    if options.sample is not None:
        found = sorted(found, key=_rank)[: options.sample]
    return found


def with_their_tests(mutants: Sequence[catalogue.Mutant]) -> list[catalogue.Mutant]:
    """Leave out the mutants of the page's scripts where there is no browser, and say so."""
    if find_spec("playwright") and (shutil.which("chromium") or shutil.which("google-chrome")):
        return list(mutants)
    kept = [mutant for mutant in mutants if not mutant.in_browser]
    print(f"{len(mutants) - len(kept)} mutants need a browser (the extra e2e and Chromium): left out")
    return kept


def _rank(fault: Fault) -> int:
    return int.from_bytes(hashlib.sha256(fault.name.encode()).digest()[:8])


def check(*, fix: bool) -> int:
    """Print every mutant that does not fit the code any more, and what comes nearest; exit 1 when there is one."""
    package, mutants = Package(ROOT / "batchgen"), catalogue.load()
    for mutant, where in catalogue.moved(mutants, package):
        print(f"{mutant.file.name}: {mutant.name}: {mutant.anchor.where} is now {where}{' (fixed)' if fix else ''}")
        if fix:
            catalogue.rename(mutant, where)
    bad = [*catalogue.faults(mutants, package), *generated.faults(package)]
    print("\n".join([*bad, f"{len(mutants)} mutants, {len(bad)} faults"]))
    return 1 if bad else 0


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bite.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("words", nargs="*", metavar="WORD", help="only mutants whose name holds one of the words")
    parser.add_argument("--sample", type=int, metavar="N", help="N of them, the same ones each time")
    parser.add_argument("--tenth", type=int, metavar="K", help="a tenth of them; the last digit of K says which")
    parser.add_argument("--generated", action="store_true", help="generated mutants instead of the written ones")
    parser.add_argument("--check", action="store_true", help="run nothing; list the mutants that do not fit the code")
    parser.add_argument("--fix", action="store_true", help="with --check: write moved names into the lists")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Try the chosen mutants, two at a time."""
    options = parsed(arguments)
    if options.check:
        return check(fix=options.fix)
    written, package = not options.generated, Package(ROOT / "batchgen")
    faults = chosen(with_their_tests(catalogue.load()) if written else generated.generate(package), options)
    survivors, errors = 0, 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        bench = Bench(Path(folder))
        for fault, tried in [(fault, pool.submit(bench.survives, fault)) for fault in faults]:
            try:
                survivors += tried.result()
            except Exception as error:
                errors += 1
                print(f"ERROR     {fault.name}: {error}", flush=True)
    print(f"{len(faults) - survivors - errors} of {len(faults)} mutants killed")
    return 1 if survivors or errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
