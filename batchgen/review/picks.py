"""The choices of a batch on disk: an append-only log, durable at each answer, and a snapshot for people and scripts.

`selects.log` has one JSON line for each change, appended under a lock and synced before anyone is answered; nothing in
it is ever rewritten, so undo, history, several tabs and several processes come from the log itself. `selects.json` is
what the log comes to, written when there is a pause; what somebody edits in it is taken over at the next opening.
Choices are keyed by clip key, so edits, renames and re-runs keep them. The ledger is about money, and holds none of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from batchgen.errors import BatchgenError, UsageError
from batchgen.files import durable
from batchgen.review.choice import NAMES, UNDECIDED, Choice, checked, to_json

LOG: Final = "selects.log"
SNAPSHOT: Final = "selects.json"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the log: who changed which fields of a clip, from what to what."""

    rev: int  #: of the log, from 1
    at: str  #: UTC, ISO 8601
    by: str
    clip: str  #: its key
    set: Mapping[str, Any]
    was: Mapping[str, Any]
    cid: str = ""  #: of the sender: a change that is sent twice is written once

    def line(self) -> bytes:
        """Give it as the log has it."""
        fields = {"v": _VERSION, "rev": self.rev, "at": self.at, "by": self.by, "clip": self.clip,
                  "set": self.set, "was": self.was, "cid": self.cid}  # fmt: skip
        return json.dumps(fields, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Change:
        """Read a line; raises ValueError or KeyError when it is none."""
        found = json.loads(line)
        return cls(found["rev"], found["at"], found["by"], found["clip"], found["set"], found["was"], found["cid"])


class StaleError(BatchgenError):
    """Another tab or process has changed the same fields since the sender last saw the clip. Nothing was written.

    Args:
        changes: the other's changes of these fields, the latest last.
        now: the choice as it stands.
    """

    def __init__(self, changes: list[Change], now: Choice) -> None:
        super().__init__(f"changed by {changes[-1].by} since")
        self.changes = changes
        self.now = now


class Picks:
    """The choices of one batch folder. Several processes may hold one each; every call sees the others' changes.

    Args:
        folder: the batch folder; it must exist.
        by: who changes, for the log.
        now: gives the time.

    Raises:
        UsageError: the log has a line that is none, other than a torn last one, which is cut off.
    """

    def __init__(
        self, folder: Path, by: str = "local", *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.path = folder / LOG
        self.cut = 0  #: bytes of a torn last line that were cut off
        self._by = by
        self._now = now
        self._choices: dict[str, Choice] = {}
        self._changes: list[Change] = []
        self._of: dict[str, list[Change]] = {}
        self._cids: dict[str, Change] = {}
        self._read = 0  #: bytes of the log
        new = not self.path.exists()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if new:
            durable.sync(folder)
        with self._locked():
            self._cut_torn_line()
        self._take_hand_edits()

    def close(self) -> None:
        """Write the snapshot, and let go of the log."""
        self.write_snapshot()
        os.close(self._file)

    # --- what was chosen ------------------------------------------------------------------------------------

    @property
    def rev(self) -> int:
        """The number of the latest change; 0 before the first."""
        self._catch_up()
        return len(self._changes)

    def __getitem__(self, key: str) -> Choice:
        self._catch_up()
        return self._choices.get(key, UNDECIDED)

    def all(self) -> dict[str, Choice]:
        """Give the choices of all clips that somebody has decided anything about, by key."""
        self._catch_up()
        return dict(self._choices)

    def since(self, rev: int) -> list[Change]:
        """Give all changes after a revision, oldest first."""
        self._catch_up()
        return self._changes[rev:]

    def history(self, key: str) -> list[Change]:
        """Give all changes of a clip, oldest first."""
        self._catch_up()
        return list(self._of.get(key, ()))

    # --- changing it ----------------------------------------------------------------------------------------

    def change(
        self, key: str, changes: Mapping[str, Any], *, base: int | None = None, cid: str = "", by: str = ""
    ) -> Change | None:
        """Change fields of a clip's choice; it is on disk when this returns.

        Args:
            key: of the clip.
            changes: fields and their values, as JSON has them.
            base: the revision up to which the sender has seen the log; None: whatever the others did is overwritten.
            cid: the sender's own number of the change: one that was written already is given back.
            by: who changes, if not the one of this object.

        Returns:
            The change; None when all fields have these values already.

        Raises:
            UsageError: a field or value that does not exist.
            StaleError: others have set the same fields to other values after `base`.
            OSError: it can't be written; nothing was changed.
        """
        values = checked(changes)
        with self._locked():
            if cid and cid in self._cids:
                return self._cids[cid]
            now = self._choices.get(key, UNDECIDED)
            values = {name: value for name, value in values.items() if value != getattr(now, name)}
            if not values:
                return None
            if base is not None:
                others = [each for each in self._of.get(key, ()) if each.rev > base and each.set.keys() & values.keys()]
                if others:
                    raise StaleError(others, now)
            return self._append(key, now, values, cid, by or self._by)

    def write_snapshot(self) -> None:
        """Write `selects.json`, if the log has changed since."""
        self._catch_up()
        path = self.path.with_name(SNAPSHOT)
        body = self._snapshot()
        with suppress(OSError, ValueError):
            if path.read_text(encoding="utf-8") == body:
                return
        part = path.with_name(f"{SNAPSHOT}.part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(body)
        part.replace(path)

    # --- inside ---------------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the log against other processes, with all of their changes read."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            self._catch_up()
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _append(self, key: str, now: Choice, values: dict[str, Any], cid: str, by: str) -> Change:
        at = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        new = {name: to_json(name, value) for name, value in values.items()}
        was = {name: to_json(name, getattr(now, name)) for name in values}
        change = Change(len(self._changes) + 1, at, by, key, new, was, cid)
        line = left = change.line()
        try:
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._read)  # half a line would swallow the next one
            raise
        self._read += len(line)
        self._take(change)
        return change

    def _catch_up(self) -> None:
        """Read what was appended since the last time, by whomever; a line that is not whole yet is left for later."""
        size = os.fstat(self._file).st_size
        if size <= self._read:
            return
        text = os.pread(self._file, size - self._read, self._read)
        whole = text[: text.rfind(b"\n") + 1]
        for line in whole.splitlines():
            try:
                self._take(Change.read(line))
            except (ValueError, KeyError, TypeError, UsageError):
                number = len(self._changes) + 1
                tip = "repair or remove that line; each is one JSON object"
                raise UsageError(f"{self.path}:{number}: no change of a choice", tip=tip) from None
        self._read += len(whole)

    def _take(self, change: Change) -> None:
        now = self._choices.get(change.clip, UNDECIDED)
        self._choices[change.clip] = replace(now, **checked(change.set))
        self._changes.append(change)
        self._of.setdefault(change.clip, []).append(change)
        if change.cid:
            self._cids[change.cid] = change

    def _cut_torn_line(self) -> None:
        self.cut = os.fstat(self._file).st_size - self._read
        if self.cut:
            os.ftruncate(self._file, self._read)

    def _snapshot(self) -> str:
        clips = {key: choice.as_json() for key, choice in self._choices.items()}
        facts = {"schema_version": _VERSION, "rev": len(self._changes), "sha256": _digest(clips), "clips": clips}
        return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"

    def _take_hand_edits(self) -> None:
        """Take over what somebody changed in the snapshot by hand: its digest no longer fits its choices."""
        try:
            found = json.loads(self.path.with_name(SNAPSHOT).read_bytes())
            clips, digest, rev = found["clips"], found["sha256"], int(found["rev"])
            edited = _digest(clips) != digest
        except (OSError, ValueError, KeyError, TypeError):
            return
        if not edited:
            return
        before = self._at(rev)
        for key, choice in clips.items():
            was = before.get(key, UNDECIDED).as_json()
            changed = {name: value for name, value in choice.items() if name in NAMES and value != was[name]}
            if changed:
                self.change(key, changed, by=SNAPSHOT)
        self.write_snapshot()

    def _at(self, rev: int) -> dict[str, Choice]:
        choices: dict[str, Choice] = {}
        for change in self._changes[:rev]:
            choices[change.clip] = replace(choices.get(change.clip, UNDECIDED), **checked(change.set))
        return choices


def _digest(clips: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(clips, sort_keys=True).encode()).hexdigest()
