"""What the page shows of a batch, as JSON: from the ledger and the picks, whole or what changed since. No HTTP here.

A revision is "EVENT.PICK.SHAPE.CHECK": the number of the ledger's latest event, that of the latest change of a choice,
what no event says (`PageReader.fingerprint`), and how many films were checked since the server began. Nothing here
holds a link or a key: the page has the file's own name under the batch folder, with its sha256 as version.
"""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from batchgen.billing.prices import MEMORY, quote_of
from batchgen.clip import Clip, Request, State
from batchgen.ledger import SANDBOX_ORIGIN
from batchgen.ledger.lock import holder
from batchgen.ledger.wishes import CONTROL
from batchgen.providers.models import estimate
from batchgen.review.checks import Checks
from batchgen.review.choice import UNDECIDED, Choice
from batchgen.review.cost import cost_of_picks
from batchgen.review.overview import Live, RunProgress, amount, cell_of, group_of, overview, skipped_counts
from batchgen.review.picks import Decision, Picks
from batchgen.review.posters import Film
from batchgen.review.questions import PageReader
from batchgen.review.sidecars import write_choices
from batchgen.views.text import bare_urls, stamp_utc

Json = dict[str, Any]
#: Writes JSON as the page gets it.
_dumps: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
#: Changes of a clip that its panel shows, the latest last.
_HISTORY: Final = 40
#: Parameters that have fields of their own in a card.
_SHOWN: Final = frozenset({"prompt", "seed", "size", "duration"})
#: What is charged is learned again after so many seconds.
_PRICES_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Revision:
    """How far somebody has seen a batch."""

    event: int = 0
    pick: int = 0
    shape: str = ""
    check: int = 0

    def __str__(self) -> str:
        """Write it as `parse` reads it."""
        return f"{self.event}.{self.pick}.{self.shape}.{self.check}"

    @classmethod
    def parse(cls, text: str) -> Revision:
        """Read one; anything else is the beginning."""
        event, pick, shape, check = [*text.split("."), "", "", "", ""][:4]
        numbers = all(part.isascii() and part.isdecimal() and len(part) < 16 for part in (event, pick, check))
        return cls(int(event), int(pick), shape, int(check)) if numbers else cls()


