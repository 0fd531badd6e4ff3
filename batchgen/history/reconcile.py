"""Settling what is in doubt from the account's own request history: reads it, and says what it knows. Submits nothing.

An absence is believed only of a history that was read whole, later than the request by the settle time as the
service's own clock has it, and that shows what we know it must have.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from functools import partial

from batchgen.clip import Clip
from batchgen.errors import CallError
from batchgen.history.matching import CLOCK_SKEW_S, LATEST_S, Matching, could_be, left_at, match
from batchgen.history.report import HistoryCheck, PossibleRequest, Rival
from batchgen.providers.base import Completed, HistoryPage, HistoryRow, Provider, Refused, charge_of_failure
from batchgen.providers.paced import whole_history
from batchgen.ratelimit.base import insist

log = logging.getLogger("batchgen.history.reconcile")

#: A request this young may be missing in a history that was read a moment ago (seconds).
FRESH_S = 60.0
#: Of a request that was answered with an error (500), or FAILED, an absence counts so soon (seconds): two agree then.
ANSWERED_S = 60.0
_NOWHERE = HistoryPage(whole=False, pages=0)

Taken = Callable[[], Awaitable[set[str]]]
Expected = Callable[[str, float, float], Awaitable[set[str]]]


@dataclass(frozen=True, slots=True)
class Doubt:
    """What the history says of one clip in doubt.

    `row` when it was found; `absent` when the history has proved that it does not have it; `note` is what was
    read, in words; `check` the same for programs, once the history was asked.
    """

    clip: Clip
    row: HistoryRow | None = None
    absent: bool = False
    note: str = ""
    check: HistoryCheck | None = None
    charged: int | None = None  #: what a request that was found as FAILED cost, in micro-dollars; None: unknown


@dataclass(frozen=True, slots=True)
class _Window:
    """What was asked for, and what came: the history round the submissions of one model."""

    since: float
    until: float
    page: HistoryPage
    silence: str  #: why it could not be read; empty when it could
    now: float  #: by our own clock
    settle_s: float  #: how old a request must be before its absence counts
    lacks: int = 0  #: requests that we know of, and that this history does not show

    @property
    def at(self) -> float:
        """When it was read: the more careful of the two clocks; a Date header is cut to whole seconds."""
        server = self.page.server_time
        return self.now if server is None else min(server + 1.0, self.now)

    @property
    def trusted(self) -> bool:
        return not self.silence and self.page.whole and not self.lacks and self.page.server_time is not None

    @property
    def distrust(self) -> str:
        """Why nothing may be concluded from an absence in it."""
        if self.silence:
            return self.silence
        if not self.page.whole:
            return "the history could not be read completely, so what it lacks proves nothing"
        if self.lacks:
            return f"the history lacks {self.lacks} of this batch's own requests, so what it lacks proves nothing"
        return "the history did not give the time of the service, so what it lacks proves nothing"

    def seen(self) -> str:
        """Say what was searched."""
        return (
            f"not among the {len(self.page.rows)} requests on {self.page.pages} pages of the history "
            f"from {utc(self.since)} to {utc(self.until)}"
        )


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Reads the history and looks for clips in doubt in it."""

    provider: Provider  #: whose history; its calls ask the pacer (`PacedProvider`)
    _: KW_ONLY
    settle_s: float  #: how old a request must be before its absence counts; the history may lag
    taken: Taken  #: gives the request ids that the ledger knows, as of now
    elsewhere: Callable[[], set[str]] = set  #: gives those of other batches; called in a thread
    expected: Expected | None = None  #: gives the ids that a complete history must show, for a model and (from, to)

    async def check(self, clips: list[Clip], now: float) -> AsyncIterator[Doubt]:
        """Say of each clip what the history knows, as it is found. Never raises for what the provider does."""
        groups: dict[tuple[str, float], list[Clip]] = {}
        for clip in clips:
            groups.setdefault((clip.wanted.model, self.settle_of(clip)), []).append(clip)
        claimed: set[str] = set()
        elsewhere = await asyncio.to_thread(self.elsewhere) if any(not clip.request_id for clip in clips) else set()
        for (model, settle_s), group in groups.items():
            window = await self._window(model, group, now, settle_s)
            by_id = {row.request_id: row for row in window.page.rows}
            for clip in group:
                if clip.request_id:
                    row = by_id.get(clip.request_id)
                    yield self._found(clip, row, window) if row else await self._by_id(clip, window)
            unknown = [clip for clip in group if not clip.request_id]
            taken = await self.taken() | elsewhere | claimed
            matching = Matching() if window.silence else match(unknown, window.page.rows, taken)
            claimed |= {row.request_id for row in matching.found.values()}
            for clip in unknown:
                yield self._said(clip, matching, window, taken | claimed)

    def early_s(self, clips: Iterable[Clip], now: float) -> float:
        """Give the seconds until an absence can count of those for which that is soon; 0 if it is time."""
        answered = [clip for clip in clips if self.settle_of(clip) <= ANSWERED_S]
        return max((min(ANSWERED_S, left_at(clip) + self.settle_of(clip) - now) for clip in answered), default=0.0)

    def settle_of(self, clip: Clip) -> float:
        """Give how old the clip's request must be before its absence counts, in seconds."""
        answered = clip.request is not None and clip.request.outcome in ("error", "unproven")
        return self.answered_s if answered else self.settle_s

    @property
    def answered_s(self) -> float:
        """Give how old a request must be before its absence counts that the service has answered, in seconds."""
        return min(ANSWERED_S, self.settle_s)

    async def _window(self, model: str, clips: list[Clip], now: float, settle_s: float) -> _Window:
        """Read the history round the clips' submissions."""
        since = min(left_at(clip) for clip in clips) - CLOCK_SKEW_S
        latest = max(left_at(clip) for clip in clips)
        until = min(latest + LATEST_S, max(latest, now) + CLOCK_SKEW_S)
        # Asked for before the history is read: what is accepted meanwhile need not be in it.
        counts_until = min(until, now - settle_s) - FRESH_S
        known = await self.expected(model, since, counts_until) if self.expected else set()
        try:
            page = await whole_history(self.provider, model, since, until)
        except CallError as error:
            return _Window(since, until, _NOWHERE, f"the request history could not be read: {error}", now, settle_s)
        return _Window(since, until, page, "", now, settle_s, len(known - {row.request_id for row in page.rows}))

    async def _by_id(self, clip: Clip, window: _Window) -> Doubt:
        """Ask for one request that the window did not show."""
        try:
            row = await insist(partial(self.provider.lookup, clip.request_id or ""))
        except CallError as error:
            note = f"the request history could not be queried: {error}"
            return Doubt(clip, note=note, check=self._check(clip, window, note))
        if row is not None:
            return self._found(clip, row, window)
        return self._absent(clip, window, "its id is not in the request history")

    def _found(self, clip: Clip, row: HistoryRow, window: _Window) -> Doubt:
        note = f"found in the history as {row.request_id}, {status(row)}"
        charged = charge_of_failure(row, self.provider.capabilities)
        return Doubt(clip, row=row, note=note, check=self._check(clip, window, note, [row]), charged=charged)

    def _said(self, clip: Clip, matching: Matching, window: _Window, taken: set[str]) -> Doubt:
        row, tie = matching.found.get(clip.row), matching.ties.get(clip.row)
        if row is not None:
            return self._found(clip, row, window)
        if window.silence:
            return Doubt(clip, note=window.silence, check=self._check(clip, window, window.silence))
        alike = [row for row in window.page.rows if row.request_id not in taken and could_be(clip, row)]
        if tie is not None:
            rivals = [other for other in tie.clips if other.row != clip.row]
            with_whom = f" or to another clip in doubt ({len(rivals)})" if rivals else ""
            note = f"requests in the history that may belong to it{with_whom}: {len(tie.rows)}; not decided"
            return Doubt(clip, note=note, check=self._check(clip, window, note, tie.rows, rivals))
        if alike:
            note = f"requests in the history that can't be ruled out: {len(alike)}; not decided"
            return Doubt(clip, note=note, check=self._check(clip, window, note, alike))
        return self._absent(clip, window, window.seen())

    def _absent(self, clip: Clip, window: _Window, seen: str) -> Doubt:
        """It was not there. Whether that counts is a matter of the history, and of time."""
        counts_at = left_at(clip) + window.settle_s
        proved = window.trusted and window.at >= counts_at
        if not window.trusted:
            note = window.distrust
        elif proved:
            note = f"{seen}, read completely"
        else:
            note = f"{seen}; conclusive from {utc(counts_at)}"
        return Doubt(clip, absent=proved, note=note, check=self._check(clip, window, note))

    def _check(
        self, clip: Clip, window: _Window, note: str, rows: Iterable[HistoryRow] = (), rivals: Iterable[Clip] = ()
    ) -> HistoryCheck:
        page = window.page
        return HistoryCheck(
            at=window.at,
            note=note,
            sent_at=clip.request.intent_at if clip.request else 0.0,
            since=window.since,
            until=window.until,
            pages=page.pages,
            rows=len(page.rows),
            whole=window.trusted,
            counts_at=left_at(clip) + window.settle_s,
            candidates=tuple(PossibleRequest(row.request_id, status(row), row.at, _cost(row)) for row in rows),
            rivals=tuple(Rival(other.wanted.name, left_at(other)) for other in rivals),
        )


def status(row: HistoryRow) -> str:
    """Say in one word how a request stands."""
    if isinstance(row.outcome, Completed):
        return "completed"
    return "failed" if isinstance(row.outcome, Refused) else "running"


def utc(at: float) -> str:
    """Write a moment for a log that is read anywhere."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _cost(row: HistoryRow) -> int | None:
    return row.outcome.cost if isinstance(row.outcome, Completed) else None
