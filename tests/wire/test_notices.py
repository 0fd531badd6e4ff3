"""Webhooks and heartbeat monitors that fail, hang and lie: none of it changes what the run does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from scripted_service import KEY, Handler, Server, answering, drop, serving

from batchgen.cli.notices import Notices
from batchgen.clip import State
from batchgen.errors import Exit, LedgerError
from batchgen.notify.addresses import addresses
from batchgen.notify.sender import Sender
from batchgen.redact import Redactor
from batchgen.runner.context import Shutdown
from batchgen.runner.session import Outcome

pytestmark = pytest.mark.real_time
DONE = Outcome(Exit.OK, None, 1.0)


def a_session() -> Any:
    """Give what notices need of a session."""
    counts = dict.fromkeys(State, 0) | {State.DONE: 3}
    ledger = SimpleNamespace(observers=[], now=lambda: 1000.0, live_totals=SimpleNamespace(counts=counts))
    return SimpleNamespace(ledger=ledger, shutdown=Shutdown(), manifest=SimpleNamespace(name="night"))


def described(stopped: str | None, live: bool) -> dict[str, Any]:
    """Give the fields of `status --json` that messages use."""
    money = {"spent_usd": 1.5, "reserved_usd": 0.0, "cap_usd": 20.0}
    state = {"done": 3, "pending": 0}
    return {**money, "at": "2026-07-03T20:00:00Z", "state": state, "failures": [], "next": [], "stopped": stopped}


async def ended(outcome: Outcome = DONE) -> Outcome:
    """Be a run that ends, a little later."""
    await asyncio.sleep(0.01)
    return outcome


def informed(listed: list[str], run: Awaitable[Outcome], *, by_timer: bool = False, last_s: float = 20.0) -> Any:
    """Give the run with its notices, whose tries follow each other at once."""
    sender = Sender(pauses_s=(0.0, 0.0, 0.0))
    redact = Redactor([KEY]).redact
    given = addresses(listed, {})
    notices = Notices(given, described, by_timer=by_timer, redact=redact, sender=sender, last_s=last_s)
    return notices.around(a_session(), run)


async def hang(_request: web.Request) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    return web.Response()


async def flood(request: web.Request) -> web.StreamResponse:
    """Say that all is well, and go on without an end."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b"x" * 65536)


def test_a_webhook_gets_the_documented_object_and_no_key() -> None:
    """Scripts read it; the reason may quote what the service said."""
    stopped = Outcome(Exit.STOPPED, f"key: {KEY} is not valid", 1.0)

    async def night() -> list[dict[str, Any]]:
        async with serving(answering({})) as server:
            assert await informed([f"{server.url}/hook"], ended(stopped), by_timer=True) == stopped
            return [json.loads(body) for body in server.bodies]

    begun, last = asyncio.run(night())
    assert (begun["event"], begun["reason"]) == ("started", None)
    assert last.pop("id").endswith("-stopped")
    assert last == {
        "schema_version": 1,
        "event": "stopped",
        "batch": "night",
        "at": "2026-07-03T20:00:00Z",
        "reason": "key: SG_… is not valid",
        "state": {"done": 3, "pending": 0},
        "spent_usd": 1.5,
        "reserved_usd": 0.0,
        "cap_usd": 20.0,
        "next": ["batchgen status night"],
        "text": "night stopped: key: SG_… is not valid. 3 done. Spent $1.50.",
    }


@pytest.mark.parametrize(
    ("reply", "calls", "answer_ok"),
    [
        (answering({}, 200), 1, True),
        (answering({}, 404), 1, False),
        (answering({}, 429), 4, False),
        (answering({}, 503), 4, False),
        (answering({}, 302, headers={"Location": "/elsewhere"}), 1, False),
        (drop, 4, False),
        (flood, 1, True),
    ],
    ids=["taken", "refused", "too many", "in trouble", "leads away", "dropped", "without end"],
)
def test_what_a_webhook_does_is_not_the_runs_concern(
    reply: Handler, calls: int, answer_ok: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried four times where that may help; what went wrong is one line, without the address."""

    async def night() -> Server:
        async with serving(reply) as server:
            assert await informed([f"{server.url}/sesame"], ended()) == DONE
            return server

    server = asyncio.run(night())
    assert len(server.seen) == calls
    assert len(caplog.messages) == (0 if answer_ok else 1)
    assert "sesame" not in caplog.text


def test_a_webhook_that_hangs_does_not_keep_the_run(caplog: pytest.LogCaptureFixture) -> None:
    """The end of the run is delayed by a few seconds at most, and says so."""

    async def night() -> None:
        async with serving(hang) as server:
            assert await informed([server.url], ended(), last_s=0.05) == DONE

    asyncio.run(night())
    assert caplog.messages == ["not every message could be sent before the end of the run"]


def test_an_error_of_the_run_is_raised_as_it_is_and_reported() -> None:
    """The command turns it into its code; people hear that the night has ended."""

    async def broken() -> Outcome:
        raise LedgerError("the ledger is gone")

    async def night() -> list[bytes]:
        async with serving(answering({})) as server:
            with pytest.raises(LedgerError, match="the ledger is gone"):
                await informed([server.url, f"heartbeat+{server.url}/beat"], broken())
            assert f"{server.url}/beat/fail" in [str(request.url) for request in server.seen]
            return [body for body in server.bodies if body]

    [body] = asyncio.run(night())
    assert json.loads(body)["reason"] == "an error: the ledger is gone"


@pytest.mark.parametrize(
    ("code", "last"), [(Exit.OK, "/beat"), (Exit.SOME_FAILED, "/beat"), (Exit.STOPPED, "/beat/fail")]
)
def test_a_heartbeat_monitor_hears_of_start_and_end(code: Exit, last: str) -> None:
    """It raises the alarm when it hears nothing: of a machine that died."""

    async def night() -> list[str]:
        async with serving(answering({})) as server:
            await informed([f"heartbeat+{server.url}/beat"], ended(Outcome(code, None, 1.0)))
            return [request.path for request in server.seen]

    assert asyncio.run(night()) == ["/beat/start", last]


def test_a_state_that_cannot_be_read_is_no_reason_to_end(caplog: pytest.LogCaptureFixture) -> None:
    """The disk may be full: the run's own end is what counts."""

    def broken(_stopped: str | None, _live: bool) -> dict[str, Any]:
        raise LedgerError("the ledger is gone")

    async def night() -> None:
        async with serving(answering({})) as server:
            notices = Notices(addresses([server.url], {}), broken, by_timer=True)
            assert await notices.around(a_session(), ended()) == DONE

    asyncio.run(night())
    assert caplog.messages == ["a message could not be made (LedgerError); the run goes on"] * 2
