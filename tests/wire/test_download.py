# ruff: noqa: F811
from __future__ import annotations

import asyncio
import gzip
import zlib
from pathlib import Path

import pytest
from aiohttp import web
from filehost import ETAG, LARGE, SMALL, Host, Reply, check, chunked, cut, downloader, host, plain, quick, served  # noqa: F401
from mp4 import fragmented, video

from batchgen.download.downloader import Downloader, Expect, _hint
from batchgen.errors import BrokenFile, DeadLink, DownloadError, TransferFailed

pytestmark = pytest.mark.real_time


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


BROKEN = {"truncated": SMALL[:-1], "cut long": LARGE[:-1], "zeros": bytes(5_000), "empty": b"", "html": b"<html>Bad",
          "other": b"\x1aE\xdf\xa3" + bytes(range(1, 200))}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_file_is_fetched_again_then_reported_and_kept_if_it_may_be_the_only_copy(
    host: Host, downloader: Downloader, tmp_path: Path, name: str
) -> None:
    """A cache may have a bad copy for a moment; pages and zeros are no copy of anything."""
    host.script = [served(BROKEN[name])]
    with pytest.raises(DownloadError, match="not a complete video") as caught:
        await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert type(caught.value) is BrokenFile
    assert len(host.seen) == (4 if "cut" in name or name == "truncated" else 2)
    kept = {"a.mp4.bad": BROKEN[name]} if name in {"truncated", "cut long", "other"} else {}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept


async def test_of_bad_copies_the_best_is_kept_until_a_good_one_is_there(host: Host, tmp_path: Path) -> None:
    """99 % of a film is worth more than the page that came in its place the next day."""
    bad = tmp_path / "a.mp4.bad"
    steps = [(LARGE[:-500_000],) * 2, (LARGE[:-1], LARGE[:-1]), (SMALL[:-1], LARGE[:-1]), (b"<html>", LARGE[:-1])]
    for body, kept in [*steps, (b"\0\1\2" * 900_000, LARGE[:-1])]:
        host.script = [served(body)]
        async with quick() as downloader:
            with pytest.raises(BrokenFile):
                await downloader.fetch(host.url, tmp_path / "a.mp4")
        assert bad.read_bytes() == kept
    host.script = [served(LARGE)]
    async with quick() as downloader:
        check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", LARGE)


