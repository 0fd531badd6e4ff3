"""Downloads without a network: files come by script, each link's file different and a whole MP4."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

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
from batchgen.sandbox.clips import packaged

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
    """Implements `runner.context.Downloads`; what is expected of a film is not checked.

    Args:
        takes_s: how long one download takes, in seconds of the loop's clock.
        meets: gives for a link what becomes of it: "ok", "full" (no room on the disk), or a word of `ERRORS`.
        on_rename: called when a file has its final name.
    """

    takes_s: float = 2.0
    meets: Callable[[str], str] = ok
    on_rename: Hook | None = None

    def __post_init__(self) -> None:
        self.fetched: list[str] = []
        self.asked: list[str] = []
        self.dead = False

    async def fetch(
        self,
        url: str,
        target: Path,
        expect: Expect,  # noqa: ARG002 - of the protocol
        finish: Callable[[Path, Fetched], None] | None = None,
    ) -> Fetched:
        """Write a small file under its final name, or do what the script says."""
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
        self,
        source: Source,
        target: Path,
        expect: Expect,  # noqa: ARG002 - of the protocol
        finish: Callable[[Path, Fetched], None] | None = None,
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
    """Give the whole MP4 that a link leads to: a small clip, and the link in a box that players skip."""
    link = url.encode()
    return _clip() + (len(link) + 8).to_bytes(4, "big") + b"free" + link


@cache
def _clip() -> bytes:
    return packaged(480, 832, 5).read_bytes()
