"""The report of a night as one HTML file: the numbers of `report --json` with their pictures. No script, loads nothing.

Each number that `report --json` has too is a `data` element: `data-field` is its place there, `value` its value.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from batchgen.billing.bill import Bill, BillLine
from batchgen.clip import State
from batchgen.money import exact, micro_of, usd
from batchgen.views.last_run import last_run_line
from batchgen.views.learned_facts import OTHER_CALLS
from batchgen.views.night_charts import bar, histogram, timeline
from batchgen.views.night_facts import NightFacts
from batchgen.views.status import footage_length
from batchgen.views.text import SHOWN, one_line, plural, stamp, stamp_zone
from batchgen.wording import duration

Json = Mapping[str, Any]
#: Near the beginning of every file; what has it may be written again.
MARK: Final = '<meta name="generator" content="batchgen report">'
#: Rows of a table; the rest is one row, so that a night of thousands of prompts stays a page.
_ROWS: Final = 40
_LONGEST: Final = 300


def is_ours(path: Path) -> bool:
    """Return whether a file is a report that this made, and may be overwritten."""
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(1000)
    except OSError:
        return False


def written(numbers: Json, facts: NightFacts, *, now: float, tz: tzinfo | None = None) -> str:
    """Write the page.

    Args:
        numbers: the object of `report --json`.
        facts: what it does not have.
        now: epoch seconds.
        tz: of the times that it shows; None: this machine's.
    """
    style = files("batchgen").joinpath("views", "night_page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    name = html.escape(one_line(numbers["name"]))
    sections = [
        _head(numbers, now, tz), _totals(numbers, facts), _timeline(facts, tz), _failures(numbers), _money(facts),
        _run_times(facts), _calls(facts), _picks(numbers),
    ]  # fmt: skip
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{MARK}\n'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{digest}'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{name}: report</title>\n<style>{style}</style>\n</head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body>\n</html>\n"
    )


# --- sections -------------------------------------------------------------------------------------------


def _head(numbers: Json, now: float, tz: tzinfo | None) -> str:
    play = " (sandbox: nothing was paid)" if numbers["sandbox"] else ""
    run = numbers["last_run"]
    lines = [last_run_line(run, now, live=numbers["live"], tz=tz)] if run else []
    if numbers["stopped"]:
        lines.append(f"Stopped: {one_line(numbers['stopped'])}")
    if numbers["live"]:
        lines.append("A run is in progress: these are the numbers of this moment.")
    lines.append(f"Made by batchgen at {stamp_zone(now, tz)}; times are local.")
    said = "".join(f'<p class="quiet">{_said(line)}</p>' for line in lines)
    return f"<header><h1>{_said(numbers['name'])}{play}</h1>{said}</header>"


def _totals(numbers: Json, facts: NightFacts) -> str:
    state, bill, picks = numbers["state"], numbers["bill"], numbers["picks"]
    of = f"of {plural(sum(state.values()), 'clip')}"
    others = [f"{_field(f'state.{each}', state[each], f'{state[each]:,}')} {each}" for each in SHOWN[1:] if state[each]]
    cap = "no budget" if numbers["cap_usd"] is None else f"of {_field('cap_usd', *_amount(numbers['cap_usd']))}"
    cells = [
        ("Done", _field("state.done", state["done"], f"{state[State.DONE]:,}"), ", ".join([of, *others])),
        ("Footage", _field("footage_s", numbers["footage_s"], footage_length(numbers["footage_s"])), ""),
        ("Spent", _field("spent_usd", *_amount(numbers["spent_usd"])), cap),
        ("Reserved", _field("reserved_usd", *_amount(numbers["reserved_usd"])), "may still be charged"),
        ("Requests", _field("bill.requests", bill["requests"], f"{bill['requests']:,}"), _tries(bill)),
        ("Picks", _field("picks.picks", picks["picks"], f"{picks['picks']:,}"), _per_pick(picks)),
    ]
    shown = "".join(
        f"<div><dt>{name}</dt><dd>{value}{f'<small>{more}</small>' if more else ''}</dd></div>"
        for name, value, more in cells
        if name != "Reserved" or numbers["reserved_usd"]
    )
    empty = "" if facts.moments else "<p>Nothing was submitted yet.</p>"
    return f'<dl class="totals">{shown}</dl>{empty}'


def _tries(bill: Json) -> str:
    retries = f"{_field('bill.retries', bill['retries'], format(bill['retries'], ','))} beyond the first of a clip"
    return retries if bill["retries"] else ""


def _per_pick(picks: Json) -> str:
    each = picks["per_pick_usd"]
    return "" if each is None else f"{_field('picks.per_pick_usd', each, f'${each}')} a pick"


def _timeline(facts: NightFacts, tz: tzinfo | None) -> str:
    picture = timeline(facts, tz)
    if not picture:
        return ""
    kinds = [("submitted", "submitted"), ("done", "done"), ("flight", "in flight (below)")]
    kinds += [("refused", f"rate limited, 429 ({len(facts.refused):,})")] if facts.refused else []
    kinds += [("wait", f"submissions waited ({len(facts.waits):,})")] if facts.waits else []
    key = "".join(f'<span class="k-{name}">{text}</span>' for name, text in kinds)
    rows = [
        f'<tr><td class="t">{stamp(span.began, tz)}</td><td class="t">{duration(span.ended - span.began)}</td>'
        f'<td class="name">{_said(span.why)}</td></tr>'
        for span in facts.waits[:_ROWS]
    ]
    waits = _table(("From", "For", "Submissions waited"), rows) if rows else ""
    return _section(
        "The night", f'<figure>{_scroll(picture)}<figcaption class="key">{key}</figcaption></figure>{waits}'
    )


def _failures(numbers: Json) -> str:
    failures = numbers["failures"]
    doubtful = [f"{numbers['state'][each]:,} {each}" for each in ("unconfirmed", "lost") if numbers["state"][each]]
    open_ = (
        f"<p>{', '.join(doubtful)}: may have been charged; see <code>batchgen status</code>.</p>" if doubtful else ""
    )
    if not failures:
        return _section("Failures", open_ or "<p>No clip failed.</p>")
    most = max(group["count"] for group in failures)
    rows = [
        f'<tr><td class="name">{_said(group["reason"])}</td><td>{group["state"]}</td>'
        f'<td class="n">{_field(f"failures.{index}.count", group["count"], format(group["count"], ","))}</td>'
        f'<td class="drawn">{bar(group["count"] / most)}</td>'
        f'<td class="name">{_said(group["advice"])}<br><code>{_said(group["next"])}</code></td></tr>'
        for index, group in enumerate(failures[:_ROWS])
    ]
    left = sum(group["count"] for group in failures[_ROWS:])
    rows += (
        [f'<tr><td>other causes</td><td></td><td class="n">{left:,}</td><td class="drawn"></td><td></td></tr>']
        if left
        else []
    )
    return _section("Failures by cause", open_ + _table(("Cause", "State", "#Clips", "", "What helps"), rows))


def _money(facts: NightFacts) -> str:
    if not facts.models.total.requests:
        return ""
    by_model = _bill_table("Model", facts.models)
    return _section("Money by model", by_model) + _section("Money by prompt", _bill_table("Prompt", facts.prompts))


def _bill_table(name: str, bill: Bill) -> str:
    lines = sorted(bill.lines.items(), key=lambda entry: -(entry[1].charged + entry[1].reserved))
    most = max((line.charged for _, line in lines), default=0) or 1
    rows = [_bill_row(group or "(no name)", line, line.charged / most) for group, line in lines[:_ROWS]]
    rest = [line for _, line in lines[_ROWS:]]
    if rest:
        sums = (sum(len(line.clips) for line in rest), sum(line.requests for line in rest))
        amounts = (sum(line.charged for line in rest), sum(line.reserved for line in rest))
        rows.append(_money_row(f"{len(rest):,} others", (*sums, *amounts), sum(line.unknown for line in rest), ""))
    total = bill.total
    foot = _money_row(
        "Total", (len(total.clips), total.requests, total.charged, total.reserved), total.unknown, "", total=True
    )
    return _table((name, "#Clips", "#Requests", "#Charged", "", "#Reserved"), rows, foot)


def _bill_row(name: str, line: BillLine, share: float) -> str:
    return _money_row(name, (len(line.clips), line.requests, line.charged, line.reserved), line.unknown, bar(share))


def _money_row(name: str, sums: tuple[int, int, int, int], unknown: int, drawn: str, *, total: bool = False) -> str:
    clips, requests, charged, reserved = sums
    shown = exact(charged) + ("+?" if unknown else "")
    said = _field("bill.charged_usd", charged / 1e6, shown) if total else shown
    left = exact(reserved) if reserved else "-"
    return (
        f'<tr><td class="name">{_said(name)}</td><td class="n">{clips:,}</td><td class="n">{requests:,}</td>'
        f'<td class="n">{said}</td><td class="drawn">{drawn}</td><td class="n">{left}</td></tr>'
    )


def _run_times(facts: NightFacts) -> str:
    every = [each for seconds in facts.run_s.values() for each in seconds]
    if not every:
        return ""
    rows = []
    for name, seconds in sorted(facts.run_s.items()):
        ordered = sorted(seconds)
        shares = "".join(f'<td class="n">{_seconds(ordered[int(at * len(ordered))])}</td>' for at in (0.1, 0.5, 0.9))
        rows.append(f'<tr><td class="name">{_said(name)}</td><td class="n">{len(ordered):,}</td>{shares}</tr>')
    table = _table(("Class", "#Clips", "#Fastest tenth", "#Median", "#Slowest tenth"), rows)
    return _section("Run times, from submission to the end", f"<figure>{_scroll(histogram(every))}</figure>{table}")


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def _calls(facts: NightFacts) -> str:
    rows = [
        f'<tr><td class="name">{_said(name)}</td><td class="n">{clips:,}</td><td class="n">{polls / clips:.1f}</td>'
        f'<td class="n">{polls / clips + OTHER_CALLS:.1f}</td></tr>'
        for name, (polls, clips) in sorted(facts.polls.items())
        if clips
    ]
    heads = ("Class", "#Clips", "#Status checks a clip", "#Calls a clip")
    return _section("Calls to the service", _table(heads, rows)) if rows else ""


def _picks(numbers: Json) -> str:
    picks = numbers["picks"]
    if not picks["picks"] and not picks["rejects"]:
        return ""
    counts = f"{picks['picks']:,} picked, {picks['rejects']:,} rejected of {plural(picks['clips'], 'finished clip')}"
    head = ", ".join(filter(None, (counts, _per_pick(picks))))
    chosen = sorted((each for each in picks["by_prompt"] if each["picks"]), key=lambda each: -each["picks"])
    rows = [
        f'<tr><td class="name">{_said(each["name"])}</td><td class="n">{each["picks"]:,}</td>'
        f'<td class="n">{each["clips"]:,}</td><td class="n">${each["spent_usd"]}</td>'
        f'<td class="n">${each["per_pick_usd"]}</td></tr>'
        for each in chosen[:_ROWS]
    ]
    table = _table(("Prompt", "#Picks", "#Clips", "#Spent", "#A pick"), rows) if rows else ""
    return _section("What a pick has cost", f"<p>{head}; rejects and failures that were charged count.</p>{table}")


# --- pieces ---------------------------------------------------------------------------------------------


def _said(text: str) -> str:
    short = one_line(text)
    return html.escape(short if len(short) <= _LONGEST else f"{short[:_LONGEST]}…")


def _field(place: str, value: object, text: str) -> str:
    return f'<data data-field="{place}" value="{html.escape(str(value))}">{html.escape(text)}</data>'


def _amount(dollars: float) -> tuple[float, str]:
    return dollars, usd(micro_of(dollars))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _scroll(body: str) -> str:
    return f'<div class="scroll">{body}</div>'


def _table(heads: Sequence[str], rows: Iterable[str], foot: str = "") -> str:
    """Make a table; a head that begins with `#` is one of numbers."""
    made = "".join(f'<th class="n">{head[1:]}</th>' if head.startswith("#") else f"<th>{head}</th>" for head in heads)
    end = f"<tfoot>{foot}</tfoot>" if foot else ""
    return _scroll(f"<table><thead><tr>{made}</tr></thead><tbody>{''.join(rows)}</tbody>{end}</table>")
