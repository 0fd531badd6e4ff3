"""How a batch reaches its service: with the user's key, or through a sandbox that is started for it.

The only module that knows a concrete provider: another service is another package under `providers/`, and a line here.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from batchgen.errors import UsageError
from batchgen.ledger import SANDBOX_ORIGIN
from batchgen.money import decimal_usd
from batchgen.providers.segmind.client import Segmind
from batchgen.providers.segmind.http import address, is_loopback
from batchgen.proxy import SystemProxy
from batchgen.redact import Secret, account_of
from batchgen.sandbox.faults import Faults
from batchgen.settings import Settings

log = logging.getLogger("batchgen.runner.connect")

SANDBOX_KEY = "sandbox"


class Access:
    """The way to the service of one batch; connecting is a step of its own (`connected`).

    Args:
        settings: the addresses, or that it is the sandbox and how the sandbox behaves.
        key: of the API; None only with the sandbox.
        folder: the batch folder; a sandbox keeps its jobs in it.

    Raises:
        ProxyError: the proxy that the environment names can't be used.
        UsageError: no key, an address that cannot be used, or an unknown fault of the sandbox.
    """

    def __init__(self, settings: Settings, key: Secret | None, folder: Path) -> None:
        if key is None and not settings.sandbox:
            tip = "set SEGMIND_API_KEY (or write it to .env next to the manifest); --sandbox needs none"
            raise UsageError("no API key", tip=tip)
        self._settings = settings
        self._key = key or Secret(SANDBOX_KEY)
        self._folder = folder
        self._faults = Faults.parse(settings.sandbox_faults) if settings.sandbox else None
        self.account = account_of(self._key)  #: a fingerprint of the key
        self.proxy = SystemProxy()
        self.origin = SANDBOX_ORIGIN if settings.sandbox else self._provider(settings.base_url).origin
        if not self.loopback:
            self.proxy = SystemProxy.read()

    def __repr__(self) -> str:
        """Say where it leads, for logs; the key is not in it."""
        return f"<Access to {self.origin}>"

    @property
    def loopback(self) -> bool:
        """True when the service is on this machine, so that no money is at stake."""
        return self._settings.sandbox or is_loopback(address(self.origin, "the API"))

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Segmind]:
        """Give the provider, ready for calls until the block is left; a sandbox runs as long."""
        async with AsyncExitStack() as stack:
            base_url = self._settings.base_url
            if self._settings.sandbox:
                base_url = await self._start_sandbox(stack)
            yield await stack.enter_async_context(self._provider(base_url))

    async def _start_sandbox(self, stack: AsyncExitStack) -> str:
        from batchgen.sandbox.server import Sandbox  # a server of its own is no part of a paid run

        settings = self._settings
        sandbox = Sandbox(
            self._folder / "service",
            latency_s=settings.sandbox_latency,
            faults=self._faults,
            credits=decimal_usd(settings.sandbox_credits),
        )
        base_url = await stack.enter_async_context(sandbox)
        log.info("the sandbox answers at %s; nothing is paid for", base_url)
        return base_url

    def _provider(self, base_url: str) -> Segmind:
        history_url, upload_url = self._settings.history_url, self._settings.upload_url
        if self._settings.sandbox:
            history_url = upload_url = None
        return Segmind(self._key, base_url=base_url, history_url=history_url, upload_url=upload_url, proxy=self.proxy)
