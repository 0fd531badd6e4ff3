"""`{{ }}` in texts: Jinja2's expressions, sandboxed, strict, and limited.

A prompt needs values, filters, `if`, and sometimes a `for`. It needs nothing that could hang the plan or give another
text tomorrow. So only that part of Jinja2 is allowed, each text is compiled once, and its work is counted: a filter or
call costs as much as the values that it gets are long, a turn of a loop as much as its body could. A text ends at
`MAX_WORK` (about a second), all texts of a manifest at `MAX_TOTAL` (about a minute).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, NamedTuple

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.filters import do_round
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from batchgen.manifest.faults import TextError, UnknownVariableError, shown
from batchgen.manifest.parameters import is_template

MAX_OUTPUT = 20_000
MAX_WORK = 500_000
MAX_TOTAL = 200_000_000
#: Characters or values that Python copies or compares while a template does one step.
_AT_ONCE = 100
_TURNS = "_turns"
_MAX_COMPILED = 2_000
_MAX_RANGE = 1_000
_MAX_PLACES = 300
_FILTERS = (
    *("abs", "capitalize", "count", "d", "default", "first", "float", "int", "last", "length", "list", "lower"),
    *("max", "min", "sort", "string", "title", "trim", "unique", "upper", "wordcount"),
)
_METHODS = (
    *("capitalize", "casefold", "count", "endswith", "find", "get", "items", "keys", "lower", "lstrip"),
    *("removeprefix", "removesuffix", "rstrip", "split", "startswith", "strip", "title", "upper", "values"),
)
_NODES = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Name, nodes.Tuple, nodes.List),
    *(nodes.Dict, nodes.Pair, nodes.Keyword, nodes.Slice, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Call),
    *(nodes.Getattr, nodes.Getitem, nodes.Compare, nodes.Operand, nodes.Concat, nodes.And, nodes.Or, nodes.Not),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos),
    *(nodes.If, nodes.For),
)


_SLOT = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
#: What odd texts raise in Jinja2, or in the Python that it makes of them, besides its own errors.
_ODD = (
    *(TypeError, ValueError, ArithmeticError, LookupError, AttributeError, NameError),
    *(SyntaxError, MemoryError, RecursionError),
)
_CONSTANTS = ("true", "false", "none", "True", "False", "None")


class Templates:
    """Fills in texts; every distinct text is parsed and checked once."""

    def __init__(self) -> None:
        self._environment = _Environment()
        self._compiled: dict[str, _Compiled | TextError] = {}
        self._sizes: dict[int, tuple[object, int]] = {}
        self._total = 0

    def fill(self, text: str, values: Mapping[str, Any]) -> str:
        """Return the text with its variables filled in; a text without `{{` or `{%` as it is.

        Raises:
            TextError: bad syntax, an unknown variable, or a limit passed.
        """
        if not is_template(text):
            return text
        simple = _slots_filled(text, values)
        if simple is not None:
            return simple
        compiled = self._compile(text)
        if self._total > MAX_TOTAL:
            raise TextError("all texts together take too long to fill in", "use fewer loops and filters")
        work = self._environment.work
        try:
            work.begin(1 + max((self._size(values.get(name)) for name in compiled.names), default=0) // _AT_ONCE)
            work.charge(compiled.nodes * work.step)
            return _bounded(compiled.template, values)
        except TemplateError as error:
            message = (error.message or str(error)).strip()
            kind = UnknownVariableError if isinstance(error, UndefinedError) else TextError
            raise kind(f"{shown(text)}: {message}", _known(values)) from error
        except RecursionError as error:
            raise TextError(f"{shown(text)}: too deep", "write it more simply") from error
        except _ODD as error:
            raise TextError(f"{shown(text)}: {type(error).__name__}: {error}", _known(values)) from error
        finally:
            self._total += work.done

    def _size(self, value: object) -> int:
        """Return how many characters and values there are in a value; that of a long list is counted once."""
        if not isinstance(value, (list, dict)):
            return len(value) if isinstance(value, str) else 1
        known = self._sizes.get(id(value))
        if known is None:
            if len(self._sizes) >= _MAX_COMPILED:
                self._sizes.clear()
            inner = [*value, *value.values()] if isinstance(value, dict) else value
            known = self._sizes[id(value)] = (value, 1 + sum(map(self._size, inner)))
        return known[1]

    def _compile(self, text: str) -> _Compiled:
        found = self._compiled.get(text)
        if found is None:
            if len(self._compiled) >= _MAX_COMPILED:
                self._compiled.clear()
            found = self._compiled[text] = self._parsed(text)
        if isinstance(found, TextError):
            raise TextError(found.what, found.fix)
        return found

    def _parsed(self, text: str) -> _Compiled | TextError:
        if len(text) > MAX_OUTPUT:
            return TextError(f"{shown(text)}: a text to fill in has over {MAX_OUTPUT} characters", "make it shorter")
        try:
            tree = self._environment.parse(text)
            _check(tree, loops=0)
            names = frozenset(meta.find_undeclared_variables(tree))
            return _Compiled(self._environment.from_string(tree), names, _count(tree))
        except TextError as error:
            return TextError(f"{shown(text)}: {error.what}", error.fix)
        except TemplateError as error:
            line = f" (line {error.lineno} of the text)" if isinstance(error, TemplateSyntaxError) else ""
            what = f"{shown(text)}: {error.message or error}{line}"
            return TextError(what, "write {{ name }}, or {{ '{{' }} for a brace")
        except (RecursionError, SyntaxError, MemoryError):
            return TextError(f"{shown(text)}: nested too deeply", "write it more simply")
        except _ODD as error:
            return TextError(f"{shown(text)}: {error}", "write it more simply")


class _Compiled(NamedTuple):
    """A template that may be filled in, the variables that it uses, and how many nodes it has."""

    template: Template
    names: frozenset[str]
    nodes: int


class _Work:
    """What filling in one text has cost so far; `step` is the price of a node, for the longest value it could touch."""

    def __init__(self) -> None:
        self.done = 0
        self.step = 1

    def begin(self, step: int) -> None:
        """Start with the next text."""
        self.done, self.step = 0, step

    def charge(self, cost: int) -> None:
        """Count work that is about to be done. Raises SecurityError when it is too much."""
        self.done += cost
        if self.done > MAX_WORK:
            raise SecurityError("it takes too long to fill in: its loops and filters work on too long a text or list")

    def filter(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the filter as one that pays for the length of what it gets."""

        @wraps(function)
        def paid(*values: Any, **named: Any) -> Any:  # noqa: ANN401 - as any filter
            self.charge(sum(map(_length, (*values, *named.values()))))
            return function(*values, **named)

        return paid

    def turns(self, value: Iterable[Any], nodes: int) -> list[Any]:
        """Return what a loop goes over, its body paid for each turn."""
        turns = []
        for item in value:
            self.charge(nodes * self.step)
            turns.append(item)
        return turns


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox with limited operators, and only filters that always give the same result."""

    intercepted_binops = frozenset({"*", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, cache_size=0)
        self.filters = {name: self.filters[name] for name in _FILTERS}
        self.filters["join"] = _join
        self.filters["replace"] = _replace
        self.filters["round"] = _round
        self.work = _Work()
        self.filters = {name: self.work.filter(function) for name, function in self.filters.items()}
        self.filters[_TURNS] = self.work.turns
        self.globals = {"range": _range}

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Refuse to multiply texts and lists, and to format with %: both can make a text of any length."""
        if not all(isinstance(side, (int, float)) for side in (left, right)):
            raise SecurityError(f"{operator} works on numbers only")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, method: Callable[..., Any], *values: Any, **named: Any) -> Any:  # noqa: ANN401 - as its parent
        """Call a method of a text or list, which pays for the length of it and of what it gets."""
        self.work.charge(sum(map(_length, (getattr(method, "__self__", ""), *values))))
        return super().call(context, method, *values, **named)


