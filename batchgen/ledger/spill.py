"""The last resort for a request id: a file that was given its blocks on disk before the run began.

When the ledger can't be written (a full disk), the id of a request that was just paid for must still
survive. A few kilobytes are allocated and synced beforehand, so that writing into them needs no new block.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from pathlib import Path

from batchgen import failpoints
from batchgen.files import durable

SIZE = 64 * 1024


class Spill:
    """A pre-allocated file of request ids that the ledger could not take."""

    def __init__(self, path: Path) -> None:
        """Open it, giving it its blocks if it has none yet; raises OSError when even that fails."""
        self.path = path
        self._file = durable.open_private(path, os.O_RDWR)
        if os.fstat(self._file).st_size < SIZE:
            os.pwrite(self._file, b"\0" * SIZE, 0)
            os.fsync(self._file)
        durable.sync(path.parent)
        kept = self._text()
        if kept and not kept.endswith(b"\n"):  # a power cut tore the last line: the next one starts below it
            os.pwrite(self._file, b"\n", len(kept))
        self._end = len(self._text())

    def add(self, key: str, request_id: str, at: float) -> None:
        """Keep one id, on disk when this returns. Raises OSError: also when the file has no name any more."""
        if not os.fstat(self._file).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "it was deleted", self.path)
        line = json.dumps({"key": key, "request_id": request_id, "at": at}).encode() + b"\n"
        failpoints.reach("spill.before")  # its blocks are there: no full disk keeps it from them
        os.pwrite(self._file, line, self._end)
        os.fsync(self._file)
        self._end += len(line)
        failpoints.reach("spill.after")

    def entries(self) -> list[tuple[str, str, float]]:
        """All kept ids as (key, request id, time); a torn last line is left out."""
        found = []
        for line in self._text().splitlines():
            with suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                found.append((str(entry["key"]), str(entry["request_id"]), float(entry["at"])))
        return found

    def clear(self) -> None:
        """Forget all, once the ledger has them."""
        if self._end:
            failpoints.reach("spill.clear")
            os.pwrite(self._file, b"\0" * SIZE, 0)
            os.fsync(self._file)
            self._end = 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _text(self) -> bytes:
        return os.pread(self._file, 1 << 20, 0).rstrip(b"\0")
