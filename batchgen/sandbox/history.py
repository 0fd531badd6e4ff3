"""The account's request history: one request of any age by its id, or a window of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from aiohttp import web

from batchgen.sandbox import answers
from batchgen.sandbox.api import link
from batchgen.sandbox.protocol import Refusal
from batchgen.sandbox.service import VideoService
from batchgen.sandbox.store import Job

_PATH = "/inference-request/request-history"
_WINDOW = timedelta(days=31)
_SORTS = ("created_at", "latency_ms", "credits_deduction")


@dataclass(frozen=True, slots=True)
class Query:
    """A list query, checked. Times are seconds since the epoch; `until` is exclusive."""

    page: int
    per_page: int
    since: float
    until: float
    model: str | None
    status: str | None
    sort_by: str
    descending: bool

    @classmethod
    def read(cls, query: Mapping[str, str], now: float) -> Self:
        """Read the query string.

        Raises:
            Refusal: 400 for a value that can't be read, or a window of more than 31 days.
        """
        until = _moment(query.get("to_date"), end=True) or datetime.fromtimestamp(now, UTC) + timedelta(days=1)
        since = _moment(query.get("from_date")) or until - _WINDOW
        # A date stands for its whole day, so 31 days between two dates span 32 of them.
        if until - since > _WINDOW + timedelta(days=1):
            raise Refusal(400, "Date range cannot exceed 31 days")
        status, sort_by = query.get("status"), query.get("sort_by", "created_at")
        if status not in {None, "COMPLETED", "FAILED", "PENDING"} or sort_by not in _SORTS:
            raise Refusal(400, "Invalid status or sort_by")
        return cls(
            page=_number(query, "page", 1, 1_000_000),
            per_page=_number(query, "per_page", 20, 100),
            since=since.timestamp(),
            until=until.timestamp(),
            model=query.get("model_name"),
            status=status,
            sort_by=sort_by,
            descending=query.get("sort_order", "desc").lower() != "asc",
        )


class History:
    """Handlers. A request shows up `history_lag_s` after its submission; records never expire here."""

    def __init__(self, shop: VideoService) -> None:
        self._shop = shop

    def routes(self) -> list[web.RouteDef]:
        """What this part serves."""
        return [web.get(_PATH, self.list), web.get(_PATH + "/{id}", self.one)]

    async def one(self, request: web.Request) -> web.StreamResponse:
        """Give one row, bare."""
        self._may_be_down()
        job = self._shop.store.get(request.match_info["id"])
        if job is None or not self._shows(job):
            raise Refusal(404, "not found")
        return web.json_response(self._row(job, request))

    async def list(self, request: web.Request) -> web.StreamResponse:
        """Give a page of rows under `data`."""
        self._may_be_down()
        query, skew = Query.read(request.query, self._shop.announced()), self._shop.options.skew_s
        jobs = self._shop.store.between(query.since - skew, query.until - skew)
        rows = [(job, answers.history_row(job, self._shop.now(), None)) for job in jobs if self._shows(job)]
        rows = [(job, row) for job, row in rows if _wanted(row, query)]
        rows.sort(key=lambda pair: pair[1][query.sort_by] or 0, reverse=query.descending)
        start = (query.page - 1) * query.per_page
        page = [self._row(job, request) for job, _ in rows[start : start + query.per_page]]
        return web.json_response({"data": page})

    def _row(self, job: Job, request: web.Request) -> answers.Json:
        row = answers.history_row(job, self._shop.now(), link(self._shop, job, request))
        at = datetime.fromtimestamp(job.submitted_at + self._shop.options.skew_s, UTC)
        return row | {"created_at": at.isoformat(timespec="milliseconds")}

    def _shows(self, job: Job) -> bool:
        return self._shop.now() >= job.submitted_at + self._shop.options.history_lag_s

    def _may_be_down(self) -> None:
        if self._shop.dice.strikes("history_down"):
            raise Refusal(503, "Service unavailable")


def _wanted(row: answers.Json, query: Query) -> bool:
    model_fits = query.model in {None, row["model_name"]}
    return model_fits and query.status in {None, row["model_status"]}


def _moment(text: str | None, *, end: bool = False) -> datetime | None:
    """Read a date or an ISO time (UTC unless it says); the end of a date is the end of its day."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(400, f"Invalid date: {text!r}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment + timedelta(days=1) if end and len(text) <= len("2026-11-22") else moment


def _number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise Refusal(400, f"{name} must be between 1 and {most}")
    return int(text)
