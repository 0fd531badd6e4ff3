"""Progress and problems of a batch: one object for programs, one text for people, with the next commands."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from batchgen import wording
from batchgen.billing.budget import NO_CAPS, Caps
from batchgen.billing.prices import Quote, drift_text
from batchgen.clip import State
from batchgen.money import micro_of, usd
from batchgen.retention import Paid
from batchgen.views.doubts import IN_DOUBT, ClipProblem, attention, attention_lines, epoch
from batchgen.views.kept import kept_lines, kept_object
from batchgen.views.learned import learned_lines
from batchgen.views.retention import retention_lines, retention_object
from batchgen.views.text import (
    ASCII,
    SHOWN,
    UNICODE,
    Marks,
    ascii_only,
    bare_urls,
    clock,
    dollars,
    one_line,
    pack,
    plural,
    stamp_utc,
    wrap,
)
from batchgen.wording import duration

SCHEMA_VERSION = 1
_CLIPS_NAMED = 10
_FAILURES = (State.FAILED, State.BLOCKED)
_IN_FLIGHT = (State.GENERATING, State.DOWNLOADING)
#: By state, and whether an error of the service was the cause: what to do, and the command for it.
_ADVICE = {
    (State.FAILED, True): ("free; an error of the service, try again", ("retry",)),
    (State.FAILED, False): (
        "free; edit the manifest if the reason asks for it, or try again unchanged",
        ("retry", "--all"),
    ),
    (State.BLOCKED, False): (
        "free; edit these prompts in the manifest (or `retry --blocked`, with `--new-seed` for other seeds), then run",
        ("run",),
    ),
}
#: It may have been charged: generating it again may pay for it again.
_GIVEN_UP = (
    "forgotten; may have been charged, so it stays in the bill; to generate it again and perhaps pay twice",
    ("retry", "--forgotten"),
)


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
    unpriced: int = 0  #: clips that were charged, or may be, an unknown amount, with nothing reserved
    #: By model, how many requests failed and were charged all the same, and how much.
    failures_charged: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    caps: Caps = NO_CAPS
    today: int = 0  #: spent and reserved by what was submitted today, local time
    drifts: Sequence[tuple[str, Quote]] = ()  #: price classes whose charges differ from their listed price
    paid_clips: int = 0  #: submissions that were charged, or may be
    sandbox: bool = False  #: nothing of it was paid for
    options: Sequence[str] = ()  #: what every further command needs, as in `--dir DIR`
    flagged: Mapping[str, str] = field(default_factory=dict)  #: flags of finished clips, by name
    aside: Sequence[str] = ()  #: bad copies in the folder of the clips
    caps_said: Sequence[str] = ()  #: caps that were given to the last run on its command line

    def command(self, verb: str, *more: str) -> str:
        """Write a command line about this batch, quoted for a shell."""
        said = self.caps_said if verb == "run" else ()
        options = [*(["--sandbox"] if self.sandbox else []), *self.options, *said, *more]
        return shlex.join(["batchgen", verb, self.manifest_arg, *options])


def status_object(facts: Facts, *, now: float) -> dict[str, Any]:
    """Give the object that `run --json` and `status --json` print; its fields are stable and documented.

    `state` has all nine states; amounts are JSON numbers, exact to 4 decimals, null where unknown.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "name": facts.name,
        "sandbox": facts.sandbox,
        "at": stamp_utc(now),
        "live": facts.live,
        "state": {str(state): facts.counts.get(state, 0) for state in State},
        "unwanted": facts.unwanted,
        "spent_usd": dollars(facts.spent),
        "reserved_usd": dollars(facts.reserved),
        "cap_usd": dollars(facts.caps.usd),
        "today_usd": dollars(facts.today),
        "cap_usd_per_day": dollars(facts.caps.usd_per_day),
        "paid_clips": facts.paid_clips,
        "cap_clips": facts.caps.clips,
        "unpriced": facts.unpriced,
        "failures_charged": [
            {"model": model, "requests": count, "usd": dollars(cost)}
            for model, (count, cost) in facts.failures_charged.items()
        ],
        "price_drifts": [_drift(price_class, quote) for price_class, quote in facts.drifts],
        "elapsed_s": None if facts.elapsed_s is None else round(facts.elapsed_s, 3),
        "stopped": facts.stopped,
        "clips_dir": facts.clips_dir,
        "collect_before": None if facts.in_flight_until is None else stamp_utc(facts.in_flight_until),
        "retention": retention_object(facts.paid, now, facts.looks_per_s),
        "failures": _failures(facts),
        "attention": attention(facts.problems, facts.command, now=now),
        **kept_object(facts.flagged, facts.aside),
        "next": next_commands(facts),
    }


