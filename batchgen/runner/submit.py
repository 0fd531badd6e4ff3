"""The one step that costs money: the intent with its reservation in one durable write, the POST, the id in another."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from batchgen import failpoints
from batchgen.breaker import UPLOAD, CircuitBreaker
from batchgen.clip import Clip, State
from batchgen.errors import AccountError, ClipError, Exit, RateLimited, ServerError, TryAgain, Unreachable, UnsureError
from batchgen.events import AnswerLost, Blocked, Event, Failed, SubmitDeferred, SubmitStarted, Submitted
from batchgen.ledger import NoRoomError
from batchgen.providers.base import HistoryAccess
from batchgen.ratelimit.base import SubmissionStoppedError
from batchgen.retry import SUBMIT_TRIES, delay
from batchgen.runner.admission import Admission, Admitted
from batchgen.runner.context import Candidate, RunContext
from batchgen.runner.cross_check import CrossCheck
from batchgen.runner.recovery_check import HistorySilentError, RecoveryCheck, RecoveryCheckError

log = logging.getLogger("batchgen.runner.submit")

#: The namespace of idempotency keys.
KEYS = uuid.uuid5(uuid.NAMESPACE_DNS, "batchgen")
#: A refusal of the store shows in the mirror of the budget after so long (seconds).
MIRROR_S = 1.0
#: An intent that has waited so long for its POST is not sent: the machine slept, and others may have acted (seconds).
STALE_S = 10.0


@dataclass(slots=True)
class Submitter:
    """Sends paid requests, never one that may have been accepted already."""

    _context: RunContext
    _admission: Admission
    _cross_check: CrossCheck
    _silence: CircuitBreaker  #: of the history, when a rebuilt ledger asks it before it submits
    _uploads: dict[str, str] = field(default_factory=dict)  #: links by content
    _upload_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def submit(self, clip: Clip) -> Clip:
        """Send one paid request; on return the clip is past `submitting`, and what became of it is on disk."""
        if clip.request is not None:
            clip = await self._cross_check.before_another(clip)
        if clip.state is not State.PENDING:
            return clip
        if (check := self._context.recovery_check) and (seen := await self._seen_elsewhere(clip, check)) is not None:
            return await self._doubted(clip, check, seen)
        with self._admission.candidate(clip) as candidate:
            params = dict(clip.wanted.values)
            try:
                if clip.wanted.audio_file and clip.wanted.audio_sha256:
                    params["audio"] = await self._uploaded(Path(clip.wanted.audio_file), clip.wanted.audio_sha256)
            except ClipError as error:  # the audio was refused: the clip's own fault, and nothing was sent
                intent = SubmitStarted(at=self._context.ledger.now())
                clip = await self._context.ledger.record(clip, intent, set_aside=None)
                return await self._context.ledger.record(clip, Failed(str(error)))
            clip, event = await self._sent(clip, candidate, params)
            if not isinstance(event, Submitted):
                clip = await self._admission.alike.recorded(clip)
            if isinstance(event, SubmitDeferred):
                self._context.not_in_flight(clip)
            elif isinstance(event, AnswerLost) and event.error:
                pause_s = delay(clip.refusals, dice=self._context.dice(), base=2.0) if event.counts else 0.0
                clip = await self._cross_check.after_error(clip, pause_s)
                candidate.reserved = clip.state is not State.PENDING
                self._answered(clip)
        return clip

    def _answered(self, clip: Clip) -> None:
        """Take note of what became of a request that was answered with an error, now that the history was asked."""
        if clip.state in (State.GENERATING, State.DOWNLOADING):
            self._admission.service.accepted()
        else:
            self._context.not_in_flight(clip)

    async def _seen_elsewhere(self, clip: Clip, check: RecoveryCheck) -> float | None:
        """Ask whether a request of a time that the ledger lost may be this clip's; stops the run if nobody can say."""
        try:
            async with self._asking:  # one asks, the others wait for what it learns
                return await self._answered_by(check, clip)
        except RecoveryCheckError as error:
            self._context.shutdown.request(
                f"recovered: {error}. A rebuilt ledger submits nothing before this check succeeds; run again later, "
                "or pass --trust-recovery if you know that nothing was accepted after its last event",
                Exit.STOPPED,
            )
            raise SubmissionStoppedError from error

    async def _answered_by(self, check: RecoveryCheck, clip: Clip) -> float | None:
        """Ask the check, again and again while the history does not answer and has to."""
        while not self._context.shutdown.requested:
            try:
                seen = await check.seen(clip)
            except HistorySilentError as silence:
                await self._wait_for_history(silence)
                continue
            if self._silence.succeeded():
                log.info("the request history has answered; submissions go on")
                self._context.waits = ""
            return seen
        raise SubmissionStoppedError

    async def _wait_for_history(self, silence: HistorySilentError) -> None:
        """Wait before the history is asked again, as in an outage; stop the run when that has lasted too long."""
        context, now = self._context, asyncio.get_running_loop().time()
        if self._silence.closed:
            since = datetime.fromtimestamp(context.ledger.now()).astimezone()
            context.waits = (
                f"the request history gives no answer since {since:%H:%M} ({silence}). The ledger is empty, and its "
                "folder has films or requests: what the account has of this batch must not be paid for again"
            )
            log.warning("%s; submissions wait", context.waits)
        self._silence.failed(now)
        left = context.give_up_s - self._silence.lasted_s(now)
        if left <= 0:
            remedy = "Run again later, or pass --trust-recovery if you know that the account has nothing of this batch"
            context.shutdown.request(f"outage: {context.waits}. {remedy}", Exit.STOPPED)
        else:
            await context.pause(min(self._silence.until - now, left))

    async def _doubted(self, clip: Clip, check: RecoveryCheck, seen: float) -> Clip:
        """Put a clip in doubt instead of submitting it: the history has what may be its request."""
        price = self._context.price(clip.wanted) or 0
        clip = await self._context.ledger.record(clip, SubmitStarted(seen, price), set_aside=None)
        clip = await self._context.ledger.record(clip, AnswerLost("a request in the history may be its own"))
        await check.recorded(clip)
        return clip

    # --- the request ----------------------------------------------------------------------------------------

    async def _sent(self, clip: Clip, candidate: Candidate, params: Mapping[str, Any]) -> tuple[Clip, Event]:
        """Wait for admission and send; from the check of the gates to the intent nothing else is awaited."""
        while True:
            async with self._admission.admit(candidate) as admitted:
                try:
                    return await self._send(clip, candidate, params, admitted)
                except NoRoomError:  # another machine took the room after the mirror was read
                    candidate.reserved = False
                    self._context.not_in_flight(clip)
                    await self._context.pause(MIRROR_S)

    async def _send(
        self, clip: Clip, candidate: Candidate, params: Mapping[str, Any], admitted: Admitted
    ) -> tuple[Clip, Event]:
        context = self._context
        sent = json.dumps(params, ensure_ascii=False, sort_keys=True) if clip.wanted.audio_file else None
        alone = not context.in_flight
        context.in_flight[clip.row] = candidate.price_class
        # Out from before the intent until the answer is on disk: no gentle stop may cut in between.
        context.posts_out += 1
        candidate.reserved = True
        try:
            estimate, clock_off = context.estimate(clip.wanted), context.clock_off()
            intent = SubmitStarted(admitted.at, admitted.price, sent, estimate, clock_off)
            clip = await context.ledger.record(clip, intent, set_aside=self._admission.budget.set_aside(candidate))
            written = context.boot_clock()
            failpoints.reach("post.before")
            event = await self._post(clip, candidate, params, admitted, written, alone=alone)
            failpoints.reach("post.after")
            candidate.reserved = not isinstance(event, SubmitDeferred)
            return await context.ledger.record(clip, event), event
        finally:
            context.posts_out -= 1
            context.news.notify()

    async def _post(
        self,
        clip: Clip,
        candidate: Candidate,
        params: Mapping[str, Any],
        admitted: Admitted,
        written: float,
        *,
        alone: bool,
    ) -> Event:
        """Send it, unless too much time has passed since its intent was written (by the boot clock)."""
        slept = self._context.boot_clock() - written
        if slept >= STALE_S:
            return SubmitDeferred(f"not sent: {slept:.0f} s passed between its intent in the ledger and the request")
        try:
            async with admitted.permit:
                accepted = await self._context.provider.submit(clip.wanted.model, params, key_of(clip))
        except ClipError as error:
            if (trouble := self._admission.alike.trouble(clip.row, error)) is None:
                return Blocked(str(error)) if error.blocked else Failed(str(error))
            self._admission.account.refused(candidate, trouble, alone=alone)
            return SubmitDeferred(str(trouble))
        except TryAgain as error:
            return self._not_now(clip, error)
        except AccountError as error:
            self._admission.account.refused(candidate, error, alone=alone)
            return SubmitDeferred(str(error))
        except UnsureError as error:
            self._admission.service.unsure(str(error), error.retry_after)
            return AnswerLost(str(error), self._context.clock_off())
        self._admission.service.accepted()
        self._admission.alike.accepted(admitted.at)
        self._admission.account.accepted(candidate)
        return Submitted(accepted.request_id, admitted.at)

    def _not_now(self, clip: Clip, error: TryAgain) -> Event:
        """Not accepted, surely or by the service's word: what that means for this clip, and for all others."""
        if isinstance(error, RateLimited):
            self._context.places.refused()
        if isinstance(error, Unreachable):
            self._admission.service.unreachable(str(error))
        if not isinstance(error, ServerError):
            return SubmitDeferred(str(error))
        if self._context.provider.capabilities.history is not HistoryAccess.WITH_INPUTS:
            why = f"{error}; the service has no request history that could show whether it was accepted"
            self._admission.service.unsure(why, error.retry_after)
            return AnswerLost(why, self._context.clock_off())
        counts = not self._admission.service.refused(clip.row, str(error), error.retry_after)
        return AnswerLost(str(error), self._context.clock_off(), error=True, counts=counts)

    async def _uploaded(self, path: Path, sha256: str) -> str:
        """Upload a local file, once per content; gives its link. Raises ClipError when it is refused for good."""
        breaker, refusals = CircuitBreaker(UPLOAD, self._context.dice), 0
        loop = asyncio.get_running_loop()
        async with self._upload_lock:
            while sha256 not in self._uploads:
                if self._context.shutdown.requested:
                    raise SubmissionStoppedError
                try:
                    self._uploads[sha256] = await self._context.provider.upload(path)
                except TryAgain as error:
                    log.warning("upload: %s", error)
                    refusals += isinstance(error, ServerError)
                    if refusals >= SUBMIT_TRIES:
                        raise ClipError(f"{error} ({SUBMIT_TRIES} tries)") from None
                    breaker.failed(loop.time(), hint=error.retry_after)
                    await self._context.pause(breaker.until - loop.time())
            return self._uploads[sha256]


def key_of(clip: Clip) -> str:
    """Give the idempotency key of an intent: by what of it is on disk, so that every attempt of it has the same."""
    request = clip.request
    if request is None:  # the table forbids it
        raise RuntimeError(clip)
    return str(uuid.uuid5(KEYS, f"{clip.key} {request.n} {request.intent_at!r}"))
