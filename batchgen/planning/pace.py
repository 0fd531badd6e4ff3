"""How long a night takes at an assumed pace: the calls and the clips in flight that are allowed. Pure.

A module of its own although it is short: the live display uses it without a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: API calls that one clip takes as a rule: submit, two status checks, result.
CALLS_PER_CLIP = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AssumedPace:
    """The limits and the run time that an estimate of the time rests on, each with its source in words."""

    rpm: float | None = None  #: API calls a minute; None: no limit
    in_flight: int = 1  #: clips at the service at once
    latency_s: float | None = None  #: from submission to a finished clip; None: unknown, and so is the time
    rpm_note: str = ""  #: why `rpm` is not what is configured
    in_flight_note: str = ""  #: why `in_flight` is not
    latency_note: str = ""  #: where `latency_s` is known from

    by_model: Mapping[str, float] = field(default_factory=dict)  #: `latency_s` of each model, where there are several

    def seconds_for(self, clips: int) -> float | None:
        """Estimate how long so many clips take; see `time_needed`."""
        return time_needed(clips, rpm=self.rpm, in_flight=self.in_flight, latency_s=self.latency_s)

    def seconds_for_all(self, counts: Mapping[str, int]) -> float | None:
        """Estimate how long clips of several models take, by their numbers: each occupies its slot for its own time."""
        clips, longest = sum(counts.values()), self.latency_s
        if longest is None or not clips:
            return self.seconds_for(clips)
        mean = sum(count * self.by_model.get(model, longest) for model, count in counts.items()) / clips
        return clips * max(_call_s(self.rpm), mean / max(1, self.in_flight)) + longest

    @property
    def limits_note(self) -> str:
        """Say why the limits are not what is configured; that in flight counts only if it is what holds the run up."""
        notes = (self.rpm_note, self.in_flight_note if self._slots_are_slower() else "")
        return ", and ".join(note for note in notes if note)

    def _slots_are_slower(self) -> bool:
        return self.latency_s is not None and self.latency_s / max(1, self.in_flight) > _call_s(self.rpm)


def time_needed(clips: int, *, rpm: float | None, in_flight: int, latency_s: float | None) -> float | None:
    """Estimate the seconds that clips take: bound by the calls or by the clips in flight, and then the last clip.

    None when the latency is unknown; 0 when there is nothing to make. `rpm` None or 0 is no limit.
    """
    if not clips:
        return 0.0
    if latency_s is None:
        return None
    return clips * max(_call_s(rpm), latency_s / max(1, in_flight)) + latency_s


def _call_s(rpm: float | None) -> float:
    """Give the seconds that the calls of one clip take."""
    return CALLS_PER_CLIP * 60 / rpm if rpm else 0.0
