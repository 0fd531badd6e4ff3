"""The lists of mutants fit the tree: what cannot be applied proves nothing."""

from __future__ import annotations

import ast
from pathlib import Path

import catalogue
import generated
import pytest
from anchors import Anchor, AnchorError, Package
from source import PACKAGE

BATCHGEN = Package(PACKAGE)
SOURCE = """
LIMIT = 3
QUERY = "SELECT a, b  FROM clip"

class Budget:
    def fits(self, more):
        # the cap is a hard limit
        if self.spent + more > self.cap:
            return False
        with suppress(OSError):
            self.note(more, at=now(),
                      quiet=True)
        return True

class Other:
    def fits(self, more):
        return more > 0
"""


@pytest.fixture
def package(tmp_path: Path) -> Package:
    (tmp_path / "wall.py").write_text(SOURCE, encoding="utf-8")
    return Package(tmp_path)


def changed(package: Package, where: str, find: str, replace: str, *, text: bool = False) -> str:
    """Return the lines that a mutant makes different."""
    before = ast.unparse(ast.parse(SOURCE)).splitlines()
    after = package.apply(Anchor(where, find, replace, text)).source.splitlines()
    return "\n".join(line.strip() for line in after if line not in before)


@pytest.mark.slow
def test_every_mutant_fits_the_code_once_and_its_tests_are_there() -> None:
    """A change of the code makes mutants useless without a sound; `bite.py --check` says the same."""
    mutants = catalogue.load()
    assert not [*catalogue.faults(mutants, BATCHGEN), *generated.faults(BATCHGEN)]
    assert {mutant.promise[:2] for mutant in mutants} >= {f"{number}." for number in range(1, 10)}


def test_generated_mutants_have_names_of_their_own_and_change_the_code() -> None:
    """`bite.py --generated WORD` chooses by name; a slip that changes nothing would survive."""
    made = generated.generate(BATCHGEN)
    assert len({slip.name for slip in made}) == len(made) > 400
    assert not [slip.name for slip in made[::20] if not slip.apply(BATCHGEN).differs()]


@pytest.mark.parametrize(
    ("where", "find", "replace", "expected"),
    [
        ("wall:Budget.fits", "self.spent+more > self.cap", "False", "if False:"),
        ("Budget.fits", "if __any > self.cap:", "if __any > 0:", "if self.spent + more > 0:"),
        ("Budget.fits", "with suppress(OSError):", "if True:", "if True:"),
        ("Budget.fits", "quiet=True", "", "self.note(more, at=now())"),
        ("Budget.fits", "self.note(more, at=now(), quiet=True)", "", "pass"),
        ("wall:LIMIT", "3", "4", "LIMIT = 4"),
    ],
    ids=["expression", "header", "other kind of header", "keyword", "statement", "constant"],
)
def test_code_is_found_however_it_is_laid_out(
    package: Package, where: str, find: str, replace: str, expected: str
) -> None:
    assert changed(package, where, find, replace) == expected


def test_words_are_found_in_texts_across_spaces(package: Package) -> None:
    assert changed(package, "QUERY", "b FROM", "c FROM", text=True) == "QUERY = 'SELECT a, c FROM clip'"


@pytest.mark.parametrize("where", ["budget:Budget.fits", "wall:Wall.fits", "fits"])
def test_a_moved_module_or_a_renamed_class_is_found(package: Package, where: str) -> None:
    """As long as only one definition of that name holds the code."""
    assert package.definition(Anchor(where, "self.spent + more", "0")).where == "wall:Budget.fits"


@pytest.mark.parametrize(
    ("where", "find", "said"),
    [
        ("Budget.fits", "self.spend + more > self.cap", "wall.py:8: if self.spent + more > self.cap:"),
        ("Budget.fit", "nothing()", "nearest: Budget.fits"),
        ("wall:LIMIT", "self.cap", "it is in wall:Budget.fits"),
        ("fits", "more", "wall:Budget.fits (2 times), wall:Other.fits (1 times)"),
        ("wall:Budget.fits", "more >", "`find` is no Python"),
    ],
)
def test_an_anchor_that_does_not_fit_says_what_comes_nearest(
    package: Package, where: str, find: str, said: str
) -> None:
    """Renames are then repaired in minutes."""
    with pytest.raises(AnchorError) as caught:
        package.apply(Anchor(where, find, "0"))
    assert said in str(caught.value)
