"""Firefox, driven by WebDriver BiDi over a websocket: Debian's speaks it by itself, and needs no other program."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import aiohttp

FIREFOX: Final = Path("/usr/bin/firefox-esr")
#: Sound may play without a click, and nothing is asked or fetched at the start.
_PREFERENCES: Final = """
user_pref("media.autoplay.default", 0);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
"""
#: Where Firefox writes the port that it took.
_PORT: Final = "WebDriverBiDiServer.json"


class Tab:
    """One page of Firefox.

    Args:
        socket: the session's.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._ids, self._context = socket, count(1), ""

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer.

        Raises:
            AssertionError: the browser refused it.
        """
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async for message in self._socket:
            answer: dict[str, Any] = json.loads(message.data)
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                result: dict[str, Any] = answer["result"]
                return result
        raise AssertionError(f"Firefox closed the connection during {method}")

    async def open(self, url: str) -> None:
        """Open an address, and wait until it is loaded."""
        await self.ask("session.new", capabilities={})
        self._context = (await self.ask("browsingContext.create", type="tab"))["context"]
        await self.ask("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def run(self, script: str, *args: Any) -> Any:
        """Call a function of JavaScript with values of JSON; gives its answer, which goes over the wire as a text."""
        call = f"async () => JSON.stringify(await ({script})(...{json.dumps(args)}) ?? null)"
        found = await self.ask(
            "script.callFunction", functionDeclaration=call, awaitPromise=True, target={"context": self._context}
        )
        assert found["type"] == "success", found
        return json.loads(found["result"]["value"])


@asynccontextmanager
async def firefox(profile: Path) -> AsyncIterator[Tab]:
    """Start Firefox without a window; it ends with the block.

    Args:
        profile: an empty folder.
    """
    (profile / "user.js").write_text(_PREFERENCES)
    words = (str(FIREFOX), "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0")
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *words, env={"HOME": str(profile), "PATH": "/usr/bin:/bin"}, stdout=quiet, stderr=quiet
    )
    try:
        async with asyncio.timeout(60):
            while not (profile / _PORT).exists():
                assert process.returncode is None, "Firefox ended before it listened"
                await asyncio.sleep(0.1)
        port = json.loads((profile / _PORT).read_text())["ws_port"]
        address = f"ws://127.0.0.1:{port}/session"
        async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
            yield Tab(socket)
    finally:
        process.kill()
        await process.wait()
