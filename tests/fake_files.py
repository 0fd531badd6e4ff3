"""A file server in memory: what `fakes` has for files, by script."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mp4 import box, video

from batchgen.errors import (
    AddressRefused,
    BrokenFile,
    DeadLink,
    DiskFullError,
    DownloadError,
    NameTaken,
    TransferFailed,
)
from batchgen.files.mp4 import Expect, Fetched
from batchgen.providers.base import Source

Hook = Callable[[], None]


def ok(*_: object) -> str:
    """The script without faults."""
    return "ok"


#: What a download can meet in place of "ok" or "full".
ERRORS: dict[str, type[DownloadError]] = {
    "dead": DeadLink,
    "broken": BrokenFile,
    "refused": AddressRefused,
    "taken": NameTaken,
    "trouble": TransferFailed,
}


@dataclass
class FakeDownloads:
    """Implements `flow.tools.Downloads`; the script says "ok", "dead", "broken", "trouble" or "full"."""

    takes_s: float = 2.0
    meets: Callable[[str], str] = ok
    on_rename: Hook | None = None

    def __post_init__(self) -> None:
        self.fetched: list[str] = []
        self.asked: list[str] = []
        self.dead = False

    async def fetch(
        self, url: str, target: Path, expect: Expect, finish: Callable[[Path, Fetched], None] | None = None
    ) -> Fetched:
        """Write a tiny file under its final name, or do what the script says."""
        self.asked.append(url)
        await asyncio.sleep(self.takes_s)
        if self.dead:
            await asyncio.get_running_loop().create_future()
        word = self.meets(url)
        if word == "full":
            raise DiskFullError
        if word != "ok":
            raise ERRORS[word](f"{word}: {url}")
        return self._store(url, content_of(url), target, finish)

    async def keep(
        self, source: Source, target: Path, expect: Expect, finish: Callable[[Path, Fetched], None] | None = None
    ) -> Fetched:
        """Write what the source has."""
        async with source() as pieces:
            return self._store("own", b"".join([piece async for piece in pieces]), target, finish)

    def _store(self, url: str, content: bytes, target: Path, finish: Callable[[Path, Fetched], None] | None) -> Fetched:
        fetched = Fetched(len(content), hashlib.sha256(content).hexdigest())
        target.write_bytes(content)
        if finish:
            finish(target, fetched)
        self.fetched.append(url)
        if self.on_rename:
            self.on_rename()
        return fetched


def content_of(url: str) -> bytes:
    """A whole video of its own for each link."""
    return video() + box(b"free", url.encode())
