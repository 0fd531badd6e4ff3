"""The sidecar: a JSON file next to each video that says how it came about.

It can be made again from the ledger at any time, so it is not synced to disk. It never holds the key, nor a link:
whoever has the link has the film, and the sidecar is handed on with the clip.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from batchgen.clip import Clip, Request
from batchgen.files.durable import own
from batchgen.files.mp4 import Fetched
from batchgen.money import exact_usd

SCHEMA_VERSION = 1


def path_for(video: Path) -> Path:
    """Name the sidecar of a video: the same name with `.json`."""
    return video.with_suffix(".json")


def describe(clip: Clip, fetched: Fetched | None, *, at: float) -> dict[str, Any]:
    """Gather what is known of a clip as JSON values.

    Args:
        clip: with its last request.
        fetched: the checked file; None when the facts that the ledger holds are to be used.
        at: when the file was downloaded (epoch seconds).

    Returns:
        A new dict in a stable order. What is not known is null, a price too; `cost_usd` is a number in USD, times
        are ISO-8601 in UTC, and `params` is what was sent, prompt and seed included. `completed_at` is by the
        service's own metrics, null where it gave none.
    """
    request = clip.request
    params: dict[str, Any] = json.loads((request and request.sent) or clip.wanted.params)
    facts = fetched or Fetched(bytes=clip.bytes or 0, sha256=clip.sha256 or "", flags=clip.flags)
    cost = request.cost if request else None
    return {
        "schema_version": SCHEMA_VERSION,
        "key": clip.key,
        "id": clip.wanted.prompt_id,
        "take": clip.wanted.take,
        "name": clip.wanted.name,
        "label": clip.wanted.label,
        "model": clip.wanted.model,
        "prompt": params.get("prompt"),
        "negative_prompt": params.get("negative_prompt"),
        "seed": params.get("seed"),
        "params": params,
        "audio_sha256": clip.wanted.audio_sha256,
        "attempts": clip.attempts,
        "request_id": request.request_id if request else None,
        "cost_usd": None if cost is None else exact_usd(cost),
        "submitted_at": _iso(request.submitted_at if request else None),
        "completed_at": _iso(_completed(request)),
        "queue_s": request.queue_s if request else None,
        "run_s": request.run_s if request else None,
        "downloaded_at": _iso(at),
        "bytes": facts.bytes or None,
        "sha256": facts.sha256 or None,
        "seconds": facts.seconds,
        "size": f"{facts.size[0]}*{facts.size[1]}" if facts.size else None,
        "flags": facts.flags.split(),
    }


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Write a sidecar, for its owner alone; a symlink of its name is replaced. Raises OSError.

    It goes straight to its name: nobody reads it before the video has its own, and a torn one is written
    again with the video.
    """
    text = json.dumps(data, ensure_ascii=False, indent=2).encode("utf-8", "replace")
    with open(path, "wb", opener=partial(own, mode=0o600)) as file:
        file.write(text + b"\n")
        if hasattr(os, "fchmod"):  # one of an earlier release was everybody's to read
            os.fchmod(file.fileno(), 0o600)


def add(path: Path, facts: Mapping[str, Any], *, of: str | None) -> bool:
    """Add facts to the sidecar of a film that a run may be working on; return whether it was changed.

    It appears under its name whole. What is no sidecar of the film with the sha256 `of` is left alone, and so is a
    link. Raises OSError.
    """
    data = None if path.is_symlink() else read(path)
    if data is None or data.get("sha256") != of or data.items() >= facts.items():
        return False
    part = path.with_name(f".{path.name}.part")
    write(part, {**data, **facts})
    part.replace(path)
    return True


def read(path: Path) -> dict[str, Any] | None:
    """Read a sidecar; None when there is none, or a torn one."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def _completed(request: Request | None) -> float | None:
    if request is None or request.submitted_at is None or request.run_s is None:
        return None
    return request.submitted_at + (request.queue_s or 0.0) + request.run_s


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
