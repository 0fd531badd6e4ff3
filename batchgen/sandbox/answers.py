"""The shapes of the service's answers about a job. Pure: a job, the time and the server's address in, JSON out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, TypeAlias

from batchgen.money import exact_usd
from batchgen.sandbox.store import Job

Json: TypeAlias = dict[str, Any]


def accepted(job: Job, base: str) -> Json:
    """The answer to a submission."""
    return {"request_id": job.request_id, "status": "QUEUED", **_addresses(job, base)}


def status(job: Job, now: float, base: str, remaining: int) -> Json:
    """The answer of `/v2/requests/{id}/status`: no output, no cost before the end."""
    state = job.state(now)
    if state == "COMPLETED":
        return {"status": state, "request_id": job.request_id, "metrics": _metrics(job, remaining)}
    if state == "FAILED" or job.has("early_failed"):
        return failed(job)
    urls = {name: url for name, url in _addresses(job, base).items() if name != "poll_url"}
    return {"status": _word(job, state), "request_id": job.request_id, **urls, "metrics": {}}


def result(job: Job, now: float, base: str, remaining: int, link: str | None) -> Json:
    """The answer of `/v2/requests/{id}`; like `status` until it is COMPLETED."""
    if job.state(now) != "COMPLETED":
        return status(job, now, base, remaining)
    answer: Json = {"status": "COMPLETED", "error": None, "request_id": job.request_id, "seed": _seed(job)}
    if link is not None and job.has("odd_link"):
        answer["output"] = [{"type": "image", "url": f"{base}/files/cover.png"}, {"type": "video", "url": link}]
    elif link is not None:
        name = f"{job.request_id}.mp4"
        video = {"url": link, "content_type": "video/mp4", "file_name": name, "file_size": str(job.file_size)}
        answer |= {"video": video, "output": link}
    return answer | {"metrics": _metrics(job, remaining)}


def failed(job: Job) -> Json:
    """The answer about a job that FAILED, true or not."""
    times = {name: value for name, value in _metrics(job, 0).items() if name.endswith("_time")}
    return {
        "status": "FAILED",
        "error": job.error or "Internal error: please try again",
        "request_id": job.request_id,
        "metrics": times,
    }


def history_row(job: Job, now: float, link: str | None) -> Json:
    """One row of the request history; its parameters are JSON *text*."""
    state = job.state(now)
    ended = job.ended_at if job.ended_at is not None and state in {"COMPLETED", "FAILED"} else None
    return {
        "request_id": job.request_id,
        "model_name": job.model,
        "model_status": state if ended is not None else "PENDING",
        "credits_deduction": exact_usd(job.charged(now)),
        "request_body": job.params,
        "generation_url": link,
        "latency_ms": None if ended is None else round((ended - job.submitted_at) * 1000),
        "created_at": datetime.fromtimestamp(job.submitted_at, UTC).isoformat(timespec="milliseconds"),
        "error": job.error if state == "FAILED" else None,
    }


def _addresses(job: Job, base: str) -> dict[str, str]:
    path = f"requests/{job.request_id}"
    return {
        "poll_url": f"{base}/v1/{path}",
        "status_url": f"{base}/v2/{path}/status",
        "response_url": f"{base}/v2/{path}",
    }


def _metrics(job: Job, remaining: int) -> dict[str, float]:
    ended = job.ended_at or job.finish_at
    return {
        "cost": exact_usd(job.price),
        "remaining_credits": exact_usd(remaining),
        "inference_time": round(ended - job.start_at, 3),
        "queue_time": round(job.start_at - job.submitted_at, 3),
        "total_time": round(ended - job.submitted_at, 3),
    }


def _word(job: Job, state: str) -> str:
    return "RETRYING" if state == "PROCESSING" and job.has("odd_state") else state


def _seed(job: Job) -> str:
    return str(json.loads(job.params).get("seed", 42))
