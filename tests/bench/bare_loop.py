"""The contender without promises: a bare aiohttp loop that makes the same requests and keeps no state."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path

import aiohttp


async def run(base: str, clips: int, folder: Path, workers: int) -> float:
    """Submit, poll once or more, fetch the result and the file; returns the seconds it took."""
    folder.mkdir(parents=True, exist_ok=True)
    todo = iter(range(clips))
    started = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            for number in todo:
                body = {"prompt": f"clip {number}", "seed": number, "size": "1280*720", "duration": 5}
                async with session.post(f"{base}/v2/wan-2.5-t2v", json=body) as answer:
                    job = (await answer.json())["request_id"]
                while True:
                    async with session.get(f"{base}/v2/requests/{job}/status") as answer:
                        if (await answer.json())["status"] == "COMPLETED":
                            break
                    await asyncio.sleep(0.05)
                async with session.get(f"{base}/v2/requests/{job}") as answer:
                    url = (await answer.json())["output"]
                async with session.get(url) as answer:
                    (folder / f"{number}.mp4").write_bytes(await answer.read())

        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())
    return time.perf_counter() - started


def main() -> None:
    """Run once and print the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("clips", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=64)
    options = parser.parse_args()
    seconds = asyncio.run(run(options.base, options.clips, options.folder, options.workers))
    made = len(list(options.folder.iterdir()))
    print(json.dumps({"seconds": seconds, "per_s": options.clips / seconds, "made": made}))


if __name__ == "__main__":
    main()
