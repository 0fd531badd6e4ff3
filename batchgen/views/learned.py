"""What was measured in a batch and its account: run times, status checks, and rate limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchgen.views.text import one_line, plural, wrap
from batchgen.wording import duration

#: Times of status checks that a person sees; a program gets all.
_NAMED = 8


@dataclass(frozen=True, slots=True)
class ClassTimes:
    """One price class: its latest run times, and the status checks of a fresh clip. Seconds."""

    name: str  #: model, size, duration
    run: Sequence[float]  #: without the queue
    queue: Sequence[float]  #: as far as the service said
    ages: Sequence[float]  #: of a fresh clip, at which its status would be checked
    looks: float  #: expected status checks of a clip
    lag: float  #: expected, from the end to the check that sees it
    made: tuple[int, int] = (0, 0)  #: checks that were made, and of how many clips


@dataclass(frozen=True, slots=True)
class Learned:
    """What was measured; of the account: a number and how long ago (seconds), None: nothing yet."""

    classes: Sequence[ClassTimes]
    rate: tuple[float, float] | None = None  #: calls a minute, below what was configured
    in_flight: tuple[float, float] | None = None
    borne: bool = False  #: a whole minute at that rate was accepted; else refusals led to it, and it is not proved


def learned_object(learned: Learned) -> dict[str, Any]:
    """Give the field `learned` of the status object."""
    rate, slots = learned.rate, learned.in_flight
    return {
        "rate": None if rate is None else {"rpm": round(rate[0], 1), "age_s": round(rate[1]), "borne": learned.borne},
        "in_flight": None if slots is None else {"clips": int(slots[0]), "age_s": round(slots[1])},
        "classes": [_class(times) for times in learned.classes],
    }


def _class(times: ClassTimes) -> dict[str, Any]:
    return {
        "class": times.name,
        "clips": len(times.run),
        "run_s": _spread(times.run),
        "queue_s": _spread(times.queue),
        "looks": {
            "ages_s": [round(age, 1) for age in times.ages],
            "a_clip": round(times.looks, 2),
            "lag_s": round(times.lag, 1),
            "made_a_clip": round(times.made[0] / times.made[1], 2) if times.made[1] else None,
            "made_clips": times.made[1],
        },
    }


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    ordered = sorted(values)
    shares = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
    return {name: round(ordered[int(share * len(ordered))], 1) for name, share in shares.items()} if ordered else None


def learned_lines(obj: Mapping[str, Any] | None, width: int) -> list[str]:
    """Write a `learned_object` in lines of `width` columns; nothing where it was not asked for."""
    if obj is None:
        return []
    lines = wrap(_pace(obj), width, "  ")
    for each in obj["classes"]:
        lines += wrap(_ran(each), width, "  ") + wrap(_checks(each), width, "    ")
    if not obj["classes"]:
        lines += wrap("No run times yet.", width, "  ")
    return ["Measured so far", *lines]


def _pace(obj: Mapping[str, Any]) -> str:
    rate, slots = obj["rate"], obj["in_flight"]
    clips = f"; up to {plural(slots['clips'], 'clip')} in flight ({duration(slots['age_s'])} ago)" if slots else ""
    if rate is None:
        return f"The account refused no calls{clips}."
    calls = f"{rate['rpm']:g} calls/min"
    limit = f"The account accepted {calls}" if rate["borne"] else f"Slowed to {calls} after refusals"
    return f"{limit} ({duration(rate['age_s'])} ago){clips}."


def _ran(each: Mapping[str, Any]) -> str:
    queue = each["queue_s"]
    queued = f", after {_range(queue)} in the queue" if queue else ""
    return f"{one_line(each['class'])}: {plural(each['clips'], 'clip')} took {_range(each['run_s'])}{queued}."


def _checks(each: Mapping[str, Any]) -> str:
    looks = each["looks"]
    made = looks["made_a_clip"]
    so_far = "" if made is None else f" So far {made:.1f} checks per clip ({plural(looks['made_clips'], 'clip')})."
    ages = ", ".join(_short(age) for age in looks["ages_s"][:_NAMED])
    later = ", and later" if len(looks["ages_s"]) > _NAMED else ""
    return (
        f"Status checks of the next one, while it runs: at {ages} s{later}. Expected: {looks['a_clip']:.1f} checks, "
        f"the end seen after {duration(looks['lag_s'])}.{so_far}"
    )


def _range(spread: Mapping[str, float]) -> str:
    return f"{_short(spread['p50'])} s ({_short(spread['p10'])} to {_short(spread['p90'])})"


def _short(seconds: float) -> str:
    return f"{round(seconds, 1 if seconds < 100 else None):g}"
