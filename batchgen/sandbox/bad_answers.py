"""What each fault of a call sends; whether a fault strikes is decided by `faults.Dice`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

#: Faults by the moment at which they strike.
ANY_CALL = ("rate429", "rate429_after", "rate429_reset", "maintenance")
BEFORE_ACCEPTING = ("http500", "http502", "retired", "overdue", "filtered", "redirected")
AFTER_ACCEPTING = ("lost", "hang", "gateway504", "cutjson", "accepted500")
_FOR_EVER_S = 86_400.0
_TROUBLES = 3


def error(status: int, text: str, **headers: str) -> web.Response:
    """The API's own error."""
    return web.json_response({"error": text}, status=status, headers=headers)


def html(status: int, title: str, **headers: str) -> web.Response:
    """A gateway's error page."""
    page = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>\n"
    return web.Response(text=page, status=status, content_type="text/html", headers=headers)


def refuse(fault: str) -> web.Response:
    """Give the answer of a fault that strikes before anything is accepted."""
    return _REFUSALS[fault]()


async def spoil(fault: str, request: web.Request, answer: dict[str, Any]) -> web.StreamResponse:
    """Spoil the answer to a submission that *was* accepted."""
    if fault == "hang":
        await asyncio.sleep(_FOR_EVER_S)
    if fault == "gateway504":
        return html(504, "504 Gateway Time-out")
    if fault == "accepted500":
        return error(500, "Internal server error")
    if fault == "cutjson":
        text = json.dumps(answer)
        return web.Response(text=text[: len(text) // 3], content_type="application/json")
    return hang_up(request)


def trouble(request: web.Request, turn: int) -> web.StreamResponse:
    """Give one of three troubles of a poll, by turn."""
    if turn % _TROUBLES == 0:
        return error(503, "Service unavailable")
    return html(502, "502 Bad Gateway") if turn % _TROUBLES == 1 else hang_up(request)


def hang_up(request: web.Request) -> web.Response:
    """Close the connection so that not a byte of the answer arrives."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def _rate_limited(**headers: str) -> web.Response:
    return error(429, "rate_limit_exceeded", **headers)


def _rate_limited_until() -> web.Response:
    reset = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%S")
    return _rate_limited(**{"x-rate-limit-reset-at-utc": reset})


_REFUSALS: dict[str, Callable[[], web.Response]] = {
    "rate429": _rate_limited,
    "rate429_after": lambda: _rate_limited(**{"Retry-After": "1"}),
    "rate429_reset": _rate_limited_until,
    "http500": lambda: error(500, "Internal server error"),
    "http502": lambda: html(502, "502 Bad Gateway"),
    "retired": lambda: error(410, "Model has been retired"),
    "overdue": lambda: web.json_response(
        {"code": "Arrearage", "message": "Access denied, the account is not in good standing"}, status=400
    ),
    "filtered": lambda: html(403, "Refused by your company's content filter"),
    "redirected": lambda: web.Response(status=307, headers={"Location": "https://elsewhere.example/v2/job"}),
    "maintenance": lambda: html(503, "Down for maintenance", **{"Retry-After": "30"}),
}
