"""The table of raw speed and size in `benchmarks.md`: figure, goal, result; made from tests/bench/figures.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Row = tuple[str, str, str]
#: Where the size does not matter: below it a start's own cost hides the rest.
_LARGE, _MIDDLE, _SMALL = "100000", "10000", "1000"


def rows(found: Mapping[str, Any]) -> Iterator[Row]:
    """Give the rows of what was taken."""
    for name, of in (("throughput", _speed), ("waiting", _waiting), ("fsync", _syncs), ("flat", _sizes),
                     ("memory", _memory), ("beside", _beside), ("start", _starts)):  # fmt: skip
        if name in found:
            yield from of(found[name])


def _speed(found: Mapping[str, Any]) -> Iterator[Row]:
    clips, rounds = f"{found['clips']:,} clips", len(found["rounds"])
    yield f"jobs/s, {clips}, of the bare loop's (median of {rounds})", "≥ 0.6", f"{found['of_bare']:.2f}"
    yield f"jobs/s, {clips}, of the SDK's in 32 threads (median of {rounds})", "≥ 3", f"{found['of_sdk']:.2f}"
    cpu = [f"{found[f'cpu_ms_{name}']:.2f}" for name in ("ours", "bare", "sdk")]
    yield "CPU ms a job: ours / bare loop / SDK", "", " / ".join(cpu)


def _waiting(found: Mapping[str, Any]) -> Iterator[Row]:
    figure = f"jobs/s, {found['clips']:,} clips of {found['latency_s']:g} s each, of the SDK's in 32 threads"
    yield figure, "≥ 3", f"{found['of_sdk']:.1f} ({found['ours']['per_s']:.0f} beside {found['sdk']['per_s']:.0f})"


def _syncs(found: Mapping[str, Any]) -> Iterator[Row]:
    kinds = ", ".join(f"{kind} {count:.2f}" for kind, count in found["kinds"].items() if count >= 0.01)
    yield f"syncs a clip (strace, {found['clips']} clips; commits are shared)", "", f"{found['a_clip']:.2f}: {kinds}"


def _sizes(found: Mapping[str, Any]) -> Iterator[Row]:
    sizes, slopes = found["sizes"], found["slopes"]
    for what in ("plan", "resume", "status"):
        seen = " / ".join(f"{sizes[size][what]['cpu_s']:.2f}" for size in (_SMALL, _MIDDLE, _LARGE))
        mib = " / ".join(f"{sizes[size][what]['mib']:.0f}" for size in (_SMALL, _MIDDLE, _LARGE))
        slope = slopes[what]
        flat = f"{slope['us_a_clip_below']:.0f} → {slope['us_a_clip']:.0f} µs a further clip"
        yield f"`{what}` at 1,000 / 10,000 / 100,000 clips", "flat", f"{seen} s of CPU ({flat}); {mib} MiB"
    large = sizes[_LARGE]["resume"]
    seen = f"{large['opened_s']:.1f} s from the lock to the end, {large['cpu_s']:.1f} s of CPU with start and manifest"
    yield "resume of 100,000 clips, 10 of them open", "≤ 3 s", seen


def _memory(found: Mapping[str, Any]) -> Iterator[Row]:
    yield f"{found['in_flight']:,} in flight", "≤ 400 MiB", f"{found['mib']:.0f} MiB"


def _beside(found: Mapping[str, Any]) -> Iterator[Row]:
    for clips, of in found.items():
        if clips != "at":
            seen = f"{1000 * of['median_s']:.0f} ms (at most {1000 * of['max_s']:.0f}; {1000 * of['cpu_s']:.0f} of CPU)"
            yield f"`status` beside a live run, {int(clips):,} clips", "≤ 300 ms", seen


def _starts(found: Mapping[str, Any]) -> Iterator[Row]:
    names = ("python -c 0", "--version", "status", "plan")
    seen = " / ".join(f"{1000 * found[name]['cpu_s']:.0f}" for name in names)
    yield f"CPU ms of {' / '.join(f'`{name}`' for name in names)}", "", seen
