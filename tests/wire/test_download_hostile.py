# ruff: noqa: F811
"""Hosts that mean no good, or know no better: no secret leaves, no slot is held, no disk is filled."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from filehost import ETAG, LARGE, SMALL, Host, Reply, check, downloader, host, plain, quick, served  # noqa: F401
from scripted_service import raw_server

from batchgen.download import Downloader
from batchgen.errors import (
    AddressRefused,
    BrokenFile,
    DiskFullError,
    DownloadError,
    NameTaken,
    PathTrouble,
    TransferFailed,
)

pytestmark = pytest.mark.real_time


# --- what a host may learn, and decide ----------------------------------------------------------------


async def test_a_password_of_the_environment_goes_to_no_file_host(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `default` line of a .netrc is for another service; with it, aiohttp would send it to whoever has the file."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login studio password sesame\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    host.script = [plain(302, Location="/elsewhere.mp4"), served(SMALL)]
    async with quick() as downloader:
        assert downloader._session is not None
        downloader._session._trust_env = True  # as without a loopback origin, where this test can't go
        await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert len(host.seen) == 2
    assert not {"Authorization", "Cookie", "X-Api-Key"} & {name.title() for one in host.seen for name in one.headers}


async def test_another_host_behind_a_redirect_gets_nothing_but_the_request(
    host: Host, downloader: Downloader, tmp_path: Path
) -> None:
    """Neither what the first host set, nor the address with its signature."""
    there = host.url.replace("127.0.0.1", "localhost").partition("?")[0]
    moved = plain(302, Location=there, **{"Set-Cookie": "id=1; Domain=localhost", "WWW-Authenticate": "Basic"})
    host.script = [moved, served(SMALL)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", SMALL)
    assert set(host.seen[1].headers) <= {"Host", "Accept", "Accept-Encoding", "User-Agent"}
    assert "sesame" not in str(host.seen[1].headers)


@pytest.mark.parametrize("name", ["../../evil.mp4", "/etc/cron.d/x", "b.mp4", "a.mp4.part.json"])
async def test_the_hosts_own_name_for_the_file_is_not_used(
    host: Host, downloader: Downloader, tmp_path: Path, name: str
) -> None:
    """The name is the manifest's: a host that could choose it could choose any file."""
    folder = tmp_path / "clips"
    folder.mkdir()
    host.script = [served(SMALL, **{"Content-Disposition": f'attachment; filename="{name}"', "Content-Location": name})]
    check(await downloader.fetch(host.url, folder / "a.mp4"), folder / "a.mp4", SMALL)
    assert [path.name for path in tmp_path.rglob("*")] == ["clips", "a.mp4"]


ODD = {
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "bytes": b"\x00\xff\x13\r\n\r\n",
    "nothing": b"",
    "an endless header": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
    "40,000 headers": b"HTTP/1.1 200 OK\r\n" + b"X-A: a\r\n" * 40_000 + b"\r\n",
    "a length below zero": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc",
    "a length past all numbers": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\nabc",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabc",
    "a chunk past all numbers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\nabc\r\n",
    "no gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "gzip without end": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    + gzip.compress(gzip.compress(gzip.compress(SMALL))),
    "no deflate": b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: 3\r\n\r\nabc",
    "a place that is no name": b"HTTP/1.1 302 x\r\nLocation: https://" + b"a" * 7_000 + b".com/\r\n\r\n",
    "a place that is no address": b"HTTP/1.1 302 x\r\nLocation: http://\xff\xfe[::1\r\n\r\n",
    "an empty label": b"HTTP/1.1 302 x\r\nLocation: https://a..b/\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nabc",
}


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_answer_is_the_files_trouble_and_not_the_runs(tmp_path: Path, name: str) -> None:
    """One bad host must not end the night with a traceback."""
    async with raw_server(ODD[name]) as url, Downloader(loopback=True, backoff_s=0.001, tries=2) as downloader:
        with pytest.raises(DownloadError) as caught:
            await downloader.fetch(f"{url}/a.mp4", tmp_path / "a.mp4")
    assert isinstance(caught.value, TransferFailed | AddressRefused | BrokenFile | NameTaken)
    assert not (tmp_path / "a.mp4").exists()


# --- slots --------------------------------------------------------------------------------------------


def trickling(data: bytes, pause_s: float) -> Reply:
    """Announce all, and send a byte now and then."""

    async def reply(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"ETag": ETAG})
        answer.content_length = len(data)
        await answer.prepare(request)
        for n in range(len(data)):
            await answer.write(data[n : n + 1])
            await asyncio.sleep(pause_s)
        return answer

    return reply


async def test_a_body_that_trickles_is_broken_off_and_resumed(host: Host, tmp_path: Path) -> None:
    """A byte a minute is never silence, and would hold its slot for years."""
    host.script = [trickling(LARGE, 0.02), served(LARGE)]
    async with asyncio.timeout(10), Downloader(loopback=True, backoff_s=0.001, window_s=0.2, slots=1) as downloader:
        check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", LARGE)
    (_, (asked, _)) = host.ranges()
    assert asked is not None and 1 <= int(asked.removeprefix("bytes=").rstrip("-")) < 100


