"""What messages say: one object for programs, a title and a text for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchgen.notify.conditions import Occasion

SCHEMA_VERSION = 1
#: How the one line of a lock screen goes on after the batch's name.
_WORDS = {
    Occasion.STARTED: "has started",
    Occasion.FAILURES: "has many failures",
    Occasion.UNCONFIRMED: "has clips without an answer",
    Occasion.BUDGET: "has stopped at its budget",
    Occasion.STOPPED: "has stopped",
    Occasion.DONE: "is done",
    Occasion.TEST: "sends a test",
}


def message_object(
    batch: str, occasion: Occasion, reason: str | None, obj: Mapping[str, Any], run: str
) -> dict[str, Any]:
    """Give the object that a webhook gets; its fields are stable and documented.

    Args:
        batch: its name.
        occasion: why there is a message.
        reason: the cause in words, where there is one.
        obj: of `status --json`.
        run: tells this run from others, so that a receiver can drop what comes twice.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "id": f"{run}-{occasion}",
        "event": str(occasion),
        "batch": batch,
        "at": obj["at"],
        "reason": reason,
        "state": obj["state"],
        "spent_usd": obj["spent_usd"],
        "reserved_usd": obj["reserved_usd"],
        "cap_usd": obj["cap_usd"],
        "next": obj["next"] or [f"batchgen status {batch}"],
        "text": _headline(batch, occasion, reason, obj),
    }


def letter(message: Mapping[str, Any]) -> tuple[str, str]:
    """Give the title and the text of a message for people."""
    money = f"Spent {_usd(message['spent_usd'])}, reserved {_usd(message['reserved_usd'])}"
    cap = "no budget set" if message["cap_usd"] is None else f"budget {_usd(message['cap_usd'])}"
    lines = [
        *([f"Reason: {message['reason']}"] if message["reason"] else []),
        f"{_counts(message['state'])}.",
        f"{money}, {cap}.",
        *(["Next:", *message["next"]] if message["event"] != Occasion.TEST else []),
    ]
    return f"{message['batch']} {_WORDS[Occasion(message['event'])]}", "\n".join(lines)


def _headline(batch: str, occasion: Occasion, reason: str | None, obj: Mapping[str, Any]) -> str:
    why = f": {reason}" if reason else ""
    return f"{batch} {_WORDS[occasion]}{why}. {_counts(obj['state'])}. Spent {_usd(obj['spent_usd'])}."


def _counts(state: Mapping[str, int | None]) -> str:
    if None in state.values():
        return "The ledger could not be read"
    return ", ".join(f"{count:,} {word}" for word, count in state.items() if count) or "No clips yet"


def _usd(amount: float | None) -> str:
    return "unknown" if amount is None else f"${amount:,.2f}"
