"""The small clips that the package carries, for when there is no renderer; `render.render_packaged` made them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from threading import Event

from batchgen.sandbox.protocol import Order

_SIZES = frozenset({"832x480", "480x832", "1280x720", "720x1280", "1920x1080", "1080x1920"})


class StoppedError(Exception):
    """The sandbox is being stopped; the job's file is rendered at the next start."""


def packaged(width: int, height: int, duration: int) -> Path:
    """Give the packaged clip of this size, and of this duration or the nearest one.

    Of another size, as other models make them, it is one that stands or lies as it does.
    """
    folder = Path(__file__).parent
    if f"{width}x{height}" not in _SIZES:
        width, height = (1280, 720) if width >= height else (720, 1280)
    exact = folder / f"{width}x{height}-{duration}s.mp4"
    return exact if exact.exists() else folder / f"{width}x{height}-{10 if duration > 5 else 5}s.mp4"


def copy(order: Order, request_id: str, path: Path, _stop: Event) -> None:
    """Make a job's file from a packaged clip; only its stamp is its own."""
    shutil.copyfile(packaged(order.width, order.height, order.duration), path)
    stamp(path, order, request_id)


def stamp(path: Path, order: Order, request_id: str) -> None:
    """Append what was asked for as JSON in a `free` box, which every player skips.

    So no two jobs have the same bytes, and an audit can tell which request a file came from.
    """
    facts = {"request_id": request_id, "prompt": order.prompt, "seed": order.seed}
    body = json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace")
    with path.open("ab") as file:
        file.write((len(body) + 8).to_bytes(4, "big") + b"free" + body)
