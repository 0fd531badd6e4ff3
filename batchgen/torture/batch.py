"""The batch of the test: its manifest, which is edited on the way, and what its folder holds."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from batchgen.torture.judge import SETTLED
from batchgen.torture.plan import LEDGER_ROLLED_BACK, LOCK_DELETED

#: The ledger's file, spelled as a stranger would read it: the torture knows nothing of the product's inside.
FILE = "ledger.db"
#: What the sandbox takes for 832*480, 5 seconds: micro-dollars.
_EACH = 312_500
_HEAD = "defaults: {size: 832*480, duration: 5}\nprompts:\n"


class Batch:
    """`night.yaml` and `night/` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "night"
        self.clips = self.folder / "clips"
        self.wanted = 0
        self._manifest = folder / "night.yaml"
        self._backup = folder / "backup"

    @property
    def price(self) -> int:
        """What all that is wanted will have cost, micro-dollars."""
        return self.wanted * _EACH

    def write(self, wanted: int, *, turn: int = 0) -> None:
        """Write the manifest; with a turn its order is another one, and one clip is no longer wanted."""
        self.wanted = max(self.wanted, wanted)
        prompts = [f"  - Clip {i} of a night without mercy\n" for i in range(self.wanted)]
        turn %= self.wanted
        self._manifest.write_text(_HEAD + "".join(prompts[turn + 1 :] + prompts[:turn] if turn else prompts), "utf-8")

    def keep(self) -> None:
        """Make a backup of the ledger, unless there is one; no run is at work."""
        if not self._backup.exists() and (self.folder / FILE).exists():
            self._backup.mkdir()
            for path in self.folder.glob(f"{FILE}*"):
                shutil.copy2(path, self._backup)

    def damage(self, how: str) -> bool:
        """Do to the ledger's files what people do; False where there is nothing to do it to."""
        if not (self.folder / FILE).exists() or (how == LEDGER_ROLLED_BACK and not self._backup.exists()):
            return False
        for path in self.folder.glob(".lock*" if how == LOCK_DELETED else f"{FILE}*"):
            path.unlink()
        if how == LEDGER_ROLLED_BACK:
            for path in self._backup.iterdir():
                path.replace(self.folder / path.name)
            self._backup.rmdir()
        return True

    def files(self) -> list[Path]:
        """List the videos that have their final names."""
        return list(self.clips.glob("*.mp4"))

    def settled(self) -> bool:
        """Return whether nothing is left to do, or to decide, by anyone."""
        if not (self.folder / FILE).exists():
            return False
        with closing(sqlite3.connect(f"file:{self.folder / FILE}?mode=ro", uri=True)) as db:
            states = {state for (state,) in db.execute("SELECT state FROM clip")}
        return states <= SETTLED
