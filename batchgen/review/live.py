"""What the page may ask of a batch's run: pause, resume, stop, and leaving out the further takes of a prompt.

Both go the way that `retry` and `reroll` go: next to a live run as a wish in its ledger, else into the ledger itself.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final

from batchgen.errors import BatchgenError, LockedError, UsageError
from batchgen.ledger import SqliteLedger, wishes
from batchgen.ledger.lock import holder
from batchgen.ledger.reader import FILE
from batchgen.ledger.wishes import CONTROL, Control, QueuedWish
from batchgen.review.questions import PageReader

_DO: Final = {"pause": Control.PAUSED, "resume": Control.RUNNING, "stop": Control.STOPPING}


class NoRunError(BatchgenError):
    """No run is at work that could be paused, resumed or stopped."""


def control(folder: Path, do: str) -> Control:
    """Ask the run of a batch to pause, resume or stop submitting; it obeys within seconds.

    Returns:
        How it is to stand.

    Raises:
        UsageError: it is none of these.
        NoRunError: there is no run, or it only collects.
        LedgerError, LedgerWriteError: the ledger can't be read or written.
    """
    if do not in _DO:
        raise UsageError(f"a run can't {do!r}", tip=f"it can {', '.join(_DO)}")
    with closing(PageReader(folder)) as ledger:
        steered = ledger.meta(CONTROL) if holder(folder) is not None else None
    if steered is None:
        raise NoRunError("no run is at work that could be steered")
    if steered == Control.STOPPING:
        raise NoRunError("the run is stopping already")
    wishes.add(folder / FILE, QueuedWish(control=_DO[do]))
    return _DO[do]


def skip(folder: Path, prompt_id: str, *, skip: bool) -> list[str]:
    """Have the pending takes of a prompt not made by this run nor later ones, or take that back; on disk at once.

    What was submitted is never touched.

    Returns:
        The keys of the pending clips that change by it.

    Raises:
        LedgerError, LedgerWriteError: the ledger can't be read or written.
    """
    if holder(folder) is not None:
        return wishes.skip(folder / FILE, prompt_id, skip=skip)
    try:
        ledger = SqliteLedger(folder)
    except LockedError:  # a run has begun this moment
        return wishes.skip(folder / FILE, prompt_id, skip=skip)
    with closing(ledger):
        text, changed = ledger.skips_after(prompt_id, skip=skip)
        ledger.remember(wishes.SKIPPED, text)
    return changed
