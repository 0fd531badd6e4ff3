"""The bill: one object for programs, a table at the terminal's width for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any, overload

from batchgen.billing.audit import Audit, Item
from batchgen.billing.bill import Bill, BillLine, By, Kind
from batchgen.money import exact, exact_usd, places_for, usd
from batchgen.views.text import ascii_only, columns, fit, one_line, plural, stamp, stamp_utc, wrap

_LABEL = 14
_MEANING = {
    Kind.IN_FLIGHT: ("In flight", "in progress"),
    Kind.UNPRICED: ("Unpriced", "generated; the service did not say for how much"),
    Kind.UNCONFIRMED: ("Unconfirmed", "no answer from the service; may have been charged"),
    Kind.LOST: ("Lost", "cannot be downloaded; may have been charged"),
    Kind.FORGOTTEN: ("Forgotten", "no longer looked for; may have been charged"),
}
_UNNAMED = {By.CELL: "(no matrix)"}


# --- for programs ---------------------------------------------------------------------------------------


def bill_object(bill: Bill, *, name: str, sandbox: bool, cap: int | None) -> dict[str, Any]:
    """Give the object that `report --bill --json` prints; its fields are stable and documented.

    Amounts are JSON numbers of USD, exact to the last digit, so that the lines add up to the total.
    """
    return {
        "schema_version": 1,
        "name": name,
        "sandbox": sandbox,
        "cap_usd": dollar_number(cap),
        "since": None if bill.since is None else stamp_utc(bill.since),
        "until": None if bill.until is None else stamp_utc(bill.until),
        "by": str(bill.by),
        "total": _line(bill.total),
        "lines": [{str(bill.by): group, **_line(line)} for group, line in bill.lines.items()],
    }


def _line(line: BillLine) -> dict[str, Any]:
    return {
        "clips": len(line.clips),
        "requests": line.requests,
        "retries": line.retries,
        "rerolls": line.rerolls,
        **{str(kind): line.counts[kind] for kind in Kind},
        "estimated_usd": dollar_number(line.estimated),
        "unestimated": line.unestimated,
        "charged_usd": dollar_number(line.charged),
        "charged_failures": line.failed,
        "charged_failures_usd": dollar_number(line.failed_cost),
        "reserved_usd": dollar_number(line.reserved),
        "doubtful_usd": dollar_number(_doubtful(line)),
        "unknown": line.unknown,
        "unwanted_usd": dollar_number(line.unwanted),
    }


def _doubtful(line: BillLine) -> int:
    """What is reserved for requests that will not be resolved without a decision of the user."""
    return sum(line.held[kind] for kind in (Kind.UNCONFIRMED, Kind.LOST, Kind.FORGOTTEN))


@overload
def dollar_number(micro: int) -> float: ...
@overload
def dollar_number(micro: None) -> None: ...
@overload
def dollar_number(micro: int | None) -> float | None: ...
def dollar_number(micro: int | None) -> float | None:
    """Give an amount as a JSON number of USD, exact to the last digit; None stays unknown."""
    return None if micro is None else exact_usd(micro)


# --- for people -----------------------------------------------------------------------------------------


def bill_text(
    bill: Bill,
    width: int = 80,
    *,
    name: str,
    sandbox: bool = False,
    cap: int | None = None,
    ascii: bool = False,  # noqa: A002  # what it is called everywhere in the views
    tz: tzinfo | None = None,
) -> str:
    """Write a bill in lines of `width` columns: the sums and what is unknown, then its table."""
    play = " (sandbox: nothing was paid)" if sandbox else ""
    head = wrap(f"{one_line(name)}: the bill{play}", width)
    if not bill.total.requests:
        return "\n".join([*head, "Nothing was submitted, so nothing was charged."])
    parts = [[*head, *_period(bill, width, tz)], summary_lines(bill.total, width, cap=cap), _table(bill, width)]
    text = "\n\n".join("\n".join(lines) for lines in parts)
    return ascii_only(text) if ascii else text


def summary_lines(total: BillLine, width: int, *, cap: int | None = None) -> list[str]:
    """Sum requests up: charged, free, unconfirmed, unknown, and at most."""
    parts = [("Charged", f"{exact(total.charged)} for {plural(total.counts[Kind.CHARGED], 'request')}")]
    if total.failed:
        parts.append(
            ("Failed", f"{plural(total.failed, 'request')} failed and charged, {exact(total.failed_cost)} of this")
        )
    more = f" ({plural(total.unestimated, 'request')} without an estimate)" if total.unestimated else ""
    if total.unestimated < total.requests:
        parts.append(("Estimated", f"{exact(total.estimated)} for what was or may be charged{more}"))
    if total.counts[Kind.FREE]:
        parts.append(("Free", f"{plural(total.counts[Kind.FREE], 'request')} failed or blocked, not charged"))
    if total.counts[Kind.REFUSED]:
        parts.append(("Refused", f"{plural(total.counts[Kind.REFUSED], 'request')} never accepted, not charged"))
    if total.retries:
        parts.append(("Retries", f"{plural(total.retries, 'request')} beyond the first of a clip"))
    parts += [
        (label, f"{plural(total.counts[kind], 'request')}, {exact(total.held[kind])} reserved: {meaning}")
        for kind, (label, meaning) in _MEANING.items()
        if total.counts[kind]
    ]
    if total.unknown:
        parts.append(("Unknown", f"the cost of {plural(total.unknown, 'request')}, not in these sums"))
    if total.reserved or total.unknown:
        more = ", plus the unknown" if total.unknown else ""
        parts.append(("At most", f"{exact(total.charged + total.reserved)} if everything reserved is charged{more}"))
    if total.unwanted:
        parts.append(("Among these", f"{exact(total.unwanted)} for clips that are no longer in the manifest"))
    if cap is not None:
        parts.append(("Budget", exact(cap)))
    return [line for label, text in parts for line in _under(label, text, width)]


def _period(bill: Bill, width: int, tz: tzinfo | None) -> list[str]:
    if bill.since is None or bill.until is None:
        return []
    total = bill.total
    clips = plural(len(total.clips), "clip")
    span = f"{plural(total.requests, 'request')} for {clips}, from {stamp(bill.since, tz)} to {stamp(bill.until, tz)}"
    return wrap(span, width)


def _under(label: str, text: str, width: int) -> list[str]:
    """Keep a label's column: what runs over goes below the text."""
    lines = wrap(text, width - _LABEL)
    return [f"{'' if number else label:<{_LABEL}}{line}" for number, line in enumerate(lines)]


