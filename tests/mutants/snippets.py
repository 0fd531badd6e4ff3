"""Match a snippet of Python against a syntax tree, and put another one in its place.

A snippet is code, compared as trees: spaces, line breaks, comments and quotes do not matter. It is one of these, tried
in this order; the first kind that is found decides:

- header: `if alike:`, `except Timeout:`, `with open(path) as file:`. What stands below it stays as it is;
- statements: one, or several that follow each other. An empty replacement removes them;
- expression: `clip.failures < FREE_RETRIES`;
- keyword argument: `keepalive_timeout=IDLE_S`. An empty replacement removes it.

A name of the form `__x` fits any expression; the same name in the replacement stands for what it fitted.
"""

from __future__ import annotations

import ast
import copy
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Fields that do not change the meaning of a snippet.
IGNORED = frozenset({"ctx", "kind", "type_comment"})
#: What stands below a header.
BELOW = frozenset({"body", "orelse", "handlers", "finalbody"})


@dataclass
class Hit:
    """Where a snippet fits: `parent.name[start:stop]`, or `parent.name` where that is no list."""

    parent: ast.AST
    name: str
    start: int | None
    stop: int
    kind: str
    bound: dict[str, ast.AST] = field(default_factory=dict)

    @property
    def node(self) -> ast.AST:
        """Return the first node that the snippet fits."""
        value = getattr(self.parent, self.name)
        found: ast.AST = value if self.start is None else value[self.start]
        return found

    def put(self, replacement: str) -> None:
        """Replace what was found, in the tree itself."""
        new = [_Filled(self.bound).visit(node) for node in _parsed(replacement, self.kind)]
        if self.kind == "header":
            for below in BELOW & set(new[0]._fields) & set(self.node._fields):
                setattr(new[0], below, getattr(self.node, below))
        if self.start is None:
            setattr(self.parent, self.name, new[0])
            return
        row: list[ast.AST] = getattr(self.parent, self.name)
        row[self.start : self.stop] = new
        if not row and self.kind == "statements":
            row.extend(ast.parse("pass").body)


class _Filled(ast.NodeTransformer):
    """Put what a `__x` of the pattern fitted in the place of the replacement's `__x`."""

    def __init__(self, bound: dict[str, ast.AST]) -> None:
        self._bound = bound

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return copy.deepcopy(self._bound.get(node.id, node))


def find(snippet: str, tree: ast.AST) -> list[Hit]:
    """Return every place below a node where a snippet fits; SyntaxError where it is no Python."""
    for kind in ("header", "statements", "expression", "keyword"):
        try:
            pattern = _parsed(snippet, kind)
        except _OtherKindError:
            continue
        if pattern and (hits := list(_hits(pattern, tree, kind))):
            return hits
    return []


def in_texts(words: str, tree: ast.AST) -> list[tuple[ast.Constant, re.Match[str]]]:
    """Return every place in the string constants below a node where these words follow each other."""
    wanted = re.compile(r"\s+".join(re.escape(word) for word in words.split()))
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [(text, match) for text in texts for match in wanted.finditer(str(text.value))]


class _OtherKindError(SyntaxError):
    """A snippet is not of the kind that was asked for."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"not a {kind} as the other snippet is one")


def _parsed(snippet: str, kind: str) -> Sequence[ast.AST]:
    """Parse a snippet as one kind; SyntaxError where it is no Python at all."""
    text = textwrap.dedent(snippet).strip()
    if (kind == "header") != text.endswith(":"):
        raise _OtherKindError(kind)
    if kind == "header":
        return [_header(text)]
    if kind == "keyword":
        return _keyword(text)
    body = ast.parse(text).body
    if kind == "statements":
        return body
    if len(body) == 1 and isinstance(body[0], ast.Expr):
        return [body[0].value]
    raise _OtherKindError(kind)


def _header(text: str) -> ast.AST:
    if text.startswith("except"):
        handled = ast.parse(f"try:\n    pass\n{text}\n    pass").body[0]
        assert isinstance(handled, ast.Try)
        return handled.handlers[0]
    return ast.parse(f"{text.removeprefix('el')}\n    pass").body[0]


def _keyword(text: str) -> Sequence[ast.AST]:
    if text and not re.fullmatch(r"\w+\s*=(?!=).*", text):  # one line: several are statements
        raise _OtherKindError("keyword argument")
    call = ast.parse(f"call({text})").body[0]
    assert isinstance(call, ast.Expr) and isinstance(call.value, ast.Call)
    return call.value.keywords


def _hits(pattern: Sequence[ast.AST], tree: ast.AST, kind: str) -> Iterator[Hit]:
    """Try a pattern at every node; one of several statements at every run of as many."""
    first = type(pattern[0])
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            row = value if isinstance(value, list) else [value]
            for start in range(len(row) - len(pattern) + 1):
                if type(row[start]) is not first and first is not ast.Name:
                    continue
                bound: dict[str, ast.AST] = {}
                stop = start + len(pattern)
                if all(_fits(a, b, bound, kind) for a, b in zip(pattern, row[start:stop], strict=True)):
                    yield Hit(parent, name, start if row is value else None, stop, kind, bound)


def _fits(pattern: Any, node: Any, bound: dict[str, ast.AST], kind: str = "") -> bool:
    """Compare two trees, or two of their fields."""
    if isinstance(pattern, ast.Name) and re.fullmatch(r"__\w*[^_]", pattern.id) and isinstance(node, ast.expr):
        known = bound.setdefault(pattern.id, node)
        return known is node or _fits(known, node, {})
    if type(pattern) is not type(node):
        return False
    if isinstance(pattern, ast.AST):
        skipped = IGNORED | BELOW if kind == "header" else IGNORED
        fields = [name for name in pattern._fields if name not in skipped]
        return all(_fits(getattr(pattern, name, None), getattr(node, name, None), bound) for name in fields)
    if isinstance(pattern, list):
        return len(pattern) == len(node) and all(_fits(a, b, bound) for a, b in zip(pattern, node, strict=True))
    return bool(pattern == node)
