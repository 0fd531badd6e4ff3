"""Sends messages to webhooks and signs of life to heartbeat monitors; what goes wrong is returned in words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from batchgen.notify.addresses import Address

#: How long one try may take (seconds).
TRY_S = 10.0
#: Pauses before the second try and the ones after it (seconds).
PAUSES_S = (1.0, 5.0, 25.0)
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

    def __repr__(self) -> str:
        """Say what it is, for logs; it holds no address."""
        return "<Sender>"

    async def __aenter__(self) -> Sender:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TRY_S), trust_env=True)
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def message(self, address: Address, body: bytes) -> str | None:
        """Post an object to a webhook, with further tries where they may help.

        Returns:
            None when it was taken; else what went wrong, without the address.
        """
        fault, again = await self._call("POST", address.url, data=body, headers=_JSON)
        for pause_s in self._pauses_s:
            if not again:
                break
            await asyncio.sleep(pause_s)
            fault, again = await self._call("POST", address.url, data=body, headers=_JSON)
        return fault

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


def headline(batch: str, event: str, reason: str | None, state: Mapping[str, int], spent: str) -> str:
    """Write a message's one line for a lock screen."""
    counts = ", ".join(f"{count:,} {word}" for word, count in state.items() if count)
    why = f": {reason}" if reason else ""
    return f"{batch} {event}{why}. {counts or 'no clips'}. Spent {spent}."
