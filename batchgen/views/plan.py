"""What `plan` answers: one object for programs, one text for people. All amounts are estimates."""

from __future__ import annotations

from typing import Any

from batchgen.money import usd
from batchgen.planning import Group, Plan
from batchgen.views.words import ascii_only, columns, dollars, fit, one_line, plural, size, span, wrap

SCHEMA_VERSION = 1
_MEANING = {
    "new": "will be made and paid for",
    "in_flight": "paid for and on their way; they will be fetched",
    "done": "kept as they are",
    "failed": "left as they are, until you ask for them again with retry",
    "blocked": "left as they are, until you change their prompts",
    "unconfirmed": "may have been paid for; reconcile looks for them",
    "lost": "paid for, perhaps; reconcile looks for them",
    "unwanted": "clips of before, no longer in the manifest; never deleted",
}
_GROUPS_SHOWN = 20


def plan_object(plan: Plan) -> dict[str, Any]:
    """Give the object that `plan --json` prints: counts, groups, estimates (null where unknown), warnings."""
    return {
        "schema_version": SCHEMA_VERSION,
        "name": plan.name,
        "wanted": plan.wanted,
        **{name: getattr(plan, name) for name in _MEANING},
        "groups": [_group(group) for group in plan.groups],
        "estimated_usd": dollars(plan.estimate),
        "unpriced": plan.unpriced,
        "price_source": plan.price_source,
        "estimated_s": None if plan.seconds is None else round(plan.seconds),
        "estimated_bytes": plan.bytes,
        "spent_usd": dollars(plan.spent),
        "reserved_usd": dollars(plan.reserved),
        "cap_usd": dollars(plan.cap),
        "warnings": list(plan.warnings),
    }


def plan_text(
    plan: Plan,
    width: int = 80,
    *,
    ascii: bool = False,  # noqa: A002  # what it is called everywhere in the views
) -> str:
    """Say a plan in lines of at most `width` columns."""
    parts = [
        _counts(plan, width),
        _table(plan, width, "..." if ascii else "…"),
        _estimates(plan, width),
        [line for text in plan.warnings for line in _hanging(f"Warning: {one_line(text)}", width)],
    ]
    text = "\n\n".join("\n".join(lines) for lines in parts if lines)
    return ascii_only(text) if ascii else text


def _group(group: Group) -> dict[str, Any]:
    return {
        "model": group.model,
        "size": group.size or None,
        "duration": group.duration,
        "count": group.count,
        "estimated_usd_each": dollars(group.each),
        "estimated_usd": dollars(group.total),
    }


def _counts(plan: Plan, width: int) -> list[str]:
    lines = wrap(f"{one_line(plan.name)}: {plural(plan.wanted, 'clip')} wanted", width)
    shown = [(name, getattr(plan, name)) for name in _MEANING if getattr(plan, name) or name == "new"]
    room = max(len(f"{count:,}") for _, count in shown)
    for name, count in shown:
        label = f"  {count:>{room},} {name.replace('_', ' '):<11}  "
        lines += _under(label, _MEANING[name], width)
    return lines


def _table(plan: Plan, width: int, ellipsis: str) -> list[str]:
    if not plan.groups:
        return []
    rows = [("Clips", "Size", "Length", "Model", "Each", "Together"), *map(_row, plan.groups[:_GROUPS_SHOWN])]
    widths = [max(columns(row[i]) for row in rows) for i in range(6)]
    widths[3] = max(8, min(widths[3], width - 12 - sum(widths) + widths[3]))
    lines = ["New clips, prices estimated", *(_aligned(row, widths, ellipsis) for row in rows)]
    if len(plan.groups) > _GROUPS_SHOWN:
        lines.append(f"  and {len(plan.groups) - _GROUPS_SHOWN:,} more kinds (--json lists all)")
    return [fit(line, width, ellipsis) for line in lines]


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
    budget = "none set" if plan.cap is None else usd(plan.cap)
    told = [
        ("Estimated cost", _cost(plan)),
        ("", one_line(plan.price_source)),
        ("Estimated time", "unknown" if plan.seconds is None else span(plan.seconds)),
        ("Estimated disk", "unknown" if plan.bytes is None else size(plan.bytes)),
        ("Budget", f"{budget} (spent {usd(plan.spent)}, reserved {usd(plan.reserved)})"),
    ]
    return [line for label, text in told for line in _under(f"{label:<16}", text, width)]


def _cost(plan: Plan) -> str:
    if plan.estimate is None:
        return "unknown"
    more = f", and {plural(plan.unpriced, 'clip')} of unknown price" if plan.unpriced else ""
    return usd(plan.estimate) + more


def _under(label: str, text: str, width: int) -> list[str]:
    """Keep a label's column: what runs over goes below the text."""
    lines = wrap(text, width - len(label))
    return [(" " * len(label) if i else label) + line for i, line in enumerate(lines)]


def _hanging(text: str, width: int) -> list[str]:
    first, *rest = wrap(text, width - 2)
    return [first, *(f"  {line}" for line in rest)]
