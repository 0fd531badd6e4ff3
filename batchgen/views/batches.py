"""`status` without a name: one line a batch, with what needs attention. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any

from batchgen.clip import State
from batchgen.ledger.base import KILLED
from batchgen.money import micro_of, usd
from batchgen.views.doubts import epoch
from batchgen.views.next_steps import needs_attention
from batchgen.views.text import ascii_only, clock, columns, fit, one_line

_HEADS = ("Batch", "Done", "Failed", "Spent", "Budget", "Last run", "Needs attention")
_TO_THE_RIGHT = frozenset({1, 2, 3, 4})
_NONE = "No batch has run yet under jobs/. `batchgen init NAME` writes a manifest to start from."


def batches_text(
    batches: Sequence[tuple[str, Mapping[str, Any]]],
    width: int = 80,
    *,
    ascii: bool = False,  # noqa: A002  # what it is called everywhere in the views
    tz: tzinfo | None = None,
) -> str:
    """Write a table of batches, each the name to type and its `status_object`; one that has an `error` says so."""
    if not batches:
        return _NONE
    rows = [_HEADS, *(_row(name, obj, tz) for name, obj in batches)]
    wide = [max(columns(row[i]) for row in rows) for i in range(len(_HEADS))]
    wide[0] = max(8, min(wide[0], width // 3))
    ellipsis = "..." if ascii else "…"
    lines = [fit(_line(row, wide, ellipsis), width, ellipsis) for row in rows]
    lines.append("\nOne batch in full: batchgen status NAME")
    return ascii_only("\n".join(lines)) if ascii else "\n".join(lines)


def _row(name: str, obj: Mapping[str, Any], tz: tzinfo | None) -> tuple[str, ...]:
    name = one_line(name)
    if "state" not in obj:
        return name, "-", "-", "-", "-", "-", f"cannot be read: {one_line(obj['error']['message'])}"
    state = obj["state"]
    cap = None if obj["cap_usd"] is None else micro_of(obj["cap_usd"])
    return (
        f"{name} (sandbox)" if obj["sandbox"] else name,
        f"{state[State.DONE]:,}/{sum(state.values()):,}",
        f"{state[State.FAILED] + state[State.BLOCKED]:,}",
        usd(micro_of(obj["spent_usd"])),
        "-" if cap is None else usd(cap),
        _last(obj, tz),
        _attention(obj),
    )


def _last(obj: Mapping[str, Any], tz: tzinfo | None) -> str:
    run = obj["last_run"]
    if obj["live"]:
        return "running"
    if run is None:
        return "-"
    return "killed" if run["ended"] is None else clock(epoch(run["ended"]), epoch(obj["at"]), tz)


def _attention(obj: Mapping[str, Any]) -> str:
    """Say the most urgent: what the user has to decide, then why the run stopped, then what is left."""
    parts = list(needs_attention(obj["state"]))
    if obj["stopped"] and obj["stopped"] != KILLED and not obj["live"]:
        parts.append(f"stopped: {one_line(obj['stopped'])}")
    elif not parts and not obj["live"] and any("run" in text.split()[1:2] for text in obj["next"]):
        parts.append("run it again")
    return ", ".join(parts) or "-"


def _line(row: Sequence[str], wide: Sequence[int], ellipsis: str) -> str:
    cells = [fit(cell, wide[i], ellipsis) for i, cell in enumerate(row)]
    gaps = [" " * (wide[i] - columns(cell)) for i, cell in enumerate(cells)]
    return "  ".join(
        gap + cell if i in _TO_THE_RIGHT else cell + gap for i, (cell, gap) in enumerate(zip(cells, gaps, strict=True))
    ).rstrip()
