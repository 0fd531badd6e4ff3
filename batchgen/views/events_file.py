"""events.jsonl: everything that happened to a batch, one JSON object a line, over all its runs."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import BinaryIO

from batchgen.clip import Clip
from batchgen.events import EVENTS, FILE_NAMES, Event
from batchgen.files import durable
from batchgen.money import exact_usd
from batchgen.views.text import bare_urls, stamp_utc

#: Fields that hold micro-dollars; they are written as dollars, under the name with "_usd".
_MONEY = frozenset({"held", "cost", "spent", "reserved", "cap", "estimate"})
_SECONDS_A_FLUSH = 1.0
_FIELDS = {
    kind: tuple((field.name, FILE_NAMES.get(field.name, field.name)) for field in fields(kind)) for kind in EVENTS
}
_LABELS = {name: f"{name}_usd" for name in _MONEY}
_JSON = json.JSONEncoder(ensure_ascii=False)

log = logging.getLogger(__name__)


class EventsFile:
    """Appends events to a file; never raises into the run.

    When the file can't be written (full disk), it says so once in the log and writes no more. A line torn
    by an earlier kill is left as it is, and the next one starts below it.

    Args:
        path: of the file; its folder must be there.
        redact: takes secrets out of a text; called for every text that is written.
        run: the run's id, in every line.
        now: the clock, epoch seconds.
    """

    def __init__(
        self,
        path: Path,
        redact: Callable[[str], str],
        *,
        run: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._redact = redact
        self._run = run
        self._now = now
        self._flushed_at = 0.0
        self._file: BinaryIO | None = None
        try:
            self._file = os.fdopen(durable.open_private(path, os.O_WRONLY | os.O_APPEND), "ab", buffering=1 << 16)
            if _is_torn(path):
                self._file.write(b"\n")
        except OSError as error:
            self._give_up(error)

    def __call__(self, clip: Clip, event: Event) -> None:
        """Write an event of a clip; `clip` is as it is after it."""
        own = {written: getattr(event, name) for name, written in _FIELDS[type(event)]}
        if clip.request_id and not own.get("request_id"):
            own["request_id"] = clip.request_id
        kind = type(event).__name__
        self._write({"clip": clip.wanted.name, "key": clip.key, "event": kind, "state": str(clip.state)}, own)

    def note(self, kind: str, **values: object) -> None:
        """Write a line about the run ("started", "paused", "stopped"); on disk when this returns.

        Values called held, cost, spent, reserved, cap or estimate are micro-dollars.
        """
        self._write({"event": kind}, values)
        self.flush()

    def flush(self) -> None:
        """Flush to the system; happens by itself once a second while events come."""
        self._flushed_at = self._now()
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """Flush and close; what comes later is not written. May be called again."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, head: Mapping[str, object], own: Mapping[str, object]) -> None:
        if self._file is None:
            return
        now = self._now()
        values = {_LABELS.get(name, name): self._value(name, value) for name, value in own.items()}
        line = {"t": stamp_utc(now), **head, **values, "run": self._run}
        try:
            text = self._redact(_JSON.encode(line))
            self._file.write(text.encode("utf-8", "replace") + b"\n")
        except OSError as error:
            self._give_up(error)
        if now - self._flushed_at >= _SECONDS_A_FLUSH:
            self.flush()

    def _value(self, name: str, value: object) -> object:
        if name in _MONEY:
            return exact_usd(value) if isinstance(value, int) else None
        if name == "at" and isinstance(value, int | float):
            return stamp_utc(value)
        return self._clean(value)

    def _clean(self, value: object) -> object:
        if isinstance(value, str):
            return bare_urls(value) if "://" in value else value
        if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
            return value
        if isinstance(value, Mapping):
            return {str(key): self._clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(item) for item in value]
        return self._clean(str(value))

    def _give_up(self, error: OSError) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # closing tries to flush once more
                self._file.close()
            self._file = None
        log.warning("%s can't be written (%s); the run goes on without it", self._path.name, error.strerror or error)


def _is_torn(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if not size:
            return False
        file.seek(size - 1)
        return file.read(1) != b"\n"
