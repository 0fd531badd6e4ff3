"""A plan: one object for programs, one text for people. All amounts of what is to come are estimates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from typing import Any

from batchgen.billing.budget import Cap
from batchgen.billing.prices import PriceSource, Quote
from batchgen.clip import REPLACED_FOLDER
from batchgen.money import usd
from batchgen.planning import Action, Change, Group, ModelCost, ModelFacts, Plan, PlannedClip, Step
from batchgen.views.hours import window_line, window_object
from batchgen.views.plan_steps import clip_lines, step_lines
from batchgen.views.text import (
    ascii_only,
    bare_urls,
    columns,
    dollars,
    fit,
    one_line,
    plural,
    queued_text,
    size,
    stamp_utc,
    under,
    wrap,
)
from batchgen.wording import duration

SCHEMA_VERSION = 1
_COUNTED = (
    Action.IN_FLIGHT, Action.DONE, Action.FAILED, Action.BLOCKED, Action.UNCONFIRMED, Action.LOST,
)  # fmt: skip
_GROUPS_SHOWN = 20
_CLASSES_NAMED = 3


def plan_object(plan: Plan, *, now: float = 0.0) -> dict[str, Any]:
    """Give the object that `plan --json` prints: counts, groups, estimates (null where unknown), warnings.

    `clips` is there only when each clip was asked for. `now` is epoch seconds.
    """
    obj = {
        "schema_version": SCHEMA_VERSION,
        "name": plan.name,
        "wanted": plan.wanted,
        "new": plan.new,
        **{str(action): plan.count(action) for action in _COUNTED},
        "unwanted": plan.count(Action.UNWANTED) + plan.count(Action.REPLACED),
        "submits": len(plan.keys.submit),
        "actions": [_step(step) for step in plan.steps],
        "changes": [_change(change) for change in plan.changes],
        "groups": [_group(group) for group in plan.cost.groups],
        "estimated_usd": dollars(plan.cost.total),
        "estimated_usd_high": dollars(plan.cost.high),
        "unpriced": plan.cost.unpriced,
        "models": [_model(each) for each in plan.models],
        "price_source": plan.cost.source,
        "prices": [_price(price_class, quote) for price_class, quote in plan.cost.quotes.items()],
        "estimated_s": None if plan.seconds is None else round(plan.seconds),
        "time_source": plan.pace.latency_note,
        "rpm": plan.pace.rpm,
        "most_in_flight": plan.pace.in_flight,
        "pace_source": plan.pace.limits_note,
        "estimated_bytes": plan.disk.needed,
        "free_bytes": plan.disk.free,
        "spent_usd": dollars(plan.budget.spent),
        "reserved_usd": dollars(plan.budget.reserved),
        "cap_usd": dollars(plan.budget.caps.usd),
        "today_usd": dollars(plan.budget.today),
        "cap_usd_per_day": dollars(plan.budget.caps.usd_per_day),
        "paid_clips": plan.budget.clips,
        "cap_clips": plan.budget.caps.clips,
        "cap_reaches": plan.budget.reach,
        "stopped_by": str(plan.budget.barrier) if plan.budget.barrier else None,
        "collect_before": None if plan.collect_until is None else stamp_utc(plan.collect_until),
        "warnings": list(plan.warnings),
        "window": window_object(plan.window, now),
        "queued": {"retries": plan.queued[0], "rerolls": plan.queued[1]},
        "moves": [{"clip": before, "to": after} for before, after in plan.moves],
    }
    return obj | ({"clips": [_clip(clip) for clip in plan.clips]} if plan.clips else {})


def plan_text(
    plan: Plan,
    width: int = 80,
    *,
    ascii: bool = False,  # noqa: A002  # what it is called everywhere in the views
    colour: bool = False,
    now: float = 0.0,
    tz: tzinfo | None = None,
) -> str:
    """Write a plan in lines of at most `width` columns; `tz` None is local time, `now` is epoch seconds."""
    ellipsis = "..." if ascii else "…"
    parts = [
        [
            *wrap(f"{one_line(plan.name)}: {plural(plan.wanted, 'clip')} in the manifest", width),
            *step_lines(plan, width, ascii=ascii, colour=colour, now=now, tz=tz),
        ],
        clip_lines(plan, width, ascii=ascii),
        _table(plan, width, ellipsis),
        _by_model(plan, width, ellipsis),
        _estimates(plan, width),
        [line for text in _also(plan, now) for line in _hanging(text, width)],
        [line for text in plan.warnings for line in _hanging(f"Warning: {one_line(text)}", width)],
    ]
    text = "\n\n".join("\n".join(lines) for lines in parts if lines)
    return ascii_only(text) if ascii else text


# --- for programs ---------------------------------------------------------------------------------------


def _step(step: Step) -> dict[str, Any]:
    return {
        "action": str(step.action),
        "count": step.count,
        "estimated_usd": dollars(step.estimate),
        "unpriced": step.unpriced,
        "spent_usd": dollars(step.spent),
        "reserved_usd": dollars(step.reserved),
        "uncharged": step.uncharged,
        "causes": [
            {
                "reason": bare_urls(one_line(cause.reason)),
                "count": cause.count,
                "transient": cause.transient,
                "clips": list(cause.clips),
            }
            for cause in step.causes
        ],
    }


def _change(change: Change) -> dict[str, Any]:
    edits = [{"parameter": edit.name, "before": edit.before, "after": edit.after} for edit in change.edits]
    return {"count": change.count, "alike": change.alike, "edits": edits, "clips": list(change.clips)}


def _price(price_class: str, quote: Quote) -> dict[str, Any]:
    return {
        "class": price_class,
        "estimated_usd_each": dollars(quote.each),
        "source": str(quote.source),
        "charges": quote.charges,
        "told_usd": dollars(quote.listed),
        "drift_percent": quote.drift_percent,
    }


def _model(each: ModelCost) -> dict[str, Any]:
    facts = each.facts
    return {
        "model": facts.model,
        "count": each.count,
        "estimated_usd": dollars(each.total),
        "unpriced": each.unpriced,
        "run_s": facts.run_s,
        "as_of": None if facts.as_of is None else facts.as_of.isoformat(),
        "age_days": None if facts.as_of is None else facts.age_days,
        "from": facts.origin or (None if facts.as_of is None else "built in"),
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "model": group.model,
        "size": group.size or None,
        "duration": group.duration,
        "count": group.count,
        "estimated_usd_each": dollars(group.each),
        "estimated_usd": dollars(group.total),
    }


def _clip(clip: PlannedClip) -> dict[str, Any]:
    return {
        "clip": clip.name,
        "action": str(clip.action),
        "estimated_usd": dollars(clip.estimate),
        "spent_usd": dollars(clip.spent),
        "why": bare_urls(one_line(clip.why)),
    }


# --- for people -----------------------------------------------------------------------------------------


def _also(plan: Plan, now: float) -> Iterator[str]:
    """Say when a run may submit, what it does besides, and what waits for one."""
    yield from window_line(window_object(plan.window, now))
    if queued := queued_text(*plan.queued, live=plan.live):
        yield f"{queued}, and {'is' if sum(plan.queued) == 1 else 'are'} not in this plan."
    for facts in (each.facts for each in plan.models if each.facts.origin):
        yield f"Facts of {one_line(facts.model)} from {facts.origin}, {_age(facts)}."
    aside = sum(after.startswith(f"{REPLACED_FOLDER}/") for _, after in plan.moves)
    renamed = len(plan.moves) - aside
    moves = [f"{aside:,} to clips/{REPLACED_FOLDER}/"] if aside else []
    moves += [f"{renamed:,} to {'its new name' if renamed == 1 else 'their new names'}"] if renamed else []
    if moves:
        yield f"A run first moves finished files: {' and '.join(moves)}. Nothing is deleted."


def _table(plan: Plan, width: int, ellipsis: str) -> list[str]:
    if not plan.cost.groups:
        return []
    shown = plan.cost.groups[:_GROUPS_SHOWN]
    rows = [("Clips", "Size", "Length", "Model", "Unit", "Total"), *map(_row, shown)]
    widths = [max(columns(row[i]) for row in rows) for i in range(6)]
    widths[3] = max(8, min(widths[3], width - 12 - sum(widths) + widths[3]))
    lines = ["To generate (estimated)", *(_aligned(row, widths, ellipsis) for row in rows)]
    if len(plan.cost.groups) > _GROUPS_SHOWN:
        lines.append(f"  and {len(plan.cost.groups) - _GROUPS_SHOWN:,} more kinds (--json lists all)")
    return [fit(line, width, ellipsis) for line in lines]


def _by_model(plan: Plan, width: int, ellipsis: str) -> list[str]:
    """Compare the models, where there are several."""
    made = [each for each in plan.models if each.count]
    if len(made) < 2:
        return []
    head = ("Model", "Clips", "Cost", "A clip", "Run time", "Facts")
    rows = [head, *map(_model_row, made)]
    widths = [max(columns(row[i]) for row in rows) for i in range(len(head))]
    lines = (
        "  ".join(
            cell.rjust(room) if 0 < i < 5 else cell.ljust(room)
            for i, (cell, room) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return ["By model", *(fit(f"  {line}".rstrip(), width, ellipsis) for line in lines)]


def _model_row(each: ModelCost) -> tuple[str, ...]:
    facts, priced = each.facts, each.count - each.unpriced
    one = "unknown" if each.total is None or not priced else usd(each.total // priced)
    total = usd(each.total) + (" + ?" if each.unpriced and each.total is not None else "")
    run = "unknown" if facts.run_s is None else f"{facts.run_s:.0f} s"
    return one_line(facts.model), f"{each.count:,}", total, one, run, _age(facts)


def _age(facts: ModelFacts) -> str:
    return "none" if facts.as_of is None else f"{plural(facts.age_days, 'day')} old"


def _row(group: Group) -> tuple[str, ...]:
    length = "-" if group.duration is None else f"{group.duration:g} s"
    return (
        f"{group.count:,}",
        one_line(group.size) or "-",
        length,
        one_line(group.model),
        usd(group.each),
        usd(group.total),
    )


def _aligned(row: tuple[str, ...], widths: list[int], ellipsis: str) -> str:
    cells = [fit(cell, width, ellipsis) for cell, width in zip(row, widths, strict=True)]
    gaps = [" " * (width - columns(cell)) for cell, width in zip(cells, widths, strict=True)]
    to_the_right = {0, 2, 4, 5}
    return "  " + "  ".join(
        gap + cell if i in to_the_right else cell + gap for i, (cell, gap) in enumerate(zip(cells, gaps, strict=True))
    )


def _estimates(plan: Plan, width: int) -> list[str]:
    text = [
        ("Estimated cost", _cost(plan)),
        *(("", text) for text in _sources(plan)),
        ("Estimated time", _time(plan)),
        ("Estimated disk", _disk(plan)),
        ("Budget", _budget(plan)),
    ]
    return [line for label, text in text for line in under(f"{label:<16}", text, width)]


def _cost(plan: Plan) -> str:
    if plan.cost.total is None:
        return "unknown"
    more = f", and {plural(plan.cost.unpriced, 'clip')} of unknown price" if plan.cost.unpriced else ""
    again = plan.step(Action.RESUBMIT)
    if again.count:
        more += f"; up to {usd(again.estimate)} to resubmit {plural(again.count, 'clip')}"
    high = "" if plan.cost.high is None else f", could be {usd(plan.cost.high)} at what others paid on average"
    return usd(plan.cost.total) + high + more


def _sources(plan: Plan) -> list[str]:
    """Say which prices were learned, and how sure the others are; nothing where nothing is to be generated."""
    if not plan.keys.submit:
        return []
    sources = [
        f"{one_line(price_class)}: {usd(quote.each)}, learned from {plural(quote.charges, 'charge')}"
        for price_class, quote in plan.cost.quotes.items()
        if quote.source is PriceSource.LEARNED
    ]
    known = {quote.source for quote in plan.cost.quotes.values()}
    if PriceSource.MANIFEST in known:
        sources.append("prices of the manifest")
    if PriceSource.TABLE in known or not plan.cost.quotes:
        sources.append(f"{_unproven(plan)}low confidence, fewer than 3 were charged: {one_line(plan.cost.source)}")
    return sources


def _unproven(plan: Plan) -> str:
    """Name the price classes that the table alone prices, where there are others: "wan 832*480 5 s: "."""
    quotes = plan.cost.quotes
    names = [one_line(price_class) for price_class, quote in quotes.items() if quote.source is PriceSource.TABLE]
    if len(names) == len(quotes):
        return ""
    more = f" and {plural(len(names) - _CLASSES_NAMED, 'other')}" if len(names) > _CLASSES_NAMED else ""
    return f"{', '.join(names[:_CLASSES_NAMED])}{more}: "


def _time(plan: Plan) -> str:
    if plan.seconds is None:
        return "unknown"
    sources = "; ".join(text for text in (plan.pace.latency_note, plan.pace.limits_note) if text)
    return duration(plan.seconds) + (f" ({sources})" if sources and plan.seconds else "")


def _disk(plan: Plan) -> str:
    if plan.disk.needed is None:
        return "unknown"
    return size(plan.disk.needed) + (f" ({size(plan.disk.free)} free)" if plan.disk.free is not None else "")


def _budget(plan: Plan) -> str:
    budget, caps = plan.budget, plan.budget.caps
    text = f"{'none set' if caps.usd is None else usd(caps.usd)}"
    text += f" (spent {usd(budget.spent)}, reserved {usd(budget.reserved)})"
    if caps.usd_per_day is not None:
        text += f", {usd(caps.usd_per_day)} a day ({usd(budget.today)} today)"
    if caps.clips is not None:
        text += f", {plural(caps.clips, 'clip')} ({budget.clips:,} submitted)"
    count = len(plan.keys.submit)
    if budget.reach is None or not count:
        return text
    return f"{text}, {_reach(budget.reach, count, budget.barrier) if budget.barrier is not None else 'enough'}"


def _reach(reach: int, count: int, barrier: Cap) -> str:
    if barrier is Cap.PRICE:
        return "a price is missing"  # nothing is submitted, however far the budget would reach
    return f"enough for the first {reach:,} of {count:,}" if reach else "not enough for one clip"


def _hanging(text: str, width: int) -> list[str]:
    first, *rest = wrap(text, width - 2)
    return [first, *(f"  {line}" for line in rest)]
