"""What commands cost at 1,000, 10,000 and 100,000 clips, and what a run needs in memory."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tools import Done, batchgen, big_batch, environment, manifest, paid, run, service

SIZES = (1_000, 10_000, 100_000)
#: Of a large batch, this many are left to be made.
LEFT = 10


def flat(rounds: int = 3) -> dict[str, Any]:
    """Plan anew, resume, and ask how it stands, by the number of clips; CPU time, since wall time is not ours alone."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    with service() as base:
        for clips in SIZES:
            with tempfile.TemporaryDirectory() as name:
                found[str(clips)] = _at(Path(name), clips, base, rounds)
            told = ", ".join(
                f"{what} {of['cpu_s']:.2f} s, {of['mib']:.0f} MiB" for what, of in found[str(clips)].items()
            )
            print(f"flat, {clips:,} clips (CPU): {told}", flush=True)
    small, middle, large = (found[str(clips)] for clips in SIZES)
    slopes = {
        what: {
            "us_a_clip": 1e6 * (large[what]["cpu_s"] - middle[what]["cpu_s"]) / (SIZES[2] - SIZES[1]),
            "us_a_clip_below": 1e6 * (middle[what]["cpu_s"] - small[what]["cpu_s"]) / (SIZES[1] - SIZES[0]),
        }
        for what in small
    }
    for what, slope in slopes.items():
        steep = f"{slope['us_a_clip_below']:.1f} and {slope['us_a_clip']:.1f} µs"
        print(f"flat, {what}: a further clip costs {steep} (below and above 10,000)")
    return {"sizes": found, "slopes": slopes}


def _at(folder: Path, clips: int, base: str, rounds: int) -> dict[str, dict[str, float]]:
    manifest(folder, clips)
    found = {"plan": _middle([batchgen("plan", "bench.yaml", "--json", cwd=folder) for _ in range(rounds)])}
    kept = big_batch(folder, clips, base, LEFT).rename(folder / "kept")
    resumes = []
    for _ in range(rounds):
        shutil.copytree(kept, folder / "bench", copy_function=_copy)
        resumes.append(batchgen(*paid(base), cwd=folder))
        told = resumes[-1].json
        assert told["state"]["done"] == clips, told
        resumed_s = told["elapsed_s"]
        asks = [
            batchgen("status", "bench.yaml", *more, cwd=folder) for more in ((), ("--json",)) for _ in range(rounds)
        ]
        shutil.rmtree(folder / "bench")
    found["resume"] = _middle(resumes) | {"opened_s": resumed_s}
    found["status"], found["status --json"] = _middle(asks[:rounds]), _middle(asks[rounds:])
    return found


def _copy(source: str, target: str) -> None:
    """Copy with its times: a ledger that was touched is walked, as one that was not closed is."""
    shutil.copy2(source, target)


def _middle(runs: list[Done]) -> dict[str, float]:
    for done in runs:
        assert done.code == 0, done.out + done.err
    return {
        "s": statistics.median(done.seconds for done in runs),
        "cpu_s": statistics.median(done.cpu_s for done in runs),
        "mib": max(done.peak_mib for done in runs),
    }


def memory(in_flight: int = 10_000) -> dict[str, Any]:
    """Run with many requests in flight at once; the bound starts where it would only be after hours."""
    code = (
        "import sys; from batchgen.ratelimit.concurrency import ConcurrencyLimit;"
        "ConcurrencyLimit.__init__.__kwdefaults__['start'] = 10**6;"
        "from batchgen.cli import main; main()"
    )
    with tempfile.TemporaryDirectory() as name, service(latency_s=90.0) as base:
        folder = Path(name)
        path = manifest(folder, in_flight)
        path.write_text(path.read_text() + "limits: {submit_concurrency: 64}\n")
        options = ["--in-flight", str(in_flight), "--expect-latency", "90"]
        done = run([sys.executable, "-c", code, *paid(base), *options], folder)
        state = done.json["state"]
    assert state["done"] == in_flight, state
    print(f"memory, {in_flight:,} in flight: {done.peak_mib:.0f} MiB at the peak")
    return {"in_flight": in_flight, "mib": done.peak_mib}


def beside(left: int = 6_000, calls: int = 9) -> dict[str, Any]:
    """Ask how it stands while a run of thousands is at work, with few and with many clips in the ledger."""
    found = {}
    for clips in (left, SIZES[-1]):
        with tempfile.TemporaryDirectory() as name, service() as base:
            folder = Path(name)
            big_batch(folder, clips, base, left)
            command = [sys.executable, "-m", "batchgen", *paid(base)]
            with (folder / "out").open("w") as out:
                process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=out)
                _until_it_works(folder, clips - left)
                asks = [batchgen("status", "bench.yaml", "--json", cwd=folder) for _ in range(calls)]
                assert process.wait() == 0
            assert json.loads((folder / "out").read_text())["state"]["done"] == clips
        assert all(ask.json["live"] and ask.json["state"]["done"] < clips for ask in asks), "the run was over too early"
        seconds = [ask.seconds for ask in asks]
        found[str(clips)] = {
            "median_s": statistics.median(seconds),
            "max_s": max(seconds),
            "cpu_s": statistics.median(ask.cpu_s for ask in asks),
        }
        print(f"beside a live run, {clips:,} clips: status {_ms(found[str(clips)])}", flush=True)
    return found


def _until_it_works(folder: Path, done: int) -> None:
    for _ in range(600):
        told = batchgen("status", "bench.yaml", "--json", cwd=folder).json
        if told["live"] and told["state"]["done"] > done:
            return
        time.sleep(0.1)
    raise AssertionError("the run did not get to work")


def _ms(of: dict[str, float]) -> str:
    median, most, cpu = (1000 * of[name] for name in ("median_s", "max_s", "cpu_s"))
    return f"{median:.0f} ms (median), {most:.0f} ms (most), {cpu:.0f} ms of CPU"


def start(rounds: int = 9) -> dict[str, Any]:
    """Time short commands, and the interpreter alone."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest(folder, 3)
        assert batchgen("run", "bench.yaml", "--sandbox", "--sandbox-latency", "0", cwd=folder).code == 0
        mine = [sys.executable, "-m", "batchgen"]
        commands = {"python -c 0": [sys.executable, "-c", "0"], "--version": [*mine, "--version"]}
        commands |= {"status": [*mine, "status", "bench.yaml", "--sandbox"], "--help": [*mine, "--help"]}
        commands |= {"completion bash": [*mine, "completion", "bash"], "plan": [*mine, "plan", "bench.yaml"]}
        for label, command in commands.items():
            run(command, folder)  # writes the bytecode
            found[label] = _middle([run(command, folder) for _ in range(rounds)])
            print(f"start, {label}: {1000 * found[label]['s']:.0f} ms, {1000 * found[label]['cpu_s']:.0f} ms of CPU")
    return found
