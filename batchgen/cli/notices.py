"""Informs people of a run as it goes: joins its events with `batchgen.notify`. It never changes what the run does."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchgen.clip import State
from batchgen.errors import Exit
from batchgen.events import Blocked, Downloaded, Event, Failed
from batchgen.notify.addresses import Address, Addresses, AddressKind, addresses
from batchgen.notify.conditions import NightConditions, Occasion
from batchgen.notify.sender import Sender
from batchgen.notify.through_apprise import installed
from batchgen.notify.words import message_object

if TYPE_CHECKING:
    from batchgen.runner.session import Outcome, Session

log = logging.getLogger("batchgen.notify")

#: How often the run is examined (seconds), and after how many times a heartbeat monitor gets a sign of life.
WATCH_S, BEAT_EVERY = 5.0, 60
#: So long may the last messages keep a run from ending; after a second Ctrl-C, so long (seconds).
LAST_S, LEAVING_S = 20.0, 1.0
#: Codes after which a heartbeat monitor hears of success.
_WELL = (Exit.OK, Exit.SOME_FAILED)
#: Gives the fields of `status --json`: by the reason why the run ended, and whether it is still at work.
Describe = Callable[[str | None, bool], dict[str, Any]]


def addresses_of(listed: tuple[str, ...], folder: Path) -> Addresses:
    """Give a manifest's addresses, with variables from the environment, else from `.env` in its folder."""
    from dotenv import dotenv_values

    values: dict[str, str] = {}
    if any("$" in text for text in listed):
        with suppress(OSError, ValueError):
            written = dotenv_values(folder / ".env", interpolate=False)
            values = {name: value for name, value in written.items() if value}
    return addresses(listed, {**values, **os.environ}, apprise=installed())


