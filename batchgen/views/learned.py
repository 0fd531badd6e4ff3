"""What a batch and its account taught: how long clips take, when the next ones are looked at, and the pace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchgen.views.text import one_line, plural, wrap
from batchgen.wording import duration

#: Ages of looks that a person is told; a program gets all.
_NAMED = 8


@dataclass(frozen=True, slots=True)
class Taught:
    """What is known of one class of clips: its latest run times, and the looks at a fresh clip. Seconds."""

    name: str  #: model, size, duration
    run: Sequence[float]  #: at work, without the queue
    queue: Sequence[float]  #: as far as the service told
    ages: Sequence[float]  #: of a fresh clip, at which it would be looked at
    looks: float  #: expected, a clip
    lag: float  #: expected, from the end to the look that sees it
    made: tuple[int, int] = (0, 0)  #: looks that were made, and at how many clips in all


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned; of the account: a number and how long ago it was learned (seconds), None: nothing was."""

    classes: Sequence[Taught]
    rate: tuple[float, float] | None = None  #: calls a minute, below what was configured
    in_flight: tuple[float, float] | None = None
    borne: bool = False  #: a whole minute at that rate was; else refusals led to it, and it was not tried yet


def learned_object(learned: Learned) -> dict[str, Any]:
    """Give the field `learned` of the status object."""
    rate, places = learned.rate, learned.in_flight
    return {
        "rate": None if rate is None else {"rpm": round(rate[0], 1), "age_s": round(rate[1]), "borne": learned.borne},
        "in_flight": None if places is None else {"clips": int(places[0]), "age_s": round(places[1])},
        "classes": [_class(taught) for taught in learned.classes],
    }


def _class(taught: Taught) -> dict[str, Any]:
    return {
        "class": taught.name,
        "clips": len(taught.run),
        "run_s": _spread(taught.run),
        "queue_s": _spread(taught.queue),
        "looks": {
            "ages_s": [round(age, 1) for age in taught.ages],
            "a_clip": round(taught.looks, 2),
            "lag_s": round(taught.lag, 1),
            "made_a_clip": round(taught.made[0] / taught.made[1], 2) if taught.made[1] else None,
            "made_clips": taught.made[1],
        },
    }


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    ordered = sorted(values)
    shares = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
    return {name: round(ordered[int(share * len(ordered))], 1) for name, share in shares.items()} if ordered else None


def learned_lines(obj: Mapping[str, Any] | None, width: int) -> list[str]:
    """Say a `learned_object` in lines of `width` columns; nothing where it was not asked for."""
    if obj is None:
        return []
    lines = wrap(_pace(obj), width, "  ")
    for each in obj["classes"]:
        lines += wrap(_ran(each), width, "  ") + wrap(_looked_at(each), width, "    ")
    if not obj["classes"]:
        lines += wrap("How long clips take was not seen yet.", width, "  ")
    return ["What was learned", *lines]


def _pace(obj: Mapping[str, Any]) -> str:
    rate, places = obj["rate"], obj["in_flight"]
    clips = f"; up to {plural(places['clips'], 'clip')} in flight ({duration(places['age_s'])} ago)" if places else ""
    if rate is None:
        return f"The account bore all the calls asked of it{clips}."
    calls = f"{rate['rpm']:g} calls a minute"
    bore = f"The account bore {calls}" if rate["borne"] else f"Slowed to {calls} after refusals"
    return f"{bore} ({duration(rate['age_s'])} ago){clips}."


def _ran(each: Mapping[str, Any]) -> str:
    queue = each["queue_s"]
    queued = f", after {_range(queue)} in the queue" if queue else ""
    return f"{one_line(each['class'])}: {plural(each['clips'], 'clip')} ran for {_range(each['run_s'])}{queued}."


def _looked_at(each: Mapping[str, Any]) -> str:
    looks = each["looks"]
    made = looks["made_a_clip"]
    so_far = "" if made is None else f" So far it took {made:.1f} looks a clip ({plural(looks['made_clips'], 'clip')})."
    ages = ", ".join(_short(age) for age in looks["ages_s"][:_NAMED])
    later = ", and later" if len(looks["ages_s"]) > _NAMED else ""
    return (
        f"The next one is looked at {looks['a_clip']:.1f} times, {duration(looks['lag_s'])} after its end: "
        f"at {ages} s{later}, as long as it runs.{so_far}"
    )


def _range(spread: Mapping[str, float]) -> str:
    return f"{_short(spread['p50'])} s ({_short(spread['p10'])} to {_short(spread['p90'])})"


def _short(seconds: float) -> str:
    return f"{round(seconds, 1 if seconds < 100 else None):g}"
