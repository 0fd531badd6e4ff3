"""What lies next to a ledger and knows of paid requests: sidecars, the events file, and this machine's own memory.

A ledger that a user or a backup program brought back may be sound, and older than what happened. Whatever has a
request id that the ledger does not know proves that, and so does a number of events that the ledger has not reached.
Everything is read only, and may be torn or wrong: what makes no sense is left out.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from batchgen.clip import Wanted
from batchgen.events import Downloaded, Event, Generated, Submitted
from batchgen.files import durable
from batchgen.ledger.names import REPLACED_FOLDER
from batchgen.money import to_micro

#: The fact with a ledger's own id, made when a run first opens it. A rebuilt ledger is given another one.
BATCH_ID = "batch_id"
_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Traced:
    """A request that a source knows by its id, and what else it knows of it."""

    key: str
    request_id: str
    at: float
    url: str | None = None
    cost: int | None = None
    file: Downloaded | None = None
    wanted: Wanted | None = None  #: as its sidecar describes the clip; the manifest knows better

    def events(self) -> Iterator[Event]:
        """Give the events that it proves."""
        yield Submitted(self.request_id, self.at)
        if self.url or self.file:  # a sidecar has no link, and proves more
            yield Generated(self.url or "", self.at, self.cost)
            if self.file:
                yield self.file


def sidecars(folder: Path, but: Collection[str] = ()) -> Iterator[Traced]:
    """Give the requests that sidecars name, but for sidecars of these names (paths under `clips/`)."""
    clips = folder / "clips"
    for path in sorted([*clips.glob("*.json"), *(clips / REPLACED_FOLDER).glob("*.json")]):
        if path.relative_to(clips).as_posix() in but:
            continue
        for record in _objects(path, whole=True):
            key, request_id = record.get("key"), record.get("request_id")
            at, video = _epoch(record.get("submitted_at")), path.with_suffix(".mp4")
            if not isinstance(key, str) or not isinstance(request_id, str) or at is None:
                continue
            size, sha256 = record.get("bytes"), record.get("sha256")
            file = None
            if isinstance(size, int) and isinstance(sha256, str) and video.is_file() and video.stat().st_size == size:
                file = Downloaded(video.relative_to(clips).as_posix(), size, sha256)
            url = record.get("url") if isinstance(record.get("url"), str) else None
            yield Traced(key, request_id, at, url, to_micro(record.get("cost_usd")), file, _described(record))


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


def events(folder: Path) -> list[Traced]:
    """Give the requests that the events file names; it is written a second late, and its links lost their queries."""
    found: dict[str, Traced] = {}
    for record in _objects(folder / "events.jsonl"):
        key, request_id = record.get("key"), record.get("request_id")
        at = _epoch(record.get("at") or record.get("t"))
        if not isinstance(key, str) or not isinstance(request_id, str) or at is None:
            continue
        known = found.get(request_id) or Traced(key, request_id, at)
        if record.get("event") == "Generated" and isinstance(record.get("url"), str):
            known = Traced(key, request_id, known.at, record["url"], to_micro(record.get("cost_usd")))
        found[request_id] = known
    return list(found.values())


def any_request(folder: Path) -> bool:
    """Return whether a file next to a ledger, or in its place, names a request."""
    return next(sidecars(folder), None) is not None or bool(events(folder))


def traces(folder: Path) -> bool:
    """Return whether a folder shows that something was paid for in it: a film, a part of one, or a request."""
    clips = folder / "clips"
    films = (path for place in (clips, clips / REPLACED_FOLDER) for path in place.glob("*.mp4*"))
    return next(films, None) is not None or any_request(folder)


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


# --- this machine's memory ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LastSeen:
    """What this machine last saw of a batch: where it was, how many events its ledger had, and when (epoch seconds)."""

    batch_id: str
    folder: Path
    events: int
    at: float

    @staticmethod
    def of(folder: Path, batch_id: str | None) -> LastSeen | None:
        """Find a batch by its ledger's id; one without an id, or without a ledger, by its folder. None: never seen."""
        places = [_memory() / batch_id] if batch_id else sorted(_memory().glob("*"))
        found = [seen for path in places if (seen := _seen(path))]
        if not batch_id:
            found = [seen for seen in found if seen.folder == folder.resolve() and seen.events]
        return max(found, key=lambda seen: seen.at, default=None)

    def __str__(self) -> str:
        """Say when and how far it was seen."""
        return f"{self.events:,} events, last on {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.at))}"


class Memory:
    """Keeps the number of a batch's last event in the user's state folder, where no backup of the batch reaches.

    Plain writes without a sync: they outlive a killed process, and after a power cut the number is lower at worst.
    Where the folder can't be written, nothing is kept.
    """

    def __init__(self, folder: Path, batch_id: str, events: int) -> None:
        self._path = _memory() / batch_id
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"folder": str(folder.resolve())}).encode()
            handle = durable.open_private(self._path, os.O_WRONLY | os.O_TRUNC)
            os.pwrite(handle, text, _DIGITS)
            os.close(handle)
            self.write(events)

    def write(self, events: int) -> None:
        """Keep the number of the last event that is on disk."""
        with suppress(OSError):
            handle = os.open(self._path, os.O_WRONLY)
            os.pwrite(handle, b"%0*d" % (_DIGITS, events), 0)
            os.close(handle)


def new_id() -> str:
    """Make an id for a ledger."""
    return uuid.uuid4().hex


def _memory() -> Path:
    from platformdirs import user_state_path

    return user_state_path("batchgen") / "batches"


def _seen(path: Path) -> LastSeen | None:
    try:
        data = path.read_bytes()
        rest: Mapping[str, str] = json.loads(data[_DIGITS:])
        return LastSeen(path.name, Path(rest["folder"]), int(data[:_DIGITS]), path.stat().st_mtime)
    except (OSError, ValueError, KeyError, TypeError):
        return None