class Notices:
    """The messages of one run.

    Args:
        given: whom to inform.
        describe: gives the state of the batch; called at most once an event.
        by_timer: nobody sits at a terminal.
        redact: takes the API key out of a text.
        sender: how to send.
        last_s: seconds that the last messages may take.
    """

    def __init__(
        self,
        given: Addresses,
        describe: Describe,
        *,
        by_timer: bool,
        redact: Callable[[str], str] = str,
        sender: Sender | None = None,
        last_s: float = LAST_S,
    ) -> None:
        self._given = given
        self._describe = describe
        self._by_timer = by_timer
        self._redact = redact
        self._sender = sender or Sender()
        self._last_s = last_s
        self._conditions = NightConditions()
        self._group = asyncio.TaskGroup()
        self._sending: set[asyncio.Task[None]] = set()
        self._complained: set[int] = set()
        self._began = time.time()

    def __repr__(self) -> str:
        """Say how many are informed, for logs."""
        return f"<Notices to {len(self._given.usable)} addresses>"

    async def around(self, session: Session, run: Awaitable[Outcome]) -> Outcome:
        """Await a run and inform people of it; gives and raises what the run does, whatever becomes of the messages."""
        if not self._given.usable:
            self._report_faults()
            return await run
        failed: Exception | None = None
        outcome: Outcome | None = None
        async with self._sender, asyncio.TaskGroup() as self._group:
            self._begin(session)
            watch = self._group.create_task(self._guarded(partial(self._watch, session)))
            try:
                outcome = await run
            except Exception as error:  # noqa: BLE001 - it is raised below, outside the group, as it is
                failed = error
            watch.cancel()
            self._sender.hurry()
            self._end(session, outcome, failed)
            await self._sent(LEAVING_S if session.shutdown.now else self._last_s)
        if failed is not None:
            raise failed
        if outcome is None:
            raise RuntimeError("a run gives an outcome or an error")
        return outcome

    async def could_not_begin(self, batch: str, reason: str) -> None:
        """Say that a run ended before it began."""
        self._report_faults()
        async with self._sender, asyncio.TaskGroup() as self._group:
            self._sender.hurry()
            self._inform(batch, Occasion.STOPPED, reason, live=False)
            self._beat("fail")
            await self._sent(self._last_s)

    # --- what is worth a message --------------------------------------------------------------------------------

    def _begin(self, session: Session) -> None:
        self._report_faults()
        session.ledger.observers.append(lambda _clip, event: self._saw(session.ledger.now(), event))
        if (begun := self._conditions.started(by_timer=self._by_timer)) is not None:
            self._inform(session.manifest.name, begun, None)
        self._beat("start")

    async def _watch(self, session: Session) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(WATCH_S)
            rounds += 1
            unconfirmed = session.ledger.live_totals.counts[State.UNCONFIRMED]
            for occasion in self._conditions.check(session.ledger.now(), unconfirmed=unconfirmed):
                self._inform(session.manifest.name, occasion, None)
            if rounds % BEAT_EVERY == 0:
                self._beat("")

    def _saw(self, at: float, event: Event) -> None:
        if isinstance(event, Downloaded | Failed | Blocked):
            self._conditions.clip_ended(at, failed=not isinstance(event, Downloaded))

    def _end(self, session: Session, outcome: Outcome | None, failed: Exception | None) -> None:
        code = outcome.exit_code if outcome else Exit.BUG
        reason = outcome.stopped if outcome else f"an error: {failed}"
        unconfirmed = session.ledger.live_totals.counts[State.UNCONFIRMED]
        by_budget = session.shutdown.by_budget
        for occasion in self._conditions.ended(code, by_budget=by_budget, unconfirmed=unconfirmed):
            self._inform(session.manifest.name, occasion, reason, live=False)
        self._beat("" if code in _WELL else "fail")

    # --- sending ------------------------------------------------------------------------------------------------

    def _report_faults(self) -> None:
        for fault in self._given.faults:
            log.warning("%s", fault)

    def _inform(self, batch: str, occasion: Occasion, reason: str | None, *, live: bool = True) -> None:
        try:
            obj = self._describe(reason, live)
            run = f"{os.getpid():x}-{self._began:.0f}"
            message = message_object(batch, occasion, reason or _reason(occasion, obj), obj, run)
        except Exception as error:  # noqa: BLE001 - a message is never worth a run: the disk may be what is in trouble
            log.warning("a message could not be made (%s); the run goes on", type(error).__name__)
            return
        for address in self._given.usable:
            if address.kind is not AddressKind.HEARTBEAT:
                self._send(address, partial(self._sender.message, address, message, self._redact))

    def _beat(self, word: str) -> None:
        for address in self._given.usable:
            if address.kind is AddressKind.HEARTBEAT:
                self._send(address, partial(self._sender.signal, address, word))

    def _send(self, address: Address, call: Callable[[], Awaitable[str | None]]) -> None:
        task = self._group.create_task(self._guarded(partial(self._report, address, call)))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _sent(self, limit_s: float) -> None:
        """Wait until all is sent, so many seconds at most."""
        late = (await asyncio.wait(self._sending, timeout=limit_s))[1] if self._sending else set()
        for task in late:
            task.cancel()
        if late:
            log.warning("not every message could be sent before the end of the run")

    async def _report(self, address: Address, call: Callable[[], Awaitable[str | None]]) -> None:
        fault = await call()
        if fault is not None and address.number not in self._complained:
            self._complained.add(address.number)
            log.warning("%s: %s; the run goes on", address, fault)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - a message is never worth a run; the text may hold an address
            log.warning("a message could not be sent (%s); the run goes on", type(error).__name__)


def _reason(occasion: Occasion, obj: Mapping[str, Any]) -> str | None:
    """Give the cause of a message that no end of the run gave it."""
    if occasion is Occasion.FAILURES and obj["failures"]:
        return str(obj["failures"][0]["reason"])
    if occasion is Occasion.UNCONFIRMED:
        return "clips have no answer yet and may have been charged"
    return None
