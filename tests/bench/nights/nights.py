"""Simulate nights, by our policy and by others: `python tests/bench/nights/nights.py [NAME …]`.

Seeds are fixed. Results go to `results.json` and two SVGs next to it; benchmarks.md's tables are made from the file.
"""

from __future__ import annotations

import json
import logging
import random
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parents[1])]

from night_pictures import nights_picture, polls_picture  # noqa: E402
from night_run import POLICIES, Night, simulate, simulate_second  # noqa: E402
from night_service import Weather, log_normal  # noqa: E402
from run_times import (  # noqa: E402
    SHAPES,
    Spent,
    fewest_polls,
    fewest_within,
    fixed_interval,
    frontier,
    known,
    spent,
)

from batchgen.polling.schedule import MEMORY, RunTimes  # noqa: E402

RESULTS = HERE / "results.json"
#: What a night is like, in words → the weather, and how many clips.
NIGHTS: dict[str, tuple[Weather, int]] = {
    "50 RPM, 5,000 clips": (Weather(), 5000),
    "120 RPM, 80 slots": (Weather(rpm=120, slots=80), 2000),
    "1,000 RPM, 100 slots": (Weather(rpm=1000, slots=100), 2000),
    "5 RPM (free plan)": (Weather(rpm=5), 300),
    "50 RPM, status checks don't count": (Weather(count_polls=False), 1000),
    "run times drift by half": (Weather(drift=0.5), 2000),
    "busy hours": (Weather(diurnal=0.6), 2000),
    "others' bursts": (Weather(bursts=((900, 25, 1200), (4000, 30, 900), (8000, 20, 1800))), 2000),
    "an outage of 20 min": (Weather(outage=(1500, 2700)), 2000),
    "120 RPM said, 60 held": (Weather(rpm=120, hidden_rpm=60, slots=80), 2000),
    "60 held, the night after": (Weather(rpm=120, hidden_rpm=60, slots=80), 2000),
    "few slots": (Weather(slots=6), 300),
    "2 slots, no queue time told": (Weather(slots=2, told=False), 100),
    "2 min of others' queue": (Weather(slots=400, others_s=120), 1000),
    "wide run times": (Weather(run=log_normal(213.0, 0.5)), 1000),
    "15-minute jobs": (Weather(run=log_normal(900.0, 0.3), slots=20), 300),
    "50 RPM, 400 × 30-minute jobs": (Weather(run=log_normal(1800.0, 0.15), slots=400), 2000),
    "40 RPM, 400 × 30-minute jobs": (Weather(rpm=40, run=log_normal(1800.0, 0.15), slots=400), 2000),
}
#: These come after a night of the same weather, and start from what it learned.
SECOND = frozenset({"60 held, the night after"})


def main(names: list[str]) -> None:
    """Run the nights whose name holds one of the words, all without any; write what they came to."""
    logging.disable()
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"nights": {}, "shapes": {}}
    for name, (weather, clips) in NIGHTS.items():
        if names and not any(word in name for word in names):
            continue
        kept["nights"][name] = {}
        for policy in POLICIES:
            night = (simulate_second if name in SECOND else simulate)(weather, policy, clips)
            kept["nights"][name][policy] = asdict(night) | {"over": night.over}
            print(f"{name:28} {policy:10} {in_short(night)}", flush=True)
    kept["nights"] = {name: kept["nights"][name] for name in NIGHTS if name in kept["nights"]}
    if not names:
        kept["shapes"] = {shape: judged(shape) for shape in SHAPES}
        print(json.dumps(kept["shapes"], indent=1))
    RESULTS.write_text(json.dumps(rounded(kept), indent=1) + "\n")
    (HERE / "nights.svg").write_text(nights_picture(kept["nights"]))
    (HERE / "polls.svg").write_text(polls_picture())


def in_short(night: Night) -> str:
    """Say a night in a line."""
    p50, p95, p99 = night.lags
    return (
        f"{night.over:.3f} of the bound, {night.calls:5.2f} calls and {night.polls:5.2f} polls a clip, "
        f"lag {p50:.0f}/{p95:.0f}/{p99:.0f} s, {night.limited} × 429, {night.expired} expired, "
        f"{night.paid_twice} paid twice, simulated in {night.took_s:.0f} s"
    )


def judged(shape: str) -> dict[str, float]:
    """Hold what was learned of a shape, at four polls a clip, against knowing it and against fixed intervals.

    `of_optimal` is at the same mean lag, after all that is remembered; `of_optimal_20` and `_60` after so many clips.
    `of_fixed` is at the same 95th percentile of lag, and `least_of_fixed` what the best schedule for just that takes.
    All are means over four draws of what is learned.
    """
    dice = random.Random(11)
    ends = sorted(SHAPES[shape](dice) for _ in range(8000))
    truth = known(ends)
    best = frontier(truth)
    ours = [_learned(shape, MEMORY, seed, ends) for seed in range(4)]
    fixed = [fixed_interval(ends, each.p95) for each in ours]
    early = {
        f"of_optimal_{clips}": fmean(
            each.polls / fewest_polls(best, each.lag)
            for each in (_learned(shape, clips, seed, ends) for seed in range(4))
        )
        for clips in (20, 60)
    }
    return {
        "polls": fmean(each.polls for each in ours),
        "lag": fmean(each.lag for each in ours),
        "p95": fmean(each.p95 for each in ours),
        "of_optimal": fmean(each.polls / fewest_polls(best, each.lag) for each in ours),
        **early,
        "of_fixed": fmean(each.polls / those for each, those in zip(ours, fixed, strict=True)),
        "least_of_fixed": fmean(
            fewest_within(truth, each.p95) / those for each, those in zip(ours, fixed, strict=True)
        ),
    }


def _learned(shape: str, clips: int, seed: int, ends: list[float]) -> Spent:
    dice = random.Random(seed)
    times = RunTimes(213.0)
    for _ in range(clips):
        times.learn(SHAPES[shape](dice))
    return spent(times.schedule(4.0).ages, ends)


def rounded(value: object) -> object:
    """Cut numbers to what they are worth."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items() if key != "took_s"}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    return round(value, 3) if isinstance(value, float) else value


if __name__ == "__main__":
    main(sys.argv[1:])
