"""Segmind's request history: its rows, and its pages read to the end.

The history is the judge of what was accepted, so it is read with suspicion: what can't be read, or was
not shown, makes a page not `whole`, and nothing may be concluded from an absence in it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from batchgen.errors import UnknownError
from batchgen.money import to_micro
from batchgen.providers.base import Completed, HistoryPage, HistoryRow
from batchgen.providers.segmind.jobs import judge
from batchgen.providers.segmind.parse import Answer, Say, decode, epoch, file_bytes, mapping, usable_id
from batchgen.retry import http_date

log = logging.getLogger("batchgen.history")

Ask: TypeAlias = Callable[[Mapping[str, str]], Awaitable[Answer]]  #: query of one page -> its answer

#: Rows of a page; where their prompts make it too large to be read, fewer are asked for.
_PER_PAGE: Final = (100, 20, 4, 1)
_MOST_ROWS: Final = 20_000
#: A window whose pages overlap is read again, so often at most: rows that change places between two calls hide others.
_AGAIN: Final = 2
_WINDOW: Final = timedelta(days=30)  #: from and to are both inside, so this asks for 31 days
_MADE_AT: Final = (
    *("created_at", "model_created", "created", "createdAt", "submitted_at", "request_time"),
    *("requested_at", "started_at", "timestamp", "time", "date"),
)
_ROWS: Final = ("data", "rows", "items", "results", "requests", "history")
_TOTALS: Final = ("total", "total_count", "total_rows", "total_items", "total_records")


class SegmindHistory:
    """Reads all requests of a window, page by page; implements `HistoryReader`, see `Segmind.history`.

    Args:
        ask: makes the call of one page.
        model, since, until: as in `Provider.history`.
    """

    def __init__(self, ask: Ask, model: str, since: float, until: float) -> None:
        self._ask = ask
        self._model = model
        self._windows = list(windows(since, until))
        self._reading = _Reading()
        self._rows: list[HistoryRow] = []
        self._whole = True
        self._server_time: float | None = None
        self._pages = 0
        self._sizes = list(_PER_PAGE)

    def __repr__(self) -> str:
        """Say how far it is, for logs."""
        return f"<SegmindHistory {len(self._rows)} rows on {self._pages} pages, {len(self._windows)} windows left>"

    @property
    def ended(self) -> bool:
        """True when all windows were read, or the pages that are read at most did not suffice."""
        return not self._windows

    async def read(self) -> None:
        """Read the next page; of one that is too large to be read, the window begins again with fewer rows.

        Raises:
            UnknownError: the answer was a refusal, or no history.
        """
        (first, last), reading, size = self._windows[0], self._reading, self._sizes[0]
        query = {"model_name": self._model, "from_date": first, "to_date": last, "per_page": str(size)}
        answer = await self._ask({**query, "page": str(reading.pages + 1)})
        self._pages += 1
        if answer.ok and answer.too_long and len(self._sizes) > 1:
            self._sizes.pop(0)
            fewer = self._sizes[0]
            log.warning("%d rows of the request history are too much for one answer: asking for %d", size, fewer)
            self._reading = _Reading()
            return
        reading.take(answer, size)
        if reading.ended or self._is_over:
            self._take_in(reading)

    @property
    def _is_over(self) -> bool:
        return self._pages * self._sizes[0] >= _MOST_ROWS

    def _take_in(self, reading: _Reading) -> None:
        self._rows += reading.rows.values()
        self._whole = self._whole and reading.whole
        self._server_time = reading.server_time or self._server_time
        self._windows, self._reading = self._windows[1:], _Reading()
        if self._windows and self._is_over:
            self._windows, self._whole = [], False

    def page(self) -> HistoryPage:
        """Give what was read."""
        whole = self._whole and self.ended
        return HistoryPage(one_per_request(self._rows), whole, self._server_time, self._pages)


def row_of(answer: Answer, request_id: str) -> HistoryRow | None:
    """The row of one request; None when the history answered and has none.

    Raises:
        UnknownError: a refusal, another shape, or rows of which none is this request's.
    """
    if answer.status == 404 and isinstance(answer.data(), dict):
        return None
    raw = _raw_rows(answer)
    rows = one_per_request(row for row in (read_row(each, answer.say) for each in raw) if row)
    found = [row for row in rows if row.request_id == request_id]
    if raw and not found:
        raise unknown(answer)
    return found[0] if found else None


def unknown(answer: Answer) -> UnknownError:
    """The history's answer, as the error that says that nothing may be concluded."""
    return UnknownError(f"request history: HTTP {answer.status}: {answer.message()}", status=answer.status)


