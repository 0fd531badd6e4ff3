"""What the page shows of a batch as a whole: counts, money, pace, failures by cause, what is in doubt. As JSON."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from batchgen.clip import State
from batchgen.ledger import SANDBOX_ORIGIN
from batchgen.manifest.naming import slug
from batchgen.money import decimal_usd
from batchgen.review.questions import PageReader
from batchgen.views.doubts import IN_DOUBT, ClipProblem
from batchgen.views.facts import Facts, facts_of
from batchgen.views.last_run import last_run_object
from batchgen.views.status import failures_by_cause, status_object
from batchgen.views.text import stamp_utc

Json = dict[str, Any]
#: After so many clips have ended, a run's own pace says how long the rest takes; as in the live display.
ENOUGH: Final = 5
_NEXT_AXIS: Final = re.compile(r", (?=\w+=)")


@dataclass(slots=True)
class RunProgress:
    """How many clips have ended since a run began."""

    began: float | None = None
    ended: int = 0

    def begin(self, began: float | None) -> None:
        """Count from the beginning of a run."""
        self.began, self.ended = began, 0

    def take(self, at: float) -> None:
        """Count a clip that ended."""
        self.ended += self.began is not None and at >= self.began

    def per_minute(self, now: float) -> float | None:
        """Give the clips a minute, once there are enough to say."""
        if self.began is None or self.ended < ENOUGH or now <= self.began:
            return None
        return round(self.ended * 60 / (now - self.began), 2)


@dataclass(frozen=True, slots=True)
class Live:
    """What a run that is at work says of itself."""

    live: bool = False
    control: str | None = None  #: running, paused, stopping; None: it can't be steered
    skipped: Mapping[str, int] = field(default_factory=dict)  #: pending takes that are not made, by prompt id


@lru_cache(maxsize=1024)  # a batch has few different prices, and thousands of clips
def amount(micro: int | None) -> str | None:
    """Give an amount of USD as the page gets it: "0.625", "12.50"; None is unknown."""
    if micro is None:
        return None
    exact = decimal_usd(micro)
    whole = f"{exact:f}"
    return whole if len(whole.partition(".")[2]) > 2 else f"{exact:.2f}"


def cell_of(label: str) -> dict[str, str]:
    """Read a matrix cell back from its words: `city=Tokyo, time=dawn`."""
    return dict(part.partition("=")[::2] for part in _NEXT_AXIS.split(label) if "=" in part) if label else {}


def group_of(prompt_id: str, cell: Mapping[str, str]) -> str:
    """Give the id of a prompt without its cell of the matrix: the group of a clip.

    An id that does not end with its cell, as where a hash tells it from that of another prompt, is a group of its own.
    """
    cell_id = "-".join(filter(None, map(slug, cell.values())))
    stem = prompt_id.removesuffix(cell_id) if cell_id else ""
    return stem[:-1] if len(stem) > 1 and stem[-1] in "-_" else prompt_id


def axes_of(labels: Sequence[str]) -> list[Json]:
    """Give the axes of a matrix with their values, in the manifest's order."""
    found: dict[str, dict[str, None]] = {}
    for cell in map(cell_of, labels):
        for name, value in cell.items():
            found.setdefault(name, {})[value] = None
    return [{"name": name, "values": list(values)} for name, values in found.items()]


def overview(
    ledger: PageReader, name: str, arg: str, pace: RunProgress, live: Live, *, now: float, media: bool
) -> Json:
    """Give the state's field `batch`.

    Args:
        ledger: of the batch.
        name: by which the page knows it.
        arg: what commands call it.
        pace: of the last run.
        live: what its run says.
        now: epoch seconds.
        media: posters can be made here.
    """
    facts = facts_of(ledger, arg, live=live.live, caps=ledger.caps())
    left = sum(count for state, count in facts.counts.items() if not state.settled) - sum(live.skipped.values())
    rate = pace.per_minute(now) if live.live else None
    return {
        "name": name,
        "sandbox": ledger.meta("origin") == SANDBOX_ORIGIN,
        "live": live.live,
        "control": live.control,
        "counts": {str(state): facts.counts.get(state, 0) for state in State},
        "wanted": sum(facts.counts.values()),
        "unwanted": facts.unwanted,
        "spent_usd": amount(facts.spent),
        "reserved_usd": amount(facts.reserved),
        "max_usd": amount(facts.caps.usd),
        "rate_per_min": rate,
        "eta_s": round(left * 60 / rate) if rate and live.control == "running" else None,
        "last_run": last_run_object(facts.last_run, facts.last_event, live=live.live),
        "axes": axes_of(ledger.labels()),
        "media": media,
        "failures": _failures(ledger, facts, now),
        "unconfirmed": _in_doubt(facts, now),
        "skipped": dict(live.skipped),
    }


def _failures(ledger: PageReader, facts: Facts, now: float) -> list[Json]:
    shown = status_object(facts, now=now)["failures"]
    return [
        {
            "cause": said["reason"],
            "state": said["state"],
            "advice": said["advice"],
            "count": len(group),
            "clips": [problem.key for problem in group],
            "command": said["next"],
            "paid_usd": amount(ledger.charged(problem.key for problem in group)),
        }
        for said, group in zip(shown, failures_by_cause(facts), strict=True)
    ]


def _in_doubt(facts: Facts, now: float) -> list[Json]:
    """Give unconfirmed and lost clips; while a run is at work it looks for them itself, so there is no command."""
    doubts: list[ClipProblem] = [problem for problem in facts.problems if problem.state in IN_DOUBT]
    said = status_object(facts, now=now)["attention"]
    return [
        {
            "clip": problem.key,
            "state": str(problem.state),
            "since": None if problem.since is None else stamp_utc(problem.since),
            "usd": amount(problem.held),
            "known": each["looked"]["note"] if each["looked"] else each["reason"],
            "request_id": problem.request_id,
            "command": None if facts.live else each["next"][0],
        }
        for problem, each in zip(doubts, said, strict=True)
    ]


def skipped_counts(pending: Mapping[str, str]) -> dict[str, int]:
    """Count skipped clips by prompt, of their prompt ids by key."""
    return dict(Counter(pending.values()))
