"""A file host that does as little as can be, in a process of its own: aiohttp's FileResponse, so by sendfile.

Sends two valid MP4s of its folder under any number of names: `/NAME/WHICH.mp4`, for as many files to fetch.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from aiohttp import web

CLIPS = Path(__file__).parents[2] / "batchgen" / "sandbox" / "clips"


def padded(path: Path, size: int) -> None:
    """Write a whole MP4 of so many bytes: a real clip, and a box `free` behind it."""
    clip = min(CLIPS.glob("*.mp4"), key=lambda found: found.stat().st_size).read_bytes()
    left = size - len(clip)
    with path.open("wb") as file:
        file.write(clip + left.to_bytes(4, "big") + b"free")
        block = bytes(range(256)) * 4096
        for at in range(0, left - 8, len(block)):
            file.write(block[: left - 8 - at])


async def serve(folder: Path) -> None:
    """Serve until killed; prints the port."""

    async def answer(request: web.Request) -> web.FileResponse:
        return web.FileResponse(folder / request.match_info["which"], chunk_size=2**20)

    app = web.Application()
    app.router.add_get("/{name}/{which}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
