"""The list of mutants follows the code: a mutant that changes nothing proves nothing."""

from __future__ import annotations

import tomllib

from source import ROOT

LIST = tomllib.loads((ROOT / "tests" / "mutants" / "mutants.toml").read_text(encoding="utf-8"))["mutant"]


def test_every_mutant_has_its_text_in_its_file_exactly_once() -> None:
    """Code that moved on takes its mutants along."""
    stale = [each["name"] for each in LIST if (ROOT / each["file"]).read_text(encoding="utf-8").count(each["old"]) != 1]
    assert not stale


def test_every_mutant_has_a_name_of_its_own_and_tests_that_exist() -> None:
    """`bite.py WORD` chooses them by their names."""
    names = [each["name"] for each in LIST]
    assert len(names) == len(set(names))
    tests = {test.split("::")[0] for each in LIST for test in each["tests"]}
    assert not [test for test in tests if not (ROOT / test).exists()]
