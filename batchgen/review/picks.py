"""The choices of a batch on disk: an append-only log, durable at each answer, and a snapshot for people and scripts.

`selects.log` has one JSON line for each change, appended under a lock and synced before anyone is answered; nothing in
it is ever rewritten, so undo, history, several tabs and several processes come from the log itself. `selects.json` is
what the log comes to, written when there is a pause; what somebody edits in it is taken over at the next opening.
Choices are keyed by clip key, so edits, renames and re-runs keep them. The ledger is about money, and holds none of it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
class Decision:
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
    def read(cls, line: bytes) -> Decision:
        """Read a line; raises ValueError or KeyError when it is none."""
        found = json.loads(line)
        return cls(found["rev"], found["at"], found["by"], found["clip"], found["set"], found["was"], found["cid"])


class StaleError(BatchgenError):
    """Another tab or process has changed the same fields since the sender last saw the clip. Nothing was written.

    Args:
        changes: the other's changes of these fields, the latest last.
        now: the choice as it stands.
    """

    def __init__(self, changes: list[Decision], now: Choice) -> None:
        super().__init__(f"changed by {changes[-1].by} since")
        self.changes = changes
        self.now = now


class Picks:
    """The choices of one batch folder, for any thread. Several processes may hold one each; all see all changes.

    Args:
        folder: the batch folder; it must exist.
        by: who changes, for the log.
        now: gives the time.

    Raises:
        UsageError: the log has a line that is none, other than a torn last one, which is cut off; or it can't be
            opened for writing.
    """

    def __init__(
        self, folder: Path, by: str = "local", *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.path = folder / LOG
        self.cut = 0  #: bytes of a torn last line that were cut off
        self._by = by
        self._now = now
        self._choices: dict[str, Choice] = {}
        self._changes: list[Decision] = []
        self._of: dict[str, list[Decision]] = {}
        self._cids: dict[str, Decision] = {}
        self._read = 0  #: bytes of the log that were taken in
        self._mutex = threading.RLock()  # the log's own lock keeps out processes, not threads of this one
        self._file = self._opened(folder)
        try:
            with self._locked():
                self._cut_torn_line()
            self._take_hand_edits()
        except BaseException:
            os.close(self._file)
            raise

    def close(self) -> None:
        """Write the snapshot, and let go of the log. Raises OSError when the snapshot can't be written."""
        try:
            self.write_snapshot()
        finally:
            os.close(self._file)

    # --- what was chosen ------------------------------------------------------------------------------------

    @property
    def rev(self) -> int:
        """The number of the latest change; 0 before the first."""
        with self._caught_up():
            return len(self._changes)

    def __getitem__(self, key: str) -> Choice:
        with self._caught_up():
            return self._choices.get(key, UNDECIDED)

    def all(self) -> dict[str, Choice]:
        """Give the choices of all clips that somebody has decided anything about, by key."""
        with self._caught_up():
            return dict(self._choices)

    def since(self, rev: int) -> list[Decision]:
        """Give all changes after a revision, oldest first."""
        with self._caught_up():
            return self._changes[rev:]

    def history(self, key: str) -> list[Decision]:
        """Give all changes of a clip, oldest first."""
        with self._caught_up():
            return list(self._of.get(key, ()))

    # --- changing it ----------------------------------------------------------------------------------------

    def change(
        self, key: str, changes: Mapping[str, Any], *, base: int | None = None, cid: str = "", by: str = ""
    ) -> Decision | None:
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
        with self._caught_up():
            self._write_snapshot()

    def _write_snapshot(self) -> None:
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

    def _opened(self, folder: Path) -> int:
        new = not self.path.exists()
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            what = "is a link" if error.errno == errno.ELOOP else error.strerror
            tip = f"make it writable for you; or copy {folder} to where you may write, and pass the copy with --dir"
            raise UsageError(f"{self.path}: can't be written, so no choice can be kept ({what})", tip=tip) from error
        if new:
            durable.sync(folder)
        return file

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the log against other processes, with all of their changes read."""
        with self._mutex:
            self._size()  # a log that was replaced is opened again before it is locked
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                self._catch_up()
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    @contextmanager
    def _caught_up(self) -> Iterator[None]:
        with self._mutex:
            self._catch_up()
            yield

    def _append(self, key: str, now: Choice, values: dict[str, Any], cid: str, by: str) -> Decision:
        at = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        new = {name: to_json(name, value) for name, value in values.items()}
        was = {name: to_json(name, getattr(now, name)) for name in values}
        change = Decision(len(self._changes) + 1, at, by, key, new, was, cid)
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
        size = self._size()
        if size <= self._read:
            return
        text = os.pread(self._file, size - self._read, self._read)
        whole = text[: text.rfind(b"\n") + 1]
        for change in _parsed(self.path, whole, len(self._changes)):
            self._take(change)
        self._read += len(whole)

    def _size(self) -> int:
        """Give the size of the log; one that somebody replaced or cut while we had it open is read from its beginning.

        An editor writes a new file under the old name: what we appended to the old one would be lost.
        """
        try:
            there = self.path.lstat()
        except FileNotFoundError:
            there = None
        mine = os.fstat(self._file)
        if there is None or (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
            os.dup2(file := self._opened(self.path.parent), self._file, inheritable=False)
            os.close(file)
            mine = os.fstat(self._file)
            self._forget()
        elif mine.st_size < self._read:
            self._forget()
        return mine.st_size

    def _forget(self) -> None:
        self._choices, self._changes, self._of, self._cids, self._read = {}, [], {}, {}, 0

    def _take(self, change: Decision) -> None:
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
        """Take over what somebody changed in the snapshot by hand."""
        edits = _hand_edits(self.path.with_name(SNAPSHOT), self._changes)
        for key, changed in edits.items():
            self.change(key, changed, by=SNAPSHOT)
        if edits:
            self.write_snapshot()


def choices_of(folder: Path) -> dict[str, Choice]:
    """Give the choices of a batch by clip key, for those who only read: nothing is made or locked.

    Raises:
        UsageError: the log has a line that is none, or can't be read.
    """
    path = folder / LOG
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        text = b""
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror})") from error
    changes = _parsed(path, text[: text.rfind(b"\n") + 1])
    found = _replayed(changes)
    for key, changed in _hand_edits(path.with_name(SNAPSHOT), changes).items():
        found[key] = replace(found.get(key, UNDECIDED), **checked(changed))
    return found


def _replayed(changes: Iterable[Decision]) -> dict[str, Choice]:
    found: dict[str, Choice] = {}
    for change in changes:
        found[change.clip] = replace(found.get(change.clip, UNDECIDED), **checked(change.set))
    return found


def _hand_edits(snapshot: Path, changes: Sequence[Decision]) -> dict[str, dict[str, Any]]:
    """Give the fields that somebody changed in a snapshot by hand, by clip key: its digest no longer fits its choices.

    A log that is shorter than what the snapshot came to was cut: the snapshot has the rest.
    """
    try:
        found = json.loads(snapshot.read_bytes())
        clips, rev = found["clips"], int(found["rev"])
        if _digest(clips) == found["sha256"] and rev <= len(changes):
            return {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    before = _replayed(changes[:rev])
    edits = {}
    for key, choice in clips.items():
        if not isinstance(choice, dict):
            continue
        was = before.get(key, UNDECIDED).as_json()
        changed = {name: value for name, value in choice.items() if name in NAMES and value != was[name]}
        if changed:
            edits[key] = changed
    return edits


def _parsed(path: Path, lines: bytes, before: int = 0) -> list[Decision]:
    """Read whole lines of the log, of which so many came before. Raises UsageError for what is no line of it."""
    found = []
    for number, line in enumerate(lines.splitlines(), before + 1):
        try:
            change = replace(Decision.read(line), rev=number)  # a line that was taken out by hand shifts the others
            checked(change.set)
        except (ValueError, KeyError, TypeError, AttributeError, UsageError):
            tip = "repair or remove that line; each is one JSON object"
            raise UsageError(f"{path}:{number}: no change of a choice", tip=tip) from None
        found.append(change)
    return found


def _digest(clips: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(clips, sort_keys=True).encode()).hexdigest()
