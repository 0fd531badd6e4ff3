"""Numbered steps at which a test kills the process or makes the disk fail; free, and deaf, in a run for money.

Every ledger commit, POST, rename and decision of `reconcile` is a step: `reach("commit.before")`. Where the
environment asks for nothing, `reach` is a function that does nothing, decided when this module is imported. Where it
asks, nothing strikes before `permit` has learned that the service is on this machine.

`BATCHGEN_FAILPOINT` is one of

    count           nothing strikes; the steps are only written down
    kill@37         SIGKILL at the 37th step that this process reaches
    kill@NAME:2     SIGKILL at the second step of this name
    enospc@5        the 5th step that writes fails as on a full disk (`enospc@5+`: all from there on)
    eio@NAME:1      the first write of this name fails as on a broken disk

or several of them with commas between.

`BATCHGEN_FAILPOINT_LOG` names a file that gets one line for each step (`count`) or for what struck.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

from batchgen.errors import UsageError

#: Every step, and how it fails as a write ("": it writes nothing, or what it writes has its place already).
STEPS: Final[Mapping[str, str]] = {
    "tables.before": "sqlite", "tables.after": "",
    "commit.before": "sqlite", "commit.after": "sqlite",
    "spill.before": "", "spill.after": "", "spill.clear": "os",
    "post.before": "", "post.after": "",
    "doubt.before": "", "doubt.after": "",
    "note.before": "os", "block.before": "os", "file.before": "os", "file.after": "", "sidecar.before": "os",
    "move.before": "os", "move.after": "",
    "rename.before": "os", "rename.after": "", "folder.before": "os", "folder.after": "",
}  # fmt: skip
VARIABLE: Final = "BATCHGEN_FAILPOINT"
LOG: Final = "BATCHGEN_FAILPOINT_LOG"
_SPEC: Final = re.compile(r"(kill|enospc|eio)@(?:([a-z.]+):)?([1-9]\d*)(\+?)")
_ERRNO: Final = {"enospc": errno.ENOSPC, "eio": errno.EIO}
_SQLITE: Final = {
    "enospc": ("database or disk is full", "SQLITE_FULL", sqlite3.SQLITE_FULL),
    "eio": ("disk I/O error", "SQLITE_IOERR", sqlite3.SQLITE_IOERR),
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What happens where: at the `nth` step (of `name`, when there is one), and after it if `onwards`."""

    fault: str
    name: str | None
    nth: int
    onwards: bool

    @classmethod
    def parse(cls, text: str) -> Wish:
        """Read the variable.

        Raises:
            UsageError: it says nothing that is known.
        """
        if text == "count":
            return cls(text, None, 0, onwards=False)
        found = _SPEC.fullmatch(text)
        if found is None:
            raise UsageError(f"{VARIABLE}={text}: want count, kill@N, enospc@N or eio@N, or NAME:N in place of N")
        return cls(found[1], found[2], int(found[3]), onwards=bool(found[4]))

    def strikes(self, count: int) -> bool:
        """Return whether it strikes at this count."""
        return bool(self.nth) and (count == self.nth or (self.onwards and count > self.nth))


class Failpoints:
    """Counts the steps of this process and strikes at those that are wished for."""

    def __init__(self, wishes: Sequence[Wish], log: str | None) -> None:
        self._wishes = wishes
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if log else None
        self._lock = Lock()
        self._counts = [0] * len(wishes)
        self.permitted = False

    def reach(self, step: str) -> None:
        """Count a step, and strike if it is one that is wished for; see the module's `reach`."""
        if not self.permitted:
            return
        with self._lock:
            struck = [wish.fault for i, wish in enumerate(self._wishes) if self._strikes(i, wish, step)]
        if struck:
            _strike(struck[0], step)

    def _strikes(self, number: int, wish: Wish, step: str) -> bool:
        if wish.name not in {None, step} or (wish.fault in _ERRNO and not STEPS[step]):
            return False
        self._counts[number] += 1
        strikes = wish.strikes(self._counts[number])
        if self._log is not None and (strikes or wish.fault == "count"):
            os.write(self._log, f"{wish.fault} {step}\n".encode())
        return strikes


def _strike(fault: str, step: str) -> None:
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if STEPS[step] == "sqlite":
        text, name, code = _SQLITE[fault]
        error = sqlite3.OperationalError(text)
        error.sqlite_errorname, error.sqlite_errorcode = name, code
        raise error
    raise OSError(_ERRNO[fault], os.strerror(_ERRNO[fault]))


def _nothing(step: str) -> None:
    """Pass a step where nothing is asked for."""


_ASKED: Final = os.environ.get(VARIABLE)
_ARMED: Final = Failpoints([Wish.parse(part) for part in _ASKED.split(",")], os.environ.get(LOG)) if _ASKED else None
#: Pass a step, one of `STEPS`. Call it through the module, as `failpoints.reach`.
reach: Final[Callable[[str], None]] = _nothing if _ARMED is None else _ARMED.reach


def permit(*, loopback: bool) -> None:
    """Let it strike in a run against this machine's own service; a run for money ignores it, and says so."""
    if _ARMED is None:
        return
    _ARMED.permitted = loopback
    text = f"{os.environ[VARIABLE]} is obeyed" if loopback else "ignored: it is for a service on this machine only"
    sys.stderr.write(f"batchgen: {VARIABLE}: {text}\n")
    sys.stderr.flush()
