"""What a run would make, what it would cost, and how long it would take: clips × ledger. Pure.

Money is micro-dollars, None where unknown; every amount here is an estimate until the service bills.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from batchgen.clip import State, Wanted
from batchgen.money import usd

#: API calls that one clip takes as a rule: submit, two looks, result.
CALLS_PER_CLIP = 4
#: Of video, for each pixel and second: 7 Mbit/s at 720p. Nobody publishes one; this is on the safe side.
BYTES_PER_PIXEL_SECOND = 1.0

#: Model, size, duration, price of one.
_Like: TypeAlias = tuple[str, str, float | None, int | None]
_SIZE = re.compile(r"(\d+)\s*[*x×]\s*(\d+)")
_IN_FLIGHT = (State.SUBMITTING, State.GENERATING, State.DOWNLOADING)


@dataclass(frozen=True, slots=True)
class Group:
    """Clips to be made that are alike in model, size, duration (seconds) and price."""

    model: str
    size: str  #: as the manifest says it; "" when it does not
    duration: float | None
    count: int
    each: int | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A manifest held against its ledger; the nine states of the wanted clips add up to `wanted`."""

    name: str
    wanted: int
    new: int
    done: int
    failed: int
    blocked: int
    unconfirmed: int
    lost: int
    in_flight: int
    unwanted: int
    groups: Sequence[Group]
    estimate: int | None  #: of the new clips whose price is known; None when none of them has one
    unpriced: int  #: new clips of unknown price
    seconds: float | None
    bytes: int | None  #: of disk, for what is new; None when no size is known
    spent: int
    reserved: int
    cap: int | None
    warnings: Sequence[str]
    price_source: str = ""  #: where the prices come from, in words


def make_plan(
    wanted: Iterable[Wanted],
    states: Mapping[str, State],
    *,
    price: Callable[[Wanted], int | None],
    rpm: float | None,
    in_flight: int,
    latency_s: float | None,
    name: str = "",
    spent: int = 0,
    reserved: int = 0,
    cap: int | None = None,
    free_bytes: int | None = None,
    price_source: str = "",
    warnings: Sequence[str] = (),
) -> Plan:
    """Hold wanted clips (each once) against the ledger's states by key, in one pass.

    Args:
        states: of all clips in the ledger, those no longer wanted too.
        price: the estimate for one clip; None when unknown.
        rpm, in_flight: calls a minute (None or 0: no limit), and clips at the service at once.
        latency_s: seconds from submission to a clip; None: unknown, and so is the time.
        free_bytes: what the disk has left.
        warnings: found elsewhere; the plan's own come after them. All else is as in `Plan`.
    """
    counts, groups, in_ledger = _tally(wanted, states, price)
    new = counts[State.PENDING]
    flying = sum(counts[state] for state in _IN_FLIGHT)
    seconds = time_needed(new + flying, rpm=rpm, in_flight=in_flight, latency_s=latency_s)
    plan = Plan(
        name=name,
        wanted=counts.total(),
        new=new,
        **_ended(counts),
        in_flight=flying,
        unwanted=len(states) - in_ledger,
        groups=groups,
        estimate=_sum_known([group.total for group in groups]),
        unpriced=sum(group.count for group in groups if group.each is None),
        seconds=seconds,
        bytes=_sum_known([_disk(group) for group in groups]),
        spent=spent,
        reserved=reserved,
        cap=cap,
        warnings=(),
        price_source=price_source,
    )
    return _with_warnings(plan, warnings, free_bytes)


def _ended(counts: Counter[State]) -> dict[str, Any]:
    ended = (State.DONE, State.FAILED, State.BLOCKED, State.UNCONFIRMED, State.LOST)
    return {str(state): counts[state] for state in ended}


def _tally(
    wanted: Iterable[Wanted], states: Mapping[str, State], price: Callable[[Wanted], int | None]
) -> tuple[Counter[State], list[Group], int]:
    """Count the clips by state, those to be made by kind, and those that the ledger knows."""
    counts: Counter[State] = Counter()
    alike: Counter[_Like] = Counter()
    in_ledger = 0
    for clip in wanted:
        state = states.get(clip.key)
        in_ledger += state is not None
        counts[state or State.PENDING] += 1
        if state in {None, State.PENDING}:
            alike[clip.model, *_measures(clip.params), price(clip)] += 1
    return counts, [_group(*like, count) for like, count in sorted(alike.items(), key=_biggest_first)], in_ledger


def time_needed(clips: int, *, rpm: float | None, in_flight: int, latency_s: float | None) -> float | None:
    """Estimate the seconds that clips take: bound by the calls or by the places in flight, and the last one.

    None when the latency is unknown; 0 when there is nothing to make. `rpm` None or 0 is no bound.
    """
    if not clips:
        return 0.0
    if latency_s is None:
        return None
    by_calls = clips * CALLS_PER_CLIP * 60 / rpm if rpm else 0.0
    by_places = clips * latency_s / max(1, in_flight)
    return max(by_calls, by_places) + latency_s


def _measures(params: str) -> tuple[str, float | None]:
    values = json.loads(params)
    duration = values.get("duration")
    return str(values.get("size") or ""), duration if isinstance(duration, int | float) else None


def _biggest_first(entry: tuple[_Like, int]) -> tuple[int, str]:
    like, count = entry
    return -count, repr(like)


def _group(model: str, size: str, duration: float | None, each: int | None, count: int) -> Group:
    return Group(model, size, duration, count, each, None if each is None else each * count)


def _disk(group: Group) -> int | None:
    found = _SIZE.fullmatch(group.size)
    if found is None or group.duration is None:
        return None
    pixels = int(found[1]) * int(found[2])
    return round(pixels * group.duration * BYTES_PER_PIXEL_SECOND) * group.count


def _sum_known(amounts: Sequence[int | None]) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known or not amounts else None


def _with_warnings(plan: Plan, given: Sequence[str], free_bytes: int | None) -> Plan:
    return replace(plan, warnings=[*given, *_budget_warnings(plan), *_disk_warnings(plan, free_bytes)])


def _budget_warnings(plan: Plan) -> list[str]:
    told = []
    if plan.cap is not None and plan.estimate is not None:
        left = max(0, plan.cap - plan.spent - plan.reserved)
        if plan.estimate > left:
            told.append(
                f"the estimate of {usd(plan.estimate)} is more than the budget has left ({usd(left)} of "
                f"{usd(plan.cap)}): the run will stop before all clips are made"
            )
    if plan.unpriced:
        told.append(
            f"{plan.unpriced:,} of the new clips have no known price, so the cost is not known in full: "
            "give their prices in the manifest (prices:)"
        )
    return told


def _disk_warnings(plan: Plan, free_bytes: int | None) -> list[str]:
    if plan.bytes is None or free_bytes is None or plan.bytes <= free_bytes:
        return []
    need, free = (f"{count / 1e9:,.1f} GB" for count in (plan.bytes, free_bytes))
    return [f"the new clips may need {need}, and the disk has {free} left"]
