"""Before a run submits anything: what the account's history has that the ledger does not know of.

`batchgen recover` leaves a mark with a ledger that it built: in this time something may have been accepted that no
source knows of any more. The rule: nothing is submitted until the history of that time was read whole, later than
its end by the settle time; a clip that one of its unowned requests may be is not submitted, but in doubt, and is
looked up like any other. What such a history does not have was never accepted, and the mark is lifted.

Any other ledger may be a copy that a backup brought back, or a new one in the place of one that is gone. So each run
reads the history once, from the ledger's last request on: a clip whose very parameters the account has asked for is in
doubt, too, and is collected instead of paid for again. Here a history without an answer stops nothing, unless the
ledger is empty and its folder shows that something was paid for: then its answer is waited for, as in an outage.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable

from batchgen.clip import Clip, State
from batchgen.errors import CallError
from batchgen.history.matching import CLOCK_SKEW_S, LATEST_S, agrees, canonical, could_be, sent_params
from batchgen.history.reconcile import utc
from batchgen.ledger import Ledger
from batchgen.ledger.recovery.rebuild import BLIND
from batchgen.providers.base import HistoryPage, HistoryRow, Provider, Refused
from batchgen.providers.paced import whole_history

log = logging.getLogger("batchgen.runner.recovery_check")

#: A fact of a rebuilt ledger: `{key: epoch seconds}`, clips that the history may have a request of.
POSSIBLE = "strays"


class RecoveryCheckError(Exception):
    """The history could not be compared with the ledger: nothing may be submitted."""


class HistorySilentError(Exception):
    """The history gave no answer, and one is needed before anything is submitted: worth another try."""


class RecoveryCheck:
    """Checks once, at the first submission of a run.

    Args:
        ledger: of the batch.
        provider: whose history; its calls ask the pacer (`PacedProvider`).
        settle_s: how long the history may lag (seconds).
        elsewhere: gives the request ids of other batches; called in a thread.
        since: from when on the history is searched for what a ledger that is no rebuilt one lacks (epoch seconds);
            None: it is not.
        traces: the ledger is empty, and its folder is not: nothing is submitted before the history has answered.
    """

    def __init__(
        self,
        ledger: Ledger,
        provider: Provider,
        *,
        settle_s: float,
        elsewhere: Callable[[], set[str]],
        since: float | None = None,
        traces: bool = False,
    ) -> None:
        self._ledger = ledger
        self._provider = provider
        self._settle_s = settle_s
        self._elsewhere = elsewhere
        self._since = since
        self._traces = traces
        self._one_check = asyncio.Lock()
        self._span: dict[str, float] = json.loads(ledger.meta(BLIND) or "{}")
        self._possible: dict[str, float] = json.loads(ledger.meta(POSSIBLE) or "{}")

    async def trust(self) -> None:
        """Lift the mark, on the user's word."""
        self._span, self._possible = {}, {}
        await self._ledger.set_facts({BLIND: "", POSSIBLE: ""})

    async def seen(self, clip: Clip) -> float | None:
        """Say when the service may have accepted this clip without our knowledge; None: it has not.

        Raises:
            RecoveryCheckError: that can't be said; the message says why, and what to do.
            HistorySilentError: that can't be said now.
        """
        if self._span or self._since is not None:
            async with self._one_check:
                if self._span:
                    await self._check()
                elif self._since is not None:
                    await self._look(self._since)
                self._since = None
        return self._possible.get(clip.key)

    async def recorded(self, clip: Clip) -> None:
        """The clip is in doubt now, and in the ledger's own books."""
        self._possible.pop(clip.key, None)
        await self._ledger.set_facts({POSSIBLE: json.dumps(self._possible) if self._possible else ""})

    async def _check(self) -> None:
        elsewhere = await asyncio.to_thread(self._elsewhere)
        clips = await self._ledger.open_clips()
        found: dict[str, float] = {}
        for model in sorted({clip.wanted.model for clip in clips if clip.wanted.model}):
            page = await self._read(model)
            taken = elsewhere | await self._ledger.known_ids()
            rows = [row for row in page.rows if row.request_id not in taken]
            if unread := sum(1 for row in rows if row.params is None):
                raise RecoveryCheckError(f"the history does not show what was sent: {unread} requests")
            found |= possible_matches((clip for clip in clips if clip.wanted.model == model), rows, self._span["until"])
        log.info("the history was compared with the rebuilt ledger: %d clips may have been accepted", len(found))
        await self._ledger.set_facts({POSSIBLE: json.dumps(found) if found else "", BLIND: ""})
        self._span, self._possible = {}, found

    async def _look(self, since: float) -> None:
        """Search what the account made since a time for clips that wait to be submitted."""
        elsewhere = await asyncio.to_thread(self._elsewhere)
        clips = [clip for clip in await self._ledger.open_clips(State.PENDING) if not clip.unwanted]
        found: dict[str, float] = {}
        for model in sorted({clip.wanted.model for clip in clips}):
            now = self._ledger.now()
            try:
                page = await whole_history(self._provider, model, since - CLOCK_SKEW_S, now + CLOCK_SKEW_S)
            except CallError as error:
                if self._traces:
                    raise HistorySilentError(str(error)) from error
                log.warning("the request history could not be compared with the ledger before the run: %s", error)
                continue
            taken = elsewhere | await self._ledger.known_ids()
            rows = [row for row in page.rows if row.request_id not in taken and not isinstance(row.outcome, Refused)]
            found |= same_requests((clip for clip in clips if clip.wanted.model == model), rows, now)
        if found:
            log.warning("%d clips of this batch were submitted already, by the account's history", len(found))
            await self._ledger.set_facts({POSSIBLE: json.dumps(self._possible | found)})
            self._possible |= found

    async def _read(self, model: str) -> HistoryPage:
        """Read the history of the blind time; whole, and late enough to be believed."""
        since, until = self._span["since"] - CLOCK_SKEW_S, self._span["until"] + LATEST_S
        known = await self._ledger.expected_ids(model, since, until)
        try:
            page = await whole_history(self._provider, model, since, until)
        except CallError as error:
            raise RecoveryCheckError(f"the request history could not be read: {error}") from error
        if not page.whole or page.server_time is None:
            raise RecoveryCheckError("the request history could not be read completely")
        if lacks := len(known - {row.request_id for row in page.rows}):
            raise RecoveryCheckError(f"the request history lacks {lacks} of this batch's own requests")
        counts_at = self._span["until"] + self._settle_s
        if min(page.server_time + 1.0, self._ledger.now()) < counts_at:
            raise RecoveryCheckError(f"the history may lag: what it lacks is conclusive from {utc(counts_at)}")
        return page


