"""Progress and problems of a batch: one object for programs, one text for people, with the next commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import tzinfo
from typing import Any

from batchgen import wording
from batchgen.billing.prices import Quote, drift_text
from batchgen.clip import State
from batchgen.ledger.base import KILLED
from batchgen.ledger.wishes import Control, Retune
from batchgen.money import micro_of, usd
from batchgen.views.doubts import IN_DOUBT, ClipProblem, attention, attention_lines, epoch
from batchgen.views.facts import Facts
from batchgen.views.hours import window_line, window_object
from batchgen.views.kept import kept_lines, kept_object, missing_lines, missing_object
from batchgen.views.last_run import last_run_line, last_run_object
from batchgen.views.learned import learned_lines
from batchgen.views.next_steps import next_commands, next_lines
from batchgen.views.retention import retention_lines, retention_object
from batchgen.views.text import (
    ASCII,
    SHOWN,
    UNICODE,
    Marks,
    ascii_only,
    bare_urls,
    dollars,
    one_line,
    pack,
    plural,
    queued_text,
    stamp_utc,
    wrap,
)
from batchgen.wording import duration

SCHEMA_VERSION = 1
_CLIPS_NAMED = 10
#: Fields that come from the ledger alone.
_COUNTED = ("unwanted", "skipped", "queued", "spent_usd", "reserved_usd", "today_usd", "paid_clips", "unpriced",
            "footage_s")  # fmt: skip
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
        "free; edit these prompts in the manifest and run again, or try other seeds",
        ("retry", "--blocked", "--new-seed"),
    ),
}
#: It may have been charged: generating it again may pay for it again.
_GIVEN_UP = (
    "forgotten; may have been charged, so it stays in the bill; to generate it again and perhaps pay twice",
    ("retry", "--forgotten"),
)


def status_object(facts: Facts, *, now: float) -> dict[str, Any]:
    """Give the object that `run --json` and `status --json` print; its fields are stable and documented.

    `state` has all nine states; amounts are JSON numbers, exact to 4 decimals, null where unknown. Of a ledger that
    can't be read all counts and amounts are null.
    """
    obj = {
        "schema_version": SCHEMA_VERSION,
        "name": facts.name,
        "sandbox": facts.sandbox,
        "at": stamp_utc(now),
        "live": facts.live,
        "state": {str(state): facts.counts.get(state, 0) for state in State},
        "unwanted": facts.unwanted,
        "skipped": facts.skipped,
        "control": facts.control,
        "set": {"now": set_object(facts.set_now), "waiting": set_object(facts.set_waiting), "text": _set_text(facts)},
        "window": window_object(facts.window, now),
        "queued": {"retries": facts.queued[0], "rerolls": facts.queued[1]},
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
        "last_run": last_run_object(facts.last_run, facts.last_event, live=facts.live),
        "stopped": facts.stopped,
        "clips_dir": facts.clips_dir,
        "footage_s": facts.footage_s,
        "collect_before": None if facts.in_flight_until is None else stamp_utc(facts.in_flight_until),
        "retention": retention_object(facts.paid, now, facts.looks_per_s),
        "failures": _failures(facts),
        "attention": attention(facts.problems, facts.command, now=now),
        **kept_object(facts.flagged, facts.aside),
        "missing_files": missing_object(facts),
        "next": next_commands(facts),
    }
    return obj if facts.known else obj | dict.fromkeys(_COUNTED) | {"state": dict.fromkeys(map(str, State))}


def set_object(asked: Retune | None) -> dict[str, Any] | None:
    """Give settings of `batchgen set` as JSON: all four, null where nothing was set; None for none at all."""
    return None if asked is None else {**asdict(asked), "max_usd": dollars(asked.max_usd)}


def _set_text(facts: Facts) -> str | None:
    """Say what `batchgen set` changed, or will change."""
    parts = [f"Set for the rest of this run: {facts.set_now}."] if facts.set_now else []
    if facts.set_waiting:
        whom = "the run takes it up within seconds" if facts.live else "the next run takes it up"
        parts.append(f"Set, and {whom}: {facts.set_waiting}.")
    return " ".join(parts) or None


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


def cause(reason: str) -> str:
    """Give what messages of one cause have in common: the text without URLs, ids and long numbers."""
    return wording.cause(one_line(reason))


def _failures(facts: Facts) -> list[dict[str, Any]]:
    return [_failure(group, facts) for group in failures_by_cause(facts)]


def failures_by_cause(facts: Facts) -> list[list[ClipProblem]]:
    """Group what failed and was blocked by state and cause, the largest group first."""
    ended = [problem for problem in facts.problems if problem.state in _FAILURES]
    groups: dict[tuple[State, bool, bool, str], list[ClipProblem]] = {}
    for problem in ended:
        kind = (problem.state, problem.transient, problem.forgotten)
        groups.setdefault((*kind, cause(problem.reason)), []).append(problem)
    return sorted(groups.values(), key=len, reverse=True)


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
        [*_head(obj, marks, width, tz), *_standing(obj, width)],
        [*_footage(obj, width), *_money(obj, width)],
        *[_failure_lines(group, marks, width) for group in obj["failures"]],
        *[attention_lines(obj, state, marks, width, tz) for state in IN_DOUBT],
        missing_lines(obj["missing_files"], width),
        kept_lines(obj, width),
        [] if obj["live"] else retention_lines(obj, width, tz, table="learned" in obj),
        learned_lines(obj.get("learned"), width),
        next_lines(obj),
    ]
    text = "\n\n".join("\n".join(lines) for lines in parts if lines)
    return ascii_only(text) if ascii else text


def _head(obj: Mapping[str, Any], marks: Marks, width: int, tz: tzinfo | None) -> list[str]:
    state, run = obj["state"], obj["last_run"]
    total = sum(state.values())
    shown = {**state, State.PENDING: state[State.PENDING] - obj["skipped"]}
    counts = [f"{marks.of(s)} {shown[s]:,} {s}" for s in SHOWN if shown[s]]
    name = one_line(obj["name"]) + (" (sandbox)" if obj["sandbox"] else "")
    title = f"{name}: {state[State.DONE]:,} of {plural(total, 'clip')} done"
    if obj["elapsed_s"] is not None and run is None:
        title += f" after {duration(obj['elapsed_s'])}"
    if obj["skipped"]:
        counts.append(f"{obj['skipped']:,} skipped")
    if obj["unwanted"]:
        counts.append(f"{obj['unwanted']:,} no longer in the manifest")
    lines = wrap(title, width)
    if run is not None:
        lines += wrap(last_run_line(run, epoch(obj["at"]), live=obj["live"], tz=tz), width)
    return [*lines, *(f"  {line}" for line in pack(counts, width - 2))]


def _standing(obj: Mapping[str, Any], width: int) -> list[str]:
    run, lines = obj["last_run"], []
    if obj["stopped"] and obj["stopped"] != KILLED:
        lines.append(f"Stopped: {one_line(obj['stopped'])}")
    pending = obj["state"][State.PENDING] - obj["skipped"]
    if run and (left_out := min(run["left_out"], pending)):
        lines.append(f"{plural(left_out, 'clip')} left out of the last run, as its options said.")
    if obj["skipped"]:
        lines.append(f"{plural(obj['skipped'], 'take')} skipped: you picked another of their prompt.")
    if obj["control"] == Control.PAUSED:
        lines.append("Submissions are paused; what is in flight is collected.")
    if obj["set"]["text"]:
        lines.append(obj["set"]["text"])
    if obj["window"] and (obj["live"] or obj["state"][State.PENDING]):
        lines += window_line(obj["window"])
    if obj["live"] and run is None:
        lines.append("A run is in progress.")
    if queued := queued_text(**obj["queued"], live=obj["live"]):
        lines.append(f"{queued}.")
    return [line for text in lines for line in wrap(text, width)]


def _footage(obj: Mapping[str, Any], width: int) -> list[str]:
    if not obj["footage_s"]:
        return pack(["Clips are in", obj["clips_dir"]], width, " ")
    return pack([f"{footage_length(obj['footage_s'])} of footage in", obj["clips_dir"]], width, " ")


def footage_length(seconds: float) -> str:
    """Write a length of film: "45 s", "15 min 35 s", "1 h 05 min"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if 0 < minutes < 60 else duration(seconds)


def _money(obj: Mapping[str, Any], width: int) -> list[str]:
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
    names = one_line(group["clips"][0]) + (f" and {group['count'] - 1:,} more" if group["count"] > 1 else "")
    return [
        *wrap(f"{marks.of(state)} {group['count']:,} {state}: {group['reason']}", width),
        *wrap(names, width, "    "),
        *wrap(f"{group['advice']}:", width, "    "),
        f"      {group['next']}",
    ]


def _usd(dollars_: float | None) -> str:
    return usd(None if dollars_ is None else micro_of(dollars_))
