"""Raw speed and what it costs, as figures: `python tests/bench/figures.py [NAME …] [--clips N] [--rounds N]`.

throughput  jobs/s against a local service that answers at once, and CPU time a job, beside a bare aiohttp loop that
            makes the same requests and keeps no state, and beside the vendor's SDK in 32 threads; all of them in
            turn against one warm service, and the median of the ratios is what to quote
waiting     jobs/s beside the SDK's 32 threads with jobs that take a second
fsync       how often a clip's way is synced to disk, counted under strace, by what is synced
flat        CPU time and memory of plan, resume and status at 1,000, 10,000 and 100,000 clips
memory      peak memory of a run with 10,000 requests in flight
beside      how long `status` takes while a run of thousands is at work
start       how long short commands take

What each comes to is kept in figures.json beside this file; the table in benchmarks.md is made from it
(`python tests/project/doc_blocks.py`). All of them take about a quarter of an hour.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from sizes import beside, flat, memory, start
from speed import fsync, throughput, waiting
from tools import keep

#: Throughput comes first: the files that the others delete would slow down all that it makes (see there).
FIGURES: dict[str, Callable[..., dict[str, Any]]] = {
    "throughput": throughput, "start": start, "fsync": fsync, "memory": memory, "beside": beside, "flat": flat,
    "waiting": waiting,
}  # fmt: skip


def main() -> None:
    """Take the figures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--clips", type=int, default=10_000, help="of throughput")
    parser.add_argument("--rounds", type=int, default=3, help="of throughput")
    options = parser.parse_args()
    for name in options.names or FIGURES:
        if name == "throughput":
            keep(name, throughput(options.clips, options.rounds))
        else:
            keep(name, FIGURES[name]())


if __name__ == "__main__":
    main()
