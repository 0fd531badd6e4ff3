"""A local service that answers at once, in a process of its own: the same for every contender."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from aiohttp import web

CLIP = Path(__file__).parents[2] / "batchgen" / "sandbox" / "clips"


def application(video: bytes, latency_s: float) -> web.Application:
    """Speak submit, status, result, files and history, with no checks."""
    import time

    numbers = itertools.count(1)
    jobs: dict[str, float] = {}

    async def submit(request: web.Request) -> web.Response:
        await request.read()
        request_id = f"job-{next(numbers)}"
        jobs[request_id] = time.monotonic()
        urls = {"status_url": f"/v2/requests/{request_id}/status", "response_url": f"/v2/requests/{request_id}"}
        here = {name: f"http://{request.host}{path}" for name, path in urls.items()}
        return web.json_response({"request_id": request_id, "status": "QUEUED", **here})

    async def status(request: web.Request) -> web.Response:
        job = request.match_info["id"]
        done = time.monotonic() - jobs[job] >= latency_s
        metrics = {"cost": 0.625, "queue_time": 0.0, "inference_time": latency_s}
        body = {"status": "COMPLETED", "request_id": job, "metrics": metrics} if done else {"status": "PROCESSING"}
        return web.json_response(body)

    async def result(request: web.Request) -> web.Response:
        job = request.match_info["id"]
        url = f"http://{request.host}/files/{job}.mp4"
        metrics = {"cost": 0.625, "queue_time": 0.0, "inference_time": latency_s}
        return web.json_response({"status": "COMPLETED", "output": url, "metrics": metrics})

    async def file(_request: web.Request) -> web.Response:
        return web.Response(body=video, content_type="video/mp4")

    app = web.Application()
    app.add_routes(
        [
            web.post("/v2/{model}", submit),
            web.get("/v2/requests/{id}/status", status),
            web.get("/v2/requests/{id}", result),
            web.get("/files/{name}", file),
        ]
    )
    return app


def main() -> None:
    """Serve until killed; prints the port."""
    import asyncio

    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--bytes", type=int, default=0, help="pad the clip to this size")
    options = parser.parse_args()
    video = min(CLIP.glob("*.mp4"), key=lambda path: path.stat().st_size).read_bytes()
    if options.bytes > len(video):
        video += (options.bytes - len(video)).to_bytes(4, "big") + b"free" + bytes(options.bytes - len(video) - 8)

    async def serve() -> None:
        runner = web.AppRunner(application(video, options.latency), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
