"""Collects from a ledger what `status`, the end of `run` and every `--json` show."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from batchgen.billing.budget import NO_CAPS, Caps
from batchgen.billing.prices import DRIFTS, PriceSource, Quote
from batchgen.clip import Clip, State
from batchgen.errors import BatchgenError
from batchgen.files.verify import kept_aside
from batchgen.history.report import LOOKS, HistoryCheck, read
from batchgen.ledger.reader import SANDBOX_ORIGIN, Reader
from batchgen.retention import FILE_S, Paid
from batchgen.views.doubts import ClipProblem
from batchgen.views.status import Facts

_PROBLEMS = (State.FAILED, State.BLOCKED, State.UNCONFIRMED, State.LOST)


def facts_of(
    ledger: Reader, manifest_arg: str, *, elapsed_s: float | None = None, stopped: str | None = None,
    caps: Caps = NO_CAPS, live: bool = False, options: Sequence[str] = (),
) -> Facts:  # fmt: skip
    """Collect what the ledger knows of a batch."""
    totals, money = ledger.totals(), ledger.spending(time.time())
    drifts = json.loads(ledger.meta(DRIFTS) or "[]")
    paid = [Paid(*row) for row in ledger.outstanding()]
    ends = [each.record_until for each in paid if each.state is State.GENERATING]
    looks = {row: read(text) for row, text in ledger.facts(LOOKS).items()}
    return Facts(
        name=ledger.meta("name") or ledger.folder.name,
        counts=totals.counts,
        unwanted=totals.unwanted,
        spent=money.spent,
        reserved=money.reserved,
        caps=caps,
        paid_clips=money.clips,
        today=money.today,
        elapsed_s=elapsed_s,
        stopped=stopped,
        clips_dir=str(ledger.folder / "clips"),
        problems=[_problem(clip, looks.get(clip.row)) for clip in ledger.clips(*_PROBLEMS, wanted=True)],
        manifest_arg=manifest_arg,
        in_flight_until=min(ends, default=None),
        paid=paid,
        looks_per_s=float(ledger.meta("looks_per_s") or "inf"),
        live=live,
        unpriced=money.unpriced,
        failures_charged=ledger.charged_failures(),
        drifts=[(row[0], Quote(row[1], PriceSource.LEARNED, row[2], PriceSource(row[3]), row[4])) for row in drifts],
        sandbox=ledger.meta("origin") == SANDBOX_ORIGIN,
        options=options,
        flagged=ledger.flagged(),
        aside=kept_aside(ledger.folder / "clips"),
        caps_said=json.loads(ledger.meta("caps_said") or "[]"),
    )


def facts_of_folder(
    folder: Path | None, manifest_arg: str, *, elapsed_s: float | None = None, stopped: str | None = None,
    live: bool = False,
) -> Facts:  # fmt: skip
    """Collect the same of a folder that may have no ledger, or none that can be read."""
    try:
        if folder is not None and Reader.exists(folder):
            reader = Reader(folder)
            try:
                return facts_of(reader, manifest_arg, elapsed_s=elapsed_s, stopped=stopped, live=live)
            finally:
                reader.close()
    except BatchgenError:
        pass  # `stopped` says what went wrong
    clips = str(folder / "clips") if folder else ""
    return Facts(
        name=Path(manifest_arg).stem, counts={}, unwanted=0, spent=0, reserved=0, elapsed_s=elapsed_s,
        stopped=stopped, clips_dir=clips, problems=[], manifest_arg=manifest_arg,
    )  # fmt: skip


def _problem(clip: Clip, look: HistoryCheck | None) -> ClipProblem:
    return ClipProblem(
        clip.wanted.name,
        clip.state,
        clip.reason,
        clip.request_id,
        _submitted_at(clip),
        clip.request.reserved if clip.request else 0,
        transient=clip.transient,
        forgotten=clip.state is State.FAILED and clip.forgotten,
        fetchable=_fetchable(clip, time.time()),
        look=look if look and clip.request and look.sent_at == clip.request.intent_at else None,
    )


def _fetchable(clip: Clip, now: float) -> bool:
    """Return whether a lost clip's file may still be behind its link: nobody should pay for it again before."""
    request = clip.request
    made_at = request and (request.completed_at or request.submitted_at)
    return bool(clip.state is State.LOST and request and request.url and made_at and now < made_at + FILE_S)


def _submitted_at(clip: Clip) -> float:
    if clip.request is None:
        return 0.0
    return clip.request.submitted_at or clip.request.intent_at
