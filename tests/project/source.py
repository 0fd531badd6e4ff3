"""The package's source as the project's tests look at it: files, trees, and who imports whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "batchgen"


@cache
def trees(folder: str = "batchgen") -> dict[str, ast.Module]:
    """Return every Python file below a folder of the repository, parsed, by its path from the root."""
    files = sorted((ROOT / folder).rglob("*.py"))
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def module_of(path: str) -> str:
    """Name the module of a file: `batchgen/cli/run.py` is `batchgen.cli.run`."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def imports() -> dict[str, frozenset[str]]:
    """Return the modules of ours that each module imports, anywhere in it, those for types too."""
    names = {module_of(path) for path in trees()}
    return {module_of(path): frozenset(_ours(tree, names)) - {module_of(path)} for path, tree in trees().items()}


def _ours(tree: ast.Module, names: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module in names:
            # `from batchgen import hosts` is an import of the submodule, not of the package.
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in names else node.module
