"""The pages for clients that were made of a batch, and the handles by which they know its clips.

A handle is a keyed hash of the clip's key: it says nothing of the prompt, and only this batch can read it back. The key
of each page's hashes is kept in the batch folder, so that answers can be imported as long as the folder is there.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchgen.errors import OutputError, UsageError
from batchgen.files import durable

#: One JSON line for each page, in the batch folder.
REGISTRY: Final = "client-reports.jsonl"


@dataclass(frozen=True, slots=True)
class ClientReport:
    """One page that was made.

    Attributes:
        id: random; the page and its answers carry it.
        secret: the key of its handles, in hex; it never leaves the batch folder.
        at: when it was made, UTC, ISO 8601.
    """

    id: str
    secret: str
    at: str

    @classmethod
    def new(cls, at: str) -> ClientReport:
        """Make one that no other is like."""
        return cls(secrets.token_hex(8), secrets.token_hex(32), at)

    def handle(self, key: str) -> str:
        """Give the handle of a clip, by its key."""
        return hmac.new(bytes.fromhex(self.secret), key.encode(), hashlib.sha256).hexdigest()[:16]

    def keys(self, keys: Iterable[str]) -> dict[str, str]:
        """Give clip keys by their handles."""
        return {self.handle(key): key for key in keys}


def keep(folder: Path, report: ClientReport) -> None:
    """Keep a page's key in the batch folder; it is on disk when this returns. Raises OutputError."""
    path = folder / REGISTRY
    line = json.dumps({"v": 1, "report": report.id, "secret": report.secret, "at": report.at}).encode() + b"\n"
    try:
        new = not path.exists()
        handle = durable.open_private(path, os.O_RDWR | os.O_APPEND)
        with os.fdopen(handle, "r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            torn = bool(size) and os.pread(file.fileno(), 1, size - 1) != b"\n"
            file.write(b"\n" * torn + line)
            os.fsync(file.fileno())
        if new:
            durable.sync(folder)
    except OSError as error:
        raise OutputError.of(path, error) from error


def reports_of(folder: Path) -> list[ClientReport]:
    """Give the pages that were made of a batch, the latest last; a torn or foreign line is left out.

    Raises:
        UsageError: the file is there and can't be read.
    """
    path = folder / REGISTRY
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror})") from error
    return [report for line in lines if (report := _read(line)) is not None]


def _read(line: bytes) -> ClientReport | None:
    try:
        found = json.loads(line)
        report = ClientReport(str(found["report"]), str(found["secret"]), str(found["at"]))
        bytes.fromhex(report.secret)
    except (ValueError, KeyError, TypeError):
        return None
    return report
