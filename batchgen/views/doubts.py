"""Unconfirmed and lost clips: what is known, what the last check of the history saw, and which requests may match."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import zip_longest
from typing import Any

from batchgen.clip import State
from batchgen.history.report import HistoryCheck
from batchgen.money import micro_of, usd
from batchgen.views.text import Marks, bare_urls, clock, columns, dollars, one_line, plural, stamp, stamp_utc, wrap
from batchgen.wording import duration


@dataclass(frozen=True, slots=True)
class ClipProblem:
    """A wanted clip that failed, was blocked, or is unconfirmed or lost."""

    name: str
    state: State
    reason: str
    request_id: str | None = None
    since: float | None = None  #: when its last request was made, epoch seconds
    held: int = 0  #: still reserved for it, micro-dollars
    transient: bool = True  #: of a failure: an error of the service; False: it needs an edit
    forgotten: bool = False  #: of a failure: the user stopped looking for it; it may have been charged
    fetchable: bool = False  #: lost, and its file may still be behind its known link
    look: HistoryCheck | None = None  #: unconfirmed or lost: what the last check of the history saw
    key: str = ""  #: of the clip
    charged: bool = False  #: of a failure: those of its model are charged all the same


IN_DOUBT = (State.UNCONFIRMED, State.LOST)
_MEANING = {
    State.UNCONFIRMED: "no answer from the service; may have been charged",
    State.LOST: "may have been charged; cannot be downloaded as far as is known",
}
_NAMED = 10


def attention(problems: Iterable[ClipProblem], command: Callable[..., str], *, now: float) -> list[dict[str, Any]]:
    """Give the field `attention` of `status --json`; `command` writes a command line about the batch."""
    return [_doubt(problem, command, now) for problem in problems if problem.state in IN_DOUBT]


def _doubt(problem: ClipProblem, command: Callable[..., str], now: float) -> dict[str, Any]:
    return {
        "clip": problem.name,
        "state": str(problem.state),
        "request_id": problem.request_id,
        "sent_at": _stamp(problem.since),
        "age_s": None if problem.since is None else round(max(0.0, now - problem.since)),
        "reason": bare_urls(one_line(problem.reason)),
        "reserved_usd": dollars(problem.held),
        "looked": check_object(problem.look),
        "next": [
            command("reconcile"),
            command("run", *(() if problem.fetchable else (f"--resubmit-{problem.state}", "--only", problem.name))),
            command("forget", problem.name),
        ],
    }


def attention_lines(obj: Mapping[str, Any], state: State, marks: Marks, width: int, tz: tzinfo | None) -> list[str]:
    """Write the unconfirmed (or lost) clips of a `status_object`; a long list is cut."""
    doubts = [doubt for doubt in obj["attention"] if doubt["state"] == state]
    if not doubts:
        return []
    lines = wrap(f"{marks.of(state)} {len(doubts):,} {state}: {_MEANING[state]}", width)
    lines += doubt_lines(doubts[:_NAMED], width, epoch(obj["at"]), tz)
    if len(doubts) > _NAMED:
        lines.append(f"    and {len(doubts) - _NAMED:,} more (--json lists all)")
    return lines


def check_object(look: HistoryCheck | None) -> dict[str, Any] | None:
    """Give what `--json` prints of a check of the history; None if there was none."""
    if look is None:
        return None
    return {
        "at": stamp_utc(look.at),
        "note": bare_urls(one_line(look.note)),
        "since": _stamp(look.since),
        "until": _stamp(look.until),
        "pages": look.pages,
        "rows": look.rows,
        "whole": look.whole,
        "absence_counts_at": _stamp(look.counts_at),
        "candidates": [
            {"request_id": one.request_id, "status": one.status, "at": _stamp(one.at), "cost_usd": dollars(one.cost)}
            for one in look.candidates
        ],
        "rivals": [{"clip": rival.clip, "sent_at": stamp_utc(rival.sent_at)} for rival in look.rivals],
    }


def doubt_lines(doubts: Sequence[Mapping[str, Any]], width: int, now: float, tz: tzinfo | None) -> list[str]:
    """Write unconfirmed and lost clips; clips that compete for the same requests are shown next to them, once.

    Each of `doubts` has "clip", "request_id", "sent_at", "reason", "reserved_usd" and "looked" (a `check_object`).
    """
    lines: list[str] = []
    shown: set[tuple[str, ...]] = set()
    for doubt in doubts:
        lines += wrap(_standing(doubt, now), width, "    ")
        looked = doubt["looked"]
        if looked is None:
            continue
        lines += wrap(check_text(looked, now, tz), width, "      ")
        ids = tuple(one["request_id"] for one in looked["candidates"])
        if ids and ids not in shown:
            shown.add(ids)
            lines += side_by_side(doubt, tz)
    return lines


def check_text(looked: Mapping[str, Any], now: float, tz: tzinfo | None) -> str:
    """Say what a check of the history saw, in local time."""
    at = clock(epoch(looked["at"]), now, tz)
    if not looked["whole"] or looked["candidates"]:
        return f"checked at {at}: {looked['note']}"
    since, until = (clock(epoch(looked[name]), now, tz) for name in ("since", "until"))
    seen = (
        f"{plural(looked['rows'], 'request')} on {plural(looked['pages'], 'page')} of the history, {since} to {until}"
    )
    counts_at = epoch(looked["absence_counts_at"])
    counts = "conclusive" if counts_at <= epoch(looked["at"]) else f"conclusive from {clock(counts_at, now, tz)}"
    return f"checked at {at}: not among {seen}; {counts}"


def side_by_side(doubt: Mapping[str, Any], tz: tzinfo | None) -> list[str]:
    """Show the open clips next to the requests that may be theirs: ids, times, status, cost."""
    looked = doubt["looked"]
    clips = [(doubt["clip"], doubt["sent_at"]), *((rival["clip"], rival["sent_at"]) for rival in looked["rivals"])]
    left = ["clip", *(f"{one_line(name)}, sent {_second(at, tz)}" for name, at in clips)]
    right = ["possible request", *(_candidate(one, tz) for one in looked["candidates"])]
    room = max(columns(text) for text in left)
    return [
        f"        {one}{' ' * (room - columns(one))}   {other}".rstrip()
        for one, other in zip_longest(left, right, fillvalue="")
    ]


def _standing(doubt: Mapping[str, Any], now: float) -> str:
    parts = [f"request {one_line(doubt['request_id'])}" if doubt["request_id"] else "no request id"]
    if doubt["sent_at"] is not None:
        parts.append(f"{duration(now - epoch(doubt['sent_at']))} ago")
    if doubt["reserved_usd"]:
        parts.append(f"{usd(micro_of(doubt['reserved_usd']))} reserved")
    reason = f": {doubt['reason']}" if doubt["reason"] else ""
    return f"{one_line(doubt['clip'])} ({', '.join(parts)}){reason}"


def _candidate(one: Mapping[str, Any], tz: tzinfo | None) -> str:
    made = "" if one["at"] is None else f", made {_second(one['at'], tz)}"
    cost = "" if one["cost_usd"] is None else f", {usd(micro_of(one['cost_usd']))}"
    return f"{one_line(one['request_id'])}{made}, {one['status']}{cost}"


def epoch(iso: str) -> float:
    """Read a time of an object."""
    return datetime.fromisoformat(iso).timestamp()


def _second(iso: str, tz: tzinfo | None) -> str:
    return stamp(epoch(iso), tz)


def _stamp(at: float | None) -> str | None:
    return None if at is None else stamp_utc(at)
