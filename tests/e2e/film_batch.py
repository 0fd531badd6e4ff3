"""A finished batch from a manifest, with films whose frames are numbered, made at once."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from films import numbered

from batchgen.clip import Clip
from batchgen.events import Downloaded, Failed, Generated, SubmitStarted, Submitted
from batchgen.ledger import Home, SqliteLedger
from batchgen.manifest import load
from batchgen.redact import Secret, account_of

#: Three cities by two times, but for one cell, with two takes each: ten clips.
MATRIX = """
model: wan-2.5-t2v
defaults: {size: 832*480, duration: 5, takes: 2}
matrix:
  city: [Tokyo, Lisbon, Oslo]
  time: [dawn, dusk]
  exclude: [{city: Oslo, time: dusk}]
prompts:
  - id: courier
    prompt: "A courier rides through {{ city }} at {{ time }}"
budget: {max_usd: 20}
"""
#: One prompt with four takes.
TAKES = """
model: wan-2.5-t2v
defaults: {size: 832*480, duration: 5, takes: 4}
prompts:
  - {id: dawn, prompt: A lighthouse at dawn}
budget: {max_usd: 20}
"""
_COST = 312_500


def make(folder: Path, manifest: str, films: Mapping[str, bytes] | None = None, made: int | None = None) -> Path:
    """Make a batch whose clips are done; gives the batch folder.

    Args:
        folder: the one that gets the manifest, `night.yaml`.
        manifest: its text.
        films: by the clip's name; by default every clip has the same hundred frames with a mark of its own.
        made: so many clips are done, the others are pending; None: all.
    """
    path = folder / "night.yaml"
    path.write_text(manifest)
    with ThreadPoolExecutor(1) as other:  # playwright's own loop runs in this thread
        return other.submit(asyncio.run, _make(path, films or {}, made)).result()


async def _make(path: Path, films: Mapping[str, bytes], made: int | None) -> Path:
    found, batch = load(path), path.with_suffix("")
    ledger = SqliteLedger(batch)
    try:
        ledger.bind(
            Home(os.path.relpath(path, batch), "https://api.segmind.com", account_of(Secret("SG_0123456789abcdef")))
        )
        ledger.remember("name", found.name)
        ledger.sync(found.wanted)
        (batch / "clips").mkdir(exist_ok=True)
        for number, clip in enumerate([*ledger.clips()][:made]):
            film = films[clip.wanted.name] if clip.wanted.name in films else numbered(mark=number)
            await _live(ledger, clip, film, batch / "clips")
    finally:
        ledger.close()
    return batch


async def _live(ledger: SqliteLedger, clip: Clip, film: bytes, clips: Path) -> None:
    """Let a clip be submitted, generated and downloaded; one without a film fails."""
    now, job = ledger.now() - 3600.0, f"job-{clip.key}"
    clip = await ledger.record(clip, SubmitStarted(now, reserved=2 * _COST, estimate=_COST))
    clip = await ledger.record(clip, Submitted(job, now + 0.1))
    if not film:
        await ledger.record(clip, Failed("the prompt was refused"))
        return
    name = f"{clip.wanted.name}.mp4"
    (clips / name).write_bytes(film)
    url = f"https://files.example/{clip.key}.mp4"
    clip = await ledger.record(clip, Generated(url, now + 60.0, _COST, len(film), 1.0, 59.0))
    await ledger.record(clip, Downloaded(name, len(film), hashlib.sha256(film).hexdigest()))
