"""The audit of a bill: one object for programs, lines for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from batchgen.spending.audit import Audit, Item
from batchgen.views.bill import dollar_number, exact
from batchgen.views.words import one_line, plural, stamp, stamp_utc, wrap

_NAMED = 10
_GROUPS = {
    "differ": "charged another amount than we were told",
    "uncharged": "charged by our books, and not by the history",
    "missing": "charged by our books, and not in the history at all",
    "unknown": "for prompts of this batch, and no request that we know of; `batchgen reconcile` looks at doubts",
    "learned": "of a cost that we were never told; the history knows it",
}


def audit_object(audit: Audit) -> dict[str, Any]:
    """Give the `audit` of `report --audit --json`; its fields are stable and documented."""
    return {
        "ok": audit.ok,
        "why": audit.why or None,
        "since": _stamp(audit.since),
        "until": _stamp(audit.until),
        "rows": audit.rows,
        "agreed": audit.agreed,
        "agreed_usd": dollar_number(audit.agreed_sum),
        "untold": audit.untold,
        **{group: [_item(item) for item in getattr(audit, group)] for group in _GROUPS},
        "siblings": audit.siblings,
        "others": audit.others,
        "others_usd": dollar_number(audit.others_sum),
    }


def _item(item: Item) -> dict[str, Any]:
    return {
        "request_id": item.request_id,
        "clip": item.clip,
        "at": _stamp(item.at),
        "ours_usd": dollar_number(item.ours),
        "history_usd": dollar_number(item.theirs),
    }


def _stamp(at: float | None) -> str | None:
    return None if at is None else stamp_utc(at)


def audit_lines(audit: Audit, width: int, tz: tzinfo | None = None) -> list[str]:
    """Say an audit in lines of `width` columns."""
    lines = wrap(f"Held against the request history: {_verdict(audit)}", width)
    if audit.rows:
        agree = "agrees" if audit.agreed == 1 else "agree"
        told = f"{plural(audit.agreed, 'request')} of this batch {agree}, {exact(audit.agreed_sum)} together"
        lines += wrap(told, width, "  ")
    if audit.untold:
        lines += wrap(f"for {plural(audit.untold, 'request')} it does not say an amount", width, "  ")
    for group, meaning in _GROUPS.items():
        lines += _group(getattr(audit, group), meaning, width, tz)
    if audit.siblings:
        lines += wrap(f"{plural(audit.siblings, 'request')} of other batches on this machine, left out", width, "  ")
    if audit.others:
        more = f"{plural(audit.others, 'request')} of other tools or machines in this time, {exact(audit.others_sum)}"
        lines += wrap(more, width, "  ")
    return lines


def _verdict(audit: Audit) -> str:
    if audit.ok is None:
        return f"nothing can be concluded; {audit.why or 'it could not be read whole'}"
    return "they agree." if audit.ok else "they differ." + (f" ({audit.why})" if audit.why else "")


def _group(items: Sequence[Item], meaning: str, width: int, tz: tzinfo | None) -> list[str]:
    if not items:
        return []
    lines = wrap(f"{plural(len(items), 'request')} {meaning}:", width, "  ")
    for item in items[:_NAMED]:
        lines += wrap(_one(item, tz), width, "    ")
    return lines + ([f"    and {len(items) - _NAMED:,} more (--json lists all)"] if len(items) > _NAMED else [])


def _one(item: Item, tz: tzinfo | None) -> str:
    known = [f"ours {exact(item.ours)}"] if item.ours is not None else []
    known += ["history unknown" if item.theirs is None else f"history {exact(item.theirs)}"]
    when = "" if item.at is None else f" of {stamp(item.at, tz)}"
    name = f"{one_line(item.clip)}, " if item.clip else ""
    return f"{name}{one_line(item.request_id)}{when}: {', '.join(known)}"
