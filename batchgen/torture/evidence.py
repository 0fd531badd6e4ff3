"""What lies on the disk in the end: ledger, folder and the service's files, read as a stranger would."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from batchgen.torture.judge import Booked, Evidence, Kept

_CLIPS = "SELECT id, params, name, state, n, file, sha256 FROM clip WHERE wanted"


def gather(batch: Path, service: Path, books: Mapping[str, Any], final_exit: int) -> Evidence:
    """Read all that the judge needs; nothing is changed."""
    clips = batch / "clips"
    names = {clip.name for clip in clips.glob("*.mp4")}
    sidecars = {Path(name).with_suffix(".json").name for name in names}
    with closing(sqlite3.connect(f"file:{batch / 'ledger.db'}?mode=ro", uri=True)) as db:
        return Evidence(
            booked=[booked(job) for job in books["jobs"]],
            kept=list(_kept(db)),
            files={name: sha256(clips / name) for name in sorted(names)},
            made={path.stem: sha256(path) for path in (service / "files").glob("*.mp4")},
            spent=int(db.execute("SELECT coalesce(sum(cost), 0) FROM request").fetchone()[0]),
            leftovers=sorted(path.name for path in clips.iterdir() if path.name not in names | sidecars),
            final_exit=final_exit,
        )


def booked(job: Mapping[str, Any]) -> Booked:
    """Read one line of the books."""
    return Booked(job["request_id"], clip_of(job["params"]), round(job["charged"] * 1e6), frozenset(job["fates"]))


def clip_of(params: Mapping[str, Any]) -> str:
    """Name a clip by what it is made of: its parameters, in an order of their own."""
    return json.dumps(params, sort_keys=True, ensure_ascii=False)


def _kept(db: sqlite3.Connection) -> Iterator[Kept]:
    requests: dict[int, list[tuple[int, str]]] = {}
    for clip, n, request_id in db.execute("SELECT clip, n, request_id FROM request WHERE request_id IS NOT NULL"):
        requests.setdefault(clip, []).append((n, request_id))
    for row, params, name, state, last, file, digest in db.execute(_CLIPS):
        own = dict(requests.get(row, ()))
        yield Kept(clip_of(json.loads(params)), name, state, tuple(own.values()), own.get(last), file, digest)


def sha256(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def half_files(clips: Path, service: Path, sound: set[tuple[str, int]]) -> list[str]:
    """Name the files with a final name that are not to the byte what the service made for some request.

    Args:
        clips: the folder.
        service: the service's folder.
        sound: names with their times of change that were checked already; added to.
    """
    broken = []
    for clip in clips.glob("*.mp4"):
        seen = (clip.name, clip.stat().st_mtime_ns)
        if seen in sound:
            continue
        sidecar = _json(clip.with_suffix(".json"))
        made = service / "files" / f"{sidecar.get('request_id')}.mp4"
        if made.is_file() and made.read_bytes() == clip.read_bytes():
            sound.add(seen)
        else:
            broken.append(f"{clip.name} is not what the service made for request {sidecar.get('request_id')}")
    return broken


def files_with(secret: bytes, folder: Path) -> list[str]:
    """Name the files under a folder that hold a secret."""
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*"))
            if path.is_file() and secret in path.read_bytes()]  # fmt: skip


def _json(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}
