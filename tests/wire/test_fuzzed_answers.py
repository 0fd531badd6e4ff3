"""Whatever the service, or something in front of it, answers: a value, or a CallError of the right class.

Never another exception, never more memory or time than a call may take; and what may have been accepted is unsure.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st
from scripted_service import KEY, provider, raw_server, serving

from batchgen.errors import AccountError, CallError, ClipError, TryAgain, UnknownError, UnsureError
from batchgen.providers.base import Accepted, Completed, Gone, HistoryPage, HistoryRow, Refused, Running
from batchgen.providers.paced import read_whole
from batchgen.providers.segmind.client import Segmind
from batchgen.providers.segmind.parse import Answer

pytestmark = pytest.mark.real_time

OUTCOMES = (Running, Completed, Refused, Gone)
GET_ERRORS = (TryAgain, AccountError)
#: Of each call: what it may give, and what it may raise.
MAY: dict[str, tuple[tuple[type, ...], tuple[type[CallError], ...]]] = {
    "submit": ((Accepted,), (ClipError, TryAgain, AccountError, UnsureError)),
    "status": (OUTCOMES, GET_ERRORS),
    "result": (OUTCOMES, GET_ERRORS),
    "lookup": ((HistoryRow, type(None)), (TryAgain, UnknownError)),
    "history": ((HistoryPage,), (TryAgain, UnknownError)),
    "upload": ((str,), (TryAgain, ClipError, AccountError)),
    "balance": ((int,), GET_ERRORS),
}


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to upload."""
    path = tmp_path_factory.mktemp("audio") / "a.wav"
    path.write_bytes(b"RIFF")
    return path


async def asked(segmind: Segmind, call: str, wav: Path) -> object:
    """Make one call and see that what comes is what may come; gives the value or the error."""
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "submit": lambda: segmind.submit("m", {"prompt": "x"}),
        "status": lambda: segmind.status("x"),
        "result": lambda: segmind.result("x"),
        "lookup": lambda: segmind.lookup("x"),
        "history": lambda: read_whole(segmind.history("m", 1_795_000_000, 1_795_003_600)),
        "upload": lambda: segmind.upload(wav),
        "balance": segmind.balance,
    }
    values, errors = MAY[call]
    try:
        value = await calls[call]()
    except errors as error:
        assert KEY not in f"{error}{error!r}"
        str(error).encode()
        return error
    assert isinstance(value, values)
    if isinstance(value, Accepted | HistoryRow):
        value.request_id.encode()
    repr(value).encode()
    return value


