"""The Segmind provider on loopback: what leaves, and where to."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from scripted_service import KEY, MP4, answering, provider, raw_server, serving

from batchgen.errors import AccountError, CallError, TryAgain, UnknownError, UsageError
from batchgen.providers.base import Accepted, Provider
from batchgen.providers.segmind.client import Segmind
from batchgen.redact import Secret

pytestmark = pytest.mark.real_time


async def test_a_submission_is_one_post_of_the_flat_parameters() -> None:
    """The body is compact UTF-8, as the vendor's own client sends it."""
    async with serving(answering({"request_id": "abc"})) as server, provider(server.url) as segmind:
        checked: Provider = segmind
        assert await checked.submit("wan-2.5-t2v", {"prompt": "café 雨", "seed": 7}, "key") == Accepted("abc")
        (request,) = server.seen
        assert (request.method, request.path) == ("POST", "/v2/wan-2.5-t2v")
        assert request.headers["Content-Type"] == "application/json"
        assert request.headers["User-Agent"].startswith("batchgen/")
        assert (b"x-api-key", KEY.encode()) in request.raw_headers
        assert server.bodies == ['{"prompt":"café 雨","seed":7}'.encode()]


async def test_urls_are_built_from_the_id_and_never_taken_from_an_answer() -> None:
    """A `status_url` on another host would get the key."""
    body = {"status": "QUEUED", "status_url": "http://127.0.0.2:9/x", "response_url": "http://127.0.0.2:9/y"}
    async with serving(answering(body)) as server, provider(f"{server.url}/v1/") as segmind:
        await segmind.status("a/b ..?")
        await segmind.result("..")
        assert [request.raw_path for request in server.seen] == [
            "/v2/requests/a%2Fb%20..%3F/status",
            "/v2/requests/%2E%2E",
        ]


