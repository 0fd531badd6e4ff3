"""Ours, as a program of its own: fetch files by `Downloader.fetch`, with all checks, and tell what it took.

    python tests/bench/fetch.py SLOTS FOLDER URL...

What is told (JSON) begins when the modules are loaded: they are loaded once for a night. `start_s` is what that took.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from batchgen.download import Downloader


async def fetch(slots: int, folder: Path, urls: list[str]) -> None:
    """Fetch all, as many at once as there are slots."""
    async with Downloader(slots=slots, loopback=True) as downloader, asyncio.TaskGroup() as group:
        for number, url in enumerate(urls):
            group.create_task(downloader.fetch(url, folder / f"{number}.mp4"))


def cpu() -> float:
    """Return the seconds of processor time so far, of all threads, in the program and in the kernel for it."""
    times = os.times()
    return times.user + times.system


def main() -> None:
    """Fetch, and print the figures."""
    slots, folder, *urls = sys.argv[1:]
    start_cpu, began = cpu(), time.perf_counter()
    asyncio.run(fetch(int(slots), Path(folder), urls))
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "cpu_s": cpu() - start_cpu, "start_cpu_s": start_cpu}))


if __name__ == "__main__":
    main()
