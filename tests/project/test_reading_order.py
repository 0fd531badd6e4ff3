"""Each package's docstring is a guide through its modules, and a guide that names what is not there misleads."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from source import PACKAGE, ROOT, trees

#: Their modules are listed elsewhere: the commands in `batchgen.cli.overview`, which a test of its own holds complete.
LISTED_ELSEWHERE = {"batchgen/cli/commands"}
PACKAGES = sorted({str(file.parent.relative_to(ROOT)) for file in PACKAGE.rglob("__init__.py")} - LISTED_ELSEWHERE)


def modules_of(folder: Path) -> set[str]:
    """Name the modules and packages in a folder."""
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return files | {path.parent.name for path in folder.glob("*/__init__.py")}


@pytest.mark.parametrize("package", [name for name in PACKAGES if name != "batchgen"])
def test_the_reading_order_names_every_module_and_no_other(package: str) -> None:
    """A word in backticks is a module; names with a dot or a capital are something else."""
    doc = ast.get_docstring(trees()[f"{package}/__init__.py"]) or ""
    assert set(re.findall(r"`([a-z][a-z0-9_]*)`", doc)) == modules_of(PACKAGE.parent / package)
