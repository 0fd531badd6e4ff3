"""The contender that people have today: the vendor's SDK in threads, one client each; no state, no checks.

Its friendliest setting: it looks every 0.05 s as the bare loop does, where its own default is a second (a service
that answers at once is found done at the first look, so neither ever sleeps). The file comes by the HTTP client that
the SDK brings, which keeps its connection.
"""

from __future__ import annotations

import argparse
import itertools
import json
import threading
import time
from pathlib import Path

import httpx
from segmind import SegmindClient

INTERVAL_S = 0.05


def work(base: str, numbers: itertools.count[int], clips: int, folder: Path) -> None:
    """Make clips until there are no more of them."""
    client = SegmindClient(api_key="SG_0123456789abcdef", base_url=f"{base}/v1")
    with httpx.Client() as files:
        while (number := next(numbers)) < clips:
            ask = {"prompt": f"clip {number}", "seed": number, "size": "1280*720", "duration": 5}
            done = client.submit_async("wan-2.5-t2v", **ask).wait(interval=INTERVAL_S)
            with files.stream("GET", done["output"]) as answer, (folder / f"{number}.mp4").open("wb") as file:
                for block in answer.raise_for_status().iter_bytes():
                    file.write(block)


def main() -> None:
    """Run once and print the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("clips", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=32)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    numbers = itertools.count()
    arguments = (options.base, numbers, options.clips, options.folder)
    threads = [threading.Thread(target=work, args=arguments) for _ in range(options.threads)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    made = len(list(options.folder.iterdir()))
    print(json.dumps({"seconds": seconds, "per_s": options.clips / seconds, "made": made}))


if __name__ == "__main__":
    main()
