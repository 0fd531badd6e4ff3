"""The pace that a run starts at: what is configured, lowered by what this machine remembers of the account. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.ratelimit.memory import Remembered
from batchgen.settings import Settings


@dataclass(frozen=True, slots=True)
class Start:
    """What to reckon with, and in words what of it is by memory ("" where nothing is)."""

    rpm: float  #: calls a minute; 0: no limit
    in_flight: int  #: clips at the service at once
    rpm_note: str = ""
    in_flight_note: str = ""


def start_of(settings: Settings, known: Remembered, now: float) -> Start:
    """Say where a run starts; an explicit rate wins over memory.

    The clips in flight count as few only when more of them were seen to queue: a small batch has few in flight, too,
    and what a run begins with doubles within seconds where there is room.

    Args:
        settings: of the run.
        known: of its account; `Known()` where nothing is.
        now: epoch seconds.
    """
    rpm, places = settings.rpm, settings.in_flight
    rpm_note = in_flight_note = ""
    if not settings.rpm_given and 0 < known.rpm < rpm:
        why = "which the account bore" if known.borne else "to which it was slowed after refusals"
        told = f"at {round(known.rpm, 1):g} of {rpm:g} calls a minute"
        rpm, rpm_note = known.rpm, f"{told}, {why} {ago(now - known.rpm_at)}"
    if known.full and 1 <= known.places < places:
        queued = f"since more had to queue {ago(now - known.places_at)}"
        places, in_flight_note = int(known.places), f"with {int(known.places)} clips in flight, {queued}"
    return Start(rpm, places, rpm_note, in_flight_note)


def ago(seconds: float) -> str:
    """Say how long ago something was, in hours or minutes."""
    hours = max(0.0, seconds) / 3600
    return f"{hours:.0f} h ago" if hours >= 1 else f"{hours * 60:.0f} min ago"
