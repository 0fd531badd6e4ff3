"""Settling what is in doubt from the account's own request history.

`match` is pure: it holds clips in doubt against rows of the history. `Reconciler` reads the history and
says what it found; nothing here ever submits.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from batchgen.clip import Clip
from batchgen.errors import CallError
from batchgen.pacer import Call, Pacer
from batchgen.providers.base import HistoryPage, HistoryRow, Provider

log = logging.getLogger("batchgen.reconcile")

#: A row may be dated this much before our own clock says that the POST left (seconds).
CLOCK_SKEW_S = 300.0
#: A request can't have been made later than its POST could have been on the way (seconds).
LATEST_S = 900.0


@dataclass(frozen=True, slots=True)
class Doubt:
    """What the history says of one clip in doubt.

    `row` when it was found; `absent` when a history read whole, later than the settle time, does not have
    it; `note` is what was looked at, in words.
    """

    clip: Clip
    row: HistoryRow | None = None
    absent: bool = False
    note: str = ""


def canonical(params: Mapping[str, Any]) -> dict[str, str]:
    """Give parameters in a form that bears other types, spellings and key orders: "5" is 5, "x" is "*"."""
    return {name: _plain(value) for name, value in params.items() if value is not None}


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text.strip().replace("\r\n", "\n")


def agrees(sent: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Tell whether a row shows what was sent; defaults that the service added are borne."""
    ours, theirs = canonical(sent), canonical(row)
    return all(theirs.get(name, "" if value == "" else None) == value for name, value in ours.items())


def match(doubts: Iterable[Clip], rows: Iterable[HistoryRow], taken: Iterable[str]) -> dict[int, HistoryRow]:
    """Find each clip's row: by model, parameters as sent, and time; a row is claimed by one clip only.

    Args:
        doubts: clips whose last request may have been accepted.
        rows: the history, in any order, each request once.
        taken: request ids that belong to other requests already.

    Returns:
        Row by clip number. Two clips that sent the same are given their rows in the order of time; where a
        row fits more clips than there are rows, or the other way round, none of them is given one, since a
        wrong match would lose a paid clip.
    """
    spoken_for = set(taken)
    free = [row for row in rows if row.request_id not in spoken_for and row.params is not None]
    groups: dict[str, list[Clip]] = {}
    for clip in doubts:
        groups.setdefault(_fingerprint(clip), []).append(clip)
    found: dict[int, HistoryRow] = {}
    for clips in groups.values():
        clips.sort(key=_left_at)
        fits = [row for row in free if any(_fits(clip, row) for clip in clips)]
        fits.sort(key=lambda row: row.at or 0.0)
        if len(fits) == len(clips) and all(_fits(clip, row) for clip, row in zip(clips, fits, strict=True)):
            found.update({clip.row: row for clip, row in zip(clips, fits, strict=True)})
    return found


def _fits(clip: Clip, row: HistoryRow) -> bool:
    if row.model and row.model != clip.wanted.model:
        return False
    if row.params is None or not agrees(_sent(clip), row.params):
        return False
    return row.at is None or -CLOCK_SKEW_S <= row.at - _left_at(clip) <= LATEST_S


def _could_be(clip: Clip, row: HistoryRow) -> bool:
    """Tell whether a row can't be ruled out: to find a clip takes proof, and so does to say that it is absent."""
    if row.params is None:
        return True
    ours, theirs = canonical(_sent(clip)), canonical(row.params)
    return all(name not in theirs or theirs[name] == ours.get(name) for name in ("prompt", "seed"))


def _fingerprint(clip: Clip) -> str:
    return clip.wanted.model + json.dumps(canonical(_sent(clip)), sort_keys=True)


def _sent(clip: Clip) -> dict[str, Any]:
    text = clip.request.sent if clip.request and clip.request.sent else clip.wanted.params
    params: dict[str, Any] = json.loads(text)
    return params


