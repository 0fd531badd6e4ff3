"""YAML text → plain values and the position of each, read as people expect.

YAML 1.2 core scalars (`no`, `16:9`, `0123`, `0x10` and dates stay text), one document, no doubled keys,
nothing dropped silently. The C loader parses; the node tree is kept, so that a fault that is found later still has a
position.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import yaml

from batchgen.manifest.faults import FIX_FIRST, LINE_END, QUOTE, FaultList, Position, is_key_name, position

#: Aliases may repeat this many values; a "billion laughs" file would repeat 1e9.
_MAX_REPEATED = 100_000
_MAX_DEPTH = 100
_TOO_DEEP = f"lists and mappings are nested over {_MAX_DEPTH} deep"
#: The parser keeps about a kilobyte for each value.
_MAX_VALUES = 1_000_000
#: More brackets than this may overflow the stack of the C parser when they are nested.
_MAX_BRACKETS = 5_000
_TAG = "tag:yaml.org,2002:"
#: The YAML 1.2 core schema, less octal and hexadecimal numbers: `0123` and `0x10` are ids more often.
_RESOLVERS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,17})", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)
_NESTED = re.compile(r"(?:[\[{?-]\s*){64}")
#: The two escapes that JSON makes of a character beyond U+FFFF, after no odd backslash.
_HALVES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_CUT = re.compile(r"[ \t]+#(.?)")


class Document:
    """A YAML file as plain values (`data`), with the position of each (`place`).

    `root` is None when the text could not be parsed, or held nothing.
    """

    def __init__(self, file: str, text: str, root: yaml.Node | None) -> None:
        self.file = file
        self.text = text
        self.data: Any = None
        #: False: some of them could not be read, so that a variable that is not known may be no fault.
        self.variables_known = True
        self.root = root
        self._odd = bool(re.search("[\x85\u2028\u2029]", text))

    def place(self, path: Sequence[str | int], *, key: bool = False) -> Position:
        """Return the position of this path's value, or of its key; that of the nearest parent if it was not written."""
        node, found = self.root, self.root
        for step in path:
            pair = _step(node, step)
            if pair is None:
                break
            found, node = pair[0] if key else pair[1], pair[1]
        return self.at(found)

    def rename(self, path: Sequence[str | int], key: str, meant: str) -> None:
        """Let `place` find the value of a misspelt key under the key that it means."""
        node = self.root
        for step in path:
            node = (_step(node, step) or (None, None))[1]
        if pair := _step(node, key):
            pair[0].value = meant

    def at(self, node: yaml.Node | None) -> Position:
        """Return the position of a node."""
        if node is None or node.start_mark is None:
            return Position(self.file)
        if self._odd:  # YAML counts lines that no editor does
            return position(self.file, self.text, node.start_mark.index)
        return Position(self.file, node.start_mark.line + 1, node.start_mark.column + 1)


