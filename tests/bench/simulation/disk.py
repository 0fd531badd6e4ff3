"""What a kill, or a power cut, leaves of a folder: at one moment, by what had been synced until then.

A kill leaves everything that was written. A power cut may also take what was written and not synced: the end of a file
since its last sync, a name or a rename since the last sync of its folder, and of a commit that is under way any part of
its frames. SQLite syncs by itself at each commit (`synchronous=FULL`), so between commits its files are kept whole.
"""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Renames that are nobody's in this process: of a person, of a backup program.
RENAME = os.rename
_replace = os.replace


class Disk:
    """Notes every sync and rename of this process, and can take a folder's picture.

    Attributes:
        committing: the length of each `-wal` file before the commit that is under way.
        before_change: called before each sync and rename.
    """

    def __init__(self) -> None:
        self.before_change: Callable[[], None] = lambda: None
        self._dated: dict[int, int] = {}  #: the time of change that each inode was given
        self._synced: dict[int, int] = {}  #: bytes by inode
        self._renamed: dict[Path, list[tuple[Path, Path]]] = {}  #: by folder: not synced since
        self.committing: dict[Path, int] = {}

    def watch(self) -> None:
        """Note what `os` is asked for from now on."""
        vars(os).update(
            fsync=self._note_sync,
            fdatasync=self._note_sync,
            rename=self._noting_rename(RENAME),
            replace=self._noting_rename(_replace),
        )

    def picture(self, folder: Path, into: Path, *, dice: random.Random | None) -> None:
        """Copy a folder as it would be found after a kill; with dice, after a power cut."""
        shutil.copytree(folder, into, ignore=shutil.ignore_patterns("*-shm"))
        if dice is None:
            return
        for path in sorted(into.rglob("*")):
            if path.is_file():
                self._tear(path, folder / path.relative_to(into), dice)
        for parent, renames in self._renamed.items():
            for source, target in reversed(renames):
                if parent.is_relative_to(folder) and dice.random() < 0.5:
                    copy = into / target.relative_to(folder)
                    if copy.exists():
                        RENAME(copy, into / source.relative_to(folder))

    def settle(self, folder: Path) -> None:
        """Take all that a folder holds now as synced: it is what a machine found when it came up again."""
        self._synced = {path.stat().st_ino: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
        self._renamed.clear()
        self.committing.clear()

    def trust(self, folder: Path) -> None:
        """Take what others wrote to a folder as synced."""
        for path in folder.rglob("*"):
            if path.is_file():
                facts = path.stat()
                self._synced.setdefault(facts.st_ino, facts.st_size)

    def date(self, folder: Path, at: float) -> None:
        """Give all that was written since the last call a time of change by the simulated clock (epoch seconds)."""
        for path in (path for path in folder.rglob("*") if path.is_file()):
            facts = path.stat()
            if self._dated.get(facts.st_ino) != facts.st_mtime_ns:
                self._dated[facts.st_ino] = stamp = round(at * 1e9)
                os.utime(path, ns=(stamp, stamp))

    def _tear(self, copy: Path, path: Path, dice: random.Random) -> None:
        size = copy.stat().st_size
        if path.name.endswith(("-wal", ".db", "-journal", ".lock")):
            kept = self.committing.get(path, size)
        else:
            kept = self._synced.get(path.stat().st_ino, 0)
        if kept < size and dice.random() < 0.7:
            os.truncate(copy, dice.randint(kept, size))

    def _note_sync(self, handle: Any) -> None:
        self.before_change()
        number = handle if isinstance(handle, int) else handle.fileno()
        facts = os.fstat(number)
        if stat.S_ISDIR(facts.st_mode):
            self._renamed.pop(Path(f"/proc/self/fd/{number}").readlink(), None)
        else:
            self._synced[facts.st_ino] = facts.st_size

    def _noting_rename(self, real: Callable[..., None]) -> Callable[..., None]:
        def rename(source: Any, target: Any, **more: Any) -> None:
            self.before_change()
            real(source, target, **more)
            if not more:
                self._renamed.setdefault(Path(target).parent, []).append((Path(source), Path(target)))

        return rename
