"""What became of several batches that ran one after the other: one object, one text, one exit code. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchgen.clip import State
from batchgen.errors import Exit
from batchgen.money import micro_of, usd
from batchgen.views.text import ascii_only, columns, dollars, one_line, plural, wrap
from batchgen.wording import duration

#: The exit code of several batches is the first of these that one of them has: what needs a person most.
GRAVEST_FIRST = (
    Exit.BUG,
    Exit.INTERRUPTED,
    Exit.TERMINATED,
    Exit.USAGE,
    Exit.NEEDS_DECISION,
    Exit.STOPPED,
    Exit.LOCKED,
    Exit.SOME_FAILED,
    Exit.OK,
)
_WORDS = {
    Exit.OK: "done",
    Exit.SOME_FAILED: "some failed",
    Exit.STOPPED: "stopped",
    Exit.NEEDS_DECISION: "needs your decision",
    Exit.LOCKED: "held by another run",
    Exit.USAGE: "could not start",
    Exit.INTERRUPTED: "interrupted",
    Exit.TERMINATED: "terminated",
    Exit.BUG: "a fault of batchgen",
}


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """How one of several batches ended."""

    arg: str  #: its manifest as it was typed
    code: Exit
    why: str | None = None  #: why it ended early, or never began
    status: Mapping[str, Any] | None = None  #: its `status --json`; None: it never began
    began: bool = True


def code_of(ends: Sequence[BatchEnd]) -> Exit:
    """Give the exit code of all of them: the one that needs a person most."""
    return min((end.code for end in ends), key=GRAVEST_FIRST.index, default=Exit.OK)


def nights_object(ends: Sequence[BatchEnd], *, together: int | None, elapsed_s: float) -> dict[str, Any]:
    """Give the object of `run A B C --json`; amounts as in `status --json`, over all runs of the batches."""
    begun = [end.status for end in ends if end.status is not None]
    return {
        "schema_version": 1,
        "batches": [
            {
                "manifest": end.arg,
                "began": end.began,
                "exit_code": int(end.code),
                "stopped": end.why,
                "status": end.status,
            }
            for end in ends
        ],
        "spent_usd": round(sum(status["spent_usd"] for status in begun), 4),
        "reserved_usd": round(sum(status["reserved_usd"] for status in begun), 4),
        "max_usd_together": dollars(together),
        "elapsed_s": round(elapsed_s, 3),
    }


def nights_text(obj: Mapping[str, Any], width: int = 80, *, ascii: bool = False) -> str:  # noqa: A002 - as in the views
    """Write it for people: a line a batch, why it ended early, and what to do next."""
    batches, cap = obj["batches"], obj["max_usd_together"]
    of = "" if cap is None else f" of {usd(micro_of(cap))} together"
    ran = "1 batch" if len(batches) == 1 else f"{len(batches):,} batches, one after the other"
    took, spent = duration(obj["elapsed_s"]), usd(micro_of(obj["spent_usd"]))
    lines = wrap(f"{ran}, in {took}. Spent {spent}{of}.", width)
    room = max(columns(one_line(batch["manifest"])) for batch in batches)
    for batch in batches:
        name = one_line(batch["manifest"])
        lines.append(f"  {name}{' ' * (room - columns(name))}  {_line(batch)}")
        if batch["stopped"]:
            lines += wrap(one_line(batch["stopped"]), width, " " * (room + 4))
    following = [command for batch in batches if batch["status"] for command in batch["status"]["next"]]
    text = "\n".join([*lines, *(["", "Next:", *(f"  {command}" for command in following)] if following else [])])
    return ascii_only(text) if ascii else text


def _line(batch: Mapping[str, Any]) -> str:
    word = _WORDS[Exit(batch["exit_code"])] if batch["began"] else "not started"
    status = batch["status"]
    if status is None:
        return word
    counts = f"{status['state'][State.DONE]:,} of {plural(sum(status['state'].values()), 'clip')}"
    return f"{word}: {counts}, {usd(micro_of(status['spent_usd']))}"
