"""Find the one place in the package that a mutant changes, by names and code instead of by lines.

`where` names a definition: `retention:Shelf.until`, or `Shelf.until` alone. The module (its last name is enough) only
helps to choose: when a file is moved or a class renamed, the place is still found as long as only one definition of
that name holds the code. `AnchorError` says what comes nearest when it is not. A name that ends in `.js` is a script of
the review page: there `find` and `replace` are text.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import snippets

#: How the name of a script of the page ends.
SCRIPT = ".js"


class AnchorError(Exception):
    """An anchor fits no place, or several; the text says which come nearest."""


@dataclass(frozen=True)
class Definition:
    """A function, class or assignment: `name` is qualified (`Class.method`), `module` dotted."""

    path: Path
    module: str
    name: str
    node: ast.stmt

    @property
    def where(self) -> str:
        """Name it as an anchor does."""
        return f"{self.module.rpartition('.')[2]}:{self.name}"

    def is_in(self, module: str) -> bool:
        """Say whether its module has this name, or ends in it."""
        return f".{self.module}".endswith(f".{module}")


@dataclass(frozen=True)
class Anchor:
    """In the definition `where`, `find` (there once) becomes `replace`.

    With `text` both are words inside a string constant, an SQL statement for example; otherwise they are code.
    """

    where: str
    find: str
    replace: str
    text: bool = False


@dataclass(frozen=True)
class Applied:
    """A changed file: its path in the package, its tree, and what was changed in it, before and after."""

    path: Path
    tree: ast.Module
    before: ast.AST
    after: ast.AST
    line: int

    @property
    def source(self) -> str:
        """Return the file's code, laid out afresh."""
        return ast.unparse(ast.fix_missing_locations(self.tree))

    def differs(self) -> bool:
        """Say whether the code means something else than before. Raises SyntaxError when it is none."""
        whole = [top for top in self.tree.body if top.end_lineno and top.lineno <= self.line <= top.end_lineno]
        compile(ast.Module(whole, []), str(self.path), "exec")
        return ast.dump(self.before) != ast.dump(self.after)

    def new_names(self) -> set[str]:
        """Return the names and attributes that the definition did not use before."""
        return {name for name in _used(self.after) - _used(self.before) if not name.startswith("__")}


@dataclass(frozen=True)
class AppliedScript:
    """A changed script of the page, as `Applied`."""

    path: Path
    source: str
    before: str

    def differs(self) -> bool:
        """Say whether it is another text than before."""
        return self.source != self.before

    def new_names(self) -> set[str]:
        """Return no names: those of a script are not known here."""
        return set()


