"""The batch of the test: its manifest, which is edited on the way, and what its folder holds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from batchgen.torture.judge import SETTLED

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

    def files(self) -> list[Path]:
        """List the videos that have their final names."""
        return list(self.clips.glob("*.mp4"))

    def settled(self) -> bool:
        """Return whether nothing is left to do, or to decide, by anyone."""
        if not (self.folder / "ledger.db").exists():
            return False
        with closing(sqlite3.connect(f"file:{self.folder / 'ledger.db'}?mode=ro", uri=True)) as db:
            states = {state for (state,) in db.execute("SELECT state FROM clip")}
        return states <= SETTLED
