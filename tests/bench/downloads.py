"""Downloads beside curl and aria2c, as ratios within one run: `python tests/bench/downloads.py [ROUNDS] [FOLDER]`.

one   a file of 1 GB, beside `curl -s -o`
many  64 files of 16 MB, eight at once, beside `aria2c -j 8 -x 1`

Ours checks, hashes and syncs every file before it gets its name; theirs does none of it. So there is a third row, what
a careful user types: theirs, then `sha256sum` and `sync`. All fetch from one server on loopback (`file_server.py`, by
sendfile from memory) into FOLDER, by turns. Seconds are from the first request to the last file; a program's start is
in theirs, and not in ours, which starts once a night (about 0.3 s). Results go to `downloads.json`.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from file_server import padded

HERE = Path(__file__).parent
RESULTS = HERE / "downloads.json"
ONE, MANY, FILES, SLOTS = 10**9, 16 * 10**6, 64, 8


@dataclass(frozen=True)
class Took:
    """What one contender took: seconds by the clock, of the processor, and the machine's share that others had."""

    seconds: float
    cpu_s: float
    others: float


@dataclass(frozen=True)
class Contest:
    """The same files by each contender, ours first."""

    name: str
    urls: list[str]
    contenders: Mapping[str, Callable[[list[str], Path], tuple[float, float]]]


# --- contenders: each fetches all into a fresh folder, and gives seconds and CPU seconds --------------


def ours(urls: list[str], folder: Path) -> tuple[float, float]:
    """Fetch by `Downloader.fetch`, with all checks; for each file there is a whole one."""
    command = [sys.executable, str(HERE / "fetch.py"), str(SLOTS), str(folder), *urls]
    told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return told["seconds"], told["cpu_s"]


def curl(urls: list[str], folder: Path) -> tuple[float, float]:
    """Fetch one."""
    return timed(f"curl -s -o 0.mp4 {urls[0]}", folder)


def curl_checked(urls: list[str], folder: Path) -> tuple[float, float]:
    """Fetch one, hash it and sync it."""
    return timed(f"curl -s -o 0.mp4 {urls[0]} && sha256sum 0.mp4 && sync 0.mp4", folder)


def aria2c(urls: list[str], folder: Path) -> tuple[float, float]:
    """Fetch many, with aria2c's own settings."""
    return timed(f"aria2c -q -j {SLOTS} -x 1 -i {listed(urls, folder)}", folder)


def aria2c_checked(urls: list[str], folder: Path) -> tuple[float, float]:
    """Fetch many, hash and sync them."""
    return timed(f"aria2c -q -j {SLOTS} -x 1 -i {listed(urls, folder)} && sha256sum *.mp4 && sync *.mp4", folder)


def listed(urls: list[str], folder: Path) -> Path:
    """Write aria2c's list of files, beside the folder."""
    path = folder.with_suffix(".list")
    path.write_text("".join(f"{url}\n  out={number}.mp4\n" for number, url in enumerate(urls)))
    return path


def timed(line: str, folder: Path) -> tuple[float, float]:
    """Run a shell's line in a folder; fails when it does."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(["sh", "-c", line], cwd=folder, stdout=subprocess.DEVNULL, check=True)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# --- the contest --------------------------------------------------------------------------------------


@contextmanager
def service(folder: Path) -> Iterator[tuple[str, int]]:
    """Serve a folder from a process of its own; gives its address and its process id."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "file_server.py"), str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}", process.pid
        finally:
            process.kill()


def machine_cpu() -> float:
    """Give the seconds that all processors together have worked so far; 0 where the system does not tell."""
    try:
        user, nice, system, _idle, _wait, *rest = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0.0
    return sum(map(int, (user, nice, system, *rest))) / os.sysconf("SC_CLK_TCK")


def process_cpu(pid: int) -> float:
    """Give the seconds that a process has worked so far; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(name: str, contest: Contest, where: Path, server: int) -> Took:
    """Let one contender fetch into a fresh folder; nothing is left to be written of what was before it."""
    folder = where / f"{contest.name}-{name.replace(' ', '-')}"
    folder.mkdir()
    os.sync()
    machine, serving, children, began = machine_cpu(), process_cpu(server), child_cpu(), time.perf_counter()
    seconds, cpu_s = contest.contenders[name](contest.urls, folder)
    own = child_cpu() - children + process_cpu(server) - serving
    others = max(0.0, machine_cpu() - machine - own) / (time.perf_counter() - began) / (os.cpu_count() or 1)
    sizes = sorted(path.stat().st_size for path in folder.glob("*.mp4"))
    assert sizes == ([ONE] if contest.name == "one" else [MANY] * FILES), f"{name}: {sizes}"
    shutil.rmtree(folder)
    return Took(round(seconds, 3), round(cpu_s, 3), round(others, 3))


def child_cpu() -> float:
    """Give the seconds that all processes that this one waited for have worked."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(contest: Contest, rounds: int, where: Path, server: int) -> dict[str, list[Took]]:
    """Let all contenders fetch by turns, each round begun by another one."""
    took: dict[str, list[Took]] = {name: [] for name in contest.contenders}
    names = list(took)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            took[name].append(measure(name, contest, where, server))
            last = took[name][-1]
            print(f"  {name}: {last.seconds:.2f} s, CPU {last.cpu_s:.2f} s, others {last.others:.0%}", flush=True)
    return took


def summed(took: dict[str, list[Took]]) -> dict[str, object]:
    """Sum up a contest: medians, and the median of the ratios round by round (above 1: ours is faster)."""
    mine = next(iter(took.values()))
    return {
        name: {
            "seconds": statistics.median(each.seconds for each in all_of),
            "cpu_s": statistics.median(each.cpu_s for each in all_of),
            "ratio": round(statistics.median(it.seconds / us.seconds for it, us in zip(all_of, mine, strict=True)), 3),
            "rounds": [asdict(each) for each in all_of],
        }
        for name, all_of in took.items()
    }


def main() -> None:
    """Hold both contests as far as their contenders are installed, and keep the results."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    parent = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.gettempdir())
    missing = [name for name in ("curl", "aria2c") if shutil.which(name) is None]
    if missing or shutil.disk_usage(parent).free < 4 * ONE:
        sys.exit(f"downloads: skipped: {f'not installed: {missing}' if missing else f'{parent} has no 4 GB free'}")
    memory = Path("/dev/shm") if Path("/dev/shm").is_dir() else parent
    with tempfile.TemporaryDirectory(dir=memory) as source, tempfile.TemporaryDirectory(dir=parent) as target:
        padded(Path(source) / "one.mp4", ONE)
        padded(Path(source) / "many.mp4", MANY)
        with service(Path(source)) as (base, server):
            one = Contest("one", [f"{base}/0/one.mp4"], {"batchgen": ours, "curl": curl, "curl, checked": curl_checked})
            urls = [f"{base}/{number}/many.mp4" for number in range(FILES)]
            theirs = {"batchgen": ours, "aria2c": aria2c, "aria2c, checked": aria2c_checked}
            found = {
                contest.name: summed(run(contest, rounds, Path(target), server))
                for contest in (one, Contest("many", urls, theirs))
            }
    told = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "cores": os.cpu_count(), "rounds": rounds, **found}
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
