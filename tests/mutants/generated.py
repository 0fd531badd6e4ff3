"""Mutants that are made, not written: small slips in modules that decide, each tried with the module's own tests.

A condition is negated, a comparison swapped with its neighbour (`<` and `<=`), `and` with `or`; a number is one more, a
`not` or an `await` is dropped. The names are made of the code, so they stay the same as long as it does.
`generated.toml` lists the modules and their tests.
"""

from __future__ import annotations

import ast
import copy
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anchors import AnchorError, Applied, Package
from catalogue import CatalogueError, path_of

LIST = Path(__file__).with_name("generated.toml")
SWAPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
#: Swapping these is the same as negating the condition.
OPPOSITES = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
#: Types are no behaviour.
UNTOUCHED = frozenset({"annotation", "returns", "type_params"})
NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
SHOWN = 60


@dataclass(frozen=True)
class Slip:
    """One slip: `parent.field`, or its element `index`, becomes `new`; `inside` is the qualified name around it."""

    inside: str
    parent: ast.AST
    field: str
    index: int | None
    new: ast.expr

    def __str__(self) -> str:
        value = getattr(self.parent, self.field)
        old = value if self.index is None else value[self.index]
        return f"{self.inside or 'module'}: {_short(old)} -> {_short(self.new)}"

    def make(self) -> None:
        """Change the tree."""
        if self.index is None:
            setattr(self.parent, self.field, self.new)
        else:
            getattr(self.parent, self.field)[self.index] = self.new


@dataclass(frozen=True)
class Generated:
    """The slip number `number` in a module."""

    name: str
    path: Path
    number: int
    tests: tuple[str, ...]

    def apply(self, package: Package) -> Applied:
        """Return the package's file with the slip in it."""
        tree = ast.parse((package.root / self.path).read_text(encoding="utf-8"))
        slip = list(slips(tree))[self.number]
        slip.make()
        line = getattr(slip.parent, "lineno", 1)
        return Applied(self.path, ast.fix_missing_locations(tree), package.trees[self.path], tree, line)


def generate(package: Package) -> list[Generated]:
    """Make every slip of the listed modules. Raises AnchorError when one is not there."""
    return [made for module, tests in listed() for made in _of_module(package, module, tests)]


def listed() -> list[tuple[str, tuple[str, ...]]]:
    """Read the modules, each with its tests."""
    modules = tomllib.loads(LIST.read_text(encoding="utf-8"))["module"]
    return [(module["name"], tuple(module["tests"])) for module in modules]


def faults(package: Package) -> Iterator[str]:
    """Say which modules or tests of the list are not there."""
    for module, tests in listed():
        try:
            package.module(module)
            for test in tests:
                path_of(test)
        except (AnchorError, CatalogueError) as error:
            yield f"{LIST.name}: {module}: {error}"


def _of_module(package: Package, module: str, tests: tuple[str, ...]) -> Iterator[Generated]:
    path = package.module(module)
    seen: Counter[str] = Counter()
    for number, slip in enumerate(slips(package.trees[path])):
        name = f"{module}:{slip}"
        seen[name] += 1
        again = f" ({seen[name]})" if seen[name] > 1 else ""
        yield Generated(name + again, path, number, tests)


def slips(tree: ast.AST, inside: str = "") -> Iterator[Slip]:
    """Yield every slip in a tree, in the order of the code."""
    for field, value in ast.iter_fields(tree):
        if field in UNTOUCHED:
            continue
        row: list[Any] = value if isinstance(value, list) else [value]
        for index, node in enumerate(row):
            if not isinstance(node, ast.AST):
                continue
            is_condition = field == "test" and not isinstance(tree, ast.Assert)
            for new in _slips_of(node, is_condition=is_condition):
                yield Slip(inside, tree, field, index if row is value else None, new)
            yield from slips(node, f"{inside}.{node.name}".lstrip(".") if isinstance(node, NAMED) else inside)


def _slips_of(node: ast.AST, *, is_condition: bool) -> Iterator[ast.expr]:
    """Yield what a node may become."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPPED:
        swapped = copy.copy(node)
        swapped.ops = [SWAPPED[type(node.ops[0])](), *node.ops[1:]]
        yield swapped
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Await):
        yield node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif is_condition and isinstance(node, ast.expr) and not _is_opposed(node):
        yield ast.UnaryOp(ast.Not(), node)


def _is_opposed(node: ast.expr) -> bool:
    """Say whether the swapped comparison is the negated condition already; `TYPE_CHECKING` is left alone."""
    if isinstance(node, ast.Name):
        return node.id == "TYPE_CHECKING"
    return isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], OPPOSITES)


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