def _drift(price_class: str, quote: Quote) -> dict[str, Any]:
    return {
        "class": price_class,
        "charged_usd": dollars(quote.each),
        "told_usd": dollars(quote.listed),
        "told_by": str(quote.listed_by),
        "charges": quote.charges,
        "drift_percent": quote.drift_percent,
        "text": drift_text(price_class, quote),
    }


def next_commands(facts: Facts) -> list[str]:
    """Give the next commands, the most urgent first, quoted for a shell; none while a run is in progress."""
    has = {state for state, count in facts.counts.items() if count}
    commands: list[str] = []
    if facts.live:
        return commands
    lost = [problem for problem in facts.problems if problem.state is State.LOST]
    fetchable = any(problem.fetchable for problem in lost)
    if fetchable or has & {State.PENDING, State.SUBMITTING, *_IN_FLIGHT, State.BLOCKED}:
        commands.append(facts.command("run"))
    if has & {*IN_DOUBT}:
        commands.append(facts.command("reconcile"))
    if State.UNCONFIRMED in has:
        commands.append(facts.command("run", "--resubmit-unconfirmed"))
    if State.LOST in has and not (lost and all(problem.fetchable for problem in lost)):
        commands.append(facts.command("run", "--resubmit-lost"))
    doubtful = [problem.name for problem in facts.problems if problem.state in IN_DOUBT]
    if doubtful:
        commands.append(facts.command("forget", doubtful[0]))
    failed = [problem for problem in facts.problems if problem.state is State.FAILED and not problem.forgotten]
    if facts.counts.get(State.FAILED, 0) > sum(problem.forgotten for problem in facts.problems):
        commands.append(facts.command("retry", *(() if any(problem.transient for problem in failed) else ("--all",))))
    return commands


def cause(reason: str) -> str:
    """Give what messages of one cause have in common: the text without URLs, ids and long numbers."""
    return wording.cause(one_line(reason))


def _failures(facts: Facts) -> list[dict[str, Any]]:
    ended = [problem for problem in facts.problems if problem.state in _FAILURES]
    groups: dict[tuple[State, bool, bool, str], list[ClipProblem]] = {}
    for problem in ended:
        kind = (problem.state, problem.transient, problem.forgotten)
        groups.setdefault((*kind, cause(problem.reason)), []).append(problem)
    by_size = sorted(groups.values(), key=len, reverse=True)
    return [_failure(group, facts) for group in by_size]


def _failure(group: Sequence[ClipProblem], facts: Facts) -> dict[str, Any]:
    first = group[0]
    advice, command = _ADVICE[first.state, first.transient and first.state is State.FAILED]
    if first.forgotten:
        advice, command = _GIVEN_UP
    return {
        "state": str(first.state),
        "reason": bare_urls(one_line(first.reason)) or "no reason was given",
        "count": len(group),
        "clips": [problem.name for problem in group[:_CLIPS_NAMED]],
        "advice": advice,
        "next": facts.command(*command),
    }


# --- for people -----------------------------------------------------------------------------------------


def status_text(
    obj: Mapping[str, Any],
    width: int = 80,
    *,
    ascii: bool = False,  # noqa: A002  # what it is called everywhere in the views
    tz: tzinfo | None = None,
) -> str:
    """Write a `status_object` in lines of `width` columns; only paths, ids, commands and escapes may be longer.

    `tz` None is local time.
    """
    marks = ASCII if ascii else UNICODE
    parts = [
        [*_head(obj, marks, width), *_standing(obj, width, tz)],
        [*_bill(obj, width), *pack(["Clips are in", obj["clips_dir"]], width, " ")],
        *[_failure_lines(group, marks, width) for group in obj["failures"]],
        *[attention_lines(obj, state, marks, width, tz) for state in IN_DOUBT],
        kept_lines(obj, width),
        [] if obj["live"] else retention_lines(obj["retention"], width),
        learned_lines(obj.get("learned"), width),
        _next_lines(obj),
    ]
    text = "\n\n".join("\n".join(lines) for lines in parts if lines)
    return ascii_only(text) if ascii else text