async def test_the_key_goes_to_no_other_origin_and_not_after_a_redirect() -> None:
    """Session headers would follow the redirect; a middleware and `allow_redirects=False` do not."""
    async with serving(answering({"request_id": "stolen"})) as thief:

        async def lure(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": f"{thief.url}/v2/x"})

        async with serving(lure) as server, provider(server.url) as segmind:
            with pytest.raises(AccountError, match="redirects to http:"):
                await segmind.submit("m", {})
            for call in (segmind.status, segmind.result):
                with pytest.raises(TryAgain):
                    await call("x")
            with pytest.raises(UnknownError):
                await segmind.lookup("x")
            assert thief.seen == []
            # Even a call that is misled to another origin carries no key there.
            await segmind._http.ask("GET", segmind._base.with_port(int(thief.url.rpartition(":")[2])), timeout_s=5)
            assert "x-api-key" not in thief.seen[0].headers


async def test_history_and_upload_have_origins_of_their_own(tmp_path: Path) -> None:
    """The closed set: API, request history, upload."""
    audio = tmp_path / "a.mp3"
    audio.write_bytes(b"ID3")
    async with (
        serving(answering({"status": "QUEUED"})) as api,
        serving(answering({"data": []})) as history,
        serving(answering({"file_urls": [MP4]})) as upload,
        provider(api.url, history_url=history.url, upload_url=f"{upload.url}/upload-asset") as segmind,
    ):
        await segmind.status("x")
        await segmind.lookup("x/y")
        await segmind.upload(audio)
        assert history.seen[0].raw_path == "/inference-request/request-history/x%2Fy"
        assert upload.seen[0].path == "/upload-asset"
        assert all(server.seen[0].headers["x-api-key"] == KEY for server in (api, history, upload))


async def test_no_password_of_a_netrc_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `default` entry belongs to some other service."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with serving(answering({"status": "QUEUED"})) as server:
        segmind = provider(server.url)
        async with segmind:
            assert segmind._http._session is not None
            segmind._http._session._trust_env = True  # as if aiohttp read the environment
            monkeypatch.setenv("NO_PROXY", "*")
            await segmind.status("x")
        assert "Authorization" not in server.seen[0].headers


def test_a_default_provider_speaks_to_segmind_and_another_base_moves_all() -> None:
    """DESIGN: history and upload move with the base unless they are said."""
    segmind = Segmind(Secret(KEY))
    assert segmind.origin == "https://api.segmind.com"
    assert str(segmind._history) == "https://api.spotprod.segmind.com/inference-request/request-history"
    assert str(segmind._upload) == "https://workflows-api.segmind.com/upload-asset"
    for base in ("https://api.segmind.com:443/v2/", "https://api.segmind.com/"):
        assert Segmind(Secret(KEY), base_url=base)._history == segmind._history
    moved = Segmind(Secret(KEY), base_url="https://proxy.example/segmind/v1")
    assert moved.origin == "https://proxy.example"
    assert str(moved._upload) == "https://proxy.example/segmind/upload-asset"


@pytest.mark.parametrize(
    "url",
    [
        "http://api.segmind.com",
        "http://192.168.1.5:8000",
        "http://127.0.0.1.example.com",
        "https://user:pw@api.segmind.com",
        "https://:pw@api.segmind.com",
        "https://api.segmind.com/?key=pw",
        "https://api.segmind.com/#pw",
        "ftp://api.segmind.com",
        "api.segmind.com",
        "https://",
        "",
        "http://127.0.0.1:99999",
    ],
)
def test_an_address_that_could_leak_the_key_is_refused(url: str) -> None:
    """Plain http only to this machine; nothing secret in a URL that is shown and logged."""
    for name in ("base_url", "history_url", "upload_url"):
        if url or name == "base_url":
            options: dict[str, Any] = {name: url}
            with pytest.raises(UsageError) as caught:
                Segmind(Secret(KEY), **options)
            assert "pw" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7", "localhost", "[::1]"])
def test_plain_http_is_allowed_to_this_machine(host: str) -> None:
    """The sandbox has no certificate."""
    assert provider(f"http://{host}:1234").origin == f"http://{host}:1234"


@pytest.mark.parametrize("key", ["", " ", "a b", "a\nb", "a\r\nX: y", "a\x00b", "ключ", "tab\t"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(key: str) -> None:
    """A line break in a header is an injection; and the message must not quote it."""
    with pytest.raises(UsageError) as caught:
        Segmind(Secret(key))
    assert not key.strip() or key not in str(caught.value)


# --- the key -------------------------------------------------------------------------------------------


async def test_the_key_is_in_no_message_chain_repr_or_log(caplog: pytest.LogCaptureFixture) -> None:
    """A server that echoes its headers, and an aiohttp whose repr holds them, must not leak it."""

    async def echo(request: web.Request) -> web.StreamResponse:
        said = {"status": "COMPLETED", "error": dict(request.headers), "request_id": None}
        return web.json_response(said, status=int(request.query.get("code", "200")))

    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    async with serving(echo) as server, provider(server.url) as segmind:
        texts += [repr(segmind), repr(vars(segmind)), repr(await segmind.result("x"))]
        for call in (segmind.submit("m", {}), segmind.balance(), segmind.lookup("x")):
            with pytest.raises(CallError) as caught:
                await call
            texts += spell(caught.value)
    async with raw_server(f"bad header {KEY}\r\n\r\n".encode()) as url, provider(url) as segmind:
        for other in (segmind.submit("m", {}), segmind.status("x"), segmind.lookup("x")):
            with pytest.raises(CallError) as caught:
                await other
            texts += spell(caught.value)
    assert all(KEY not in text for text in [*texts, caplog.text])
    assert any("SG_…" in text for text in texts)


def spell(error: CallError) -> list[str]:
    """All that a log or a report could make of it; and nothing of aiohttp's may hang on it."""
    assert error.__cause__ is None
    assert error.__context__ is None
    return [str(error), repr(error), *traceback.format_exception(error)]


async def test_a_provider_outside_its_block_is_our_own_fault() -> None:
    """A bug must surface as one."""
    with pytest.raises(RuntimeError):
        await provider("http://127.0.0.1:1").status("x")
