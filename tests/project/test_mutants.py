"""The list of mutants fits the tree: what it can't apply any more it does not prove."""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from typing import Any

import pytest
from source import ROOT

MUTANTS: list[dict[str, Any]] = tomllib.loads((ROOT / "tests/mutants/mutants.toml").read_text("utf-8"))["mutant"]


@cache
def names_in(file: str) -> frozenset[str]:
    """Name the tests of a file, each under its last name."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant["name"])
def test_a_mutant_has_its_text_once_and_its_tests_are_there(mutant: dict[str, Any]) -> None:
    """A change of the code, or a merge of the list, makes mutants useless without a sound."""
    assert set(mutant) == {"name", "promise", "file", "old", "new", "tests"}
    assert (ROOT / mutant["file"]).read_text(encoding="utf-8").count(mutant["old"]) == 1
    for test in mutant["tests"]:
        file, _, name = test.partition("::")
        assert not name or name.partition("[")[0] in names_in(file)
        assert (ROOT / file).is_file()


def test_no_two_mutants_have_one_name() -> None:
    """`bite.py WORD` chooses by name."""
    assert len({mutant["name"] for mutant in MUTANTS}) == len(MUTANTS)
