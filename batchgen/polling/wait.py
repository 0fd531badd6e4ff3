"""One request in flight as the poller sees it, what may end its wait, and who learns from early polls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from batchgen.errors import AccountError
from batchgen.polling.schedule import RunTimes
from batchgen.providers.base import Completed, Gone, Outcome, Refused, Running


@dataclass(frozen=True, slots=True)
class Overdue:
    """The deadline came before the end: stuck, or in a state that we do not know."""

    last: str


class Probes(Protocol):
    """Wants to know soon whether a new request was begun at once or has to queue."""

    def wants_probe(self, accepted: int) -> bool:
        """Return whether to poll the newest of so many accepted requests early; the probe is out until `probed`."""
        ...

    def probed(self, *, queued: bool | None) -> None:
        """Report what was seen; None: nothing that counts."""
        ...


Ended: TypeAlias = Completed | Refused | Gone | Overdue


@dataclass(slots=True)
class Wait:
    """One request in flight, and what was seen of it."""

    request_id: str
    submitted_at: float  #: by the wall
    times: RunTimes
    ended: asyncio.Future[Ended]
    due: float = 0.0  #: by the loop's clock
    not_before: float = 0.0  #: by the loop's clock
    asked_at: float = 0.0  #: when its call was asked for, by the loop's clock
    faults: int = 0
    late_faults: int = 0  #: past the deadline
    gone: int = 0  #: 404s in a row
    seen: bool = False  #: the service knew it at some poll
    last: str = "nothing"
    completed: Completed | None = None
    result_tries: int = 0
    probe: bool = False
    queued: bool = False  #: at the last poll that was answered
    queued_s: float = 0.0  #: the age at which it was last seen to queue

    def end(self, news: Outcome | Overdue | AccountError) -> None:
        """Wake who waits for it, unless it has ended before or is running."""
        if self.ended.done() or isinstance(news, Running):
            return
        if isinstance(news, AccountError):
            self.ended.set_exception(news)
        else:
            self.ended.set_result(news)


def word_of(outcome: Outcome) -> str:
    """Name the state of a request that has not ended."""
    return outcome.word if isinstance(outcome, Running) else "not found yet"


def merge(status: Completed, result: Completed) -> Completed:
    """Join what the two answers say; the result's own words win."""
    return Completed(
        url=result.url or status.url,
        cost=result.cost if result.cost is not None else status.cost,
        others=result.others,
        file_size=result.file_size if result.file_size is not None else status.file_size,
        queue_s=result.queue_s if result.queue_s is not None else status.queue_s,
        run_s=result.run_s if result.run_s is not None else status.run_s,
        remaining_credits=result.remaining_credits,
        body=result.body or status.body,
    )
