"""The sandbox's business, without HTTP: takes orders, reserves credits, keeps the queue, writes the books."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from batchgen.money import decimal_usd, micro_of
from batchgen.sandbox.any_model import order_of
from batchgen.sandbox.clips import copy
from batchgen.sandbox.faults import STRUCK, Dice, Faults
from batchgen.sandbox.protocol import Refusal
from batchgen.sandbox.render import render
from batchgen.sandbox.store import Job, Store
from batchgen.sandbox.worker import Worker

_ENDS = ("failed", "failed_bad", "blocked", "failed_charged")
_TRAITS = (
    "no_output", "odd_state", "vanish", "broken_file", "expired_link", "early_failed", "contradicts", "odd_link",
    "stray_bytes",
)  # fmt: skip
_ERRORS = {
    "failed": "Internal error: the worker timed out, please try again",
    "failed_charged": "Internal error: the worker ran out of memory, please try again",
    "failed_bad": "InvalidParameter: the model could not process this input",
    "blocked": "content_policy_violation: provider content moderation block",
}


@dataclass(frozen=True, slots=True)
class Options:
    """What a sandbox is started with; seconds, USD. See `Sandbox` for each."""

    folder: Path
    latency_s: float = 2.0
    jitter: float = 0.3
    slots: int = 4
    record_ttl_s: float = 3600.0
    file_ttl_s: float = 7 * 86400.0
    rpm: float = 0
    credits: Decimal = Decimal(100)
    key: str | None = None
    faults: Faults = field(default_factory=Faults)
    seed: int = 0
    render: bool | None = None
    history_lag_s: float = 0
    skew_s: float = 0
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class Booking:
    """One line of the books: what the server thinks of a job, and what it took for it (USD)."""

    request_id: str
    model: str
    params: dict[str, Any]
    state: str
    charged: Decimal
    submitted_at: float
    ended_at: float | None
    error: str | None
    fates: tuple[str, ...] = ()  #: the faults that are this job's own


class VideoService:
    """Everything that outlives a call. Opening it takes up the jobs that a killed sandbox left unrendered."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.files, self.assets = options.folder / "files", options.folder / "assets"
        for folder in (self.files, self.assets):
            folder.mkdir(parents=True, exist_ok=True)
        self.store = Store(options.folder / "sandbox.db")
        self.dice = Dice(options.faults, options.seed, self.store.chance)
        make = render if _renders(options.render) else copy
        self._worker = Worker(self.store, self.files, make, slots=options.slots, clock=options.clock)
        for job in self.store.unready():
            self._worker.take(job, order_of(job.model, json.loads(job.params)))

    def close(self) -> None:
        """Stop rendering and close the store; blocks for as long as a frame takes."""
        self._worker.close()
        self.store.close()

    def now(self) -> float:
        """Seconds since the epoch, by the sandbox's clock."""
        return self.options.clock()

    def announced(self) -> float:
        """The time that headers and history show, which may be wrong."""
        return self.now() + self.options.skew_s

    def struck(self) -> dict[str, int]:
        """How often each fault struck, over restarts too."""
        counters = self.store.counters().items()
        return {name.removeprefix(STRUCK): seen for name, seen in counters if name.startswith(STRUCK)}

    def accept(self, slug: str, params: object) -> Job:
        """Take an order: the job is on disk, queued, and its price reserved, when this returns.

        Raises:
            Refusal: a bad order, or fewer credits than it costs after what is reserved for others.
        """
        order = order_of(slug, params)
        free = self.balance() - self.store.reserved(self.now())
        if free < order.price:
            text = f"Insufficient credits. Balance {decimal_usd(free)}, required {decimal_usd(order.price)}"
            raise Refusal(406, text)
        job = self._job(slug, params, order.price, order.flaw)
        self.store.add(job)
        if job.error is None:
            self._worker.take(job, order)
        return job

    def balance(self) -> int:
        """Credits less what was charged, micro-dollars; what is reserved can't be seen in it."""
        return micro_of(self.options.credits) - self.store.spent(self.now())

    def books(self) -> list[Booking]:
        """Every job that was ever accepted, in order, and what it was charged."""
        now = self.now()
        return [
            Booking(
                request_id=job.request_id,
                model=job.model,
                params=json.loads(job.params),
                state=job.state(now),
                charged=decimal_usd(job.charged(now)),
                submitted_at=job.submitted_at,
                ended_at=job.ended_at,
                error=job.error,
                fates=tuple(job.fates.split()),
            )
            for job in self.store.all()
        ]

    def _job(self, slug: str, params: object, price: int, flaw: str | None) -> Job:
        """Fix everything about a job at once, so that a restart changes nothing about it."""
        now, n = self.now(), self.store.count() + 1
        end = self.dice.first(*_ENDS)
        error = flaw or (_ERRORS[end] if end else None)
        start = max(now, self.store.slot_free_at(self.options.slots))
        return Job(
            request_id=str(uuid.uuid4()),
            n=n,
            model=slug,
            params=json.dumps(params, ensure_ascii=False),
            price=price,
            submitted_at=now,
            start_at=start,
            finish_at=start + self._run_s(n),
            ready_at=now if error else None,
            error=error,
            fates=" ".join([end] if end else self.dice.all(*_TRAITS)),
        )

    def _run_s(self, n: int) -> float:
        swing = random.Random(f"{self.options.seed}:run:{n}").uniform(-1, 1)
        return self.options.latency_s * (1 + self.options.jitter * swing)


def _renders(asked: bool | None) -> bool:
    return find_spec("av") is not None and find_spec("PIL") is not None if asked is None else asked
