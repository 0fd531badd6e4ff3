"""What the page shows of a batch, as JSON: from the ledger and the picks, whole or what changed since. No HTTP here.

A revision is "EVENT.PICK": the number of the ledger's latest event, and that of the latest change of a choice. Nothing
here holds a link or a key: the page has the file's own name under the batch folder, with its sha256 as version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from batchgen.clip import Clip, Request, State
from batchgen.ledger import SANDBOX_ORIGIN, Reader
from batchgen.ledger.lock import holder
from batchgen.money import exact_usd
from batchgen.review.choice import Choice
from batchgen.review.picks import Decision, Picks
from batchgen.views.text import bare_urls

Json = dict[str, Any]
#: Changes of a clip that its panel shows, the latest last.
_HISTORY: Final = 40
_NEXT_AXIS: Final = re.compile(r", (?=\w+=)")
#: Parameters that have fields of their own in a card.
_SHOWN: Final = frozenset({"prompt", "seed", "size", "duration"})


@dataclass(frozen=True, slots=True)
class Revision:
    """How far somebody has seen a batch."""

    event: int = 0
    pick: int = 0

    def __str__(self) -> str:
        """Write it as `parse` reads it."""
        return f"{self.event}.{self.pick}"

    @classmethod
    def parse(cls, text: str) -> Revision:
        """Read one; anything else is the beginning."""
        event, _, pick = text.partition(".")
        return cls(int(event), int(pick)) if event.isdecimal() and pick.isdecimal() else cls()


class BatchState:
    """One batch, as the page sees it.

    Args:
        name: by which the page asks for it.
        folder: the batch folder, with a ledger in it.
        picks: its choices.
        checks: gives what a file's check found, by sha256; empty while it is not known.
    """

    def __init__(self, name: str, folder: Path, picks: Picks, checks: Callable[[str], Json] = lambda _: {}) -> None:
        self.name = name
        self.folder = folder
        self.picks = picks
        self._checks = checks

    def since(self, seen: Revision) -> Json:
        """Give what changed since a revision; from the beginning: everything.

        Raises:
            LedgerError: the ledger is gone or damaged.
        """
        with closing(Reader(self.folder)) as ledger:
            latest, rows = ledger.changed_since(seen.event)
            choices, changes = self.picks.all(), self.picks.since(seen.pick)
            keys = {change.clip for change in changes}
            found = ledger.clips() if not seen.event else _clips(ledger, rows, keys)
            clips = [self._clip(clip, choices.get(clip.key)) for clip in found if _shown(clip)]
            return {
                "rev": str(Revision(latest, seen.pick + len(changes))),
                "whole": not seen.event,
                "batch": self._batch(ledger),
                "clips": clips,
            }

    def panel(self, key: str) -> Json | None:
        """Give what only the panel of a clip shows: all parameters, times, requests' sum, the history of its choice."""
        with closing(Reader(self.folder)) as ledger:
            row = ledger.rows().get(key)
            if row is None:
                return None
            clip = ledger.clip(row)
        params = clip.wanted.values
        return {
            "key": key,
            "params": {name: value for name, value in params.items() if name not in _SHOWN},
            "request": _request(clip.request),
            "attempts": clip.attempts,
            "sha256": clip.sha256,
            "bytes": clip.bytes,
            "history": [_change(change) for change in self.picks.history(key)[-_HISTORY:]],
        }

    # --- inside ---------------------------------------------------------------------------------------------

    def _batch(self, ledger: Reader) -> Json:
        totals, money, caps = ledger.totals(), ledger.budget(), ledger.caps()
        return {
            "name": self.name,
            "sandbox": ledger.meta("origin") == SANDBOX_ORIGIN,
            "live": holder(self.folder) is not None,
            "counts": {str(state): count for state, count in totals.counts.items()},
            "unwanted": totals.unwanted,
            "spent_usd": exact_usd(money.spent),
            "reserved_usd": exact_usd(money.reserved),
            "max_usd": None if caps.usd is None else exact_usd(caps.usd),
        }

    def _clip(self, clip: Clip, choice: Choice | None) -> Json:
        wanted, request, params = clip.wanted, clip.request, clip.wanted.values
        return {
            "key": clip.key,
            "name": wanted.name,
            "prompt_id": wanted.prompt_id,
            "take": wanted.take,
            "order": wanted.order,
            "cell": _cell(wanted.label),
            "model": wanted.model,
            "prompt": str(params.get("prompt") or ""),
            "seed": params.get("seed"),
            "size": params.get("size"),
            "duration": params.get("duration"),
            "wanted": not clip.unwanted,
            "state": str(clip.state),
            "reason": bare_urls(clip.reason),
            "flags": clip.flags.split() if clip.state is State.DONE else [],
            "file": clip.file if clip.state is State.DONE else None,
            "v": (clip.sha256 or "")[:12],
            "cost_usd": None if request is None or request.cost is None else exact_usd(request.cost),
            "at": request.submitted_at if request else None,
            "run_s": request.run_s if request else None,
            "choice": choice.as_json() if choice else None,
            "check": self._checks(clip.sha256) if clip.sha256 else {},
        }


def _shown(clip: Clip) -> bool:
    """Leave out what was never made and is not asked for any more."""
    return not clip.unwanted or clip.request is not None


def _clips(ledger: Reader, rows: Iterable[int], keys: set[str]) -> list[Clip]:
    known = ledger.rows() if keys else {}
    return [ledger.clip(row) for row in sorted({*rows, *(known[key] for key in keys if key in known)})]


def _cell(label: str) -> Mapping[str, str]:
    """Read a matrix cell back from its words: `city=Tokyo, time=dawn`."""
    return dict(part.partition("=")[::2] for part in _NEXT_AXIS.split(label) if "=" in part)


def _request(request: Request | None) -> Json | None:
    if request is None:
        return None
    return {
        "id": request.request_id,
        "submitted_at": request.submitted_at,
        "completed_at": request.completed_at,
        "queue_s": request.queue_s,
        "run_s": request.run_s,
        "outcome": request.outcome,
        "sent": json.loads(request.sent) if request.sent else None,
    }


def _change(change: Decision) -> Json:
    return {"rev": change.rev, "at": change.at, "by": change.by, "set": change.set, "was": change.was}