def _table(bill: Bill, width: int) -> list[str]:
    heads = ("Requests", "Free", "Estimated", "Charged", "Reserved")
    rows = [(group or _UNNAMED.get(bill.by, "(no name)"), line) for group, line in bill.lines.items()]
    every = [bill.total, *bill.lines.values()]
    places = (
        places_for(line.estimated for line in every),
        places_for(line.charged for line in every),
        places_for(line.reserved for line in every),
    )
    cells = [heads, *(_cells(line, places) for _, line in rows), _cells(bill.total, places)]
    keep = _columns_that_fit(cells, width)
    wide = [max(len(row[index]) for row in cells) for index in range(len(heads))]
    room = width - sum(wide[index] + 2 for index in keep)
    titles = [str(bill.by).capitalize(), *(_marked(name, line) for name, line in rows), "Total"]
    first = min(room, max(columns(title) for title in titles))
    lines = [
        _row(title, first, [f"{row[i]:>{wide[i]}}" for i in keep]) for title, row in zip(titles, cells, strict=True)
    ]
    rule = "-" * max(columns(line) for line in lines)
    notes = ["* no longer in the manifest, in part or in whole; included in the sums"] if bill.total.unwanted else []
    notes += ["? unknown"] if bill.total.unknown or bill.total.unestimated else []
    under = [line for note in notes for line in wrap(note, width)]
    return [lines[0], rule, *lines[1:-1], rule, lines[-1], *under]