def _step(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next((pair for pair in node.value if pair[0].value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def load_yaml(file: str, text: str, faults: FaultList) -> Document:
    """Parse a manifest's text; its errors are noted in `faults`, and `data` is None then."""
    root, text = _compose(file, text, faults)
    document = Document(file, text, root)
    if root is not None:
        document.data = _Builder(document, faults).build(root, ())
    return document


def _compose(file: str, text: str, faults: FaultList) -> tuple[yaml.Node | None, str]:
    """Return the node tree and the text that it is of, in which the two halves of an escaped character are joined."""
    # Older C parsers recurse without a limit, and would take the process down.
    brackets = text.count("[") + text.count("{")
    if (_NESTED.search(text) or brackets > _MAX_BRACKETS) and _depth(text) > _MAX_DEPTH:
        faults.error(Position(file), _TOO_DEEP, "flatten them")
        return None, text
    try:
        loader = _StrictLoader(text)
        try:
            return loader.get_single_node(), text
        finally:
            loader.dispose()
    except _TooManyError:
        what = f"the file has over {_MAX_VALUES:,} values"
        faults.error(Position(file), what, "put the prompts into a CSV file: - file: shots.csv")
    except yaml.YAMLError as error:
        joined = _HALVES.sub(_whole_escape, text) if "Unicode" in str(error) else text
        if joined != text:
            return _compose(file, joined, faults)
        if "nesting depth" in str(error):  # newer parsers have a bound of their own
            faults.error(Position(file), _TOO_DEEP, "flatten them")
        else:
            from batchgen.manifest.yaml_causes import explain

            what, fix, line, column = explain(error, text)
            faults.error(Position(file, line, column), what, f"{fix}{FIX_FIRST}")
    return None, text


def _whole_escape(match: re.Match[str]) -> str:
    high, low = int(match[2], 16), int(match[3], 16)
    return f"{match[1]}\\U{0x10000 + (high - 0xD800 << 10) + low - 0xDC00:08x}"


def _depth(text: str) -> int:
    depth = deepest = 0
    try:
        for event in yaml.parse(text, Loader=_StrictLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            deepest = max(deepest, depth)
            if deepest > _MAX_DEPTH:
                break
    except yaml.YAMLError:
        return 0  # composing finds the same error, and notes it
    return deepest


#: libyaml's parser; the pure one, 5 times slower, only where it is missing.
_FASTEST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_FASTEST):  # type: ignore[misc] # mypy knows no class that is chosen at run time
    """Reads scalars by `_RESOLVERS` alone, and only so many of them."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(_TAG + tag, re.compile(f"(?:{pattern})\\Z")) for tag, pattern, firsts in _RESOLVERS if first in firsts]
        for first in {first for *_, firsts in _RESOLVERS for first in firsts}
    }
    _values = 0

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> Any:  # noqa: ANN401 - as its parent
        self._values += 1
        if self._values > _MAX_VALUES:
            raise _TooManyError
        return super().resolve(kind, value, implicit)


class _TooManyError(Exception):
    """The file has more values than it may use memory for."""


@dataclass(slots=True)
class _Builder:
    """Turns the node tree into plain values, noting what would surprise a reader of the file."""

    document: Document
    faults: FaultList
    seen: set[int] = field(default_factory=set)  #: the nodes met so far: one that comes again is an alias
    open: set[int] = field(default_factory=set)  #: the nodes around this one
    repeated: int = 0

    def build(self, node: yaml.Node, path: tuple[str, ...]) -> object:
        """Return a node's plain value; `path` holds the keys above it (list places left out)."""
        if not self._may_enter(node, path):
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self.open.add(id(node))
        value = (
            dict(self._pairs(node, path))
            if isinstance(node, yaml.MappingNode)
            else [self.build(child, path) for child in node.value]
        )
        self.open.discard(id(node))
        return value

    def _may_enter(self, node: yaml.Node, path: tuple[str, ...]) -> bool:
        """Refuse aliases that loop or explode, and any anchor, alias or tag among the prompts."""
        aliased = id(node) in self.seen
        self.seen.add(id(node))
        self.repeated += aliased
        if len(self.open) > _MAX_DEPTH:
            self._error(node, _TOO_DEEP, "flatten them")
            return False
        if id(node) in self.open:
            self._error(node, "an anchor contains itself", "write the value out")
            return False
        if self.repeated > _MAX_REPEATED:
            self._error(node, "aliases repeat too much", "write a matrix or vars instead")
            return False
        start = node.start_mark.index
        if path[:1] == ("prompts",) and (aliased or self.document.text[start : start + 1] in ("&", "!")):
            self._error(
                node,
                "a prompt can't have an anchor (&), an alias (*) or a tag (!): YAML removes the word",
                QUOTE,
            )
        elif not node.tag.startswith(_TAG):
            self._error(node, f"the tag {node.tag} is not supported", "quote the text")
        return True

    def _pairs(self, node: yaml.MappingNode, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        lines: dict[str, int] = {}
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._error(key, "a key must be a text", "quote the text, a value can't begin with { or [ unquoted")
                continue
            name = str(key.value)
            if name in lines:
                self._error(key, f"{name} is written twice, first on line {lines[name]}", "keep one of them")
            if is_key_name(name):
                self._error(key, "an API key must not be in a manifest", "set SEGMIND_API_KEY, or write it to .env")
            if name == "<<":
                self._error(key, "merge keys (<<) are not supported", "write shared parameters under defaults")
            lines.setdefault(name, key.start_mark.line + 1)
            yield name, self.build(child, (*path, name))

    def _scalar(self, node: yaml.ScalarNode, path: tuple[str, ...]) -> str | float | bool | None:
        text: str = node.value
        if not node.style and (cut := _CUT.match(self.document.text, node.end_mark.index)):
            self._warn_of_comment(node, path, cut)
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return _number(int, text)
            case "float":
                return _number(float, text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        return text

    def _warn_of_comment(self, node: yaml.ScalarNode, path: tuple[str, ...], cut: re.Match[str]) -> None:
        """Warn when YAML took ` #4 …` for a comment and dropped it from a prompt."""
        prompt = path[-1:] in (("prompts",), ("prompt",), ("negative_prompt",))
        variable = path[:1] in (("vars",), ("matrix",)) and cut[1].isalnum()
        if prompt or variable:
            line = LINE_END.split(self.document.text[cut.start() : cut.end() + 80], maxsplit=1)[0].strip()
            self.faults.warn(
                self.document.at(node), f"YAML drops {line[:40]!r} here, as a comment", "quote the text to keep it"
            )

    def _error(self, node: yaml.Node, what: str, fix: str) -> None:
        self.faults.error(self.document.at(node), what, fix)


def _number(kind: type[int] | type[float], text: str) -> int | float | str:
    """Return the number, or the text where an explicit tag promised one that is not there."""
    try:
        return kind(text)
    except ValueError:
        return text