def _head(obj: Mapping[str, Any], marks: Marks, width: int) -> list[str]:
    state = obj["state"]
    total = sum(state.values())
    counts = [f"{marks.of(s)} {state[s]:,} {s}" for s in SHOWN if state[s]]
    name = one_line(obj["name"]) + (" (sandbox)" if obj["sandbox"] else "")
    title = f"{name}: {state[State.DONE]:,} of {plural(total, 'clip')} done"
    if obj["elapsed_s"] is not None:
        title += f" after {duration(obj['elapsed_s'])}"
    if obj["unwanted"]:
        counts.append(f"{obj['unwanted']:,} no longer in the manifest")
    return [*wrap(title, width), *(f"  {line}" for line in pack(counts, width - 2))]


def _standing(obj: Mapping[str, Any], width: int, tz: tzinfo | None) -> list[str]:
    lines = []
    if obj["stopped"]:
        lines.append(f"Stopped: {one_line(obj['stopped'])}")
    if obj["live"]:
        lines.append("A run is in progress.")
    elif obj["collect_before"] is not None:
        lines.append(_still(obj, tz))
    return [line for text in lines for line in wrap(text, width)]


def _still(obj: Mapping[str, Any], tz: tzinfo | None) -> str:
    paid = plural(sum(obj["state"][state] for state in _IN_FLIGHT), "paid clip")
    now, ends = epoch(obj["at"]), epoch(obj["collect_before"])
    if ends > now:
        return f"{paid} can still be downloaded: run before {clock(ends, now, tz)}."
    return f"{paid}: the first record expired at {clock(ends, now, tz)}; a run looks for them in the account history."


def _bill(obj: Mapping[str, Any], width: int) -> list[str]:
    cap = "no budget set" if obj["cap_usd"] is None else f"budget {_usd(obj['cap_usd'])}"
    play = " (sandbox: nothing was paid)" if obj["sandbox"] else ""
    lines = wrap(f"Spent {_usd(obj['spent_usd'])}, reserved {_usd(obj['reserved_usd'])}, {cap}{play}", width)
    if obj["cap_usd_per_day"] is not None:
        lines += wrap(f"Today {_usd(obj['today_usd'])} of {_usd(obj['cap_usd_per_day'])}", width)
    if obj["cap_clips"] is not None:
        lines += wrap(f"Submitted {obj['paid_clips']:,} of {plural(obj['cap_clips'], 'clip')}", width)
    if obj["unpriced"]:
        lines += wrap(f"The cost of {plural(obj['unpriced'], 'clip')} is unknown and not included.", width)
    for failed in obj["failures_charged"]:
        count = plural(failed["requests"], "failure")
        text = f"{one_line(failed['model'])}: {count} charged, {_usd(failed['usd'])}; not tried again automatically"
        lines += wrap(f"{text} (batchgen help money).", width)
    for drift in obj["price_drifts"]:
        lines += wrap(f"Price: {one_line(drift['text'])}.", width)
    return lines


def _failure_lines(group: Mapping[str, Any], marks: Marks, width: int) -> list[str]:
    state = State(group["state"])
    more = group["count"] - len(group["clips"])
    names = ", ".join(one_line(name) for name in group["clips"]) + (f" and {more:,} more" if more else "")
    return [
        *wrap(f"{marks.of(state)} {group['count']:,} {state}: {group['reason']}", width),
        *wrap(names, width, "    "),
        *wrap(f"{group['advice']}:", width, "    "),
        f"      {group['next']}",
    ]


def _next_lines(obj: Mapping[str, Any]) -> list[str]:
    notes = {
        "reconcile": "check the account history; free",
        "--resubmit-unconfirmed": "check once more, and resubmit what is not there",
        "--resubmit-lost": "generate them again; this is paid for again",
        "forget": "stop looking for one; it stays in the bill",
    }
    lines = []
    for text in obj["next"]:
        note = next((note for word, note in notes.items() if word in text.split()), "")
        lines.append(f"  {text}" + (f"\n      {note}" if note else ""))
    return ["Next", *lines] if lines else []


def _usd(dollars_: float | None) -> str:
    return usd(None if dollars_ is None else micro_of(dollars_))
