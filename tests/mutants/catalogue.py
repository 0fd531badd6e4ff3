"""The mutants written by hand, by promise and clause, and the tests that must fail on each.

A file of `promises/` is one promise; each `[[clause]]` is a part of it in words, each `[[clause.mutant]]` one fault
that the clause forbids: `where`, `find`, `replace` and `text` as in `anchors.Anchor`. `tests` names test files by their
name alone (`test_budget.py`, `test_budget.py::test_x`): they are found wherever they are below `tests/`.
"""

from __future__ import annotations

import ast
import builtins
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from anchors import SCRIPT, Anchor, AnchorError, Applied, AppliedScript, Package

ROOT = Path(__file__).resolve().parents[2]
LISTS = Path(__file__).with_name("promises")
BUILTINS = frozenset(dir(builtins))
FIELDS = frozenset({"name", "where", "find", "replace", "tests"})


class CatalogueError(Exception):
    """The lists contradict themselves or the tests that are there."""


@dataclass(frozen=True)
class Mutant:
    """One fault that a promise forbids; `promise` has its number and words, `clause` the part that is broken."""

    name: str
    promise: str
    clause: str
    anchor: Anchor
    tests: tuple[str, ...]
    file: Path

    @property
    def in_browser(self) -> bool:
        """Say whether it takes a browser to notice it: it is a fault of a script."""
        return self.anchor.where.endswith(SCRIPT)

    def apply(self, package: Package) -> Applied | AppliedScript:
        """Return the package's file with the fault in it. Raises AnchorError."""
        return package.apply(self.anchor)


def load() -> list[Mutant]:
    """Read the lists. Raises CatalogueError."""
    found: list[Mutant] = []
    for file in sorted(LISTS.glob("*.toml")):
        listed = tomllib.loads(file.read_text(encoding="utf-8"))
        for clause in listed["clause"]:
            if not clause.get("mutant"):
                raise CatalogueError(f"{file.name}: no mutant breaks the clause: {clause['says']}")
            for entry in clause["mutant"]:
                if set(entry) - {"text"} != FIELDS:
                    raise CatalogueError(
                        f"{file.name}: {entry.get('name')}: the fields are {', '.join(sorted(FIELDS))}"
                    )
                anchor = Anchor(entry["where"], entry["find"], entry["replace"], entry.get("text", False))
                tests = tuple(entry["tests"])
                found.append(Mutant(entry["name"], listed["promise"], clause["says"], anchor, tests, file))
    return found


@cache
def test_files() -> dict[str, Path]:
    """Return the test files of the repository, by their name, which is there once. Raises CatalogueError."""
    found: dict[str, Path] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        if file.name in found:
            raise CatalogueError(f"two test files are named {file.name}: mutants name tests by file name alone")
        found[file.name] = file.relative_to(ROOT)
    return found


def path_of(test: str) -> str:
    """Return a test as pytest takes it, from the repository's root. Raises CatalogueError."""
    name, separator, function = test.partition("::")
    file = test_files().get(name)
    if file is None:
        raise CatalogueError(f"no test file is named {name}")
    if function and function.partition("[")[0] not in _tests_in(file):
        raise CatalogueError(f"{name} has no {function}")
    return f"{file.as_posix()}{separator}{function}"


@cache
def _tests_in(file: Path) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def faults(mutants: Iterable[Mutant], package: Package) -> Iterator[str]:
    """Say which mutants do not fit the code, change nothing, are no Python, or name tests that are not there."""
    names: set[str] = set()
    for mutant in mutants:
        said = f"{mutant.file.name}: {mutant.name}: "
        if mutant.name in names:
            yield f"{said}another one has this name"
        names.add(mutant.name)
        try:
            for test in mutant.tests:
                path_of(test)
            applied = mutant.apply(package)
            if not applied.differs():
                yield f"{said}it changes nothing"
            if unknown := applied.new_names() - package.words - BUILTINS:
                yield f"{said}the package has no {', '.join(sorted(unknown))}: it would crash, which any test notices"
        except (AnchorError, CatalogueError, SyntaxError) as error:
            yield f"{said}{error}"


def moved(mutants: Iterable[Mutant], package: Package) -> Iterator[tuple[Mutant, str]]:
    """Yield the mutants whose `where` has an old name, with the new one."""
    for mutant in mutants:
        try:
            where = package.definition(mutant.anchor).where
        except AnchorError:
            continue
        if where != mutant.anchor.where:
            yield mutant, where


def rename(mutant: Mutant, where: str) -> None:
    """Write the new `where` of a mutant into its list."""
    text = mutant.file.read_text(encoding="utf-8")
    entry = re.compile(rf"(name = ['\"]+{re.escape(mutant.name)}['\"]+\nwhere = )\S+\n")
    mutant.file.write_text(entry.sub(lambda match: f'{match[1]}"{where}"\n', text), encoding="utf-8")
