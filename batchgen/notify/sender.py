"""Sends messages to webhooks and through apprise, and signs of life to monitors; what goes wrong is given in words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import aiohttp

from batchgen.notify.addresses import Address, AddressKind
from batchgen.notify.through_apprise import deliver
from batchgen.notify.words import letter

#: How long one try may take (seconds).
TRY_S = 10.0
#: Pauses before the second try and the ones after it (seconds).
PAUSES_S = (1.0, 5.0, 25.0)
#: Pauses of this length are kept at the end of a run, too (seconds).
SHORT_S = 5.0
#: How often a message is given to apprise at most.
APPRISE_TRIES = 3
#: Answers that a later try may not get.
_PASSING = frozenset({408, 429})
_JSON = {"Content-Type": "application/json; charset=utf-8"}


class Sender:
    """Calls addresses; use as a context manager. No redirect is followed, and no answer is read but its status.

    Args:
        pauses_s: seconds between the tries of a message.
    """

    def __init__(self, pauses_s: Sequence[float] = PAUSES_S) -> None:
        self._pauses_s = pauses_s
        self._http: aiohttp.ClientSession | None = None
        self._hurried = asyncio.Event()

    def __repr__(self) -> str:
        """Say what it is, for logs; it holds no address."""
        return "<Sender>"

    async def __aenter__(self) -> Sender:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TRY_S), trust_env=True)
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def message(self, address: Address, message: Mapping[str, Any], redact: Callable[[str], str]) -> str | None:
        """Send a message (`words.message_object`), with further tries where they may help.

        Returns:
            None when it was taken; else what went wrong, without the address.
        """
        if address.kind is AddressKind.APPRISE:
            title, body = (redact(text) for text in letter(message))
            send, pauses_s = partial(deliver, address.url, title, body), self._pauses_s[: APPRISE_TRIES - 1]
        else:
            data = redact(json.dumps(message, ensure_ascii=False)).encode()
            send, pauses_s = partial(self._call, "POST", address.url, data=data, headers=_JSON), self._pauses_s
        fault, again = await send()
        for pause_s in pauses_s:
            if not (again and await self._has_time(pause_s)):
                break
            fault, again = await send()
        return fault

    def hurry(self) -> None:
        """Wait no longer than a few seconds before a further try from now on: the run has ended."""
        self._hurried.set()

    async def _has_time(self, pause_s: float) -> bool:
        """Wait before the next try; False: there is no time for it."""
        if pause_s <= SHORT_S:
            await asyncio.sleep(pause_s)
            return True
        try:
            async with asyncio.timeout(pause_s):
                await self._hurried.wait()
        except TimeoutError:
            return True
        return False

    async def signal(self, address: Address, word: str) -> str | None:
        """Give a heartbeat monitor a sign of life, once: the next one comes soon. Returns as `message` does."""
        fault, _again = await self._call("GET", address.signal(word))
        return fault

    async def _call(self, method: str, url: str, **how: Any) -> tuple[str | None, bool]:  # noqa: ANN401 - of aiohttp
        """Give what went wrong, and whether another try may help. The text of an error may hold the address."""
        if self._http is None:
            raise RuntimeError("the sender is not open")
        try:
            async with self._http.request(method, url, allow_redirects=False, **how) as answer:
                status = answer.status
                answer.close()  # whatever it says, and however long
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            silent = isinstance(error, TimeoutError)
            return (f"no answer within {TRY_S:.0f} s" if silent else type(error).__name__), True
        if 200 <= status < 300:
            return None, False
        return f"answered with status {status}", status >= 500 or status in _PASSING
