"""Holding the files of done clips against the ledger."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from batchgen.clip import Clip, State
from batchgen.events import FileMissing
from batchgen.files import media_checks, mp4
from batchgen.files.findings import Findings, KeptFindings, near_duplicates
from batchgen.ledger import Ledger

#: What a damaged file is called from then on; it is never deleted.
SET_ASIDE = ".damaged"


def fault_of(clip: Clip, clips_dir: Path, *, deep: bool = False) -> str:
    """Say what is wrong with a done clip's file; empty when it is sound.

    Raises:
        ImportError: `deep`, and the `media` extra is not installed.
    """
    path = clips_dir / (clip.file or f"{clip.wanted.name}.mp4")
    fault = mp4.inspect(path, clip.bytes, clip.sha256)
    return fault or (
        _decoded(path, clip.sha256 or mp4.file_sha256(path), KeptFindings(clips_dir.parent)) if deep else ""
    )


def _decoded(path: Path, sha256: str, kept: KeptFindings) -> str:
    """Say why not every frame decodes; a content that is known is not decoded again."""
    found = kept.read(sha256)
    if found is None:
        found, pictures = media_checks.check(path)
        with suppress(OSError):  # it is a cache
            kept.write(sha256, found, pictures)
    return found.fault


def worth_watching(clips: Iterable[Clip], kept: KeptFindings) -> dict[str, list[str]]:
    """Give what was found in the films of done clips, by name: black, frozen, cut, … and takes like an earlier one."""
    takes: dict[str, dict[str, Findings]] = {}
    for clip in clips:
        found = kept.read(clip.sha256 or "") if clip.state is State.DONE else None
        if found is not None:
            takes.setdefault(clip.wanted.prompt_id, {})[clip.wanted.name] = found
    flags = {name: list(found.flags) for films in takes.values() for name, found in films.items()}
    for films in takes.values():
        for name, other in near_duplicates(films).items():
            flags[name].append(f"near_duplicate:{other}")
    return {name: found for name, found in flags.items() if found}


def kept_aside(clips_dir: Path) -> list[str]:
    """Name the bodies that failed their check, and are kept until a better one is there."""
    return sorted(path.name for path in clips_dir.glob(f"*{mp4.BAD}"))


def without_file(finished: Mapping[str, str], clips_dir: Path) -> list[str]:
    """Name the finished clips whose file is not there; one look at each folder, however many clips there are.

    Args:
        finished: the clips' files by name, paths under `clips_dir`.
        clips_dir: a folder that can't be read lacks all of them.
    """
    placed = {name: os.path.split(file) for name, file in finished.items()}  # as texts: for thousands, at each poll
    there: dict[str, set[str]] = {}
    for folder in {folder for folder, _ in placed.values()}:
        with suppress(OSError):
            there[folder] = set(os.listdir(clips_dir / folder))  # noqa: PTH208 - names alone, for thousands of them
    return [name for name, (folder, file) in placed.items() if file not in there.get(folder, ())]


async def check_files(ledger: Ledger, clips_dir: Path, *, deep: bool = False) -> tuple[int, dict[str, str]]:
    """Check every done clip's file; what is not sound waits for its download again.

    Returns:
        How many were checked, and the faults by clip name.
    """
    checked, faults = 0, {}
    for clip in await ledger.open_clips(State.DONE):
        checked += 1
        fault = await asyncio.to_thread(fault_of, clip, clips_dir, deep=deep)
        if fault:
            faults[clip.wanted.name] = fault
            _set_aside(clips_dir / (clip.file or ""))
            await ledger.record(clip, FileMissing(fault))
    return checked, faults


def _set_aside(path: Path) -> None:
    if path.is_file():
        path.replace(path.with_name(path.name + SET_ASIDE))
