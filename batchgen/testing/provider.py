"""A provider in memory, in virtual time, with faults by script and books of what was paid.

It outlives the runs that use it: a run that is killed leaves its jobs at work, as the service does.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from batchgen.errors import AccountError, DeadLink, UnknownError, UnsureError
from batchgen.providers.base import (
    Accepted,
    Capabilities,
    Cause,
    Completed,
    Gone,
    HistoryPage,
    HistoryReader,
    HistoryRow,
    Outcome,
    Refused,
    Running,
    Source,
)
from batchgen.testing.downloads import Hook, content_of, ok
from batchgen.testing.jobs import ACCEPTED, COST, MODEL, TROUBLE, FakeJob, done, identity, outcome_of, trouble
from batchgen.testing.virtual_time import EPOCH, wall


@dataclass
class OnePage:
    """Implements `HistoryReader` for a window that one call shows whole."""

    ask: Callable[[], Awaitable[HistoryPage]]
    shown: HistoryPage | None = None

    @property
    def ended(self) -> bool:
        """True once it was asked."""
        return self.shown is not None

    async def read(self) -> None:
        """Ask."""
        self.shown = await self.ask()

    def page(self) -> HistoryPage:
        """Give what was shown."""
        return self.shown or HistoryPage(whole=False)


@dataclass
class FakeProvider:
    """Implements `providers.base.Provider`; scripts are called with the parameters or the job."""

    run_s: float = 60.0
    slots: int = 1000
    post_s: float = 1.0
    get_s: float = 0.05
    rpm: float = 0.0
    keeps_s: float = 3600.0  #: a record lives this long, from the submission
    history_lag_s: float = 0.0
    spread: float = 0.2  #: of the run times
    seed: int = 1
    says_run_s: float | None = None  #: the run time that it claims, whatever it took
    post: Callable[[Mapping[str, Any]], str] = ok
    fate: Callable[[Mapping[str, Any]], str] = done
    get: Callable[[FakeJob | None], str] = ok
    links: Callable[[FakeJob], tuple[str, ...]] | None = None  #: the links of a job's answer; None: its file's alone
    look: Callable[[], str] = ok  #: the history: "ok", "down", "part", "blind", "never", or trouble
    uploads: Callable[[], str] = ok
    ask: Callable[[], str] = ok  #: the balance
    cost: Callable[[Mapping[str, Any]], int | None] = lambda _: COST
    credits: int | None = None  #: of the account; None: more than anyone could spend
    holds: int = 1  #: while a job is in flight, so many times its cost is held back
    outages: list[tuple[float, float]] = field(default_factory=list)  #: by the loop's clock
    queue: Callable[[float], tuple[float, float]] | None = None  #: submission → (begin, end), by the loop
    on_arrival: Hook | None = None
    on_accept: Hook | None = None
    name: str = "fake"
    origin: str = "https://fake.example"
    clock_off_s: float | None = None  #: how far its clock is ahead of ours, as far as it says so
    capabilities: Capabilities = field(default_factory=Capabilities)

    def __post_init__(self) -> None:
        self.jobs: dict[str, FakeJob] = {}
        self.keys: list[str] = []  #: of the POSTs
        self.posts: list[tuple[float, str]] = []  #: when each POST came, and what for
        self.calls: list[float] = []  #: when each call that counts came
        self.status_calls: Counter[str] = Counter()  #: by request id
        self.limited = 0
        self.most_posts = 0
        self.refused: list[float] = []  #: when a POST was refused for the account's sake
        self.dice = random.Random(self.seed)
        self._arriving: dict[int, tuple[str, Mapping[str, Any]]] = {}
        self._posts_out = 0
        self._free_at: list[float] = [0.0] * self.slots
        self.dead = False

    # --- the protocol ---------------------------------------------------------------------------------------

    async def submit(self, model: str, params: Mapping[str, Any], key: str = "") -> Accepted:
        """Accept a job, or do what the script says."""
        await self._alive()
        self.keys.append(key)
        self.posts.append((asyncio.get_running_loop().time(), identity(params)))
        self._posts_out += 1
        self.most_posts = max(self.most_posts, self._posts_out)
        try:
            return await self._submit(model, dict(params), len(self.posts))
        finally:
            self._posts_out -= 1

    async def _submit(self, model: str, params: Mapping[str, Any], number: int) -> Accepted:
        self._counted()
        word = self.post(params)
        if word in ACCEPTED:
            self._arriving[number] = (model, params)
        if self.on_arrival:
            self.on_arrival()
        await self._takes(self.post_s / 2)
        if word in ACCEPTED and not self._can_pay(params):
            del self._arriving[number]
            word = "credits"
        if word in TROUBLE:
            error = trouble(word)
            if isinstance(error, AccountError):
                self.refused.append(asyncio.get_running_loop().time())
            raise error
        job = self._accept(*self._arriving.pop(number))
        if self.on_accept:
            self.on_accept()
        await self._takes(self.post_s / 2)
        if word == "lost":
            raise UnsureError("the connection was reset")
        if word == "error":
            raise trouble("server")
        return Accepted(job.request_id)

    async def status(self, request_id: str) -> Outcome:
        """Say how far a job is."""
        self.status_calls[request_id] += 1
        outcome = await self._ask(request_id)
        return Completed() if isinstance(outcome, Completed) else outcome

    async def result(self, request_id: str) -> Outcome:
        """Give link and cost; of an inline job the answer is the video."""
        outcome = await self._ask(request_id)
        if isinstance(outcome, Completed) and self.jobs[request_id].fate == "contradicts":
            return Refused("FAILED: internal error", Cause.TRANSIENT)
        inline = isinstance(outcome, Completed) and self.jobs[request_id].fate == "inline"
        return Completed(url=f"own:{request_id}") if inline else outcome

    def video(self, url: str) -> Source | None:
        """Open the answer that is the video; every other link is a file's."""
        return partial(self._watch, url.removeprefix("own:")) if url.startswith("own:") else None

    @asynccontextmanager
    async def _watch(self, request_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        outcome = await self.result(request_id)
        if not isinstance(outcome, Completed):
            raise DeadLink("no video any more")

        async def pieces() -> AsyncIterator[bytes]:
            yield content_of(f"own:{request_id}")

        yield pieces()

    async def lookup(self, request_id: str) -> HistoryRow | None:
        """Find one request in the history."""
        page = await self.window(MODEL, 0.0, float("inf"))
        if not page.whole:
            raise UnknownError("the history answers in pieces")
        return next((row for row in page.rows if row.request_id == request_id), None)

    def history(self, model: str, since: float, until: float) -> HistoryReader:
        """Show the window on one page."""
        return OnePage(partial(self.window, model, since, until))

    async def window(self, model: str, since: float, until: float) -> HistoryPage:
        """Show the window, with the service's own spelling and defaults."""
        await self._alive()
        self._counted()
        word = self.look()
        await self._takes(self.get_s if word != "never" else 1e6)
        if word in TROUBLE:
            raise trouble(word)
        if word == "down":
            raise UnknownError("the history answers 502")
        seen = wall() - self.history_lag_s
        jobs = [job for job in self.jobs.values() if job.model == model and since <= job.at <= min(until, seen)]
        rows = [self._row(job, blind=word == "blind") for job in jobs]
        return HistoryPage(rows[(len(rows) + 1) // 2 :] if word == "part" else rows, word != "part", wall())

    async def upload(self, path: Path) -> str:
        """Take an audio file."""
        await self._takes(self.get_s)
        word = self.uploads()
        if word in TROUBLE:
            raise trouble(word)
        return f"https://files.example/{path.name}"

    async def balance(self) -> int:
        """Return the credits, in which what is held back for jobs in flight can't be seen."""
        self._reachable()
        word = self.ask()
        if word in TROUBLE:
            raise trouble(word)
        return 10_000_000_000 if self.credits is None else self.credits - self._settled()

    # --- the books ------------------------------------------------------------------------------------------

    def paid(self) -> Counter[str]:
        """How often each video was, or will be, charged for."""
        return Counter(identity(job.params) for job in self.jobs.values() if not job.free)

    def spent(self) -> int:
        """The sum of all charges."""
        return sum(job.cost or 0 for job in self.jobs.values() if not job.free)

    def cut(self, arrives: Callable[[], bool] = lambda: True) -> None:
        """The caller died: what had left may still arrive, and nobody hears an answer any more."""
        self.dead = True
        for model, params in self._arriving.values():
            if arrives():
                self._accept(model, params)
        self._arriving.clear()

    # --- inside ---------------------------------------------------------------------------------------------

    def _settled(self) -> int:
        return sum(job.cost or 0 for job in self.jobs.values() if not job.free and job.ends <= wall())

    def _can_pay(self, params: Mapping[str, Any]) -> bool:
        if self.credits is None:
            return True
        held = sum(self.holds * (job.cost or 0) for job in self.jobs.values() if job.ends > wall())
        return self.credits - self._settled() - held >= self.holds * (self.cost(params) or 0)

    def _accept(self, model: str, params: Mapping[str, Any]) -> FakeJob:
        starts, ends = self._runs()
        request_id = f"r{len(self.jobs) + 1}"
        job = FakeJob(request_id, model, params, wall(), starts, ends, self.fate(params), self.cost(params))
        self.jobs[request_id] = job
        return job

    def _runs(self) -> tuple[float, float]:
        """When a job that is accepted now begins and ends: epoch seconds."""
        if self.queue:
            starts, ends = self.queue(asyncio.get_running_loop().time())
            return starts + EPOCH, ends + EPOCH
        slot = min(range(self.slots), key=self._free_at.__getitem__) if self.slots < 100 else 0
        starts = max(wall(), self._free_at[slot]) if self.slots < 100 else wall()
        ends = starts + self.run_s * (1 + self.spread * self.dice.uniform(-1, 1))
        self._free_at[slot] = ends
        return starts, ends

    async def _ask(self, request_id: str) -> Outcome:
        await self._alive()
        self._counted(poll=True)
        job = self.jobs.get(request_id)
        word = self.get(job)
        await self._takes(self.get_s)
        if word in TROUBLE:
            raise trouble(word)
        if job is None or word == "gone" or wall() - job.at > self.keeps_s:
            return Gone("no such request")
        if word.startswith("says "):
            return Running(word.removeprefix("says "), known=False)
        outcome = outcome_of(job, wall())
        if isinstance(outcome, Completed) and self.says_run_s is not None:
            outcome = replace(outcome, run_s=self.says_run_s)
        if isinstance(outcome, Completed) and self.links:
            first, *others = self.links(job)
            outcome = replace(outcome, url=first, others=tuple(others))
        if isinstance(outcome, Completed) and word == "no link":
            outcome = replace(outcome, url=None)
        return outcome

    def _row(self, job: FakeJob, *, blind: bool) -> HistoryRow:
        ended = wall() >= job.ends and job.fate != "stuck"
        outcome = outcome_of(job, wall()) if ended else Running("PENDING")
        shown = {name: str(value) for name, value in job.params.items()} | {"enable_prompt_expansion": "true"}
        return HistoryRow(
            job.request_id, job.model, outcome, None if blind else shown, job.at, job.charged if ended else None
        )

    def _reachable(self) -> None:
        now = asyncio.get_running_loop().time()
        if any(since <= now < until for since, until in self.outages):
            raise trouble("unreachable")

    def _counted(self, *, poll: bool = False) -> None:
        self._reachable()
        now = asyncio.get_running_loop().time()
        if self._limited(now, poll=poll):
            self.limited += 1
            raise trouble("rate")
        self.calls.append(now)

    def _limited(self, now: float, *, poll: bool) -> bool:  # noqa: ARG002 - for services that do not count polls
        lately = [at for at in self.calls[-int(self.rpm) - 1 :] if at > now - 60.0] if self.rpm else []
        return bool(self.rpm) and len(lately) >= self.rpm

    async def _takes(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._alive()

    async def _alive(self) -> None:
        if self.dead:  # of a killed run only the shell is left: it hears nothing and does nothing
            await asyncio.get_running_loop().create_future()
