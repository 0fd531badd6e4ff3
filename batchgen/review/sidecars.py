"""The choices in the sidecars of the clips, so that they go with a file that is handed on.

A sidecar is the run's: only one whose film is the one that was chosen from is changed, by rename, and never created.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from batchgen.clip import State
from batchgen.files import sidecar
from batchgen.review.choice import Choice
from batchgen.review.questions import PageReader


def write_choices(folder: Path, choices: Mapping[str, Choice]) -> int:
    """Write choices into the sidecars of finished clips, where they are not there yet; gives how many were written.

    Raises:
        LedgerError: the ledger can't be read. OSError: a sidecar can't be written.
    """
    if not choices:
        return 0
    with closing(PageReader(folder)) as ledger:
        clips = [clip for clip in ledger.clips_of(ledger.rows_of(choices)) if clip.state is State.DONE]
    count = 0
    for clip in clips:
        path = sidecar.path_for(folder / "clips" / (clip.file or ""))
        with suppress(FileNotFoundError):
            count += sidecar.add(path, {"choice": choices[clip.key].as_json()}, of=clip.sha256)
    return count
