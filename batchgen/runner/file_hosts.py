"""The hosts that files are fetched from: which of them are in trouble, by a circuit breaker each, and the gate for it.

One clip's bad link is its own trouble. Where several clips fail and no file has come from the host since, it is the
host's (403 for all, a captive portal, TLS, pages and garbage in place of films). So it is where nothing else is being
made and the same few clips have failed again and again: a small batch has no third clip to prove it by. Then one file
at a time goes to see, further and further apart, the others wait for what it meets, and nothing more is submitted that
could not be fetched.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from batchgen.breaker import DOWNLOAD, CircuitBreaker
from batchgen.errors import DownloadError, Exit, NameTaken, PathTrouble, TransferFailed
from batchgen.ratelimit.base import SubmissionStoppedError
from batchgen.runner.context import Candidate, RunContext

log = logging.getLogger("batchgen.runner.file_hosts")

#: So many different clips failed, and nothing came from the host since the first failure of each: it is the host.
FAILING_CLIPS = 3
#: So many tries failed in a row, and nothing else is in flight that could show whether it is the host.
FAILING_TRIES = 6


@dataclass(slots=True)
class _Host:
    breaker: CircuitBreaker
    fetched: int = 0  #: files that came from it in this run
    first: dict[int, int] = field(default_factory=dict)  #: clip → how many had come when it failed first
    failing: set[int] = field(default_factory=set)  #: clips that failed, and nothing has come since
    carried: set[int] = field(default_factory=set)  #: clips that are being fetched from it, waits included
    tries: int = 0  #: failures of these clips, all together
    since: float = 0.0  #: when the first of these failed, epoch seconds
    error: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class FileHosts:
    """All file hosts of a run; implements `Gate`: closed while one of them is in trouble."""

    _context: RunContext
    _hosts: dict[str, _Host] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Say what the trouble is, for logs and tests."""
        return f"<FileHosts: {self._trouble() or 'no trouble'}>"

    def closed_for(self, candidate: Candidate, at: float) -> str | None:  # noqa: ARG002 - the same for all
        """Say from which host no download works."""
        return self._trouble()

    async def wait(self, candidate: Candidate) -> None:  # noqa: ARG002 - the same for all
        """Wait for the probes of the clips that are to be fetched; they stop the run if the trouble lasts too long."""
        await self._context.news.wait()

    def in_trouble(self, name: str) -> bool:
        """Return whether it is the host, and not one clip's link."""
        return name in self._hosts and not self._hosts[name].breaker.closed

    def only_this(self, name: str, row: int) -> bool:
        """Return whether other files came from the host since this clip's first failure: its link is to blame."""
        host = self._hosts.get(name)
        return host is not None and host.first.get(row, host.fetched) < host.fetched

    @asynccontextmanager
    async def turn(self, name: str, row: int, *, counts: bool) -> AsyncIterator[None]:
        """Wait until a file of the host may be asked for, and learn from what becomes of it.

        Args:
            name: of the host.
            row: the clip's.
            counts: False for a link that may well be dead by now: it says nothing of the host.

        Raises:
            SubmissionStoppedError: no download from the host has worked for `--give-up`.
        """
        host = self._hosts.setdefault(name, _Host(CircuitBreaker(DOWNLOAD, self._context.dice)))
        host.carried.add(row)
        if probing := not host.breaker.closed:
            await self._waited(name, host)
            host.breaker.probe(self._now())
        try:
            yield
            host.fetched += 1
            self._close(host)
        except (NameTaken, PathTrouble):
            raise
        except DownloadError as error:
            if counts:
                self._failed(host, row, error)
            raise
        finally:
            if probing:
                host.breaker.release()
                self._context.news.notify()

    def leave(self, row: int) -> None:
        """Take note that a clip is not fetched any more: where no other one can go to see, the next one may."""
        for host in self._hosts.values():
            host.carried.discard(row)
            if not host.carried and not self._context.shutdown.requested:
                self._close(host)

    async def _waited(self, name: str, host: _Host) -> None:
        while (left := host.breaker.until - self._now()) > 0:
            give_up = self._context.give_up_s - host.breaker.lasted_s(self._now())
            if give_up <= 0:
                self._context.shutdown.request(f"outage: {self._said(name, host)}: run again later", Exit.STOPPED)
                raise SubmissionStoppedError
            wait = min(left, give_up)
            await self._context.news.wait(None if math.isinf(wait) else wait)

    def _close(self, host: _Host) -> None:
        host.failing.clear()
        host.tries = 0
        if host.breaker.succeeded():
            log.info("the trouble is over: %s", self._context.waits)
            self._context.waits = ""
            self._context.news.notify()

    def _failed(self, host: _Host, row: int, error: DownloadError) -> None:
        if host.first.setdefault(row, host.fetched) < host.fetched:
            return  # others came meanwhile: its link is to blame
        if not host.failing:
            host.since = self._context.ledger.now()
        host.failing.add(row)
        host.tries += 1
        host.error = str(error)
        if len(host.failing) < FAILING_CLIPS and not self._failing_alone(host, error):
            return
        opened = host.breaker.closed
        host.breaker.failed(self._now())
        if opened:
            self._context.waits = self._trouble() or ""
            log.warning("%s; submissions wait, and one file at a time is tried", self._context.waits)

    def _failing_alone(self, host: _Host, error: DownloadError) -> bool:
        """Return whether tries must stand for clips; after files that came, a link that is dead is its own trouble."""
        of_host = not host.fetched or isinstance(error, TransferFailed)
        return host.tries >= FAILING_TRIES and of_host and not self._context.in_flight

    def _trouble(self) -> str | None:
        return next((self._said(name, host) for name, host in self._hosts.items() if not host.breaker.closed), None)

    def _said(self, name: str, host: _Host) -> str:
        since = datetime.fromtimestamp(host.since).astimezone()
        return f"downloads from {name or 'the service'} fail since {since:%H:%M} ({host.error})"

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