def _marked(name: str, line: BillLine) -> str:
    return one_line(name) + (" *" if line.unwanted else "")


def _cells(line: BillLine, places: tuple[int, int, int]) -> tuple[str, ...]:
    return (
        f"{line.requests:,}",
        f"{line.counts[Kind.FREE]:,}" if line.counts[Kind.FREE] else "-",
        _amount(line.estimated, line.unestimated, places[0]),
        _amount(line.charged, line.unknown, places[1]),
        _amount(line.reserved, 0, places[2]),
    )


def _amount(known: int, unknown: int, places: int) -> str:
    """A sum, marked with "+?" if a part of it is unknown; "-" is surely nothing."""
    if unknown:
        return f"{usd(known, places)}+?" if known else "?"
    return usd(known, places) if known else "-"


def _columns_that_fit(cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """Leave out the least important columns until a name has room."""
    keep = list(range(len(cells[0])))
    for least in (1, 2, 0):
        if width - sum(max(len(row[index]) for row in cells) + 2 for index in keep) >= 20:
            break
        keep.remove(least)
    return keep


def _row(title: str, room: int, cells: Sequence[str]) -> str:
    name = fit(title, room)
    return "  ".join([name + " " * (room - columns(name)), *cells])


_NAMED = 10
_GROUPS = {
    "differ": "charged a different amount than the ledger has",
    "uncharged": "charged in the ledger, not charged in the history",
    "missing": "charged in the ledger, missing in the history",
    "unknown": "for prompts of this batch, unknown to the ledger; `batchgen reconcile` checks unconfirmed clips",
    "learned": "of unknown cost in the ledger; the history has it",
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
    """Write an audit in lines of `width` columns."""
    lines = wrap(_verdict(audit), width)
    if audit.rows:
        agree = "agrees" if audit.agreed == 1 else "agree"
        matching = f"{plural(audit.agreed, 'request')} of this batch {agree}, {exact(audit.agreed_sum)} in total"
        lines += wrap(matching, width, "  ")
    if audit.untold:
        lines += wrap(f"the history gives no amount for {plural(audit.untold, 'request')}", width, "  ")
    for group, meaning in _GROUPS.items():
        lines += _group(getattr(audit, group), meaning, width, tz)
    if audit.siblings:
        lines += wrap(f"{plural(audit.siblings, 'request')} of other batches on this machine, left out", width, "  ")
    if audit.others:
        more = f"{plural(audit.others, 'request')} of other tools or machines in this period, {exact(audit.others_sum)}"
        lines += wrap(more, width, "  ")
    return lines


def _verdict(audit: Audit) -> str:
    if audit.ok is None:
        return f"Cannot compare the bill with the account history: {audit.why or 'it could not be read completely'}"
    if audit.ok:
        return "The bill matches the account history."
    return "The bill differs from the account history." + (f" ({audit.why})" if audit.why else "")


def _group(items: Sequence[Item], meaning: str, width: int, tz: tzinfo | None) -> list[str]:
    if not items:
        return []
    lines = wrap(f"{plural(len(items), 'request')} {meaning}:", width, "  ")
    for item in items[:_NAMED]:
        lines += wrap(_one(item, tz), width, "    ")
    return lines + ([f"    and {len(items) - _NAMED:,} more (--json lists all)"] if len(items) > _NAMED else [])


def _one(item: Item, tz: tzinfo | None) -> str:
    known = [f"ledger {exact(item.ours)}"] if item.ours is not None else []
    known += ["history unknown" if item.theirs is None else f"history {exact(item.theirs)}"]
    when = "" if item.at is None else f" of {stamp(item.at, tz)}"
    name = f"{one_line(item.clip)}, " if item.clip else ""
    return f"{name}{one_line(item.request_id)}{when}: {', '.join(known)}"