class BatchState:
    """One batch, as the page sees it; for any thread.

    Args:
        name: by which the page asks for it.
        folder: the batch folder, with a ledger in it.
        picks: its choices.
        checks: what was found in its films.
    """

    def __init__(self, name: str, folder: Path, picks: Picks, checks: Checks) -> None:
        self.name = name
        self.folder = folder
        self.picks = picks
        self.checks = checks
        self._mutex = threading.Lock()
        self._seen = Revision()  # how far the ledger was read for what follows
        self._seconds: dict[int, float] = {}  # of film, by row
        self._pace = RunProgress()
        self._prices = _Prices()
        self._whole: tuple[Revision, bytes] | None = None  # all clips as they were last written, compressed
        self._noted = 0  # the latest change of a choice that the sidecars have

    @property
    def live(self) -> bool:
        """True while a run holds the batch."""
        return holder(self.folder) is not None

    def written_since(self, seen: Revision) -> bytes:
        """Write what changed since a revision; from the beginning, or after a change that no event says: everything.

        As JSON: `rev`, `whole`, `batch` and `clips`. Each clip is written as soon as it is made: thousands of them as
        objects would keep the garbage collector busy for longer than all the rest takes.

        Raises:
            LedgerError: the ledger is gone or damaged.
            UsageError: the log of the choices can't be read.
        """
        with self._mutex, closing(PageReader(self.folder)) as ledger:
            now = Revision(ledger.last_event(), self.picks.rev, ledger.fingerprint(), self.checks.posters.rev)
            self._follow(ledger, now)
            newer = seen.event > now.event or seen.pick > now.pick or seen.check > now.check
            whole = newer or seen.shape != now.shape
            if whole:
                clips = self._all_clips(ledger, now)
            else:
                changes = self.picks.since(seen.pick)
                rows = ledger.rows_of({change.clip for change in changes})
                checked = self.checks.changed(seen.check)
                rows = [*ledger.changed_since(seen.event), *rows, *checked]
                clips = self._clips(ledger.clips_of(rows))
            head = _dumps({"rev": str(now), "whole": whole, "batch": self._overview(ledger)})
        return b'%s,"clips":[%s]}' % (head[:-1].encode(errors="replace"), clips)

    def summary(self) -> Json:
        """Give the batch's line in the list of all. Raises LedgerError and UsageError as `written_since`."""
        with closing(PageReader(self.folder)) as ledger:
            done = [key for key, _ in ledger.prompts_of(State.DONE)]
            choices, sandbox = self.picks.all(), ledger.meta("origin") == SANDBOX_ORIGIN
        undecided = sum(not choices.get(key, UNDECIDED).decided for key in done)
        return {
            "name": self.name, "sandbox": sandbox, "live": self.live, "done": len(done), "undecided": undecided,
        }  # fmt: skip

    def panel(self, key: str) -> Json | None:
        """Give what only the panel of a clip shows: all parameters, its request, file and check, what was decided."""
        with closing(PageReader(self.folder)) as ledger:
            clip = ledger.clip_of_key(key)
        if clip is None:
            return None
        return {
            "key": key,
            "params": {name: value for name, value in clip.wanted.values.items() if name not in _SHOWN},
            "request": _request(clip.request),
            "attempts": clip.attempts,
            "sha256": clip.sha256,
            "bytes": clip.bytes,
            "check": self.checks.in_full(clip) if clip.state is State.DONE else {},
            "history": [_decision(change) for change in self.picks.history(key)[-_HISTORY:]],
        }

    def price_of(self, keys: Iterable[str]) -> str | None:
        """Add up what pending clips are likely to cost, in USD; None: nothing is known of one of them."""
        with self._mutex, closing(PageReader(self.folder)) as ledger:
            self._prices.learn(ledger)
            prices = [self._prices.of(clip) for clip in ledger.clips_of(ledger.rows_of(keys))]
        known = [price for price in prices if price is not None]
        return amount(sum(known)) if len(known) == len(prices) else None

    def cost(self) -> Json:
        """Give what the picks have cost (see `cost`). Raises LedgerError and UsageError as `written_since`."""
        with closing(PageReader(self.folder)) as ledger:
            return cost_of_picks(ledger.known(), self.picks.all())

    def film_of(self, key: str) -> Film | None:
        """Give the film of a finished clip. Raises LedgerError."""
        with closing(PageReader(self.folder)) as ledger:
            clip = ledger.clip_of_key(key)
        if clip is None or clip.state is not State.DONE or not clip.sha256 or not clip.file:
            return None
        return Film(clip.sha256.lower(), f"{self.folder}/clips/{clip.file}")

    def save(self) -> None:
        """Write the snapshot of the choices, and what has changed of them into the sidecars.

        Raises:
            OSError, LedgerError, UsageError: one of the files can't be read or written; the log has every choice.
        """
        self.picks.write_snapshot()
        rev, choices = self.picks.rev, self.picks.all()
        changed = {change.clip for change in self.picks.since(self._noted)}
        write_choices(self.folder, {key: choices[key] for key in changed if key in choices})
        self._noted = rev

    def has(self, key: str) -> bool:
        """Return whether the ledger has a clip. Raises LedgerError."""
        with closing(PageReader(self.folder)) as ledger:
            return bool(ledger.rows_of([key]))

    # --- inside ---------------------------------------------------------------------------------------------

    def _follow(self, ledger: PageReader, now: Revision) -> None:
        """Read on in the events: how long films are, and how many clips have ended since the run began."""
        run = ledger.last_run()
        began = run.began if run else None
        if now.event < self._seen.event or began != self._pace.began:
            self._seen = Revision()
            self._seconds.clear()
            self._pace.begin(began)
        for ended in ledger.ended_since(self._seen.event):
            self._pace.take(ended.at)
            if ended.seconds is not None:
                self._seconds[ended.row] = ended.seconds
        self._seen = now
        self._prices.learn(ledger)

    def _all_clips(self, ledger: PageReader, now: Revision) -> bytes:
        """Write all clips; once for each revision, however many tabs ask for it."""
        if self._whole is None or self._whole[0] != now:
            self._whole = now, zlib.compress(self._clips(list(ledger.clips())), 1)
        return zlib.decompress(self._whole[1])

    def _clips(self, found: Sequence[Clip]) -> bytes:
        self.checks.follow(clip for clip in found if clip.state is State.DONE)
        choices = self.picks.all()
        said = (_dumps(self._clip(clip, choices.get(clip.key))) for clip in found if _shown(clip))
        return ",".join(said).encode(errors="replace")

    def _overview(self, ledger: PageReader) -> Json:
        live = self.live
        skipped = skipped_counts(ledger.skipped())
        known = Live(live, ledger.meta(CONTROL) if live else None, skipped)
        arg = self.name.removesuffix(".sandbox")
        return overview(ledger, self.name, arg, self._pace, known, now=time.time(), media=self.checks.posters.able)

    def _clip(self, clip: Clip, choice: Choice | None) -> Json:
        wanted, request, params = clip.wanted, clip.request, clip.wanted.values
        done = clip.state is State.DONE
        cell, group = _place(wanted.prompt_id, wanted.label)
        return {
            "key": clip.key,
            "name": wanted.name,
            "prompt_id": wanted.prompt_id,
            "group": group,
            "take": wanted.take,
            "order": wanted.order,
            "cell": cell,
            "model": wanted.model,
            "prompt": str(params.get("prompt") or ""),
            "seed": params.get("seed"),
            "size": params.get("size"),
            "duration": params.get("duration"),
            "wanted": not clip.unwanted,
            "state": clip.state,
            "reason": bare_urls(clip.reason) if clip.reason else "",
            "flags": clip.flags.split() if done else [],
            "file": clip.file if done else None,
            "v": (clip.sha256 or "")[:12],
            "cost_usd": amount(request.cost if request else None),
            "price_usd": amount(request.reserved) if request and request.reserved else self._price(clip),
            "at": request.submitted_at if request else None,
            "queue_s": request.queue_s if request else None,
            "run_s": request.run_s if request else None,
            "request_id": clip.request_id,
            "parent": wanted.reroll_of,
            "got": self._got(clip, params) if done else None,
            "choice": choice.as_json() if choice else None,
            "check": self.checks.of(clip) if done else {},
        }

    def _price(self, clip: Clip) -> str | None:
        return amount(self._prices.of(clip)) if clip.state is State.PENDING else None

    def _got(self, clip: Clip, params: Mapping[str, Any]) -> Json:
        """Give what the file is: as its check found, and until then as asked, unless a flag says otherwise."""
        width, _, height = str(params.get("size") or "").partition("*")
        known = "size" not in clip.flags.split() and width.isdecimal() and height.isdecimal()
        return {
            "width": int(width) if known else None,
            "height": int(height) if known else None,
            "duration_s": self._seconds.get(clip.row),
            "fps": None,
        } | self.checks.got(clip)


