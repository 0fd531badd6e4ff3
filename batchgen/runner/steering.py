"""How the user steers a live run from another process: pause, resume and stop of submissions.

They come as wishes of the ledger (`batchgen.ledger.wishes`), and what the run makes of them is a fact of it. A pause
ends with the run.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from batchgen.errors import Exit, LedgerError, LedgerWriteError
from batchgen.ledger import SqliteLedger
from batchgen.ledger.wishes import CONTROL, Control
from batchgen.runner.context import RunContext

log = logging.getLogger("batchgen.run")


async def begin(ledger: SqliteLedger, *, steered: bool) -> None:
    """Say that this run hears wishes, if it does; what an earlier one was asked for is dropped."""
    stale = {fact: None for fact, wish in ledger.wishes() if wish.control is not None}
    await ledger.set_facts({**stale, CONTROL: Control.RUNNING if steered else None})


async def say(ledger: SqliteLedger, control: Control) -> None:
    """Write down how the run stands, if that has changed. It never fails."""
    with suppress(LedgerError, LedgerWriteError):
        await ledger.set_facts({CONTROL: control})


async def obey(tools: RunContext, control: Control, *, grace_s: float) -> None:
    """Do what the user asked for.

    Args:
        tools: of the run.
        control: how it is to stand.
        grace_s: seconds in which what is in flight may still be collected after a stop.
    """
    if control is Control.STOPPING:
        log.warning("stopped from the review page: nothing more is submitted, what completes in time is collected")
        tools.shutdown.request("stopped from the review page", Exit.INTERRUPTED, grace_s=grace_s)
    elif tools.paused is not (control is Control.PAUSED):
        tools.paused = control is Control.PAUSED
        log.warning("%s", PAUSED if tools.paused else "submissions resumed from the review page")
        tools.news.notify()
    await tools.ledger.set_facts({CONTROL: control})


#: What display, log and status say.
PAUSED = "submissions are paused from the review page; what is in flight is collected"
