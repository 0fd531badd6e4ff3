"""Makes the files: a few threads off the event loop, each job's file under its final name only when whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import TypeAlias

from batchgen.sandbox.clips import StoppedError
from batchgen.sandbox.protocol import Order
from batchgen.sandbox.store import Job, Store

#: (order, request id, path, stop) → the file; raises when it can't be made or `stop` is set.
Maker: TypeAlias = Callable[[Order, str, Path, Event], None]


class Worker:
    """A pool of rendering threads: at most `slots`, and no more than there are processors."""

    def __init__(
        self, store: Store, files: Path, make: Maker, *, slots: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._files, self._make, self._clock = store, files, make, clock
        self._stop = Event()
        workers = max(1, min(slots, os.cpu_count() or 1))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="sandbox-render")

    def take(self, job: Job, order: Order) -> None:
        """Make the job's file in the background; a failure becomes the job's error, in plain words."""
        self._pool.submit(self._work, job, order)

    def close(self) -> None:
        """Drop what waits, interrupt what runs, and return when no thread is left."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, job: Job, order: Order) -> None:
        path = self._files / f"{job.request_id}.mp4"
        try:
            size = self._file(job, order, path)
        except StoppedError:
            return
        except Exception as fault:  # noqa: BLE001  whatever it was, the job must end, never hang
            self._store.failed(job.request_id, at=self._clock(), error=f"sandbox could not render: {fault}")
        else:
            self._store.ready(job.request_id, at=self._clock(), size=size)

    def _file(self, job: Job, order: Order, path: Path) -> int:
        part = path.with_suffix(".part")
        self._make(order, job.request_id, part, self._stop)
        if job.has("broken_file"):
            os.truncate(part, part.stat().st_size * 2 // 3)
        if job.has("stray_bytes"):
            with part.open("ab") as file:
                file.write(b"\r\n")
        part.replace(path)
        return path.stat().st_size
