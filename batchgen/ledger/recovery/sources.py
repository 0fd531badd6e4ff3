"""What is left of a batch whose ledger is damaged: its log, what SQLite still reads, events.jsonl and the sidecars.

Everything is read only, and everything may be torn or wrong: what makes no sense is left out.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from batchgen.events import Downloaded
from batchgen.ledger import integrity, journal
from batchgen.ledger.integrity import FILE, Traced
from batchgen.ledger.recovery.replay import Recorded, Sources, event_of, wanted_of

_PARTS = ("", "-wal", "-journal")


def gather(folder: Path) -> Sources:
    """Read all sources of a batch folder. The log's lines have checksums, so they are believed before the ledger's."""
    sources = Sources()
    _from_log(folder / journal.FILE, sources)
    with tempfile.TemporaryDirectory(dir=folder, prefix="ledger.read-") as name, suppress(OSError, ValueError):
        # SQLite works on copies: to read a WAL it may write, and the damaged files stay as they are.
        for part in _PARTS:
            if (folder / f"{FILE}{part}").is_file():
                shutil.copyfile(folder / f"{FILE}{part}", Path(name) / f"{FILE}{part}")
        _from_ledger(Path(name) / FILE, sources)
    sources.traced += integrity.events(folder)
    for traced in integrity.sidecars(folder):
        sources.traced.append(traced)
        if traced.wanted:
            sources.described[traced.key] = traced.wanted
    return sources


def _from_log(path: Path, sources: Sources) -> None:
    with suppress(OSError):
        for values in journal.lines(path):
            sources.log_lines += 1
            if values is None:
                sources.bad_lines += 1
            else:
                _take(values, sources)


def _take(values: list[Any], sources: Sources) -> None:
    match values:
        case ["e", int(seq), str(key), int() | float() as at, name, detail]:
            event = event_of(name, detail)
            if event is not None:
                sources.recorded[seq] = Recorded(key, at, event, seq)
            else:
                sources.bad_lines += 1
        case ["c", record]:
            if wanted := wanted_of(record):
                sources.wanted[wanted.key] = wanted
        case ["f", str(name), str(value)]:
            sources.facts[name] = value


# --- the damaged ledger ----------------------------------------------------------------------------------------


def _from_ledger(path: Path, sources: Sources) -> None:
    if not path.exists():
        return
    with closing(sqlite3.connect(path)) as db:
        db.text_factory = lambda raw: raw.decode("utf-8", "replace")
        keys: dict[int, str] = {}
        done: dict[int, Downloaded] = {}
        for row in _rows(db, "clip"):
            wanted = wanted_of({"order": row.get("ord"), **{name: value for name, value in row.items() if value}})
            if wanted and isinstance(row.get("id"), int):
                keys[row["id"]] = wanted.key
                sources.wanted.setdefault(wanted.key, wanted)
                if row.get("state") == "done" and row.get("file") and isinstance(row.get("bytes"), int):
                    done[row["id"]] = Downloaded(row["file"], row["bytes"], row["sha256"] or "", row["flags"] or "")
        for row in _rows(db, "event"):
            _take_event(row, keys, sources)
        sources.traced += [traced for row in _rows(db, "request") if (traced := _trace(row, keys, done))]
        for row in _rows(db, "meta"):
            if row.get("k") in (*journal.FACTS, integrity.BATCH_ID):
                sources.facts.setdefault(str(row["k"]), str(row["v"]))


def _rows(db: sqlite3.Connection, table: str) -> Iterator[dict[str, Any]]:
    """Read a table from both ends, as far as either way leads."""
    first = "seq" if table == "event" else "id" if table == "clip" else "clip" if table == "request" else "k"
    for way in ("ASC", "DESC"):
        try:
            cursor = db.execute(f"SELECT * FROM {table} ORDER BY {first} {way}")  # noqa: S608 - our own names
            names = [column[0] for column in cursor.description]
            for row in cursor:
                yield dict(zip(names, row, strict=True))
        except (sqlite3.Error, ValueError, OverflowError):
            continue
        return


def _take_event(row: dict[str, Any], keys: dict[int, str], sources: Sources) -> None:
    seq, at, key = row.get("seq"), row.get("at"), keys.get(row.get("clip", -1))
    if not isinstance(seq, int) or not isinstance(at, float) or key is None or seq in sources.recorded:
        return
    with suppress(ValueError, TypeError):
        if event := event_of(row.get("name"), json.loads(row["detail"])):
            sources.recorded[seq] = Recorded(key, at, event, seq)
            sources.from_ledger += 1


def _trace(row: dict[str, Any], keys: dict[int, str], done: dict[int, Downloaded]) -> Traced | None:
    key, request_id, at = keys.get(row.get("clip", -1)), row.get("request_id"), row.get("submitted_at")
    if key is None or not isinstance(request_id, str) or not isinstance(at, float):
        return None
    cost = row.get("cost")
    url = row.get("url")
    return Traced(
        key, request_id, at, url if isinstance(url, str) else None, cost if isinstance(cost, int) else None,
        done.get(row["clip"]),
    )  # fmt: skip
