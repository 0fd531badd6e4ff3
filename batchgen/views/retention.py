"""Until when a run can still download what was paid for, for programs and for people.

Short, because it is one question of its own: `status` only places its answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Any

from batchgen.clip import State
from batchgen.retention import Paid, Way, outlook, too_late
from batchgen.views.doubts import epoch
from batchgen.views.text import clock, columns, plural, stamp_utc, wrap

_SAID = {
    Way.RECORD: "from the service's record",
    Way.LINK: "from their link",
    Way.HISTORY: "from the account history",
    Way.DOUBT: "if the account history lists them",
    Way.GONE: "no longer available",
}
_WHEN = {0: "now", 3600: "in 1 hour", 86400: "in 1 day", 691200: "in 8 days"}


def retention_object(paid: Sequence[Paid], now: float, looks_per_s: float) -> dict[str, Any] | None:
    """Give the field `retention` of `status --json`; None if everything paid for is here.

    Args:
        paid: clips that were paid for, or may have been, and whose files are not downloaded.
        now: the time, epoch seconds.
        looks_per_s: calls a second that a run could make; infinite where they are not counted.
    """
    if not paid:
        return None
    flying = [each for each in paid if each.state is State.GENERATING]
    ends = [each.record_until for each in flying if each.record_until > now]
    return {
        "records_end": stamp_utc(min(ends)) if ends else None,
        "files_end": stamp_utc(min(each.file_until for each in paid)),
        "too_late": too_late((each.submitted_at for each in flying), now, looks_per_s),
        "outlook": [
            {"after_s": round(each.after_s), "at": stamp_utc(now + each.after_s)}
            | {str(way): count for way, count in each.ways.items()}
            for each in outlook(paid, now)
        ],
    }


def retention_lines(obj: Mapping[str, Any], width: int, tz: tzinfo | None, *, table: bool = False) -> list[str]:
    """Write the `retention` of a `status_object` in `width` columns; `table`: also what later runs could get."""
    kept = obj["retention"]
    if kept is None:
        return []
    lines = [line for text in _sentences(kept, epoch(obj["at"]), tz) for line in wrap(text, width)]
    return lines + (_table(kept, width) if table else [])


def _sentences(kept: Mapping[str, Any], now: float, tz: tzinfo | None) -> Iterator[str]:
    ways = {way: kept["outlook"][0][way] for way in Way}
    there = ways[Way.RECORD] + ways[Way.LINK]
    files_end = clock(epoch(kept["files_end"]), now, tz)
    if there:
        until = clock(epoch(kept["records_end"]), now, tz) if kept["records_end"] else files_end
        verb = "waits" if there == 1 else "wait"
        yield f"{plural(there, 'paid clip')} {verb} at the service: run before {until}."
    if ways[Way.HISTORY]:
        count = plural(ways[Way.HISTORY], "paid clip")
        yield f"{count}: the service's record expired; a run looks in the account history, until {files_end}."
    if ways[Way.DOUBT]:
        yield f"{ways[Way.DOUBT]:,} {'more ' if there else ''}may exist; the next run looks for them."
    if ways[Way.GONE]:
        verb = "is" if ways[Way.GONE] == 1 else "are"
        yield f"{plural(ways[Way.GONE], 'paid clip')} {verb} no longer available at the service."
    if kept["too_late"]:
        late = plural(kept["too_late"], "record")
        yield f"At the rate of the last run, {late} would expire before their status check: run now."


def _table(kept: Mapping[str, Any], width: int) -> list[str]:
    lines = ["A run can get"]
    room = max(columns(text) for text in _WHEN.values())
    for each in kept["outlook"]:
        ways = ", ".join(f"{each[way]:,} {text}" for way, text in _SAID.items() if each[way])
        when = _WHEN[each["after_s"]]
        first, *more = wrap(ways, width - room - 4)
        lines.append(f"  {when}{' ' * (room - columns(when))}  {first}")
        lines += [" " * (room + 4) + text for text in more]
    return lines
