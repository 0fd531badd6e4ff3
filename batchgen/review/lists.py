"""Clips with what was chosen about them, as `picks`, `export` and the hand-over list them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from batchgen.clip import ClipSummary
from batchgen.errors import UsageError
from batchgen.review.choice import UNDECIDED, Choice
from batchgen.selection import matches, unmatched


def chosen(clips: Iterable[ClipSummary], glob: str) -> list[ClipSummary]:
    """Give the clips that a glob (of `--only`'s kind) names.

    Raises:
        UsageError: a part of it fits none.
    """
    clips = list(clips)
    wrong = unmatched(glob, (name for clip in clips for name in (clip.prompt_id, clip.name)))
    if wrong:
        tip = f"clips here are {', '.join(clip.name for clip in clips[:8])}{', …' if len(clips) > 8 else ''}"
        raise UsageError(f"no clip matches {wrong[0]!r}", tip=tip)
    return [clip for clip in clips if matches(glob, clip.prompt_id, clip.name)]


def listed(clips: Iterable[ClipSummary], choices: Mapping[str, Choice]) -> list[dict[str, Any]]:
    """Give a JSON row for each clip: in the order of the hand-over, then of the manifest."""
    rows = [
        {"clip": clip.name, "key": clip.key, "prompt_id": clip.prompt_id, "take": clip.take, "state": str(clip.state)}
        | choices.get(clip.key, UNDECIDED).as_json()
        for clip in sorted(clips, key=lambda clip: (clip.order, clip.take, clip.name))
    ]
    return sorted(rows, key=lambda row: (row["order"] is None, row["order"] or 0))