class _Prices:
    """What a clip that is not submitted is likely to cost: by what was charged, else as its last run estimated it."""

    def __init__(self) -> None:
        self._charges: Mapping[str, Sequence[int]] = {}
        self._estimates: dict[str, int] = {}
        self._learned = -_PRICES_S

    def learn(self, ledger: PageReader) -> None:
        """Read from the ledger, now and then."""
        if time.monotonic() - self._learned >= _PRICES_S:
            self._learned = time.monotonic()
            self._charges, self._estimates = ledger.charges(MEMORY), ledger.estimates()

    def of(self, clip: Clip) -> int | None:
        """Give the likely price, in micro-dollars; None: unknown."""
        price_class, wanted = clip.wanted.price_class, clip.wanted
        table = estimate(wanted.model, wanted.values)
        charges = self._charges.get(price_class, ())
        return quote_of(charges, manifest=self._estimates.get(price_class), table=table).each


@lru_cache(maxsize=16_384)  # the takes of a prompt share them, and they are asked for again at each reload
def _place(prompt_id: str, label: str) -> tuple[dict[str, str], str]:
    """Give the cell of a clip in its matrix, and its group."""
    cell = cell_of(label)
    return cell, group_of(prompt_id, cell)


def _shown(clip: Clip) -> bool:
    """Leave out what was never made and is not asked for any more."""
    return not clip.unwanted or clip.request is not None


def _request(request: Request | None) -> Json | None:
    if request is None:
        return None
    return {
        "id": request.request_id,
        "submitted_at": _stamp(request.submitted_at),
        "completed_at": _stamp(request.completed_at),
        "queue_s": request.queue_s,
        "run_s": request.run_s,
        "outcome": request.outcome,
        "sent": _without_links(json.loads(request.sent)) if request.sent else None,
    }


def _without_links(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Cut the secret off every link in what was sent."""
    if isinstance(value, dict):
        return {name: _without_links(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_links(each) for each in value]
    return bare_urls(value) if isinstance(value, str) else value


def _decision(change: Decision) -> Json:
    return {"rev": change.rev, "at": change.at, "by": change.by, "set": change.set, "was": change.was}


def _stamp(at: float | None) -> str | None:
    return None if at is None else stamp_utc(at)
