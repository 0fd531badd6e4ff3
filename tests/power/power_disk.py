"""A disk that forgets: what a folder may hold after a power cut, given the system calls that were made on it.

What a sync covered is there. Of the rest nothing is sure: a write that was not synced is dropped, or torn at sector
borders; a name that was made, moved or taken away without a later sync of its folder is there or is not, each by
itself. That is more than a journaling file system does to anyone, so what survives here survives there.

Memory maps are not followed. SQLite maps only its `-shm` file, an index of the write-ahead log that the first one to
open the database after a crash makes anew from the log; the files that count are written by `pwrite`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

SECTOR = 512
#: How the writes fare that no sync covered: all lost, a random half torn, all there (as after a kill -9).
FATES = ("drop", "torn", "torn", "all")


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes at an offset."""

    offset: int
    data: bytes

    def apply(self, content: bytearray, dice: random.Random | None = None) -> None:
        """Write all of it, or with dice a random half of its sectors."""
        if self.offset > len(content):
            content.extend(bytes(self.offset - len(content)))
        if dice is None or dice.random() < 0.5:
            content[self.offset : self.offset + len(self.data)] = self.data
            return
        end = self.offset + len(self.data)
        first = self.offset - self.offset % SECTOR
        for sector in range(first, end, SECTOR):
            start, stop = max(sector, self.offset), min(sector + SECTOR, end)
            if dice.random() < 0.5:
                content.extend(bytes(max(0, start - len(content))))
                content[start:stop] = self.data[start - self.offset : stop - self.offset]


@dataclass(frozen=True, slots=True)
class Truncate:
    """A new length."""

    size: int

    def apply(self, content: bytearray, _dice: random.Random | None = None) -> None:
        """Cut, or fill with zeros."""
        del content[self.size :]
        content.extend(bytes(self.size - len(content)))


@dataclass(slots=True, eq=False)
class Node:
    """A file or a folder: what is surely on disk of it, and the changes that are not."""

    folder: bool = False
    content: bytearray = field(default_factory=bytearray)
    size: int = 0  #: as the program sees it
    changes: list[Write | Truncate] = field(default_factory=list)
    names: dict[str, Node] = field(default_factory=dict)  #: of a folder, on disk
    moves: list[dict[str, Node | None]] = field(default_factory=list)  #: of a folder: names set or taken away

    def as_cut(self, dice: random.Random, fate: str) -> bytes:
        """Give what a cut leaves of a file."""
        if fate == "drop" or not self.changes:
            return bytes(self.content)
        content = bytearray(self.content)
        for change in self.changes:
            if fate == "all":
                change.apply(content)
            elif dice.random() < 0.5:
                change.apply(content, dice)
        return bytes(content)

    def names_as_cut(self, dice: random.Random, fate: str) -> dict[str, Node]:
        """Give the names that a cut leaves in a folder."""
        names: dict[str, Node | None] = dict(self.names)
        for move in self.moves:
            if fate == "all" or dice.random() < 0.5:
                names.update(move)
        return {name: node for name, node in names.items() if node is not None}


class Disk:
    """All that happened below one folder, which itself is there."""

    def __init__(self, root: str) -> None:
        self.root = PurePosixPath(root)
        self._top = Node(folder=True)
        self._seen: dict[PurePosixPath, Node] = {self.root: self._top}  #: as the program sees it
        self._syncing: dict[int, tuple[Node, int]] = {}

    def holds(self, path: str) -> bool:
        """Tell whether a path is below the folder, or the folder."""
        return path == str(self.root) or path.startswith(f"{self.root}/")

    def make(self, path: str, *, folder: bool = False, empty: bool = False) -> None:
        """Make a file or folder where there is none; `empty` cuts a file that is there."""
        at = PurePosixPath(path)
        if at in self._seen:
            if empty:
                self.change(path, Truncate(0))
            return
        self._seen[at] = Node(folder=folder)
        self._move(at.parent, {at.name: self._seen[at]})

    def change(self, path: str, change: Write | Truncate) -> None:
        """Write to a file, or cut it."""
        node = self._seen.setdefault(PurePosixPath(path), Node())
        node.changes.append(change)
        node.size = change.size if isinstance(change, Truncate) else max(node.size, change.offset + len(change.data))

    def append(self, path: str, data: bytes) -> None:
        """Write behind the end: every plain `write` of ours does."""
        self.change(path, Write(self._seen[PurePosixPath(path)].size, data))

    def rename(self, old: str, new: str) -> None:
        """Move a name, in one step where both are in one folder."""
        before, after = PurePosixPath(old), PurePosixPath(new)
        node = self._seen[after] = self._seen.pop(before)
        if before.parent == after.parent:
            self._move(before.parent, {before.name: None, after.name: node})
        else:
            self._move(after.parent, {after.name: node})
            self._move(before.parent, {before.name: None})

    def unlink(self, path: str) -> None:
        """Take a name away."""
        at = PurePosixPath(path)
        if self._seen.pop(at, None) is not None:
            self._move(at.parent, {at.name: None})

    def sync_begins(self, by: int, path: str) -> None:
        """A sync covers what was there when it was called."""
        node = self._seen.get(PurePosixPath(path))
        if node is not None:
            self._syncing[by] = (node, len(node.moves if node.folder else node.changes))

    def sync_ends(self, by: int) -> None:
        """A sync has returned: what it covers is on disk."""
        node, count = self._syncing.pop(by, (None, 0))
        if node is None:
            return
        if node.folder:
            for move in node.moves[:count]:
                _set(node.names, move)
            del node.moves[:count]
        else:
            for change in node.changes[:count]:
                change.apply(node.content)
            del node.changes[:count]

    def files(self) -> dict[PurePosixPath, bytes]:
        """Give every file as the program sees it."""
        files = {path: node for path, node in self._seen.items() if not node.folder}
        return {path.relative_to(self.root): node.as_cut(random.Random(), "all") for path, node in files.items()}

    def cut(self, dice: random.Random) -> Iterator[tuple[PurePosixPath, bytes | None]]:
        """Give what a power cut leaves, as paths below the folder; None is a folder."""
        fate = dice.choice(FATES)
        yield from _walk(self._top, PurePosixPath(), dice, fate)

    def _move(self, folder: PurePosixPath, move: dict[str, Node | None]) -> None:
        self._seen[folder].moves.append(move)


def lay(found: Iterator[tuple[PurePosixPath, bytes | None]], under: Path) -> None:
    """Write to a real folder what a cut has left."""
    for path, content in found:
        if content is None:
            (under / path).mkdir()
        else:
            (under / path).write_bytes(content)


def _set(names: dict[str, Node], move: dict[str, Node | None]) -> None:
    for name, node in move.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def _walk(
    folder: Node, at: PurePosixPath, dice: random.Random, fate: str
) -> Iterator[tuple[PurePosixPath, bytes | None]]:
    for name, node in folder.names_as_cut(dice, fate).items():
        if node.folder:
            yield at / name, None
            yield from _walk(node, at / name, dice, fate)
        else:
            yield at / name, node.as_cut(dice, fate)
