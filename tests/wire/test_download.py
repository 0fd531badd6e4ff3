from __future__ import annotations

import asyncio
import errno
import gc
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from mp4 import video
from yarl import URL

from batchgen import hosts
from batchgen.download import Downloader, Expect, Fetched, _hint
from batchgen.errors import DiskFullError, DownloadError
from batchgen.part import disk

pytestmark = pytest.mark.real_time

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]

SMALL = video(40_000)
LARGE = video(bytes(range(256)) * 8_192)  # 2 MiB: eight blocks
ETAG = '"v1"'


class Host:
    """A file host whose answers are scripted: one reply a request, the last one for ever."""

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.seen: list[web.Request] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return await reply(request)

    def ranges(self) -> list[tuple[str | None, str | None]]:
        return [(request.headers.get("Range"), request.headers.get("If-Range")) for request in self.seen]


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    host = Host()
    app = web.Application()
    app.router.add_get("/{name:.*}", host.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host.url = f"http://127.0.0.1:{runner.addresses[0][1]}/clip.mp4?Signature=sesame"
    yield host
    await runner.cleanup()


@pytest.fixture
async def downloader() -> AsyncIterator[Downloader]:
    async with quick() as one:
        yield one


def quick(**options: float) -> Downloader:
    return Downloader(loopback=True, backoff_s=0.001, stall_s=options.get("stall_s", 5.0), connect_s=2.0)


def served(data: bytes, etag: str | None = ETAG, **headers: str) -> Reply:
    """Serve as a good host does: Range, If-Range, 416."""

    async def reply(request: web.Request) -> web.StreamResponse:
        tags = {"ETag": etag} if etag else {}
        fits = etag is not None and request.headers.get("If-Range") == etag
        start = request.http_range.start if fits else None
        if start is None:
            return web.Response(body=data, headers={**tags, **headers})
        if start >= len(data):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        span = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return web.Response(status=206, body=data[start:], headers={**tags, "Content-Range": span, **headers})

    return reply


def cut(data: bytes, at: int, headers: dict[str, str] | None = None, hold: float = 0.05) -> Reply:
    """Announce all of `data`, send `at` bytes, and break off (or hold the line)."""

    async def reply(request: web.Request) -> web.StreamResponse:
        start = request.http_range.start or 0
        answer = web.StreamResponse(status=206 if start else 200, headers={"ETag": ETAG, **(headers or {})})
        if start:
            answer.headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        answer.content_length = len(data) - start
        await answer.prepare(request)
        await answer.write(data[start:at])
        await asyncio.sleep(hold)
        assert request.transport is not None
        request.transport.close()
        return answer

    return reply


def plain(status: int, body: str = "", **headers: str) -> Reply:
    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, headers=headers)

    return reply


def chunked(data: bytes, etag: str | None = None) -> Reply:
    async def reply(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"ETag": etag} if etag else {})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        await answer.write(data)
        return answer

    return reply


