"""How fast a run is beside others that do the same, and how often it syncs meanwhile."""

from __future__ import annotations

import re
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tools import batchgen, manifest, paid, script, service

#: What is synced, by the end of its path; the first that fits counts.
KINDS = {
    "ledger's WAL": r"ledger\.db-wal$",
    "ledger": r"ledger\.db$",
    "ledger's log": r"ledger\.log$",
    "spill file": r"ledger\.spill$",
    "video": r"\.mp4\.part$",
    "folder of the videos": r"/clips$",
    "folder of the batch": r"/bench$",
    "other": r"",
}
#: A first run warms the service, the page cache and the bytecode, and is not counted.
WARM = 300


def throughput(clips: int = 10_000, rounds: int = 3) -> dict[str, Any]:
    """Ours, the bare loop and the vendor's SDK in turn against one service; ratios pair by pair."""
    found: list[dict[str, dict[str, float]]] = []
    # Nothing is deleted before the end: for minutes ext4 walks round every inode that was just freed, and each new file
    # costs up to milliseconds. Ours makes two for the one of the others.
    with tempfile.TemporaryDirectory() as everything, service() as base:
        for contender in CONTENDERS.values():
            contender(base, WARM, _made(Path(everything) / f"warm-{contender.__name__}"))
        for number in range(rounds):
            names = list(CONTENDERS)
            order = names[number % len(names) :] + names[: number % len(names)]  # who is first is not always the same
            each = {name: CONTENDERS[name](base, clips, _made(Path(everything) / f"{number}-{name}")) for name in order}
            found.append({name: each[name] for name in names})
            told = "   ".join(
                f"{name} {of['per_s']:.0f} jobs/s {of['cpu_ms']:.2f} CPU ms a job" for name, of in each.items()
            )
            print(f"  {told}", flush=True)
    ratios = {
        f"of_{name}": statistics.median(each["ours"]["per_s"] / each[name]["per_s"] for each in found)
        for name in CONTENDERS
        if name != "ours"
    }
    cpu = {f"cpu_ms_{name}": statistics.median(each[name]["cpu_ms"] for each in found) for name in CONTENDERS}
    print(f"throughput, {clips:,} clips: {ratios['of_bare']:.2f} of the bare loop, {ratios['of_sdk']:.1f} x the SDK")
    return {"clips": clips, **ratios, **cpu, "rounds": found}


def waiting(clips: int = 1000, latency_s: float = 1.0) -> dict[str, Any]:
    """Ours and the vendor's SDK with jobs that take a second, as no real one takes less: a thread waits for each."""
    with tempfile.TemporaryDirectory() as everything, service(latency_s) as base:
        ours = _ours(base, clips, _made(Path(everything) / "ours"), "--expect-latency", str(latency_s))
        sdk = _sdk(base, clips, _made(Path(everything) / "sdk"))
    ratio = ours["per_s"] / sdk["per_s"]
    print(f"waiting, {clips:,} clips of {latency_s:g} s: ours {ours['per_s']:.0f} jobs/s, {ratio:.1f} x the SDK")
    return {"clips": clips, "latency_s": latency_s, "ours": ours, "sdk": sdk, "of_sdk": ratio}


def _ours(base: str, clips: int, folder: Path, *more: str) -> dict[str, float]:
    manifest(folder, clips)
    done = batchgen(*paid(base, *more), cwd=folder)
    told = done.json
    assert told["state"]["done"] == clips, done.out + done.err
    assert len(list((folder / "bench" / "clips").glob("*.mp4"))) == clips
    # Our own time begins when the ledger is opened, as theirs begins with the first request: none counts its imports.
    return {"per_s": clips / told["elapsed_s"], "cpu_ms": 1000 * done.cpu_s / clips}


def _bare(base: str, clips: int, folder: Path) -> dict[str, float]:
    return _contender("bare_loop.py", base, clips, folder)


def _sdk(base: str, clips: int, folder: Path) -> dict[str, float]:
    return _contender("sdk_threads.py", base, clips, folder)


def _contender(name: str, base: str, clips: int, folder: Path) -> dict[str, float]:
    done = script(name, base, str(clips), str(folder / "out"), cwd=folder)
    assert done.json["made"] == clips
    return {"per_s": done.json["per_s"], "cpu_ms": 1000 * done.cpu_s / clips}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


CONTENDERS = {"ours": _ours, "bare": _bare, "sdk": _sdk}


def fsync(clips: int = 400) -> dict[str, Any]:
    """Count the syncs of a run under strace, by what is synced."""
    if shutil.which("strace") is None:
        sys.exit("fsync: strace is not installed")
    with tempfile.TemporaryDirectory() as name, service() as base:
        folder = Path(name)
        manifest(folder, clips)
        log = folder / "trace"
        done = batchgen(
            *paid(base), cwd=folder, wrap=["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", str(log)]
        )
        assert done.json["state"]["done"] == clips
        counts = Counter(
            next(kind for kind, pattern in KINDS.items() if re.search(pattern, path))
            for path in re.findall(r"(?:fsync|fdatasync)\(\d+<([^>]*)>", log.read_text(errors="replace"))
        )
    each = {kind: round(counts[kind] / clips, 3) for kind in KINDS if counts[kind]}
    # What has to be there: none of it can be saved without a promise.
    assert counts["video"] >= clips, counts
    assert counts["ledger's WAL"], counts
    assert counts["folder of the videos"], counts
    told = ", ".join(f"{kind} {count:.2f}" for kind, count in each.items())
    print(f"fsync, {clips} clips: {counts.total() / clips:.2f} a clip ({told}; commits are shared)")
    return {"clips": clips, "a_clip": counts.total() / clips, "kinds": each}
