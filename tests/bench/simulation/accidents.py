"""What people, backups and tidy-up scripts do to the files of a batch, between its runs or while one is at work.

Nothing here writes to a file that is open: files are deleted, moved, or replaced by older copies, as those programs do.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from disk import RENAME

_LEDGER: Final = "ledger.db"


class Files:
    """The files of a batch, a backup of them, and what was moved away.

    Args:
        root: of the machine: `night.yaml`, the batch folder `night`, the state folder `state`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._batch = root / "night"
        self._backup = root.with_name("backup")
        self._away: tuple[str, str] | None = None  #: names in `root`: where something is now, and where it was

    @property
    def has_ledger(self) -> bool:
        """True where something can be damaged."""
        return (self._batch / _LEDGER).exists()

    @property
    def has_backup(self) -> bool:
        """True once a copy of the batch with a ledger was kept."""
        return self._backup.exists()

    @property
    def away(self) -> bool:
        """True while the folder or the ledger is under another name, and its own name is free."""
        return self._away is not None and (self._root / self._away[0]).exists()

    def keep(self) -> None:
        """Make a backup; no run is at work."""
        if self.has_ledger:
            shutil.rmtree(self._backup, ignore_errors=True)
            shutil.copytree(self._batch, self._backup)

    def put_back(self) -> None:
        """Move back what was moved away; what took its name meanwhile goes aside."""
        assert self._away is not None
        now, was = (self._root / name for name in self._away)
        self._away = None
        if was.exists():
            aside = was.with_name(f"{was.name}.meanwhile")
            shutil.rmtree(aside, ignore_errors=True)
            RENAME(was, aside)
        RENAME(now, was)

    # --- accidents ------------------------------------------------------------------------------------------

    def delete_lock(self) -> None:
        """`rm night/.lock*`, on reading that another run holds the batch."""
        for path in self._batch.glob(".lock*"):
            path.unlink()

    def delete_ledger(self) -> None:
        """`rm night/ledger.db`: what SQLite keeps next to it stays."""
        (self._batch / _LEDGER).unlink(missing_ok=True)

    def delete_ledger_files(self) -> None:
        """`rm night/ledger.*`."""
        for path in self._batch.glob("ledger.*"):
            if path.is_file():
                path.unlink()

    def move_ledger(self) -> None:
        """`mv night/ledger.db somewhere`."""
        self._move(f"night/{_LEDGER}", "night/moved.db")

    def roll_back_ledger(self) -> None:
        """Bring `ledger.db` back from the backup, with its WAL if it had one; folder, log and sidecars stay."""
        self._bring_back(f"{_LEDGER}*")

    def roll_back_ledger_files(self) -> None:
        """Bring all of `ledger.*` back from the backup; folder and sidecars stay."""
        self._bring_back("ledger.*")

    def roll_back_folder(self) -> None:
        """Bring the whole folder back from the backup."""
        shutil.rmtree(self._batch, ignore_errors=True)
        shutil.copytree(self._backup, self._batch)

    def delete_folder(self) -> None:
        """`rm -r night`."""
        shutil.rmtree(self._batch, ignore_errors=True)

    def move_folder(self) -> None:
        """`mv night somewhere`."""
        self._move("night", "elsewhere")

    def delete_clips(self) -> None:
        """`rm -r night/clips`."""
        shutil.rmtree(self._batch / "clips", ignore_errors=True)

    def delete_state(self) -> None:
        """`rm -r ~/.local/state/batchgen`."""
        shutil.rmtree(self._root / "state", ignore_errors=True)

    def delete_lock_and_state(self) -> None:
        """Both, so that only the folder's own lock keeps a second run out."""
        self.delete_lock()
        self.delete_state()

    def roll_back_all(self) -> None:
        """Go on from a backup on another machine, whose state folder knows nothing."""
        self.delete_state()
        self.roll_back_folder()

    def _bring_back(self, pattern: str) -> None:
        for path in self._batch.glob(pattern):
            if path.is_file():
                path.unlink()
        for path in self._backup.glob(pattern):
            if path.is_file():
                shutil.copy2(path, self._batch)

    def _move(self, was: str, to: str) -> None:
        with suppress(FileNotFoundError):
            RENAME(self._root / was, self._root / to)
            self._away = to, was


@dataclass(frozen=True)
class Accident:
    """One kind of accident.

    Attributes:
        strikes: does it.
        damages: afterwards a run may be refused (exit 2) until the folder is put back, or `recover` was called.
        needs_backup: it brings older files back.
        second_run: another run is begun next to the one at work, after it.
        forgets: the state folder knows nothing any more.
        blinds: nothing on this machine shows it any more: the account's history is the only witness, and has to answer.
        while_running: it makes no sense at another time (True), or at this one (False); None: at any.
    """

    strikes: Callable[[Files], None]
    damages: bool = True
    needs_backup: bool = False
    second_run: bool = False
    forgets: bool = False
    blinds: bool = False
    while_running: bool | None = None


def _nothing(_files: Files) -> None:
    pass


ACCIDENTS: Final[dict[str, Accident]] = {
    "second run": Accident(_nothing, damages=False, second_run=True, while_running=True),
    "lock file deleted": Accident(Files.delete_lock, damages=False),
    "lock file and state folder deleted, second run": Accident(
        Files.delete_lock_and_state, damages=False, second_run=True, forgets=True, while_running=True
    ),
    "ledger deleted": Accident(Files.delete_ledger),
    "all ledger files deleted": Accident(Files.delete_ledger_files),
    "ledger moved": Accident(Files.move_ledger),
    "older ledger brought back": Accident(Files.roll_back_ledger, needs_backup=True),
    "older ledger files brought back": Accident(Files.roll_back_ledger_files, needs_backup=True),
    "older folder brought back": Accident(Files.roll_back_folder, needs_backup=True),
    "older folder brought back, second run": Accident(
        Files.roll_back_folder, needs_backup=True, second_run=True, while_running=True
    ),
    "older folder on another machine": Accident(
        Files.roll_back_all, needs_backup=True, blinds=True, while_running=False
    ),
    "folder deleted": Accident(Files.delete_folder),
    "folder moved": Accident(Files.move_folder),
    "clips folder deleted": Accident(Files.delete_clips, damages=False),
    "state folder deleted": Accident(Files.delete_state, damages=False, forgets=True),
}  # fmt: skip
