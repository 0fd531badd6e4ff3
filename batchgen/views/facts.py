"""What `status`, the end of `run` and every `--json` show of a batch, collected from its ledger."""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchgen.billing.budget import NO_CAPS, Caps
from batchgen.billing.prices import DRIFTS, PriceSource, Quote
from batchgen.clip import Clip, State
from batchgen.errors import BatchgenError
from batchgen.files.verify import kept_aside, without_file
from batchgen.history.report import LOOKS, HistoryCheck, read
from batchgen.ledger.base import KILLED, WINDOW, LastRun
from batchgen.ledger.lock import holder
from batchgen.ledger.reader import SANDBOX_ORIGIN, Reader
from batchgen.ledger.wishes import CONTROL, RETUNED, Retune, retune_of, retunes
from batchgen.retention import FILE_S, Paid
from batchgen.views.doubts import ClipProblem
from batchgen.views.hours import window_of
from batchgen.window import Window

_PROBLEMS = (State.FAILED, State.BLOCKED, State.UNCONFIRMED, State.LOST)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a batch. Money is micro-dollars, times are epoch seconds, lengths seconds."""

    name: str
    counts: Mapping[State, int]  #: of wanted clips; a state that is missing counts 0
    unwanted: int  #: clips that are no longer in the manifest
    spent: int
    reserved: int
    elapsed_s: float | None  #: of this run; None when there is none
    stopped: str | None  #: why the run ended early, in words
    clips_dir: str
    problems: Sequence[ClipProblem]
    manifest_arg: str  #: the manifest as the user typed it
    in_flight_until: float | None = None  #: when the first clip in flight can't be collected any more
    paid: Sequence[Paid] = ()  #: what was paid for, or may have been, and is not downloaded
    looks_per_s: float = math.inf  #: calls a second that the last run could make
    live: bool = False  #: a run is in progress
    control: str | None = None  #: how a live run stands that can be steered: running, paused, stopping
    set_now: Retune | None = None  #: what `batchgen set` changed in the live run
    set_waiting: Retune | None = None  #: what it set, and no run has taken up yet
    skipped: int = 0  #: pending clips that are not to be made: another take was picked
    unpriced: int = 0  #: clips that were charged, or may be, an unknown amount, with nothing reserved
    #: By model, how many requests failed and were charged all the same, and how much.
    failures_charged: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    caps: Caps = NO_CAPS
    today: int = 0  #: spent and reserved by what was submitted today, local time
    drifts: Sequence[tuple[str, Quote]] = ()  #: price classes whose charges differ from their listed price
    paid_clips: int = 0  #: submissions that were charged, or may be
    sandbox: bool = False  #: nothing of it was paid for
    options: Sequence[str] = ()  #: what every further command needs, as in `--dir DIR`
    caps_said: Sequence[str] = ()  #: caps, --only, --limit and --plan of the last run's command line
    last_run: LastRun | None = None
    last_event: float | None = None  #: when something last happened to a clip, epoch seconds
    footage_s: float = 0.0  #: of the finished clips that are wanted
    flagged: Mapping[str, str] = field(default_factory=dict)  #: flags of finished clips, by name
    window: Window | None = None  #: the hours of submission of the last run
    queued: tuple[int, int] = (0, 0)  #: retries and re-rolls that no run has taken up yet
    missing: Sequence[str] = ()  #: finished clips whose file is not there
    aside: Sequence[str] = ()  #: bad copies in the folder of the clips
    known: bool = True  #: False: there is a ledger, and it can't be read, so all counts and amounts are unknown

    def command(self, verb: str, *more: str) -> str:
        """Write a command line about this batch, quoted for a shell."""
        said = self.caps_said if verb == "run" else ()
        options = [*(["--sandbox"] if self.sandbox else []), *self.options, *said, *more]
        return shlex.join(["batchgen", verb, self.manifest_arg, *options])


def facts_of(
    ledger: Reader, manifest_arg: str, *, elapsed_s: float | None = None, stopped: str | None = None,
    caps: Caps = NO_CAPS, live: bool = False, options: Sequence[str] = (),
) -> Facts:  # fmt: skip
    """Collect what the ledger knows of a batch; `stopped` None: why its last run ended early, if it did."""
    totals, money = ledger.totals(), ledger.spending(time.time())
    last = ledger.last_run()
    if stopped is None and last is not None and not live:
        stopped = last.reason if last.ended is not None else KILLED
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
        control=ledger.meta(CONTROL) if live else None,
        set_now=retune_of(ledger.meta(RETUNED)) if live else None,
        set_waiting=retunes(ledger.wishes()),
        skipped=len(ledger.skipped()),
        unpriced=money.unpriced,
        failures_charged=ledger.charged_failures(),
        drifts=[(row[0], Quote(row[1], PriceSource.LEARNED, row[2], PriceSource(row[3]), row[4])) for row in drifts],
        sandbox=ledger.meta("origin") == SANDBOX_ORIGIN,
        options=options,
        window=window_of(ledger.meta(WINDOW)),
        flagged=ledger.flagged(),
        queued=ledger.queued(),
        missing=without_file(ledger.finished(), ledger.folder / "clips"),
        aside=kept_aside(ledger.folder / "clips"),
        caps_said=json.loads(ledger.meta("caps_said") or "[]"),
        last_run=last,
        last_event=ledger.last_event_at() if last is not None and last.ended is None else None,
        footage_s=ledger.footage(),
    )


def facts_of_folder(
    folder: Path | None, manifest_arg: str, *, elapsed_s: float | None = None, stopped: str | None = None,
    live: bool = False, sandbox: bool = False, options: Sequence[str] = (),
) -> Facts:  # fmt: skip
    """Collect the same of a folder that may have no ledger, or none that can be read (`known` is False then).

    Args:
        folder: of the batch; None: it is not known.
        manifest_arg: as for `facts_of`.
        elapsed_s: as for `facts_of`.
        stopped: why the command failed.
        live: another run is in progress, as far as the command saw.
        sandbox: what to say where no ledger says it.
        options: as for `facts_of`.
    """
    there = False
    try:
        if folder is not None and Reader.exists(folder):
            there, live = True, live or holder(folder) is not None
            reader = Reader(folder)
            try:
                return facts_of(
                    reader, manifest_arg, elapsed_s=elapsed_s, stopped=stopped, live=live, caps=reader.caps(),
                    options=options,
                )  # fmt: skip
            finally:
                reader.close()
    except BatchgenError:
        there = True  # `stopped` says what is wrong with it
    clips = str(folder / "clips") if folder else ""
    return Facts(
        name=Path(manifest_arg).stem, counts={}, unwanted=0, spent=0, reserved=0, elapsed_s=elapsed_s,
        stopped=stopped, clips_dir=clips, problems=[], manifest_arg=manifest_arg, live=live, known=not there,
        sandbox=sandbox or (folder is not None and folder.name.endswith(".sandbox")), options=options,
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
        key=clip.key,
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
