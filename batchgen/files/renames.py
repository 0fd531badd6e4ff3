"""The files of clips go to the names that the ledger gives them: what an edit replaced, and what came back.

The ledger names clips first (`ledger.wanted`): a finished clip whose `file` is not that of its name is the record of a
move that is due. Then its sidecar is written under the new name, the file is moved, the old sidecar is removed, both
folders are synced, and `Moved` is recorded. Killed anywhere in between, the next run finds it due and goes on. A file
is moved only if it is the clip's own, and only to a name that no file has: nothing is overwritten, nothing deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TypeAlias

from batchgen import failpoints
from batchgen.clip import REPLACED_FOLDER, Clip, State
from batchgen.events import Moved
from batchgen.files import durable, mp4, sidecar
from batchgen.ledger.sqlite import SqliteLedger
from batchgen.ledger.wanted import other_name, plain_name, replaced_name

log = logging.getLogger("batchgen.files")

#: A clip, and the name under `clips/` that its file has now.
_Placed: TypeAlias = tuple[Clip, str]


def put_in_place(ledger: SqliteLedger, clips_dir: Path) -> int:
    """Move every file that is not where its clip's name says, while no run is at work; return how many were moved.

    What can't be moved stays where it is, with a warning, and the next run tries again.

    Raises:
        LedgerWriteError: a move can't be recorded; the next run does it.
    """
    moved = 0
    try:
        if ledger.has_replaced():  # for what is still to be fetched, too
            durable.make(clips_dir / REPLACED_FOLDER)
        while waiting := ledger.misplaced():
            placed = list(_placed(clips_dir, waiting)) or list(_parked(clips_dir, waiting))
            if not placed:
                break
            for folder in {(clips_dir / file).parent for clip, new in placed for file in (clip.file or new, new)}:
                durable.sync(folder)
            ledger.write_now((clip, Moved(new, clip.file)) for clip, new in placed if clip.file)
            moved += len(placed)
    except OSError as error:
        log.warning("files of replaced clips stay where they are until the next run: %s", error)
    return moved


def _placed(clips_dir: Path, waiting: Sequence[Clip]) -> Iterator[_Placed]:
    """Move what can be moved, and find what a killed run has moved already."""
    for clip in waiting:
        source = clips_dir / clip.file if clip.file else _named_before(clips_dir, clip)
        target = _target(clips_dir, clip)
        if target is None or source is None:
            continue
        if target.exists() or _is_file_of(clip, source):
            _move(clip, source, target)
            yield clip, target.relative_to(clips_dir).as_posix()


def _parked(clips_dir: Path, waiting: Sequence[Clip]) -> Iterator[_Placed]:
    """Break a circle of clips that wait for each other's names: move the first of them out of the way."""
    awaited = {f"{clip.wanted.name}.mp4" for clip in waiting}
    for clip in waiting:
        if clip.file in awaited and _is_file_of(clip, source := clips_dir / clip.file):
            aside = clips_dir / f"{replaced_name(clip.wanted.name, clip.key)}.mp4"
            durable.make(aside.parent)
            if not aside.exists():
                _move(clip, source, aside)
                yield clip, aside.relative_to(clips_dir).as_posix()
                return


def _target(clips_dir: Path, clip: Clip) -> Path | None:
    """Give where a clip's file belongs: it is there already, or nothing is; None: another file is."""
    name = clip.wanted.name
    if not name.startswith(f"{REPLACED_FOLDER}/"):
        target = clips_dir / f"{name}.mp4"
        return target if not target.exists() or _is_file_of(clip, target) else None
    paths = (clips_dir / f"{name}{f'-{n}' if n > 1 else ''}.mp4" for n in count(1))
    return next(path for path in paths if not path.exists() or _is_file_of(clip, path))


def _named_before(clips_dir: Path, clip: Clip) -> Path | None:
    """Find a file that a run gave its name and was killed before it could record it, under a name of before an edit."""
    plain = plain_name(clip.wanted.name, clip.key)
    names = (plain, other_name(plain, clip.key), replaced_name(plain, clip.key))
    paths = (clips_dir / f"{name}.mp4" for name in names if name != clip.wanted.name)
    return next((path for path in paths if path.exists() and _is_sidecar_of(clip, path)), None)


def _is_file_of(clip: Clip, video: Path) -> bool:
    """Return whether a file is a clip's own: by its sidecar, or else by its content."""
    if not video.is_file():
        return False
    return _is_sidecar_of(clip, video) or (clip.state is State.DONE and not mp4.inspect(video, clip.bytes, clip.sha256))


def _is_sidecar_of(clip: Clip, video: Path) -> bool:
    record = sidecar.read(sidecar.path_for(video))
    return record is not None and clip.request_id is not None and record.get("request_id") == clip.request_id


def _move(clip: Clip, source: Path, target: Path) -> None:
    """Move a file with its sidecar, or finish such a move. Raises OSError."""
    old = sidecar.path_for(source)
    record = sidecar.read(old) if _is_sidecar_of(clip, source) else None
    if record is not None:
        failpoints.reach("sidecar.before")
        sidecar.write(sidecar.path_for(target), {**record, "name": clip.wanted.name})
    if not target.exists():
        failpoints.reach("move.before")
        source.rename(target)
        failpoints.reach("move.after")
    if record is not None:
        old.unlink()
