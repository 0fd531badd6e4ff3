"""Sends a message through apprise, which knows the services of chats, phones and mail (extra `notify`).

It blocks, and is imported only here. So it runs in a thread of its own that nobody has to wait for: the process ends
without it. What it logs may hold addresses, and is not shown.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings
from contextlib import suppress
from importlib.util import find_spec

#: How long one try may take (seconds).
TRY_S = 20.0


def installed() -> bool:
    """Return whether apprise is there; it is not imported for that."""
    return find_spec("apprise") is not None


async def deliver(url: str, title: str, body: str, *, try_s: float = TRY_S) -> tuple[str | None, bool]:
    """Send a message once.

    Returns:
        None when it was taken, else what went wrong, without the address; and whether another try may help.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[str | None, bool]] = loop.create_future()

    def give(result: tuple[str | None, bool]) -> None:
        if not done.done():
            done.set_result(result)

    def work() -> None:
        try:
            with warnings.catch_warnings():  # of libraries, which may show an address
                warnings.simplefilter("ignore")
                result = _send(url, title, body)
        except BaseException as error:  # noqa: BLE001 - of plugins by many hands; its text may hold the address
            result = type(error).__name__, True
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(give, result)

    threading.Thread(target=work, name="apprise", daemon=True).start()
    try:
        async with asyncio.timeout(try_s):
            return await done
    except TimeoutError:
        return f"no answer within {try_s:g} s", False  # its thread is still at it


def _send(url: str, title: str, body: str) -> tuple[str | None, bool]:
    import apprise

    logging.getLogger("apprise").disabled = True  # it logs whole addresses
    asset = apprise.AppriseAsset(app_id="batchgen", app_desc="batchgen", async_mode=False)
    service = apprise.Apprise(asset=asset)
    if not service.add(url):
        return "apprise does not know such an address", False
    taken = service.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT)
    return (None, False) if taken else ("apprise could not deliver the message", True)
