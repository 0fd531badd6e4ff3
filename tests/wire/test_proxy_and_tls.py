"""The way through a company's proxy, and TLS to a file's host: what arrives, and in what words it fails."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from filehost import SMALL
from scripted_service import KEY
from yarl import URL

from batchgen.download.downloader import Downloader
from batchgen.errors import TransferFailed, Unreachable
from batchgen.providers.base import Accepted
from batchgen.providers.segmind.client import Segmind
from batchgen.proxy import SystemProxy
from batchgen.redact import Secret

pytestmark = pytest.mark.real_time

CA = trustme.CA()
API, FILES = "api.studio.test", "files.studio.test"


@dataclass
class ConnectProxy:
    """A proxy that speaks CONNECT alone, and leads every name to one port of this machine."""

    to: int
    status: int = 200
    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)  #: target and Proxy-Authorization of each CONNECT
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            self.serving.add(task)
        with suppress(ConnectionError):
            await self._serve(reader, writer)
        await _closed(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        self.asked.append((lines[0].split()[1], headers.get("proxy-authorization", "")))
        writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\n\r\n".encode())
        if self.status == 200:
            there, back = await asyncio.open_connection("127.0.0.1", self.to)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, back))
                group.create_task(_pump(there, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def tls_server(*names: str) -> AsyncIterator[int]:
    """Serve a service and a file by https, under a certificate of these names; gives the port."""

    async def reply(request: web.Request) -> web.StreamResponse:
        if request.path.endswith(".mp4"):
            return web.Response(body=SMALL, content_type="video/mp4")
        return web.json_response({"request_id": "r1"})

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert(*names).configure_cert(context)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", reply)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def proxied(*names: str, status: int = 200) -> AsyncIterator[ConnectProxy]:
    """Run a proxy, and behind it a server with a certificate of these names."""
    async with tls_server(*(names or (API, FILES))) as port:
        proxy = ConnectProxy(port, status)
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            if proxy.serving:
                await asyncio.wait(proxy.serving)


def read_proxy(monkeypatch: pytest.MonkeyPatch, port: int) -> SystemProxy:
    """Read a proxy from the environment, as a run does."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("https_proxy", f"http://ana:sesame@127.0.0.1:{port}")
    return SystemProxy.read()


@pytest.fixture(autouse=True)
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the tests' CA, by the variable that a user sets."""
    CA.cert_pem.write_to_path(str(tmp_path / "company.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "company.pem"))


async def fetch(downloader: Downloader, url: str, target: Path) -> bytes:
    async with downloader:
        await downloader.fetch(url, target)
    return target.read_bytes()


async def test_calls_and_downloads_go_through_the_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Encrypted to their end: the proxy sees two names, and the password that is its own."""
    async with proxied() as proxy:
        way = read_proxy(monkeypatch, proxy.port)
        async with Segmind(Secret(KEY), base_url=f"https://{API}", proxy=way) as segmind:
            assert await segmind.submit("m", {}) == Accepted("r1")
        target = tmp_path / "a.mp4"
        assert await fetch(Downloader(proxy=way), f"https://{FILES}/a.mp4?Signature=s", target) == SMALL
    assert proxy.asked == [(f"{API}:443", "basic yw5honnlc2ftzq=="), (f"{FILES}:443", "basic yw5honnlc2ftzq==")]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (407, "wants another user name and password than it was given (HTTP 407)"),
        (403, f"refuses to connect to {API} (HTTP 403)"),
        (502, f"refuses to connect to {API} (HTTP 502)"),
    ],
)
async def test_a_proxy_that_refuses_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, words: str
) -> None:
    """Which of the proxies of this machine it was, and where to change it; never its password."""
    async with proxied(status=status) as proxy:
        way = read_proxy(monkeypatch, proxy.port)
        named = f"the proxy 127.0.0.1:{proxy.port} (from https_proxy)"
        async with Segmind(Secret(KEY), base_url=f"https://{API}", proxy=way) as segmind:
            with pytest.raises(Unreachable) as caught:
                await segmind.submit("m", {})
        with pytest.raises(TransferFailed) as broken:
            await fetch(Downloader(proxy=way, tries=1), f"https://{FILES}/a.mp4", tmp_path / "a.mp4")
    assert caught.value.needs_user == (status < 500)
    assert f"{named} {words}" in str(caught.value)
    assert f"{named} {words.replace(API, FILES)}" in str(broken.value)
    assert "sesame" not in f"{caught.value}{broken.value}"


async def test_a_proxy_that_is_not_there_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's host is not to blame, and waiting for it helps nobody who sits behind the wrong address."""
    async with proxied() as proxy:
        pass
    way = read_proxy(monkeypatch, proxy.port)
    async with Segmind(Secret(KEY), base_url=f"https://{API}", proxy=way) as segmind:
        with pytest.raises(Unreachable) as caught:
            await segmind.balance()
    named = f"the proxy 127.0.0.1:{proxy.port} (from https_proxy) for {API} can't be used"
    assert f"{named}: 127.0.0.1:{proxy.port} refuses the connection" in str(caught.value)


async def test_a_proxy_that_breaks_tls_open_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A company's filter answers under a certificate of its own."""
    monkeypatch.delenv("SSL_CERT_FILE")
    async with proxied() as proxy:
        way = read_proxy(monkeypatch, proxy.port)
        async with Segmind(Secret(KEY), base_url=f"https://{API}", proxy=way) as segmind:
            with pytest.raises(Unreachable) as caught:
                await segmind.balance()
        with pytest.raises(TransferFailed) as broken:
            await fetch(Downloader(proxy=way, tries=1), f"https://{FILES}/a.mp4", tmp_path / "a.mp4")
    for said in (str(caught.value), str(broken.value)):
        assert "SSL_CERT_FILE" in said
        assert f"by way of the proxy 127.0.0.1:{proxy.port} (from https_proxy)" in said


async def test_a_file_comes_by_tls_from_a_host_that_is_trusted(tmp_path: Path) -> None:
    """SSL_CERT_FILE counts for downloads as it does for the service's calls."""
    async with tls_server("localhost") as port:
        url = f"https://localhost:{port}/a.mp4"
        assert await fetch(Downloader(loopback=True), url, tmp_path / "a.mp4") == SMALL


@pytest.mark.parametrize(
    ("trust", "name", "words"),
    [(False, "localhost", "SSL_CERT_FILE"), (True, "other.test", "belongs to another name")],
    ids=["unknown CA", "another name"],
)
async def test_a_file_of_a_host_that_is_not_trusted_is_not_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trust: bool, name: str, words: str
) -> None:
    """No byte of it: whoever stands in between could give any film."""
    if not trust:
        monkeypatch.delenv("SSL_CERT_FILE")
    async with tls_server(name) as port:
        with pytest.raises(TransferFailed, match=words):
            await fetch(Downloader(loopback=True, tries=1), f"https://localhost:{port}/a.mp4", tmp_path / "a.mp4")
    assert not list(tmp_path.glob("a.mp4*"))


def test_the_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what goes through it, and for nothing else."""
    way = read_proxy(monkeypatch, 3128)
    assert way.named(URL(f"https://{API}")) == "the proxy 127.0.0.1:3128 (from https_proxy)"
    assert way.named(URL("http://127.0.0.1:8080")) == ""
    assert SystemProxy().named(URL(f"https://{API}")) == ""
