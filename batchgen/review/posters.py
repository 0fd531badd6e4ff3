"""Posters, strips and findings of a batch's films, made in the background: what is on the screen comes first.

Each film is decoded once by a few threads, and `files.findings` keeps what came of it. Without the `media` extra
nothing is made, and the page shows the films' own first frames.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from batchgen.files import media_checks
from batchgen.files.findings import Findings, KeptFindings, Pictures

Check = Callable[[Path], tuple[Findings, Pictures | None]]


@dataclass(frozen=True, slots=True)
class Film:
    """A checked film that a poster is wanted of: its content's sha256, and where it lies."""

    sha256: str
    path: str


class Posters:
    """The posters and findings of one batch folder. Thread-safe; nothing here raises for a film that is broken.

    Args:
        folder: the batch folder.
        threads: films that are decoded at a time; by default one less than there are cores.
        check: decodes a film; tests give their own.
        able: whether films can be decoded; by default, whether the `media` extra is installed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        threads: int | None = None,
        check: Check = media_checks.check,
        able: bool | None = None,
    ) -> None:
        self.able = bool(find_spec("av") and find_spec("PIL")) if able is None else able
        self._kept = KeptFindings(folder)
        self._check = check
        self._known: dict[str, Findings | None] = {}  #: by sha256; None: it could not be made
        self._changes: list[str] = []  #: sha256 of what was found, in that order
        self._wanted: dict[str, Film] = {}  #: what waits, the most urgent first
        self._lock = threading.Lock()
        self._closed = False
        self._threads = threads or max(1, (os.cpu_count() or 2) - 1)
        self._pool: ThreadPoolExecutor | None = None
        self._busy = 0

    @property
    def rev(self) -> int:
        """How many films were found out about since this began."""
        with self._lock:
            return len(self._changes)

    def since(self, rev: int) -> list[str]:
        """Give the sha256 of the films that were found out about since a `rev`."""
        with self._lock:
            return self._changes[rev:]

    def find(self, sha256: str) -> Findings | None:
        """Give what is known of a film so far; None while nothing is."""
        with self._lock:
            return self._known.get(sha256)

    def look_up(self, sha256: str) -> Findings | None:
        """Give what is known of a film, or kept in the folder."""
        return self.find(sha256) or self._kept.read(sha256)

    def want(self, films: Iterable[Film]) -> None:
        """Ask for films, the most urgent first; they come before whatever was asked for earlier."""
        if not self.able:
            return
        with self._lock:
            new = {film.sha256: film for film in films if film.sha256 not in self._known}
            self._wanted = new | {sha256: film for sha256, film in self._wanted.items() if sha256 not in new}
            if self._pool is None and self._wanted and not self._closed:
                self._pool = ThreadPoolExecutor(self._threads, "posters")
            while self._pool and not self._closed and self._busy < min(self._threads, len(self._wanted)):
                self._busy += 1
                self._pool.submit(self._work)

    def close(self) -> None:
        """Let the films that are being decoded end, and begin no other."""
        with self._lock:
            self._wanted.clear()
        self.close_when_idle()

    def close_when_idle(self) -> None:
        """Make all that was asked for, then end."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool:
            pool.shutdown(wait=True)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._busy -= 1
                    return
                film = self._wanted.pop(next(iter(self._wanted)))
            found = self._made(film)
            with self._lock:
                self._known[film.sha256] = found
                self._changes.append(film.sha256)

    def _made(self, film: Film) -> Findings | None:
        """Give what is kept of a film, or decode it; None when even that fails: one film without a poster."""
        known = self._kept.read(film.sha256)
        if known is not None:
            return known
        try:
            found, pictures = self._check(Path(film.path))
        except Exception:  # noqa: BLE001 - decoders fail in their own ways on odd bytes
            return None
        with suppress(OSError):  # a full disk, or a folder that is read-only: the page works without
            self._kept.write(film.sha256, found, pictures)
        return found
