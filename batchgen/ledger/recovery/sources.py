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
from datetime import datetime
from pathlib import Path
from typing import Any

from batchgen.clip import Wanted
from batchgen.events import Downloaded
from batchgen.ledger import journal
from batchgen.ledger.integrity import FILE
from batchgen.ledger.names import REPLACED_FOLDER
from batchgen.ledger.recovery.replay import Sources, Told, Traced, event_of, wanted_of
from batchgen.money import to_micro

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
    sources.traced += _from_events(folder / "events.jsonl")
    _from_sidecars(folder / "clips", sources)
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
                sources.told[seq] = Told(key, at, event, seq)
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
            if row.get("k") in journal.FACTS:
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
    if not isinstance(seq, int) or not isinstance(at, float) or key is None or seq in sources.told:
        return
    with suppress(ValueError, TypeError):
        if event := event_of(row.get("name"), json.loads(row["detail"])):
            sources.told[seq] = Told(key, at, event, seq)
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


# --- what lies next to it --------------------------------------------------------------------------------------


def _from_events(path: Path) -> list[Traced]:
    """Requests by the events file; it is written a second late, and its links have lost their queries."""
    found: dict[str, Traced] = {}
    for record in _objects(path):
        key, request_id = record.get("key"), record.get("request_id")
        at = _epoch(record.get("at") or record.get("t"))
        if not isinstance(key, str) or not isinstance(request_id, str) or at is None:
            continue
        known = found.get(request_id) or Traced(key, request_id, at)
        if record.get("event") == "Generated" and isinstance(record.get("url"), str):
            known = Traced(key, request_id, known.at, record["url"], to_micro(record.get("cost_usd")))
        found[request_id] = known
    return list(found.values())


def _from_sidecars(folder: Path, sources: Sources) -> None:
    for path in sorted([*folder.glob("*.json"), *(folder / REPLACED_FOLDER).glob("*.json")]):
        for record in _objects(path, whole=True):
            key, request_id = record.get("key"), record.get("request_id")
            at, video = _epoch(record.get("submitted_at")), path.with_suffix(".mp4")
            if not isinstance(key, str) or not isinstance(request_id, str) or at is None:
                continue
            size, sha256 = record.get("bytes"), record.get("sha256")
            file = None
            if isinstance(size, int) and isinstance(sha256, str) and video.is_file() and video.stat().st_size == size:
                file = Downloaded(video.relative_to(folder).as_posix(), size, sha256)
            url = record.get("url")
            cost = to_micro(record.get("cost_usd"))
            sources.traced.append(Traced(key, request_id, at, url if isinstance(url, str) else None, cost, file))
            if wanted := _described(record):
                sources.described[key] = wanted


def _described(record: dict[str, Any]) -> Wanted | None:
    """Read from a sidecar which clip it is about; the link of an uploaded sound is none of its parameters."""
    params, take, sound = record.get("params"), record.get("take"), record.get("audio_sha256")
    texts = [record.get(name) for name in ("id", "model", "name", "label")]
    if not isinstance(params, dict) or not isinstance(take, int) or None in texts:
        return None
    own = {name: value for name, value in params.items() if name != "audio" or not sound}
    texts.append(json.dumps(own, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    prompt_id, model, name, label, text = (str(each).encode("utf-8", "replace").decode() for each in texts)
    return Wanted(
        record["key"], prompt_id, take, model, text, name, label=label, audio_sha256=str(sound) if sound else None
    )


def _objects(path: Path, *, whole: bool = False) -> Iterator[dict[str, Any]]:
    """Give the JSON objects of a file, one a line or one in all; what can't be read is left out."""
    with suppress(OSError):
        data = path.read_bytes() if path.is_file() else b""
        for text in [data] if whole else data.splitlines():
            with suppress(ValueError):
                record = json.loads(text)
                if isinstance(record, dict):
                    yield record


def _epoch(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None
