"""How the user steers a live run from another process: pause, resume and stop of submissions, and other settings.

They come as wishes of the ledger (`batchgen.ledger.wishes`), and what the run makes of them is a fact of it. A pause,
and whatever else was set, ends with the run.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection
from contextlib import suppress

from batchgen.errors import Exit, LedgerError, LedgerWriteError
from batchgen.ledger.sqlite import SqliteLedger
from batchgen.ledger.wishes import CONTROL, RETUNED, Control, Retune, asked_at, retune_of
from batchgen.money import decimal_usd
from batchgen.runner.context import RunContext, Shutdown

log = logging.getLogger("batchgen.run")


class Steering:
    """What a run hears from other processes, and obeys within seconds.

    Args:
        ledger: of the run.
        shutdown: what stops it.
        grace_s: seconds in which what is in flight may still be collected after a stop.
        said: the settings that its own command line named.
        set_pace: takes calls a minute and clips in flight; None stays as it is.
        set_cap: takes the cap of the batch, in micro-dollars.
    """

    def __init__(
        self,
        ledger: SqliteLedger,
        shutdown: Shutdown,
        *,
        grace_s: float,
        said: Collection[str] = (),
        set_pace: Callable[[float | None, int | None], None],
        set_cap: Callable[[int], None],
    ) -> None:
        self._ledger = ledger
        self._shutdown = shutdown
        self._grace_s = grace_s
        self._said = said
        self._set_pace = set_pace
        self._set_cap = set_cap
        self._opened_at = ledger.now()
        self._tools: RunContext | None = None

    def __repr__(self) -> str:
        """Say whether it can be steered now, for logs."""
        return f"<Steering {'on' if self._tools else 'off'}>"

    async def begin(self, tools: RunContext, *, steered: bool) -> None:
        """Say that the run hears wishes, if it does, and take up what was set before: nothing is submitted earlier.

        What this run's command line named is newer, unless it was set while the run waited for its question to be
        answered. The pause or stop that an earlier run was asked for is dropped.
        """
        stale = {fact: None for fact, wish in self._ledger.wishes() if wish.control is not None}
        await self._ledger.set_facts({**stale, RETUNED: None, CONTROL: Control.RUNNING if steered else None})
        self._tools = tools
        for fact, wish in self._ledger.wishes() if steered else []:
            if wish.retune is not None:
                await self._ledger.fulfil(wish, fact)
                newer = asked_at(fact) >= self._opened_at
                await self._retune(tools, wish.retune if newer else wish.retune.without(self._said))

    async def wished(self) -> list[int]:
        """Carry out what other commands and the page queued next to this run; give the rows that are pending by it."""
        rows: list[int] = []
        if self._shutdown.requested:  # what is queued now is for the next run
            with suppress(LedgerError, LedgerWriteError):
                await self._ledger.set_facts({CONTROL: Control.STOPPING})
            return rows
        for fact, wish in self._ledger.wishes():
            fresh, queued = await self._ledger.fulfil(wish, fact)
            rows += queued
            if self._tools is not None and wish.control is not None:
                await obey(self._tools, wish.control, grace_s=self._grace_s)
            elif self._tools is not None and wish.retune is not None:
                await self._retune(self._tools, wish.retune)
            elif fresh or queued:
                names = ", ".join(clip.name for clip in fresh) or f"{len(queued)} again"
                log.info("queued by another command: %s", names)
        return rows

    async def _retune(self, tools: RunContext, asked: Retune) -> None:
        if not asked.said:
            return
        self._set_pace(asked.rpm, asked.in_flight)
        if asked.max_usd is not None:
            self._set_cap(asked.max_usd)
        await retuned(tools, asked)


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
        log.warning("%s", PAUSED if tools.paused else "submissions are resumed")
        tools.news.notify()
    await tools.ledger.set_facts({CONTROL: control})


async def retuned(tools: RunContext, asked: Retune) -> None:
    """Write down and log what was set for the rest of the run, pause or resume it, and wake who waits for room."""
    ledger, cap = tools.ledger, asked.max_usd
    log.warning("set for the rest of this run: %s", asked)
    now = (retune_of(ledger.meta(RETUNED)) or Retune()).then(asked)
    facts = {RETUNED: json.dumps(now.said)}
    if cap is not None:  # as a run with this cap writes them
        typed: list[str] = json.loads(ledger.meta("caps_said") or "[]")
        if "--max-usd" in typed:
            at = typed.index("--max-usd")
            del typed[at : at + 2]
        facts |= {"cap": str(cap), "caps_said": json.dumps(["--max-usd", f"{decimal_usd(cap):f}", *typed])}
    await ledger.set_facts(facts)
    if asked.paused is not None:
        await obey(tools, Control.PAUSED if asked.paused else Control.RUNNING, grace_s=0.0)
    tools.retuned = str(now)
    tools.news.notify()


#: What display, log and status say.
PAUSED = "submissions are paused; what is in flight is collected"