def _length(value: object) -> int:
    return 1 + len(value) if isinstance(value, (str, list, tuple, dict, range)) else 1


def _count(node: nodes.Node) -> int:
    return 1 + sum(map(_count, node.iter_child_nodes()))


def _check(node: nodes.Node, loops: int) -> None:
    """Refuse what a text does not need, and have each loop pay for its turns; `loops` are those around the node."""
    if not isinstance(node, _NODES):
        raise TextError(f"{type(node).__name__.lower()} is not supported in texts", "use values, filters, if and for")
    if isinstance(node, nodes.Call):
        _check_call(node)
    if isinstance(node, nodes.For):
        if loops or node.recursive:
            raise TextError("a loop in a loop is not supported in texts", "use a matrix")
        loops += 1
    for child in node.iter_child_nodes():
        _check(child, loops)
    if isinstance(node, nodes.For):
        turns = [nodes.Const(_count(node))]
        node.iter = nodes.Filter(node.iter, _TURNS, turns, [], None, None, lineno=node.lineno)


def _check_call(node: nodes.Call) -> None:
    target = node.node
    allowed = (isinstance(target, nodes.Name) and target.name == "range") or (
        isinstance(target, nodes.Getattr) and target.attr in _METHODS
    )
    if not allowed:
        raise TextError("this call is not supported in texts", "calls supported: range, " + ", ".join(_METHODS))