@dataclass(slots=True)
class _Reading:
    """One window, as far as it was read. `whole` only once it ended without a doubt."""

    pages: int = 0
    rows: dict[str, HistoryRow] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)  #: rows of each request: it has one for every output
    total: int = 0  #: rows that there are, if the service says so
    readable: bool = True
    ended: bool = False
    turns: bool = True
    again: int = 0  #: how often it was begun again
    length: int = 0  #: pages of the first time
    overlaps: bool = False  #: a page showed what an earlier one had shown: what lay between may never have been shown
    news: bool = False  #: something new came since it was begun, or begun again
    server_time: float | None = None

    @property
    def whole(self) -> bool:
        """A row that was repeated makes up for none that is missing."""
        stable = not (self.overlaps and self.news)
        return self.ended and self.readable and self.turns and stable and self.counts.total() >= self.total

    def take(self, answer: Answer, size: int) -> None:
        """Add a page; one that is empty, or brings nothing new, is the end."""
        beyond = self.pages > 0 and answer.status == 404 and isinstance(answer.data(), dict)
        raw = [] if beyond else _raw_rows(answer)
        read = [row for row in (read_row(each, answer.say) for each in raw) if row]
        self.pages += 1
        self.server_time = http_date(answer.headers.get("date", ""))
        self.readable = self.readable and len(read) == len(raw)
        self.total = max(self.total, total_in(answer.data()))
        known = sum(row.request_id in self.rows for row in read)
        self.counts |= Counter(row.request_id for row in read)
        self.rows = {row.request_id: row for row in one_per_request([*self.rows.values(), *read])}
        self.news = self.news or known < len(read)
        if self.again:
            self._end(over=not raw or self.pages >= self.length)
        elif known == len(read):
            # The same full page once more: this service does not turn pages for us.
            self.turns = len(raw) != size
            self._end(over=True)
        else:
            self.overlaps = self.overlaps or known > 0

    def _end(self, *, over: bool) -> None:
        if not over:
            return
        lacking = self.overlaps or self.counts.total() < self.total
        if lacking and self.news and self.turns and self.again < _AGAIN:
            self.length = self.length or self.pages
            self.pages, self.news, self.again = 0, False, self.again + 1
        else:
            self.ended = True


def _raw_rows(answer: Answer) -> list[Any]:
    raw = rows_in(answer.data()) if answer.ok else None
    if raw is None:
        raise unknown(answer)
    return raw


def windows(since: float, until: float) -> Iterator[tuple[str, str]]:
    """Days as (from, to), both inside, at most 31 at a time; one more day at each end, for the zones."""
    day = timedelta(days=1)
    first = datetime.fromtimestamp(since, UTC).date() - day
    end = datetime.fromtimestamp(max(since, until), UTC).date() + day
    while first <= end:
        last = min(first + _WINDOW, end)
        yield first.isoformat(), last.isoformat()
        first = last + day


def read_row(raw: object, say: Say) -> HistoryRow | None:
    """One row of the request history; None when it names no request."""
    if not isinstance(raw, dict) or (request_id := usable_id(raw.get("request_id"))) is None:
        return None
    status = raw.get("model_status") or raw.get("status")
    body = {key: raw[key] for key in ("generation_url", "output", "error", "message") if raw.get(key)}
    outcome = judge(body, status, say)
    if isinstance(outcome, Completed):
        outcome = replace(outcome, cost=to_micro(raw.get("credits_deduction")))
    sent = raw.get("request_body")
    params = mapping(decode(sent) if isinstance(sent, str) else sent)  # some keep it as text of text
    times = (epoch(raw.get(name)) for name in _MADE_AT)
    return HistoryRow(
        request_id=request_id,
        model=say(raw.get("model_name") or "", 200),
        outcome=outcome,
        params=params or None,
        at=next((at for at in times if at is not None), None),
        charged=to_micro(raw.get("credits_deduction")),
    )


def rows_in(data: object) -> list[Any] | None:
    """The raw rows of an answer, bare or under `data`; None when it is not a history's answer."""
    if isinstance(data, list):
        return data
    if not isinstance(data, dict):
        return None
    if "request_id" in data:
        return [data]
    inner = next((data[name] for name in _ROWS if isinstance(data.get(name), list | dict)), None)
    return rows_in(inner)


def total_in(data: object) -> int:
    """How many rows the history says that there are; 0 when it does not say."""
    if not isinstance(data, dict):
        return 0
    holders = (data, mapping(data.get("data")), mapping(data.get("meta")), mapping(data.get("pagination")))
    counts = (file_bytes(holder.get(name)) for holder in holders for name in _TOTALS)
    return next((count for count in counts if count), 0)


def one_per_request(rows: Iterable[HistoryRow]) -> list[HistoryRow]:
    """One row for each request, the one with a link first: the history repeats a request per output."""
    kept: dict[str, HistoryRow] = {}
    for row in rows:
        if row.request_id not in kept or (_has_link(row) and not _has_link(kept[row.request_id])):
            kept[row.request_id] = row
    return list(kept.values())


def _has_link(row: HistoryRow) -> bool:
    return isinstance(row.outcome, Completed) and row.outcome.url is not None