class Package:
    """The modules of one package, parsed once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def trees(self) -> dict[Path, ast.Module]:
        """Return every module, by its path below the package's folder."""
        files = sorted(self.root.rglob("*.py"))
        return {file.relative_to(self.root): ast.parse(file.read_text(encoding="utf-8")) for file in files}

    @cached_property
    def definitions(self) -> list[Definition]:
        """Return all that an anchor can name."""
        return [
            Definition(path, module_of(path), name, node)
            for path, tree in self.trees.items()
            for name, node in _named(tree, "")
        ]

    @cached_property
    def _by_last_name(self) -> dict[str, list[Definition]]:
        found: defaultdict[str, list[Definition]] = defaultdict(list)
        for each in self.definitions:
            found[each.name.rpartition(".")[2]].append(each)
        return found

    @cached_property
    def words(self) -> frozenset[str]:
        """Return every word of the code that may be a name."""
        texts = [(self.root / path).read_text(encoding="utf-8") for path in self.trees]
        return frozenset(word for text in texts for word in re.findall(r"\w+", text))

    def module(self, name: str) -> Path:
        """Return the path of the one module of this name; its last parts are enough, as long as they are exact."""
        exact = [path for path in self.trees if module_of(path) == name]
        found = exact or [path for path in self.trees if module_of(path).endswith(f".{name}")]
        if len(found) != 1:
            near = difflib.get_close_matches(name, [module_of(path) for path in self.trees], 3, 0.4)
            raise AnchorError(f"{len(found)} modules are named {name}; nearest: {', '.join(near) or 'none'}")
        return found[0]

    def definition(self, anchor: Anchor) -> Definition:
        """Return the one definition that holds the anchor's code, once."""
        for named in self._candidates(anchor.where):
            held = [(each, count) for each in named if (count := _count(anchor, each.node))]
            if len(held) == 1 and held[0][1] == 1:
                return held[0][0]
            if held:
                places = ", ".join(f"{each.where} ({count} times)" for each, count in held)
                raise AnchorError(f"the code is not there once, but in {places}: add to it, or name the module")
        raise AnchorError(self._nearest(anchor))

    def apply(self, anchor: Anchor) -> Applied | AppliedScript:
        """Return the changed file that the anchor is in."""
        if anchor.where.endswith(SCRIPT):
            return self._applied_script(anchor)
        found = self.definition(anchor)
        tree = ast.parse((self.root / found.path).read_text(encoding="utf-8"))
        same_file = [each for each in self.definitions if each.path == found.path]
        (twin,) = (node for (_, node), each in zip(_named(tree, ""), same_file, strict=True) if each is found)
        if anchor.text:
            [(constant, match)] = snippets.in_texts(anchor.find, twin)
            constant.value = match.string[: match.start()] + anchor.replace + match.string[match.end() :]
        else:
            snippets.find(anchor.find, twin)[0].put(anchor.replace)
        return Applied(found.path, tree, found.node, twin, found.node.lineno)

    def _applied_script(self, anchor: Anchor) -> AppliedScript:
        path = Path("review", "assets", anchor.where)
        before = (self.root / path).read_text(encoding="utf-8") if (self.root / path).is_file() else ""
        if (count := before.count(anchor.find)) != 1:
            raise AnchorError(f"{anchor.where} holds {' '.join(anchor.find.split())!r} {count} times, not once")
        return AppliedScript(path, before.replace(anchor.find, anchor.replace), before)

    def _candidates(self, where: str) -> Iterator[list[Definition]]:
        """Yield what `where` may mean, the most exact meaning first."""
        module, _, name = where.rpartition(":")
        meanings: list[Callable[[Definition], bool]] = [
            lambda each: each.name == name and each.is_in(module),
            lambda each: each.name == name,
            lambda each: each.is_in(module),
            lambda _: True,
        ]
        for means in meanings if module else meanings[1::2]:
            yield [each for each in self._by_last_name.get(name.rpartition(".")[2], []) if means(each)]

    def _nearest(self, anchor: Anchor) -> str:
        """Say where the code went, or which names and lines look most like it."""
        moved = [each.where for each in self.definitions if _count(anchor, each.node)]
        innermost = [where for where in moved if not any(other.startswith(f"{where}.") for other in moved)]
        if innermost:
            return f"{anchor.where} does not hold the code; it is in {', '.join(innermost[:5])}"
        module, _, _ = anchor.where.rpartition(":")
        named = next((found for found in self._candidates(anchor.where) if found), [])
        said = f"{anchor.where} does not hold {' '.join(anchor.find.split())!r}; nearest:"
        if not named:
            names = [each.where for each in self.definitions] + [each.name for each in self.definitions]
            near = difflib.get_close_matches(anchor.where, names, 5, 0.5)
            said = f"nothing is named {anchor.where}; nearest: {', '.join(near) or 'none'}"
            named = [each for each in self.definitions if module and each.is_in(module)]
        return "\n    ".join([said, *self._nearest_lines(anchor, named)])

    def _nearest_lines(self, anchor: Anchor, named: list[Definition]) -> list[str]:
        lines = {
            f"{self.root.name}/{each.path}:{line}: {text}"
            for each in named
            for line, text in _lines(each.node, anchor.text)
        }
        wanted = " ".join(anchor.find.split())
        return sorted(lines, key=lambda line: -_likeness(wanted, line.partition(": ")[2]))[:3]


def module_of(path: Path) -> str:
    """Name the module of a path in the package: `ledger/sql.py` is `ledger.sql`."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _named(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.stmt]]:
    """Yield functions, classes and assigned names, with their qualified names."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield f"{prefix}{child.name}", child
            yield from _named(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.Assign | ast.AnnAssign):
            targets = child.targets if isinstance(child, ast.Assign) else [child.target]
            if isinstance(node, ast.Module | ast.ClassDef):
                yield from ((f"{prefix}{target.id}", child) for target in targets if isinstance(target, ast.Name))
        elif isinstance(child, ast.stmt | ast.ExceptHandler):  # `if` and `try` around definitions
            yield from _named(child, prefix)


def _count(anchor: Anchor, node: ast.AST) -> int:
    try:
        return len(snippets.in_texts(anchor.find, node) if anchor.text else snippets.find(anchor.find, node))
    except SyntaxError as error:
        raise AnchorError(f"`find` is no Python ({error.msg}): {anchor.find}") from error


def _used(node: ast.AST) -> set[str]:
    used: set[str] = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            used.add(each.id)
        elif isinstance(each, ast.Attribute):
            used.add(each.attr)
    return used


def _lines(node: ast.AST, text: bool) -> Iterator[tuple[int, str]]:
    """Yield the statements (or the texts) of a definition, each by its first line."""
    for each in ast.walk(node):
        if text and isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.lineno, " ".join(each.value.split())
        elif not text and isinstance(each, ast.stmt | ast.ExceptHandler) and each is not node:
            yield each.lineno, ast.unparse(each).strip().partition("\n")[0]


def _likeness(wanted: str, line: str) -> float:
    """Say how much of the wanted words is in a line, in their order: 0 to 1."""
    blocks = difflib.SequenceMatcher(None, wanted, line, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size > 2) / max(1, len(wanted))
