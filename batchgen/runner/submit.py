"""The one step that costs money: the pacer's permit, reservation and intent in one durable write, POST, id durable."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from batchgen import failpoints
from batchgen.clip import Clip, Request
from batchgen.errors import AccountError, ClipError, Exit, RateLimited, ServerError, TryAgain, UnsureError
from batchgen.events import AnswerLost, Blocked, Event, Failed, SubmitDeferred, SubmitStarted, Submitted
from batchgen.ledger import NoRoomError
from batchgen.ratelimit.base import Call, Permit, SubmissionStoppedError
from batchgen.retry import SUBMIT_TRIES, delay
from batchgen.runner.account import AccountGate
from batchgen.runner.budget_gate import BudgetGate, Candidate
from batchgen.runner.context import RunContext
from batchgen.runner.recovery_check import RecoveryCheckError
from batchgen.runner.service_trouble import UNSURE_STOP, ServiceTrouble

log = logging.getLogger("batchgen.submit")

#: No submission while what is in flight is older than this part of the time that its record lives.
NEAR_THE_END = 0.75
#: The namespace of idempotency keys.
KEYS = uuid.uuid5(uuid.NAMESPACE_DNS, "batchgen")
#: So many old requests may simply be stuck; more of them mean that the queue is too long.
STUCK = 2
#: A refusal of the store shows in the mirror of the budget after so long (seconds).
MIRROR_S = 1.0


class Submitter:
    """Sends paid requests, never one that may have been accepted already."""

    def __init__(self, tools: RunContext) -> None:
        self._tools = tools
        self.budget = BudgetGate(tools)
        self._account = AccountGate(tools)
        self._slots = asyncio.Semaphore(tools.submit_concurrency)
        self._trouble = ServiceTrouble()
        self._scout = asyncio.Lock()
        self._uploads: dict[str, str] = {}
        self._upload_lock = asyncio.Lock()

    async def submit(self, clip: Clip) -> Clip:
        """Send one paid request: permit, reservation and intent in one durable write, POST, id durable."""
        if (seen := await self._unbeknown(clip)) is not None:
            return await self._doubted(clip, seen)
        with self.budget.wanting(clip) as want:
            try:
                params = await self._params(clip)
            except ClipError as error:  # the audio was refused: the clip's own fault, and nothing was sent
                clip = await self._tools.ledger.record(clip, SubmitStarted(at=self._tools.ledger.now()), set_aside=None)
                return await self._tools.ledger.record(clip, Failed(str(error)))
            try:
                clip, event = await self._sent(clip, want, params)
            finally:
                self._account.leave(want)
            if isinstance(event, SubmitDeferred):
                self._tools.settled(clip)
                if event.counts:
                    await self._tools.pause(delay(clip.refusals, dice=self._tools.dice(), base=2.0))
        return clip

    async def _unbeknown(self, clip: Clip) -> float | None:
        """Ask whether a request of a time that the ledger lost may be this clip's; stops the run if nobody can say."""
        if self._tools.blind is None:
            return None
        try:
            return await self._tools.blind.seen(clip)
        except RecoveryCheckError as error:
            self._tools.shutdown.request(
                f"recovered: {error}. Nothing is submitted on a rebuilt ledger before that; run again then, or say "
                "--trust-recovery if you know that nothing was accepted after its last event",
                Exit.STOPPED,
            )
            raise SubmissionStoppedError from error

    async def _doubted(self, clip: Clip, seen: float) -> Clip:
        """Put a clip in doubt in place of submitting it: the history has what may be its request."""
        held = self._tools.price(clip.wanted) or 0
        clip = await self._tools.ledger.record(clip, SubmitStarted(seen, held), set_aside=None)
        clip = await self._tools.ledger.record(clip, AnswerLost("the history has what may be its request"))
        if self._tools.blind:
            await self._tools.blind.settled(clip)
        return clip

    async def _sent(self, clip: Clip, want: Candidate, params: Mapping[str, Any]) -> tuple[Clip, Event]:
        """Wait for the gates, then for a slot, and send; what a gate holds up must not hold a slot."""
        while True:
            await self.budget.room(want)
            await self._account.turn(want)
            async with self._slots, self._single_file():
                cleared = await self._cleared(want)
                if cleared is not None:
                    with suppress(NoRoomError):  # another machine took the room after the mirror was read
                        return await self._send(clip, want, params, cleared)
                    want.holds = False
                    self._tools.settled(clip)
                    await self._tools.pause(MIRROR_S)
            self._account.leave(want)

    async def _send(
        self, clip: Clip, want: Candidate, params: Mapping[str, Any], cleared: tuple[Permit, float, int]
    ) -> tuple[Clip, Event]:
        permit, at, held = cleared
        sent = json.dumps(params, ensure_ascii=False, sort_keys=True) if clip.wanted.audio_file else None
        alone = not self._tools.at_work
        self._tools.at_work.add(clip.row)
        # Out from before the intent until the answer is on disk: no gentle stop may cut in between.
        self._tools.posts_out += 1
        want.holds = True
        try:
            likely = self._tools.estimate(clip.wanted)
            intent, set_aside = SubmitStarted(at, held, sent, likely), self.budget.set_aside(want)
            clip = await self._tools.ledger.record(clip, intent, set_aside=set_aside)
            failpoints.reach("post.before")
            event = await self._post(clip, want, params, permit, alone=alone)
            failpoints.reach("post.after")
            want.holds = not isinstance(event, SubmitDeferred)
            return await self._tools.ledger.record(clip, event), event
        finally:
            self._tools.posts_out -= 1
            self._tools.news.tell()

    async def _post(
        self, clip: Clip, want: Candidate, params: Mapping[str, Any], permit: Permit, *, alone: bool
    ) -> Event:
        try:
            async with permit:
                accepted = await self._tools.provider.submit(clip.wanted.model, params, key_of(clip))
        except ClipError as error:
            return Blocked(str(error)) if error.blocked else Failed(str(error))
        except TryAgain as error:
            return self._not_now(clip, error)
        except AccountError as error:
            self._account.refused(want, error, alone=alone)
            return SubmitDeferred(str(error))
        except UnsureError as error:
            return self._unsure(error)
        self._trouble.over()
        self._account.accepted(want)
        return Submitted(accepted.request_id, intent_of(clip).intent_at)

    def _not_now(self, clip: Clip, error: TryAgain) -> Event:
        """Surely not accepted: what that means for this clip, and for all others."""
        if isinstance(error, RateLimited):
            self._tools.places.refused()
        if not isinstance(error, ServerError):
            return SubmitDeferred(str(error))
        if self._trouble.met_500(clip.row, asyncio.get_running_loop().time()):
            return SubmitDeferred(f"{error} (as for other clips: the service is in trouble)")
        if clip.refusals + 1 >= SUBMIT_TRIES:
            return Failed(f"{error} ({SUBMIT_TRIES} tries)", transient=True)
        return SubmitDeferred(str(error), counts=True)

    def _unsure(self, error: UnsureError) -> Event:
        """Perhaps accepted, perhaps not: in doubt; and a reason to be careful with the next ones."""
        self._trouble.met_silence(asyncio.get_running_loop().time())
        if self._trouble.unsure >= UNSURE_STOP:
            why = f"outage: {UNSURE_STOP} submissions in a row had no clear answer; the last: {error}"
            self._tools.shutdown.request(why, Exit.STOPPED)
        return AnswerLost(str(error))

    def _single_file(self) -> AbstractAsyncContextManager[object]:
        """While the service or the account is in trouble, one submission goes first to see."""
        return self._scout if self._trouble.on or self._account.careful else nullcontext()

    async def _cleared(self, want: Candidate) -> tuple[Permit, float, int] | None:
        """Wait for the hour and the pacer; the permit, the time and the price to reserve. None: a gate has shut.

        Nothing may be awaited between the last check here and the record of the intent, whose day is that of
        the check.
        """
        while self._may_go(want, self._tools.ledger.now()):
            if await self._must_wait():
                continue
            permit = await self._tools.pacer.acquire(Call.SUBMIT)
            at = self._tools.ledger.now()
            if self._may_go(want, at) and not self._too_old():
                return permit, at, self._tools.price(want.wanted) or 0
        return None

    def _may_go(self, want: Candidate, at: float) -> bool:
        """True while budget and account let it go at this time."""
        if self._tools.shutdown.requested:
            raise SubmissionStoppedError
        return self._account.lets(want) and self.budget.barrier(want, at) is None

    async def _must_wait(self) -> bool:
        """Wait for old requests to end, or for trouble to pass; True when it did wait."""
        if self._too_old():
            await self._tools.news.wait(5.0)
            return True
        return await self._trouble_must_pass()

    async def _trouble_must_pass(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._trouble.since is not None and now - self._trouble.since >= self._tools.give_up_s:
            self._tools.shutdown.request("outage: the service has accepted nothing for too long", Exit.STOPPED)
        if self._trouble.hopeless:
            why = "outage: the service refuses every submission with an error of its own; is a parameter wrong?"
            self._tools.shutdown.request(why, Exit.STOPPED)
        if now >= self._trouble.until:
            return False
        await self._tools.pause(self._trouble.until - now)
        return True

    def _too_old(self) -> bool:
        """Tell whether what is in flight comes near the end of its record: one stuck job is no queue, many are."""
        old, waiting = self._tools.poller.older_than(NEAR_THE_END * self._tools.provider.capabilities.record_s)
        return old > STUCK and old * 4 >= waiting

    async def _params(self, clip: Clip) -> dict[str, Any]:
        """Give the parameters as sent; local audio is uploaded once per content."""
        params = dict(clip.wanted.values)
        if clip.wanted.audio_file and clip.wanted.audio_sha256:
            params["audio"] = await self._uploaded(Path(clip.wanted.audio_file), clip.wanted.audio_sha256)
        return params

    async def _uploaded(self, path: Path, sha256: str) -> str:
        refusals = 0
        async with self._upload_lock:
            while sha256 not in self._uploads:
                if self._tools.shutdown.requested:
                    raise SubmissionStoppedError
                try:
                    self._uploads[sha256] = await self._tools.provider.upload(path)
                except TryAgain as error:
                    log.warning("upload: %s", error)
                    refusals += isinstance(error, ServerError)
                    if refusals >= SUBMIT_TRIES:
                        raise ClipError(f"{error} ({SUBMIT_TRIES} tries)") from None
                    await self._tools.pause(delay(refusals or 1, hint=error.retry_after, dice=self._tools.dice()))
            return self._uploads[sha256]


def intent_of(clip: Clip) -> Request:
    """Give the request whose intent is on disk."""
    if clip.request is None:  # the table forbids it
        raise RuntimeError(clip)
    return clip.request


def key_of(clip: Clip) -> str:
    """Give the idempotency key of an intent: by what of it is on disk, so that every attempt of it has the same."""
    request = intent_of(clip)
    return str(uuid.uuid5(KEYS, f"{clip.key} {request.n} {request.intent_at!r}"))