def _slots_filled(text: str, values: Mapping[str, Any]) -> str | None:
    """Fill in a text that has only bare `{{ name }}`s; None: it needs Jinja2, or Jinja2's error message.

    A row of a table is a text of its own, and compiling one costs fifty times what this does.
    """
    if "{%" in text or "{#" in text or "\r" in text:
        return None
    pieces = _SLOT.split(text)
    names, rest = pieces[1::2], "".join(pieces[::2])
    if "{{" in rest or "}}" in rest or not all(name in values and name not in _CONSTANTS for name in names):
        return None
    pieces[1::2] = [str(values[name]) for name in names]
    filled = "".join(pieces)
    return filled if len(filled) <= MAX_OUTPUT else None


def _bounded(template: Template, values: Mapping[str, Any]) -> str:
    pieces: list[str] = []
    length = 0
    for piece in template.generate(values):
        pieces.append(piece)
        length += len(piece)
        if length > MAX_OUTPUT:
            raise SecurityError(f"it would make a text of over {MAX_OUTPUT} characters")
    return "".join(pieces)


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > _MAX_RANGE:
        raise SecurityError(f"range makes over {_MAX_RANGE} numbers")
    return numbers


def _join(value: Iterable[Any], between: str = "", attribute: str | None = None) -> str:
    """Join as Jinja2 does, the length known before it is made."""
    items = [str(item if attribute is None else item[attribute]) for item in value]
    if sum(map(len, items)) + len(items) * len(between) > MAX_OUTPUT:
        raise SecurityError(f"join makes a text of over {MAX_OUTPUT} characters")
    return between.join(items)


def _replace(value: object, old: str, new: str) -> str:
    """Replace as Python does, the length known before it is made."""
    text = str(value)
    if len(text) + (text.count(old)) * len(new) > MAX_OUTPUT:
        raise SecurityError(f"replace makes a text of over {MAX_OUTPUT} characters")
    return text.replace(old, new)


def _round(value: float, precision: int = 0, method: str = "common") -> float:
    """Round as Jinja2 does, with a limited precision: it computes ten to that power."""
    if not -_MAX_PLACES <= precision <= _MAX_PLACES:
        raise SecurityError(f"round takes {-_MAX_PLACES} to {_MAX_PLACES} places")
    return do_round(value, precision, method)  # type: ignore[arg-type] # it checks the method itself


def _known(values: Mapping[str, Any]) -> str:
    names = ", ".join(sorted(values)) if values else "none"
    return f"known variables: {names}"