# --- any JSON in any place ------------------------------------------------------------------------------------

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12),
    st.sampled_from([
        10**400, -(10**400), 1e308, float("nan"), float("inf"), "", " ", "\ud800", "\x00", "NaN", "1e999999999", "-1",
        "https://x/y.mp4", "http://[bad", "https://\ud800/x.mp4", "data:video/mp4;base64,AA", "2026-11-24T00:00:00Z",
        "9999-99-99", "x" * 10_000, '{"request_id": "inner"}', "[" * 500, "COMPLETED", "FAILED", "QUEUED", "failed",
    ]),
)  # fmt: skip
JSON = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
NAMES = st.sampled_from(
    ["request_id", "status", "model_status", "output", "error", "message", "metrics", "cost", "data", "rows", "total",
     "credits", "free-credits", "file_urls", "urls", "request_body", "model_name", "created_at", "credits_deduction",
     "generation_url", "video", "file_size", "queue_time", "inference_time", "detail", "pagination"]
)  # fmt: skip
BODIES = st.recursive(
    st.dictionaries(NAMES, JSON, max_size=6),
    lambda inner: st.dictionaries(NAMES, inner | JSON, max_size=4) | st.lists(inner, max_size=2),
)
RAW = st.one_of(
    BODIES.map(lambda body: json.dumps(body).encode()),
    BODIES.map(lambda body: b"\xef\xbb\xbf" + json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    BODIES.map(lambda body: json.dumps(body).encode().replace(b'"request_id":', b'"request_id": 1, "request_id":')),
    BODIES.map(lambda body: json.dumps(body).encode("utf-16")),
    BODIES.map(lambda body: json.dumps(body).encode()[:-1]),
    st.sampled_from(
        [b"", b"null", b"[" * 100_000, b'{"a":' * 100_000, b"<html>Bad Gateway</html>", bytes(range(256)) * 40]
    ),
    st.binary(max_size=50),
)
KNOWN = [200, 200, 200, 201, 202, 204, 301, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 413, 422, 429, 500, 503]
CODES = st.sampled_from(KNOWN) | st.integers(0, 999)
TEXTS = ["1e400", "-5", "NaN", "video/mp4", "Mon, 32 Foo 99999 99:99:99 GMT", "0001-01-01T00:00:00+23:59", "9" * 5000]
HEADERS = st.dictionaries(
    st.sampled_from(["date", "retry-after", "x-rate-limit-reset-at-utc", "content-type", "location"]),
    st.text(max_size=20) | st.sampled_from(TEXTS),
)


@dataclass
class Canned:
    """In place of the wire: the same answer to whatever is asked."""

    answer: Answer
    last_headers: dict[str, str]

    async def ask(self, *_args: Any, **_more: Any) -> Answer:
        return self.answer


@fuzz(600)
@given(call=st.sampled_from(list(MAY)), status=CODES, raw=RAW, headers=HEADERS, whole=st.booleans())
def test_any_answer_is_a_value_or_an_error_of_the_calls_own(
    wav: Path, call: str, status: int, raw: bytes, headers: dict[str, str], whole: bool
) -> None:
    """Wrong types in every place, text of no encoding, nesting without end."""
    segmind = provider("http://127.0.0.1:1")
    canned: Any = Canned(Answer(status, raw, headers, whole, segmind._http._redact), headers)
    segmind._http = canned
    came = asyncio.run(asked(segmind, call, wav))
    if call == "submit" and isinstance(came, ClipError | TryAgain | AccountError):
        # Surely not accepted: a refusal, or the API's own 500.
        assert 400 <= status < 500 or (status == 500 and isinstance(came, TryAgain))
        assert status not in (408, 409)


# --- any bytes on the wire ------------------------------------------------------------------------------------


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: application/json", *lines, "", ""]).encode("latin-1")


ID = b'{"request_id": "x"}'
ZIPPED = gzip.compress(ID)
WIRE = {
    "nothing": b"",
    "binary": bytes(range(256)) * 100,
    "html": head() + b"<html>",
    "gzip cut off": head("Content-Encoding: gzip", f"Content-Length: {len(ZIPPED)}") + ZIPPED[:12],
    "gzip that is none": head("Content-Encoding: gzip", "Content-Length: 5") + b"abcde",
    "an encoding that nobody knows": head("Content-Encoding: br", "Content-Length: 5") + b"abcde",
    "a negative length": head("Content-Length: -5") + ID,
    "two lengths": head("Content-Length: 2", "Content-Length: 3") + ID,
    "a length that never comes": head("Content-Length: 2000") + ID[:-1],
    "a length of thirty digits": head("Content-Length: " + "9" * 30) + ID,
    "a chunk of no size": head("Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
    "a chunk of any size": head("Transfer-Encoding: chunked") + b"f" * 30 + b"\r\n{}\r\n",
    "a header of 10 MB": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 10_000_000 + b"\r\n\r\n" + ID,
    "a million headers": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 1_000_000 + b"\r\n" + ID,
    "switching protocols": b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nabc",
    "a code of five digits": head(status="99999 Odd") + ID,
    "code 999": head(status="999 Odd") + ID,
    "a NUL in a header": head("X: a\0b") + ID,
    "a redirect to nowhere": head("Location: http://[bad", status="302 Found") + ID,
    "a cookie that is none": head("Set-Cookie: \xff=\0", "WWW-Authenticate: Digest", status="401 x") + ID,
    "a 429 with dates of its own": head("Retry-After: 1e400", "Date: \xff 99999", status="429 x") + b"{}",
}  # fmt: skip


@pytest.mark.parametrize("call", MAY)
@pytest.mark.parametrize("name", WIRE)
async def test_any_bytes_are_a_value_or_an_error_of_the_calls_own(wav: Path, name: str, call: str) -> None:
    """And a submission that was answered so is unsure, save where the answer is a plain refusal."""
    async with raw_server(WIRE[name]) as url, provider(url, submit_timeout_s=5, get_timeout_s=5) as segmind:
        came = await asked(segmind, call, wav)
    if call == "submit" and "429" not in name and not isinstance(came, AccountError):
        assert isinstance(came, UnsureError)


@contextlib.asynccontextmanager
async def dripping(first: bytes, drip: bytes, pause_s: float = 0.02) -> AsyncIterator[str]:
    """A server that sends a first piece, and then another one again and again."""

    at_it: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def drip_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at_it[asyncio.current_task()] = writer
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(first)
            while not writer.is_closing():
                writer.write(drip)
                await writer.drain()
                await asyncio.sleep(pause_s)
        writer.close()

    listener = await asyncio.start_server(drip_on, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        for writer in at_it.values():
            writer.transport.abort()
        await asyncio.wait([task for task in at_it if task])


@pytest.mark.parametrize(
    ("first", "drip"),
    [(head(), b" "), (b"HTTP/1.1 200 OK\r\n", b"X: a\r\n"), (b"", b"HTTP/1.1 100 Continue\r\n\r\n"), (b"", b"H")],
    ids=["body", "headers", "100 Continue", "status line"],
)
async def test_what_trickles_without_end_ends_with_the_calls_time(wav: Path, first: bytes, drip: bytes) -> None:
    """The time-out is for the whole exchange, not for each byte."""
    async with dripping(first, drip) as url, provider(url, submit_timeout_s=0.3, get_timeout_s=0.3) as segmind:
        async with asyncio.timeout(20):
            assert isinstance(await asked(segmind, "submit", wav), UnsureError)
            for call in ("status", "result", "lookup", "history", "balance"):
                assert isinstance(await asked(segmind, call, wav), TryAgain | UnknownError)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_call_follows_a_redirect(wav: Path, status: int) -> None:
    """The key would be shown at the door of another house."""
    from aiohttp import web

    async def thief(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"request_id": "stolen", "status": "COMPLETED", "credits": 1, "data": []})

    async with serving(thief) as other:

        async def lure(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, headers={"Location": f"{other.url}/x"})

        async with serving(lure) as server, provider(server.url) as segmind:
            for call in MAY:
                assert isinstance(await asked(segmind, call, wav), CallError)
        assert other.seen == []


# --- memory -----------------------------------------------------------------------------------------------------

MEMORY = """
import asyncio, gzip, resource, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from scripted_service import provider, raw_server
from test_fuzzed_answers import MAY, asked, dripping, head
wav = Path(sys.argv[3])
BOMB = gzip.compress(b" " * 100_000_000)

async def all_calls(url):
    async with provider(url, submit_timeout_s=20, get_timeout_s=20) as segmind:
        for call in MAY:
            await asked(segmind, call, wav)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def main():
    async with raw_server(head() + b'{"status": "QUEUED"}') as url:
        await all_calls(url)
    before = peak()
    async with raw_server(head("Content-Encoding: gzip", f"Content-Length: {len(BOMB)}") + BOMB) as url:
        await all_calls(url)
    async with dripping(head("Content-Length: 500000000"), b"a" * 1_000_000, 0) as url:
        await all_calls(url)
    async with dripping(head(), b"[" * 1_000_000, 0) as url:
        await all_calls(url)
    print(peak() - before)

asyncio.run(main())
"""


def test_no_answer_takes_more_than_64_mib(wav: Path) -> None:
    """A gzip bomb, 500 MB and a body without end, for every call."""
    here = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, str(here), str(here.parent), str(wav)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    assert int(run.stdout) < 64