def _left_at(clip: Clip) -> float:
    return clip.request.intent_at if clip.request else 0.0


class Reconciler:
    """Reads the history and holds clips in doubt against it.

    Args:
        provider: whose history.
        pacer: asked before every call.
        settle_s: how old a request must be before its absence counts, in seconds; the history may lag.
        taken: gives the request ids that the ledger knows, as of now.
    """

    def __init__(self, provider: Provider, pacer: Pacer, *, settle_s: float, taken: Callable[[], set[str]]) -> None:
        self._provider = provider
        self._pacer = pacer
        self._settle_s = settle_s
        self._taken = taken

    async def look(self, clips: list[Clip], now: float) -> AsyncIterator[Doubt]:
        """Say of each clip what the history knows, as it is found. Never raises for what the provider does."""
        by_model: dict[str, list[Clip]] = {}
        for clip in clips:
            by_model.setdefault(clip.wanted.model, []).append(clip)
        for model, group in by_model.items():
            async for doubt in self._of_model(model, group, now):
                yield doubt

    async def _of_model(self, model: str, clips: list[Clip], now: float) -> AsyncIterator[Doubt]:
        page, silence = await self._window(model, clips, now)
        by_id = {row.request_id: row for row in page.rows}
        for clip in clips:
            if clip.request_id:
                row = by_id.get(clip.request_id)
                yield Doubt(clip, row=row) if row else await self._by_id(clip, now)
        unknown = [clip for clip in clips if not clip.request_id]
        taken = self._taken()
        found = match(unknown, page.rows, taken)
        taken |= {row.request_id for row in found.values()}
        for clip in unknown:
            if silence:
                yield Doubt(clip, note=silence)
            else:
                yield self._said(clip, found.get(clip.row), page, taken, now)

    async def _window(self, model: str, clips: list[Clip], now: float) -> tuple[HistoryPage, str]:
        """Read the history round the clips' submissions; the text says why, when it can't be."""
        since = min(_left_at(clip) for clip in clips) - CLOCK_SKEW_S
        until = max(_left_at(clip) for clip in clips) + LATEST_S
        try:
            until = min(until, now + CLOCK_SKEW_S)
            return await self._provider.history(model, since, until, partial(self._pacer.grant, Call.HISTORY)), ""
        except CallError as error:
            return HistoryPage(whole=False), f"the request history could not be read: {error}"

    async def _by_id(self, clip: Clip, now: float) -> Doubt:
        try:
            await self._pacer.grant(Call.HISTORY)
            row = await self._provider.lookup(clip.request_id or "")
        except CallError as error:
            return Doubt(clip, note=f"the request history could not be asked: {error}")
        if row is None:
            note = f"its id is not in the request history (which counts {self._settle_s:.0f} s after the submission)"
            return Doubt(clip, absent=self._settled(clip, now), note=note)
        return Doubt(clip, row=row)

    def _said(self, clip: Clip, row: HistoryRow | None, page: HistoryPage, taken: set[str], now: float) -> Doubt:
        if row is not None:
            return Doubt(clip, row=row)
        alike = sum(1 for other in page.rows if other.request_id not in taken and _could_be(clip, other))
        if alike:
            return Doubt(clip, note=f"{alike} requests in the history may be this one: left in doubt")
        if not page.whole:
            return Doubt(clip, note="the history could not be read whole: nothing can be concluded")
        # The more careful of the two clocks; a Date header is cut to whole seconds.
        at = min((page.server_time or now) + 1.0, now)
        if not self._settled(clip, at):
            left = self._settle_s - (at - _left_at(clip))
            return Doubt(clip, note=f"not in {len(page.rows)} rows of the history; that counts in {left:.0f} s")
        return Doubt(clip, absent=True, note=f"not in {len(page.rows)} rows of the history, read whole")

    def _settled(self, clip: Clip, now: float) -> bool:
        return now - _left_at(clip) >= self._settle_s
