"""Files of a batch folder over HTTP: by handle, without following a link, with Range; and nothing else.

`FileResponse` of aiohttp takes a path, which a symlink, or a folder that is swapped between check and opening, can lead
elsewhere. Here each step of the way is opened with O_NOFOLLOW below the folder's own handle.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

#: Bytes that are read and sent at a time.
_PIECE: Final = 256 * 1024
_TYPES: Final = {".mp4": "video/mp4", ".webp": "image/webp", ".jpg": "image/jpeg"}
#: The first folder of a name that may be served.
_FOLDERS: Final = frozenset({"clips", ".review"})


@contextmanager
def opened(folder: Path, name: str) -> Iterator[int]:
    """Open a regular file below a folder for reading, following no link on the way.

    Args:
        folder: the batch folder.
        name: with `/`, such as `clips/replaced/dawn_1.mp4`.

    Raises:
        FileNotFoundError: there is no such file, its name leads elsewhere, or it is none that is served.
    """
    parts = name.split("/")
    if parts[0] not in _FOLDERS or len(parts) < 2 or any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise FileNotFoundError(name)
    try:
        with ExitStack() as steps:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for part in parts[:-1]:
                handle = _step(steps, handle, part, os.O_DIRECTORY)
            handle = _step(steps, handle, parts[-1], os.O_NONBLOCK)
    except (OSError, ValueError):  # a name that the system can't have, too
        raise FileNotFoundError(name) from None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise FileNotFoundError(name)
        yield handle
    finally:
        os.close(handle)


def _step(steps: ExitStack, folder: int, name: str, flags: int) -> int:
    """Open what is in a folder, which is closed with the steps."""
    steps.callback(os.close, folder)
    return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=folder)


async def send(request: web.Request, folder: Path, name: str) -> web.StreamResponse:
    """Answer with a file, or the part of it that is asked for; 404 when there is none."""
    kind = _TYPES.get(Path(name).suffix.lower())
    if kind is None:
        raise web.HTTPNotFound
    try:
        with opened(folder, name) as handle:
            return await _send(request, handle, kind)
    except FileNotFoundError:
        raise web.HTTPNotFound from None


async def _send(request: web.Request, handle: int, kind: str) -> web.StreamResponse:
    size = os.fstat(handle).st_size
    try:
        start, stop = _range(request, size)
    except ValueError:
        return web.Response(status=416, headers={hdrs.CONTENT_RANGE: f"bytes */{size}"})
    whole = (start, stop) == (0, size) and hdrs.RANGE not in request.headers
    response = web.StreamResponse(status=200 if whole else 206)
    response.content_type = kind
    response.content_length = stop - start
    response.headers[hdrs.ACCEPT_RANGES] = "bytes"
    if not whole:
        response.headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{stop - 1}/{size}"
    if request.query.get("v"):  # the version is the content's: what has this address never changes
        response.headers[hdrs.CACHE_CONTROL] = "private, max-age=31536000, immutable"
    await response.prepare(request)
    if request.method != hdrs.METH_HEAD:
        await _pour(response, handle, start, stop)
    await response.write_eof()
    return response


async def _pour(response: web.StreamResponse, handle: int, start: int, stop: int) -> None:
    loop = asyncio.get_running_loop()
    while start < stop:
        piece = await loop.run_in_executor(None, partial(os.pread, handle, min(_PIECE, stop - start), start))
        if not piece:
            return
        await response.write(piece)
        start += len(piece)


def _range(request: web.Request, size: int) -> tuple[int, int]:
    """Give the bytes that are asked for; raises ValueError when there are none of them."""
    asked = request.http_range
    start, stop, _ = slice(asked.start, asked.stop).indices(size)
    if start >= stop and size:
        raise ValueError(asked)
    return start, stop