async def test_a_host_that_only_trickles_is_told_as_trouble(host: Host, tmp_path: Path) -> None:
    """The clip is left for the next run, and the slot is free."""
    host.script = [trickling(LARGE, 0.02)]
    async with asyncio.timeout(10), Downloader(loopback=True, backoff_s=0.001, window_s=0.1, tries=3) as downloader:
        with pytest.raises(DownloadError, match=r"bytes in 0 s are too slow \(3 tries\)") as caught:
            await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert type(caught.value) is TransferFailed


async def test_a_head_that_trickles_is_broken_off(tmp_path: Path) -> None:
    """No byte of it is late, and it never ends."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing() and not reader.at_eof():
            writer.write(b"X-A: a\r\n")
            await asyncio.sleep(0.02)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        closed.release()

    closed = asyncio.Semaphore(0)
    listener = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/a.mp4"
    async with listener, asyncio.timeout(10):
        async with Downloader(loopback=True, backoff_s=0.001, stall_s=0.1, connect_s=0.1, tries=2) as downloader:
            with pytest.raises(DownloadError, match="for too long") as caught:
                await downloader.fetch(url, tmp_path / "a.mp4")
        for _ in range(2):
            await closed.acquire()
    assert type(caught.value) is TransferFailed


# --- disk and memory ----------------------------------------------------------------------------------

BOMB = """
import asyncio, resource, sys
from pathlib import Path
from batchgen.download import Downloader
async def main():
    async with Downloader(loopback=True, backoff_s=0.001, max_bytes=50_000_000) as downloader:
        try:
            await downloader.fetch(sys.argv[1], Path(sys.argv[2]))
        finally:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
asyncio.run(main())
"""


async def test_a_body_that_grows_a_thousandfold_fills_neither_memory_nor_disk(host: Host, tmp_path: Path) -> None:
    """Two gigabytes of zeros are two megabytes on the wire; what counts is what comes out."""
    packed = await asyncio.to_thread(_zeros_packed)
    host.script = [_packed(packed)]
    run = [sys.executable, "-c", BOMB, host.url, str(tmp_path / "a.mp4")]
    done = await asyncio.to_thread(subprocess.run, run, capture_output=True, text=True, timeout=60)
    assert "more than 50,000,000 bytes" in done.stderr
    assert int(done.stdout) < 600  # one read of 256 KiB may become 256 MiB, and no more are ever held
    assert not list(tmp_path.iterdir())


def _zeros_packed() -> bytes:
    member = gzip.compress(bytes(64 * 2**20), 9)
    return member * 32


def _packed(body: bytes) -> Reply:
    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    return reply


def claiming(size: int) -> Reply:
    """Announce so many bytes, and send a few."""

    async def reply(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"ETag": ETAG})
        answer.content_length = size
        await answer.prepare(request)
        await answer.write(SMALL[:1000])
        return answer

    return reply


def disk_with(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=free))


async def test_a_file_for_which_the_disk_has_no_room_is_told_before_it_is_filled(
    host: Host, downloader: Downloader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full to the last byte would take the ledger down with it."""
    disk_with(80_000_000, monkeypatch)
    host.script = [claiming(10_000_000_000)]
    with pytest.raises(DiskFullError, match=r"has 4,295 MB, and 80 MB are free in .*Nothing is lost"):
        await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


async def test_one_giant_file_does_not_stop_a_run_that_has_room_for_others(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a host claims is not what the disk is measured by."""
    disk_with(2 * 2**30, monkeypatch)
    host.script = [claiming(3 * 2**30)]
    async with quick() as downloader:
        with pytest.raises(DownloadError, match="3,221 MB, and 2,147 MB are free") as caught:
            await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert type(caught.value) is PathTrouble


async def test_ten_gigabytes_are_no_clip(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """With any amount of room; a body without an end and without a length stops at the same mark."""
    host.script = [claiming(10_000_000_000)]
    with pytest.raises(DownloadError, match="more than the 4,294,967,296 that are allowed") as caught:
        await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert (type(caught.value), list(tmp_path.iterdir())) == (BrokenFile, [])


# --- the service's own answer as the file -------------------------------------------------------------


class Answers:
    """A source whose bodies are scripted, as `Downloader.keep` opens it."""

    def __init__(self, *bodies: list[bytes]) -> None:
        self.bodies = list(bodies)
        self.opened = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[AsyncIterator[bytes]]:
        body = self.bodies[min(self.opened, len(self.bodies) - 1)]
        self.opened += 1

        async def pieces() -> AsyncIterator[bytes]:
            for piece in body:
                yield piece

        yield pieces()


def pieces_of(data: bytes) -> list[bytes]:
    return [data[at : at + 70_000] for at in range(0, len(data), 70_000)]


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_a_video_of_an_answer_passes_the_same_checks(downloader: Downloader, tmp_path: Path, data: bytes) -> None:
    """Its final name is worth as much as any other's: a cut one is fetched again."""
    source = Answers(pieces_of(data)[:-1] or [data[:-1]], pieces_of(data))
    check(await downloader.keep(source, tmp_path / "a.mp4"), tmp_path / "a.mp4", data)
    assert source.opened == 2


async def test_an_answer_that_stays_broken_is_told(downloader: Downloader, tmp_path: Path) -> None:
    """Then the history may know a link."""
    with pytest.raises(DownloadError, match="the answer is not a complete video") as caught:
        await downloader.keep(Answers(pieces_of(LARGE[:-1])), tmp_path / "a.mp4")
    assert type(caught.value) is BrokenFile
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.mp4.bad": LARGE[:-1]}