def same_requests(clips: Iterable[Clip], rows: Iterable[HistoryRow], now: float) -> dict[str, float]:
    """Give the clips whose very parameters a row shows, and when that was made (`now` where it does not say). Pure."""
    by_prompt: dict[str | None, list[tuple[dict[str, str], float]]] = defaultdict(list)
    for row in rows:
        if row.params is not None:
            theirs = canonical(row.params)
            by_prompt[theirs.get("prompt")].append((theirs, now if row.at is None else row.at))
    found: dict[str, float] = {}
    for clip in clips:
        ours = canonical(sent_params(clip))
        times = [at for theirs, at in by_prompt[ours.get("prompt")] if agrees(ours, theirs)]
        if times:
            found[clip.key] = max(times)
    return found


def possible_matches(clips: Iterable[Clip], rows: Iterable[HistoryRow], until: float) -> dict[str, float]:
    """Give the clips that some row may be, and when that was made (`until` where it does not say). Pure."""
    by_seed: dict[str | None, list[HistoryRow]] = defaultdict(list)
    for row in rows:
        by_seed[canonical(row.params or {}).get("seed")].append(row)
    found: dict[str, float] = {}
    for clip in clips:
        seed = canonical(sent_params(clip)).get("seed")
        near = [*by_seed[seed], *by_seed[None]] if seed else [row for some in by_seed.values() for row in some]
        times = [until if row.at is None else row.at for row in near if could_be(clip, row)]
        if times:
            found[clip.key] = max(times)
    return found