def check(fetched: Fetched, target: Path, data: bytes) -> None:
    """The file is whole, the facts are true, and nothing else is left."""
    assert target.read_bytes() == data
    assert (fetched.bytes, fetched.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert sorted(path.name for path in target.parent.iterdir()) == [target.name]


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_a_file_gets_its_final_name_whole(
    host: Host, downloader: Downloader, tmp_path: Path, data: bytes
) -> None:
    """The plain case, below and above one block."""
    host.script = [served(data)]
    fetched = await downloader.fetch(host.url, tmp_path / "a.mp4", Expect(len(data), (832, 480), 5.0))
    check(fetched, tmp_path / "a.mp4", data)
    assert (fetched.flags, fetched.seconds, fetched.size) == ("", 5.0, (832, 480))


async def test_a_file_host_gets_no_secret_and_no_cookie(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """The key belongs to the API alone; a byte count must mean bytes on disk."""
    host.script = [served(SMALL, **{"Set-Cookie": "a=b"})]
    for name in "ab":
        await downloader.fetch(host.url, tmp_path / name)
    for request in host.seen:
        assert request.headers["Accept-Encoding"] == "identity"
        assert not {"Cookie", "X-Api-Key", "Authorization", "Referer"} & set(request.headers)


async def test_what_is_other_than_asked_is_kept_and_flagged(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """The clip is paid for: a difference is told, never a reason to throw it away."""
    host.script = [served(SMALL)]
    fetched = await downloader.fetch(host.url, tmp_path / "a.mp4", Expect(1, (1280, 720), 10.0))
    check(fetched, tmp_path / "a.mp4", SMALL)
    assert fetched.flags == "bytes size duration"


async def test_a_body_that_is_cut_short_is_resumed(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """What came is paid for in time; only the rest is asked for, and only if it is still the same file."""
    host.script = [cut(LARGE, 1_000_000), cut(LARGE, 1_500_001), served(LARGE)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", LARGE)
    assert host.ranges() == [(None, None), ("bytes=1000000-", ETAG), ("bytes=1500001-", ETAG)]


async def test_a_small_body_that_is_cut_short_is_resumed(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """Less than one block is kept too."""
    host.script = [cut(SMALL, 100), served(SMALL)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", SMALL)
    assert host.ranges() == [(None, None), ("bytes=100-", ETAG)]


async def test_a_stalled_body_is_resumed(host: Host, tmp_path: Path) -> None:
    """A line that is open and silent must not hold a slot through the night."""
    host.script = [cut(LARGE, 700_000, hold=2), served(LARGE)]
    async with quick(stall_s=0.15) as downloader:
        check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", LARGE)
    assert host.ranges()[1] == ("bytes=700000-", ETAG)


async def test_a_step_forward_earns_new_tries(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """A line that breaks every 256 KiB still brings the file home."""
    host.script = [*(cut(LARGE, at) for at in range(262_144, len(LARGE), 262_144)), served(LARGE)]
    assert len(host.script) > 6
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", LARGE)


async def test_last_modified_serves_where_there_is_no_strong_etag(
    host: Host, downloader: Downloader, tmp_path: Path
) -> None:
    """If-Range never matches a weak ETag."""
    date = "Sun, 22 Nov 2026 09:00:00 GMT"
    host.script = [cut(LARGE, 900_000, {"ETag": 'W/"v1"', "Last-Modified": date}), served(LARGE, etag=None)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", LARGE)
    assert host.ranges()[1] == ("bytes=900000-", date)


async def test_without_a_validator_it_starts_over(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """Two halves of two files make no video, and nothing would tell."""
    host.script = [cut(LARGE, 900_000, {"ETag": ""}), served(LARGE)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", LARGE)
    assert host.ranges() == [(None, None), (None, None)]


@pytest.mark.parametrize("second", ["200 for a Range", "changed ETag", "206 of another", "206 from elsewhere", "416"])
async def test_what_does_not_fit_starts_over(host: Host, downloader: Downloader, tmp_path: Path, second: str) -> None:
    """Bytes of one file are never glued to bytes of another."""
    new = video(bytes(range(255, -1, -1)) * 8_192)

    async def misfit(request: web.Request) -> web.StreamResponse:
        start, etag = (900_000, '"v2"') if second == "206 of another" else (900_003, ETAG)
        span = f"bytes {start}-{len(new) - 1}/{len(new)}"
        body = new[-(len(new) - 900_000) :]
        return web.Response(status=206, body=body, headers={"ETag": etag, "Content-Range": span})

    replies: dict[str, list[Reply]] = {
        "200 for a Range": [served(new, etag=None)],
        "changed ETag": [served(new, etag='"v2"')],
        "206 of another": [misfit, served(new)],
        "206 from elsewhere": [misfit, served(new)],
        "416": [plain(416, **{"Content-Range": "bytes */10"}), served(new)],
    }
    host.script = [cut(LARGE, 900_000), *replies[second]]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", new)
    assert host.ranges()[1] == ("bytes=900000-", ETAG)


@pytest.mark.parametrize("same", [True, False], ids=["the same file", "another file"])
async def test_a_416_for_a_file_that_is_all_there_is_checked_and_kept(
    host: Host, downloader: Downloader, tmp_path: Path, same: bool
) -> None:
    """Without a length the last byte is not known to be the last; 416 tells."""

    async def whole_then_broken(request: web.Request) -> web.StreamResponse:
        answer = await chunked(LARGE, ETAG)(request)
        assert request.transport is not None
        await asyncio.sleep(0.05)
        request.transport.abort()
        return answer

    unsatisfied = plain(416, **{"Content-Range": f"bytes */{len(LARGE) if same else 10}"})
    host.script = [whole_then_broken, unsatisfied, served(SMALL)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", LARGE if same else SMALL)
    assert host.ranges()[:2] == [(None, None), (f"bytes={len(LARGE)}-", ETAG)]


async def test_a_body_without_a_length_is_judged_by_its_structure(
    host: Host, downloader: Downloader, tmp_path: Path
) -> None:
    """Chunked answers carry no length: whole ones pass, cut ones do not."""
    host.script = [chunked(LARGE[:-1]), chunked(LARGE)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", LARGE)


async def test_an_encoded_body_is_taken_apart(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """A host may ignore our wish for plain bytes; its length is then not ours."""

    async def packed(request: web.Request) -> web.StreamResponse:
        answer = web.Response(body=SMALL, headers={"ETag": ETAG})
        answer.enable_compression(web.ContentCoding.gzip)
        return answer

    host.script = [packed]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", SMALL)


BROKEN = {"truncated": SMALL[:-1], "zeros": bytes(5_000), "empty": b"", "html": b"<html>Bad gateway</html>"}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_file_is_fetched_anew_and_then_told(
    host: Host, downloader: Downloader, tmp_path: Path, name: str
) -> None:
    """A cache may have a bad copy for a moment; the same break again and again is the provider's own."""
    host.script = [served(BROKEN[name])]
    with pytest.raises(DownloadError, match="no whole video") as caught:
        await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert caught.value.kind == "broken"
    assert len(host.seen) >= 3
    assert not list(tmp_path.iterdir())


async def test_an_error_page_in_place_of_a_video_passes_by(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """A gateway's HTML with status 200 and a video's type is trouble of the moment."""
    page: Reply = plain(200, "<html>502</html>")
    host.script = [page, page, page, page, served(SMALL)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", SMALL)


async def test_more_bytes_than_allowed_are_not_taken(host: Host, tmp_path: Path) -> None:
    """A host that sends without end must not fill the disk."""
    for script in (served(LARGE), chunked(LARGE)):
        host.script = [script]
        async with Downloader(loopback=True, backoff_s=0.001, max_bytes=500_000) as downloader:
            with pytest.raises(DownloadError, match="500,000") as caught:
                await downloader.fetch(host.url, tmp_path / "a.mp4")
        assert caught.value.kind == "broken"


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_dead_link_is_told_at_once(host: Host, downloader: Downloader, tmp_path: Path, status: int) -> None:
    """The core then asks for another link; each wait here would be lost."""
    host.script = [plain(status)]
    with pytest.raises(DownloadError, match=f"HTTP {status}") as caught:
        await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert (caught.value.kind, len(host.seen)) == ("dead", 1)
    assert "sesame" not in str(caught.value)


async def test_a_link_that_dies_midway_keeps_what_came(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """Links expire by the hour; the renewed one goes on where the old one stopped."""
    host.script = [cut(LARGE, 900_000), plain(403), served(LARGE)]
    with pytest.raises(DownloadError) as caught:
        await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert caught.value.kind == "dead"
    renewed = host.url.replace("sesame", "another")
    check(await downloader.fetch(renewed, tmp_path / "a.mp4"), tmp_path / "a.mp4", LARGE)
    assert host.ranges()[2] == ("bytes=900000-", ETAG)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 204])
async def test_trouble_of_the_moment_is_tried_again(
    host: Host, downloader: Downloader, tmp_path: Path, status: int
) -> None:
    """A download costs nothing but time."""
    host.script = [plain(status), plain(status, **{"Retry-After": "0"}), served(SMALL)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", SMALL)


async def test_trouble_without_end_is_told(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """The clip stays paid for; a later run tries again."""
    host.script = [plain(503)]
    with pytest.raises(DownloadError, match=r"503.*6 tries") as caught:
        await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert (caught.value.kind, len(host.seen)) == ("trouble", 6)


async def test_a_host_that_can_not_be_reached_is_trouble(downloader: Downloader, tmp_path: Path) -> None:
    """A refused connection says nothing about the link."""
    with pytest.raises(DownloadError) as caught:
        await downloader.fetch("http://127.0.0.1:9/a.mp4", tmp_path / "a.mp4")
    assert caught.value.kind == "trouble"


def test_retry_after_is_read_in_both_forms_and_bounded() -> None:
    """A server may send seconds, a date, or nonsense, and must not put us to sleep for the night."""
    assert _hint("7", 0.0) == 7.0
    assert _hint("Thu, 01 Jan 1970 00:00:30 GMT", 10.0) == 20.0
    assert _hint("Thu, 01 Jan 1970 00:00:30 GMT", 99.0) == 0.0
    assert _hint("86400", 0.0) == 120.0
    assert _hint("soon", 0.0) is _hint(None, 0.0) is _hint("-1", 0.0) is None


async def test_a_redirect_is_followed(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """Storage behind a download link is the usual shape."""
    host.script = [plain(302, Location="/other/place.mp4?x=%2F"), served(SMALL)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", SMALL)
    assert host.seen[1].path_qs == "/other/place.mp4?x=%2F"


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://example.com/a", "data:video/mp4;base64,AA", "http://10.0.0.1/", "https://[fe80::1]/",
     "http://example.com/a.mp4", "https://169.254.169.254/latest", "/again", "https://h:99999/"],
)  # fmt: skip
async def test_a_redirect_leads_nowhere_else(host: Host, downloader: Downloader, tmp_path: Path, target: str) -> None:
    """A file host must not be able to make us read the local network or the disk."""
    host.script = [plain(307, Location=target)]
    with pytest.raises(DownloadError) as caught:
        await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert caught.value.kind == "refused"
    assert len(host.seen) == (6 if target == "/again" else 1)


@pytest.mark.parametrize(
    "url",
    ["http://images.example/a.mp4", "https://127.0.0.1/a", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://0/",
     "https://[64:ff9b::a00:1]/", "https://127.1/", "https://0x7f.1/", "https://2130706433/", "https://192.168.1.1/",
     "https://224.0.0.1/", "https://0.0.0.0/", "https://100.64.0.1/", "https://user:pw@images.example/a", "https://",
     "file:///etc/passwd", "data:video/mp4;base64,AAAA", "", "https://h:99999/", "https://[broken", "https://localhost/a.mp4"],
)  # fmt: skip
async def test_an_address_that_is_not_public_is_refused(tmp_path: Path, url: str) -> None:
    """Any public https host may serve the file, nothing else may."""
    async with Downloader(backoff_s=0.001) as downloader:
        with pytest.raises(DownloadError) as caught:
            await downloader.fetch(url, tmp_path / "a.mp4")
    assert caught.value.kind == "refused"
    assert "pw" not in str(caught.value)


def test_public_addresses_may_be_fetched_from() -> None:
    """The wall must have a door."""
    for url in (
        "https://images.segmind.com/a.mp4",
        "https://8.8.8.8/",
        "https://[2606:4700::1]/",
        "https://1e100.net/a",
    ):
        hosts.check(URL(url), loopback=False)
    for url in ("http://127.0.0.1:80/", "http://localhost/", "http://[::1]/a", "https://localhost/"):
        hosts.check(URL(url), loopback=True)
    assert hosts.may_connect("fe80::1%eth0", loopback=True) is False
    assert hosts.may_connect("no address", loopback=True) is False


async def test_a_name_that_leads_to_loopback_works_only_beside_loopback(
    host: Host, downloader: Downloader, tmp_path: Path
) -> None:
    """The resolved address is judged, not the name."""
    host.script = [served(SMALL)]
    await downloader.fetch(host.url.replace("127.0.0.1", "localhost"), tmp_path / "a.mp4")
    resolver = hosts.PublicResolver(loopback=False)
    with pytest.raises(DownloadError, match="localhost: not a public address"):
        await resolver.resolve("localhost", 443)
    await resolver.close()


async def interrupted(host: Host, target: Path, at: int = 1_300_000) -> None:
    """Cancel a download in mid-body, as a kill would."""
    host.script = [cut(LARGE, at, hold=30)]
    async with quick() as downloader:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await downloader.fetch(host.url, target)
    assert not target.exists()
    host.seen.clear()


async def test_a_killed_download_is_resumed_by_the_next_run(host: Host, tmp_path: Path) -> None:
    """Validator and length survive in the note; the bytes are hashed again before more are added."""
    target = tmp_path / "a.mp4"
    await interrupted(host, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4.part", "a.mp4.part.json"]
    assert "sesame" not in (tmp_path / "a.mp4.part.json").read_text()
    had = (tmp_path / "a.mp4.part").stat().st_size
    host.script = [served(LARGE)]
    async with quick() as downloader:
        check(await downloader.fetch(host.url, target), target, LARGE)
    assert host.ranges() == [(f"bytes={had}-", ETAG)]
    assert had >= 1_000_000


async def test_a_file_that_was_all_there_at_the_kill_needs_no_request(host: Host, tmp_path: Path) -> None:
    """Killed between the last byte and the rename: it is checked and named."""
    target = tmp_path / "a.mp4"
    await interrupted(host, target)
    (tmp_path / "a.mp4.part").write_bytes(LARGE)
    async with quick() as downloader:
        check(await downloader.fetch(host.url, target), target, LARGE)
    assert not host.seen


@pytest.mark.parametrize("what", ["boot", "source", "torn", "shape", "no part", "too long", "hurt"])
async def test_a_part_that_can_not_be_trusted_is_begun_again(host: Host, tmp_path: Path, what: str) -> None:
    """After a power cut written bytes may be zeros; a note may be of another link or half written."""
    target, part, note = tmp_path / "a.mp4", tmp_path / "a.mp4.part", tmp_path / "a.mp4.part.json"
    await interrupted(host, target)
    told = json.loads(note.read_text())
    if what in {"boot", "source"}:
        note.write_text(json.dumps({**told, what: told[what] * 2}))
    elif what in {"torn", "shape"}:
        note.write_text(note.read_text()[:-9] if what == "torn" else "[]")
    elif what == "no part":
        part.unlink()
    else:
        part.write_bytes(LARGE + b"x" if what == "too long" else bytes(len(LARGE)))
    host.script = [served(LARGE)]
    async with quick() as downloader:
        check(await downloader.fetch(host.url, target), target, LARGE)
    assert host.ranges() == [(None, None)]


async def test_a_cancelled_download_leaves_no_open_file(host: Host, tmp_path: Path) -> None:
    """An open handle would keep the disk full, and on some systems the file undeletable."""
    await interrupted(host, tmp_path / "a.mp4")
    gc.collect()
    held = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    assert not [name for name in held if "a.mp4" in name]


async def test_a_cancelled_check_ends_before_the_cancellation_does(host: Host, tmp_path: Path) -> None:
    """File work behind the back of the next try could rename what that one is writing."""
    host.script = [served(SMALL)]
    began, ended = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def slow(_target: Path, _fetched: Fetched) -> None:
        loop.call_soon_threadsafe(began.set)
        asyncio.run(asyncio.sleep(0.1))
        ended.append(True)

    async with asyncio.timeout(5), quick() as downloader, asyncio.TaskGroup() as group:
        task = group.create_task(downloader.fetch(host.url, tmp_path / "a.mp4", finish=slow))
        await began.wait()
        task.cancel()
        await asyncio.wait([task])
        assert ended and task.cancelled()
        assert (tmp_path / "a.mp4").read_bytes() == SMALL


async def test_the_sidecar_is_there_when_the_final_name_is(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """A video without its sidecar would look like a stranger's."""
    host.script = [served(SMALL)]
    facts: list[tuple[Path, bool, int]] = []

    def finish(target: Path, fetched: Fetched) -> None:
        facts.append((target, target.exists(), fetched.bytes))

    await downloader.fetch(host.url, tmp_path / "a.mp4", finish=finish)
    assert facts == [(tmp_path / "a.mp4", False, len(SMALL))]


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_bytes_are_durable_before_the_name_and_the_name_before_the_end(
    host: Host, downloader: Downloader, tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut a name without its bytes would count as a whole video."""
    host.script, steps, target = [served(data)], [], tmp_path / "a.mp4"
    fsync, replace = os.fsync, os.replace

    def syncing(fd: int) -> None:
        steps.append("sync folder" if os.fstat(fd).st_ino == tmp_path.stat().st_ino else "sync file")
        fsync(fd)

    def renaming(old: Path, new: Path) -> None:
        assert Path(old).read_bytes() == data
        steps.append("rename")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", renaming)
    await downloader.fetch(host.url, target, finish=lambda *_: steps.append("sidecar"))
    assert steps == ["sync file", "sidecar", "rename", "sync folder"]


async def test_another_file_is_never_overwritten(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """What lies under the final name may be the user's own."""
    target = tmp_path / "a.mp4"
    target.write_bytes(b"mine")
    host.script = [served(SMALL)]
    with pytest.raises(DownloadError, match="another file") as caught:
        await downloader.fetch(host.url, target)
    assert (caught.value.kind, target.read_bytes()) == ("refused", b"mine")
    (tmp_path / "a.mp4.part").unlink()
    target.write_bytes(SMALL)
    check(await downloader.fetch(host.url, target), target, SMALL)


async def test_slots_bound_the_downloads(host: Host, tmp_path: Path) -> None:
    """Forty finished clips at once must not be forty connections."""
    now, most = 0, 0

    async def counted(request: web.Request) -> web.StreamResponse:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return await served(SMALL)(request)

    host.script = [counted]
    async with Downloader(slots=3, loopback=True) as downloader, asyncio.TaskGroup() as group:
        for n in range(12):
            group.create_task(downloader.fetch(host.url, tmp_path / f"{n}.mp4"))
    assert most == 3
    assert len(list(tmp_path.iterdir())) == 12


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_a_full_disk_stops_the_run_in_plain_words(
    host: Host, downloader: Downloader, tmp_path: Path, data: bytes
) -> None:
    """No half file under the final name, and the message says what to do."""
    (tmp_path / "a.mp4.part").symlink_to("/dev/full")
    host.script = [served(data)]
    with pytest.raises(DiskFullError) as caught:
        await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert re.search(r"the disk is full .*: [\d.,]+ MB free in .* Nothing is lost", str(caught.value))
    assert not (tmp_path / "a.mp4").exists()
    (tmp_path / "a.mp4.part").unlink()
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", data)


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EDQUOT, DiskFullError), (errno.EROFS, DiskFullError), (errno.EACCES, DiskFullError),
     (errno.EIO, DiskFullError),
     (errno.ENAMETOOLONG, DownloadError), (errno.EFBIG, DownloadError)],
)  # fmt: skip
def test_trouble_with_the_disk_is_of_all_clips_or_of_one(tmp_path: Path, number: int, kind: type[Exception]) -> None:
    """A disk that takes nothing stops the run; one bad name never stops the night."""
    with pytest.raises(kind, match=r"a\.part|free in"), disk(tmp_path / "a.part"):
        raise OSError(number, os.strerror(number))


async def test_a_missing_folder_and_an_endless_name_are_told(
    host: Host, downloader: Downloader, tmp_path: Path
) -> None:
    """The path is in the message."""
    host.script = [served(SMALL)]
    with pytest.raises(DiskFullError, match="gone"):
        await downloader.fetch(host.url, tmp_path / "gone" / "a.mp4")
    with pytest.raises(DownloadError, match="nnnn") as caught:
        await downloader.fetch(host.url, tmp_path / ("n" * 300))
    assert caught.value.kind == "trouble"


LIMITED = """
import asyncio, resource, signal, sys
from pathlib import Path
from batchgen.download import Downloader
async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    async with Downloader(loopback=True) as downloader:
        await downloader.fetch(sys.argv[1], Path(sys.argv[2]))
asyncio.run(main())
"""


async def test_what_fitted_before_the_disk_refused_is_resumed(host: Host, tmp_path: Path) -> None:
    """The kernel itself refuses, half-way through a block, in a process of its own."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    target = tmp_path / "a.mp4"
    host.script = [served(LARGE)]
    run = [sys.executable, "-c", LIMITED, host.url, str(target)]
    done = await asyncio.to_thread(subprocess.run, run, capture_output=True, text=True, timeout=20)
    assert "can't write" in done.stderr and "File too large" in done.stderr
    assert not target.exists() and (tmp_path / "a.mp4.part").stat().st_size == 1_000_000
    async with quick() as downloader:
        check(await downloader.fetch(host.url, target), target, LARGE)
    assert host.ranges()[-1] == ("bytes=1000000-", ETAG)
