"""Figures, as ratios within one run: `python tests/bench/figures.py [throughput|fsync|start|plan|memory …]`.

throughput  jobs/s against a local service that answers at once, beside a bare aiohttp loop that makes the same
            requests and keeps no state; both alternate, and the median of the ratios is what to quote
fsync       how often a clip's way is synced to disk, counted under strace
start       seconds that --version, status, --help and plan take
plan        seconds and memory of planning 20,000 and 100,000 prompts from a CSV file
memory      peak memory of a run with 5,000 requests in flight
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
KEY = "SG_0123456789abcdef"


def manifest(folder: Path, clips: int) -> Path:
    """Write a manifest of so many prompts in a CSV file."""
    with (folder / "shots.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt"])
        rows.writerows([f"clip number {number} on a hill at dawn"] for number in range(clips))
    path = folder / "bench.yaml"
    path.write_text("prompts:\n  - file: shots.csv\n")
    return path


@contextmanager
def service(latency_s: float = 0.0) -> Iterator[str]:
    """Run the local service in a process of its own."""
    command = [sys.executable, str(HERE / "zero_server.py"), "--latency", str(latency_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def batchgen(*args: str, cwd: Path, wrap: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command with a home of its own."""
    environ = {**os.environ, "SEGMIND_API_KEY": KEY, "HOME": str(cwd), "XDG_CONFIG_HOME": str(cwd)}
    called = [] if args[:1] == ("-c",) else ["-m", "batchgen"]
    command = [*(wrap or []), sys.executable, *called, *args]
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)


def paid(base: str, *more: str) -> list[str]:
    """The arguments of a run at full speed."""
    fast = ["--rpm", "0", "--in-flight", "256", "--downloads", "32", "--expect-latency", "0"]
    return ["run", "bench.yaml", "--base-url", base, "--yes", "--json", "-q", *fast, *more]


def throughput(clips: int = 4000, rounds: int = 3) -> None:
    """Ours and the bare loop in turn; the ratio pair by pair."""
    ratios = []
    # Nothing is deleted before the end: for half a minute ext4 walks round every inode that was just freed, and
    # a new file costs milliseconds in place of microseconds.
    with tempfile.TemporaryDirectory() as everything:
        for number in range(rounds):
            folder = Path(everything) / str(number)
            folder.mkdir()
            with service() as base:
                bare_command = [sys.executable, str(HERE / "bare_loop.py"), base, str(clips), str(folder / "bare")]
                bare = json.loads(subprocess.run(bare_command, capture_output=True, text=True, check=True).stdout)
                manifest(folder, clips)
                done = batchgen(*paid(base), cwd=folder)
            told = json.loads(done.stdout)
            assert told["state"]["done"] == clips, done.stdout + done.stderr
            ours = clips / told["elapsed_s"]
            ratios.append(ours / bare["per_s"])
            print(
                f"  ours {ours:.0f} jobs/s   bare loop {bare['per_s']:.0f} jobs/s   ratio {ratios[-1]:.2f}", flush=True
            )
    print(f"throughput, {clips} clips: median ratio {statistics.median(ratios):.2f}")


def fsync(clips: int = 400) -> None:
    """Count the syncs of a run under strace."""
    if shutil.which("strace") is None:
        print("fsync: strace is not installed")
        return
    with tempfile.TemporaryDirectory() as name, service() as base:
        folder = Path(name)
        manifest(folder, clips)
        log = folder / "trace"
        batchgen(*paid(base), cwd=folder, wrap=["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", str(log)])
        kinds = {"ledger": r"ledger\.db", "file": r"\.mp4\.part", "folder": r"/clips>"}
        lines = [line for line in log.read_text(errors="replace").splitlines() if "resumed" not in line]
        counts = {kind: sum(bool(re.search(pattern, line)) for line in lines) for kind, pattern in kinds.items()}
    told = ", ".join(f"{kind} {count / clips:.2f}" for kind, count in counts.items())
    print(f"fsync, {clips} clips: {sum(counts.values()) / clips:.2f} a clip ({told}; commits are shared)")


def start(rounds: int = 9) -> None:
    """Median wall time of short commands, and of the interpreter alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest(folder, 3)
        batchgen("run", "bench.yaml", "--sandbox", "--sandbox-latency", "0", cwd=folder)
        commands = {"python -c 0": None, "--version": ["--version"], "status": ["status", "bench.yaml", "--sandbox"]}
        commands |= {"completion bash": ["completion", "bash"], "--help": ["--help"], "plan": ["plan", "bench.yaml"]}
        for label, args in commands.items():
            times = []
            for _ in range(rounds):
                began = time.perf_counter()
                if args is None:
                    subprocess.run([sys.executable, "-c", "0"], check=True)
                else:
                    assert batchgen(*args, cwd=folder).returncode == 0, args
                times.append(time.perf_counter() - began)
            print(f"start, {label}: {statistics.median(times) * 1000:.0f} ms")


def plan() -> None:
    """Plan big CSV files in a process of their own, for its peak memory."""
    for clips in (20_000, 100_000):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            manifest(folder, clips)
            began = time.perf_counter()
            done, peak = with_peak("plan", "bench.yaml", "--json", cwd=folder)
            assert json.loads(done)["new"] == clips
            print(f"plan, {clips:,} prompts: {time.perf_counter() - began:.1f} s, {peak:.0f} MiB")


def memory(in_flight: int = 5000) -> None:
    """Run with many requests in flight at once; the bound starts where it would only be after hours."""
    code = (
        "import sys; from batchgen.flow.inflight import Places; Places.__init__.__kwdefaults__['start'] = 10**6;"
        "from batchgen.cli import main; main()"
    )
    with tempfile.TemporaryDirectory() as name, service(latency_s=45.0) as base:
        folder = Path(name)
        path = manifest(folder, in_flight)
        path.write_text(path.read_text() + "limits: {submit_concurrency: 64}\n")
        options = ["--in-flight", str(in_flight), "--expect-latency", "45"]
        done, peak = with_peak("-c", code, *paid(base), *options, cwd=folder)
        told = json.loads(done)
        print(f"memory, {in_flight:,} in flight: {peak:.0f} MiB at the peak, {told['state']['done']} done")


def with_peak(*args: str, cwd: Path) -> tuple[str, float]:
    """Run the command; gives its output and its peak memory in MiB."""
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE);"
        "sys.stdout.buffer.write(done.stdout);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)"
    )
    done = batchgen(*args, cwd=cwd, wrap=[sys.executable, "-c", code])
    return done.stdout, int(done.stderr.strip().splitlines()[-1]) / 1024


FIGURES = {"throughput": throughput, "fsync": fsync, "start": start, "plan": plan, "memory": memory}

if __name__ == "__main__":
    for figure in sys.argv[1:] or FIGURES:
        FIGURES[figure]()