async def test_an_error_page_in_place_of_a_video_passes_by(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """A gateway's HTML with status 200 and a video's type is trouble of the moment."""
    page: Reply = plain(200, "<html>502</html>")
    host.script = [page, served(SMALL)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", SMALL)


@pytest.mark.parametrize("closing", [True, False])
async def test_a_film_shorter_than_the_service_stated_is_cut_short(
    host: Host, downloader: Downloader, tmp_path: Path, *, closing: bool
) -> None:
    """In fragments, and without a length, half a film is a whole file; what stays short is kept, and flagged."""
    whole = fragmented(6)
    half = whole[: whole.index(b"moof", len(whole) // 2) - 4]
    host.script = [chunked(half) if closing else served(half)] * 2 + [served(whole)]
    fetched = await downloader.fetch(host.url, tmp_path / "a.mp4", Expect(bytes=len(whole)))
    check(fetched, tmp_path / "a.mp4", whole)
    host.script, host.seen = [chunked(half) if closing else served(half)], []
    fetched = await downloader.fetch(host.url, tmp_path / "b.mp4", Expect(bytes=len(whole)))
    assert (fetched.flags, (tmp_path / "b.mp4").read_bytes(), len(host.seen)) == ("bytes", half, 4)
    assert not (tmp_path / "b.mp4.bad").exists()


async def test_a_film_whose_length_nobody_knows_is_flagged(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """In fragments without an index, from a server without Content-Length: its end may be missing."""
    for reply, name, flagged in (
        (chunked(fragmented(6)), "a", "length"),
        (served(fragmented(6)), "b", ""),
        (chunked(fragmented(6, index=True)), "c", ""),
    ):
        host.script = [reply]
        fetched = await downloader.fetch(host.url, tmp_path / f"{name}.mp4")
        assert fetched.flags == flagged


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "aws-chunked", "", "utf-8"])
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_the_bytes_say_whether_a_file_is_encoded_and_not_its_header(
    host: Host, downloader: Downloader, tmp_path: Path, coding: str, data: bytes
) -> None:
    """A plain film under a wrong header was fetched 246 times, and never taken; it is resumed as any other."""
    wrong = {"Content-Encoding": coding}
    host.script = [cut(data, len(data) - 10_000, wrong), served(data, **wrong)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", data)
    assert host.ranges()[1][1] == (ETAG if data is LARGE or host.ranges()[1][0] else None)


PACKED = {
    "gzip": gzip.compress(LARGE),
    "gzip, gzip": gzip.compress(gzip.compress(LARGE)),
    "deflate": zlib.compress(LARGE),
    "Deflate": zlib.compress(LARGE, wbits=-15),
    "": gzip.compress(LARGE),
}


@pytest.mark.parametrize("coding", PACKED)
async def test_what_is_encoded_is_decoded_and_its_end_is_missed(
    host: Host, downloader: Downloader, tmp_path: Path, coding: str
) -> None:
    """Whatever the header calls it; and half of it is no whole file."""
    headers = {"Content-Encoding": coding} if coding else {}
    host.script = [served(PACKED[coding][:-9], **headers), served(PACKED[coding], **headers)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", LARGE)


async def test_half_an_encoded_film_in_fragments_is_no_whole_one(
    host: Host, downloader: Downloader, tmp_path: Path
) -> None:
    """What came decodes to sound fragments; only the coding's own end is missing."""
    whole = fragmented(6)
    packer = zlib.compressobj(wbits=31)
    half = packer.compress(whole[: whole.index(b"moof", len(whole) // 2) - 4]) + packer.flush(zlib.Z_FULL_FLUSH)
    host.script = [served(half, **{"Content-Encoding": "gzip"}), served(whole)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", whole)


@pytest.mark.parametrize("name", ["Content-Security-Policy", "Set-Cookie"])
async def test_a_long_header_is_no_reason_to_lose_a_file(
    host: Host, downloader: Downloader, tmp_path: Path, name: str
) -> None:
    """Real gateways send 9 kB and more in one line."""
    host.script = [served(SMALL, **{name: "a" * 60_000})]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", SMALL)


async def test_more_bytes_than_allowed_are_not_taken(host: Host, tmp_path: Path) -> None:
    """A host that sends without end must not fill the disk."""
    for script in (served(LARGE), chunked(LARGE)):
        host.script = [script]
        async with Downloader(loopback=True, backoff_s=0.001, max_bytes=500_000) as downloader:
            with pytest.raises(DownloadError, match="500,000") as caught:
                await downloader.fetch(host.url, tmp_path / "a.mp4")
        assert type(caught.value) is BrokenFile


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_dead_link_is_told_at_once(host: Host, downloader: Downloader, tmp_path: Path, status: int) -> None:
    """The core then asks for another link; each wait here would be lost."""
    host.script = [plain(status)]
    with pytest.raises(DownloadError, match=f"HTTP {status}") as caught:
        await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert (type(caught.value), len(host.seen)) == (DeadLink, 1)
    assert "sesame" not in str(caught.value)


async def test_a_link_that_dies_midway_keeps_what_came(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """Links expire by the hour; the renewed one goes on where the old one stopped."""
    host.script = [cut(LARGE, 900_000), plain(403), served(LARGE)]
    with pytest.raises(DownloadError) as caught:
        await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert type(caught.value) is DeadLink
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
    assert (type(caught.value), len(host.seen)) == (TransferFailed, 6)


async def test_a_host_that_can_not_be_reached_is_trouble(downloader: Downloader, tmp_path: Path) -> None:
    """A refused connection says nothing about the link."""
    with pytest.raises(DownloadError) as caught:
        await downloader.fetch("http://127.0.0.1:9/a.mp4", tmp_path / "a.mp4")
    assert type(caught.value) is TransferFailed


def test_retry_after_is_read_in_both_forms_and_bounded() -> None:
    """A server may send seconds, a date, or nonsense, and must not put us to sleep for the night."""
    assert _hint("7", 0.0) == 7.0
    assert _hint("Thu, 01 Jan 1970 00:00:30 GMT", 10.0) == 20.0
    assert _hint("Thu, 01 Jan 1970 00:00:30 GMT", 99.0) == 0.0
    assert _hint("86400", 0.0) == 120.0
    assert _hint("Mon, 1 Jan 99999999999999999999 00:00:00 GMT", 0.0) is None
    assert _hint("soon", 0.0) is _hint(None, 0.0) is _hint("-1", 0.0) is None
