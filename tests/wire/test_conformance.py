"""82 recorded cases of the vendor's client, replayed against ours: what it does, and what we do.

`segmind-traffic.jsonl` holds what the vendor's SDK (1.3.0) sent to a scripted server, the server's answers
and what the SDK made of them. Here the same answers are given to our provider. Where the two differ, that
is on purpose: the SDK loses ids, waits and videos that were paid for.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import socket
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from batchgen.errors import AccountError, CallError, ClipError, NowError, UsageError
from batchgen.providers.base import Accepted, Completed, Gone, HistoryPage, HistoryRow, Refused, Running
from batchgen.providers.segmind import Segmind
from batchgen.redact import Secret

pytestmark = pytest.mark.real_time

TRAFFIC: Final = Path(__file__).parent.parent / "data" / "segmind-traffic.jsonl"
KEY: Final = "SG_0123456789abcdef"
ID: Final = "2c7f59ea-13f1-402c-9353-915a2b5a2124"
LINK: Final = "https://images.segmind.com/generations/wan-2.5-t2v/0c1d2e3f.mp4"

#: case -> (what the SDK does, what our last call gives)
CASES: Final[dict[str, tuple[str, str]]] = {
    "submit_200": ("returns AsyncJob", "Accepted 2c7f"),
    "submit_201": ("returns AsyncJob", "Accepted 2c7f"),
    "submit_202": ("returns AsyncJob", "Accepted 2c7f"),
    "submit_none_and_int": ("returns AsyncJob", "Accepted 2c7f"),
    "wait_completed": ("returns dict", "Completed 625000 link"),
    "wait_completed_first_poll": ("returns dict", "Completed 625000 link"),
    "wait_status_202_while_running": ("returns dict", "Completed 625000 link"),
    "result_output_list": ("returns dict", "Completed 625000 link"),
    "result_output_dict": ("returns dict", "Completed 625000 link"),
    "result_output_json_string": ("returns dict", "Completed 625000 link"),
    "result_no_output": ("returns dict", "Completed None no link"),
    "result_not_json": ("returns dict", "Completed None the answer itself"),
    "failed_422": ("raises InferenceFailed", "Refused final: Prompt is Mandatory and must be string"),
    "failed_200": ("raises InferenceFailed", "Refused final: boom"),
    "failed_content_block": (
        "raises InferenceFailed",
        "Refused blocked: content_policy_violation: provider content moderation block",
    ),
    "failed_result_endpoint_422": ("returns dict", "Refused final: Prompt is Mandatory and must be string"),
    "failed_error_is_object": (
        "raises InferenceFailed",
        'Refused blocked: {"code": "DataInspectionFailed", "message": "blocked"}',
    ),
    "failed_no_error_key": ("raises InferenceFailed", "Refused final: failed, without a reason"),
    "status_422_no_status": ("raises SegmindError 422", "NowError server"),
    "status_500_but_completed": ("returns dict", "Completed 625000 link"),
    "state_unknown": ("raises InferenceTimeout", "Refused final: cancelled, without a reason"),
    "state_lowercase": ("raises InferenceTimeout", "Completed None no link"),
    "state_missing": ("raises InferenceTimeout", "Running ?"),
    "status_200_not_json": ("raises InferenceTimeout", "NowError server"),
    "timeout": ("raises InferenceTimeout", "Running PROCESSING"),
    "timeout_zero": ("raises InferenceTimeout", "Running PROCESSING"),
    "poll_401": ("raises SegmindError 401", "AccountError key, collects nothing"),
    "poll_404": ("raises SegmindError 404", "Gone"),
    "poll_500": ("raises SegmindError 500", "NowError server"),
    "poll_503": ("raises SegmindError 503", "NowError server"),
    "poll_429": ("raises SegmindError 429", "NowError rate"),
    "poll_502_html": ("raises SegmindError 502", "NowError server"),
    "poll_drop": ("raises RemoteProtocolError", "NowError server"),
    "result_404_after_completed": ("raises SegmindError 404", "Gone"),
    "result_500_after_completed": ("raises SegmindError 500", "NowError server"),
    "submit_400": ("raises SegmindError 400", "ClipError"),
    "submit_401_missing": ("raises SegmindError 401", "AccountError key, collects nothing"),
    "submit_401_invalid": ("raises SegmindError 401", "AccountError key, collects nothing"),
    "submit_401_oauth_shape": ("raises SegmindError 401", "AccountError key, collects nothing"),
    "submit_402": ("raises SegmindError 402", "AccountError credits"),
    "submit_403": ("raises SegmindError 403", "AccountError forbidden"),
    "submit_404_model": ("raises SegmindError 404", "AccountError model"),
    "submit_405_html": ("raises SegmindError 405", "AccountError bug"),
    "submit_406_credits": ("raises SegmindError 406", "AccountError credits"),
    "submit_406_content_type_text": ("raises SegmindError 406", "AccountError bug"),
    "submit_406_content_type_json": ("raises SegmindError 406", "AccountError bug"),
    "submit_406_team_limit": ("raises SegmindError 406", "AccountError spend-limit"),
    "submit_410_retired": ("raises SegmindError 410", "AccountError retired"),
    "submit_422": ("raises SegmindError 422", "ClipError"),
    "submit_429": ("raises SegmindError 429", "NowError rate"),
    "submit_429_retry_after": ("raises SegmindError 429", "NowError rate"),
    "submit_500": ("raises SegmindError 500", "NowError server"),
    "submit_502_html": ("raises SegmindError 502", "UnsureError"),
    "submit_503": ("raises SegmindError 503", "UnsureError"),
    "submit_504_html": ("raises SegmindError 504", "UnsureError"),
    "submit_error_under_detail": ("raises SegmindError 400", "ClipError"),
    "submit_error_under_message": ("raises SegmindError 500", "UnsureError"),
    "submit_error_list": ("raises SegmindError 400", "ClipError"),
    "submit_200_only_request_id": ("raises SegmindError 200", "Accepted 2c7f"),
    "submit_200_empty_body": ("raises JSONDecodeError", "UnsureError"),
    "submit_200_html": ("raises JSONDecodeError", "UnsureError"),
    "submit_200_list": ("raises AttributeError", "Accepted 2c7f"),
    "submit_302": ("raises JSONDecodeError", "UnsureError"),
    "submit_hang": ("raises ReadTimeout", "UnsureError"),
    "submit_drop": ("raises RemoteProtocolError", "UnsureError"),
    "submit_refused": ("raises ConnectError", "NowError unreachable"),
    "submit_no_key": ("raises SegmindError 401", "UsageError"),
    "status_url_other_host": ("returns dict", "Completed 625000 link"),
    "v1_get_user_credits": ("returns dict", "41393492"),
    "files_upload_mp3": ("returns dict", "https://images.segmind.com/assets/abc.mp3"),
    "files_upload_wav": ("raises ValueError", "https://images.segmind.com/assets/abc.mp3"),
    "generations_get": ("returns dict", "row Completed 625000 link ['duration', 'enable_prompt_expansion']"),
    "generations_get_404": ("raises SegmindError 404", "no such row"),
    "generations_history": ("returns dict", "2 rows, whole"),
}

#: case -> why it has no counterpart in ours
SKIPPED: Final[dict[str, str]] = {
    "v1_sync_bytes": "the synchronous v1 call is for models under a minute, in maintenance mode: never used",
    "v1_sync_406": "the synchronous v1 call is never used",
    "generations_list": "lists only requests with an output; the request history has all of them",
    "models_list": "the catalogue is not part of the provider protocol",
    "webhooks_add": "webhooks do not fire for a plain model request",
    "webhooks_delete": "webhooks do not fire for a plain model request",
    "accounts_current": "the account's owner is nobody's business here: the key's fingerprint is enough",
    "pixelflow_run_poll": "workflows are another product; their output's shape is tested with the links",
}


@functools.cache
def traffic() -> dict[str, list[dict[str, Any]]]:
    """The lines of each case, in order."""
    cases: dict[str, list[dict[str, Any]]] = {}
    for text in TRAFFIC.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        if line["type"] != "meta":
            cases.setdefault(line["scenario"], []).append(line)
    return cases


def exchanges(name: str) -> list[dict[str, Any]]:
    return [line for line in traffic()[name] if line["type"] == "exchange"]


def test_every_recorded_case_is_in_the_table() -> None:
    """A case that is dropped silently is a difference that nobody decided on."""
    assert len(traffic()) == 82
    assert sum(len(exchanges(name)) for name in traffic()) == 165
    assert set(CASES) | set(SKIPPED) == set(traffic())
    assert not set(CASES) & set(SKIPPED)


@pytest.mark.parametrize("name", CASES)
def test_the_table_says_truly_what_the_vendors_client_did(name: str) -> None:
    """The comparison is with the record, not with our memory of it."""
    (outcome,) = (line["sdk"] for line in traffic()[name] if line["type"] == "outcome")
    words = [outcome["python_type"].rpartition(".")[2], outcome.get("status")]
    told = " ".join(str(word) for word in words if word is not None)
    assert CASES[name][0] == ("raises " if outcome["kind"] == "raise" else "returns ") + told


class Replay:
    """Answers call after call as the record says, and checks that ours are the calls of the record."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.lines = lines
        self.calls = 0
        self.held = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        line = self.lines[min(self.calls, len(self.lines) - 1)]
        self.calls += 1
        assert request.headers["x-api-key"] == KEY
        assert (request.method, request.path) == (line["request"]["method"], line["request"]["path"])
        if line["kind"] == "submit":
            assert await request.text() == line["request"]["body_bytes_utf8"]
        return await self._send(request, line["response"])

    async def _send(self, request: web.Request, response: dict[str, Any]) -> web.StreamResponse:
        if "action" in response:
            if "close" in response["action"]:
                assert request.transport is not None
                request.transport.abort()
            else:
                await self.held.wait()
            return web.Response()
        text = json.dumps(response["json"]) if "json" in response else response.get("text", "")
        body = base64.b64decode(response["body_base64"]) if "body_base64" in response else text.encode()
        return web.Response(status=response["status"], headers=response["headers"], body=body)


async def play(segmind: Segmind, line: dict[str, Any], tmp_path: Path) -> object:
    """Make our call that answers to a recorded one; give its value, or its error."""
    request = line["request"]
    try:
        match line["kind"], request["path"].split("/")[1:]:
            case "submit", [_, model]:
                return await segmind.submit(model, request["json"])
            case "status", [*_, request_id, "status"]:
                return await segmind.status(request_id)
            case "result", [*_, request_id]:
                return await segmind.result(request_id)
            case _, ["v1", "get-user-credits"]:
                return await segmind.balance()
            case _, ["upload-asset"]:
                return await segmind.upload(audio(tmp_path, "hook.mp3"))
            case _, ["inference-request", "request-history"]:
                return await segmind.history("wan-2.5-t2v", 1_795_000_000, 1_795_000_000)
            case _, ["inference-request", "request-history", request_id]:
                return await segmind.lookup(request_id)
    except CallError as error:
        return error
    raise AssertionError(f"no call of ours for {request['path']}")


def audio(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(b"ID3\x04" + bytes(6))
    return path


def tell(got: object) -> str:
    """An outcome in a few words, for the table."""
    match got:
        case Accepted(request_id):
            return f"Accepted {request_id[:4]}"
        case Running(word, known):
            return f"Running {word}{'' if known else '?'}"
        case Completed(url, cost):
            own = (url or "").endswith(f"/v2/requests/{ID}")
            return f"Completed {cost} {'link' if url == LINK else 'the answer itself' if own else 'no link'}"
        case Refused(reason, cause):
            return f"Refused {cause}: {reason}"
        case Gone() | None:
            return "Gone" if got else "no such row"
        case HistoryRow():
            return f"row {tell(got.outcome)} {sorted(got.params or ())[:2]}"
        case HistoryPage():
            return f"{len(got.rows)} rows, {'whole' if got.whole else 'cut'}"
        case NowError():
            return f"NowError {got.kind}"
        case AccountError():
            return f"AccountError {got.reason}{'' if got.collects else ', collects nothing'}"
        case ClipError():
            return f"ClipError{' blocked' if got.blocked else ''}"
        case _:
            return type(got).__name__ if isinstance(got, CallError) else str(got)


async def replay(name: str, tmp_path: Path) -> tuple[Counter[str], list[str], Replay]:
    """Play a whole case against our provider."""
    server = Replay(exchanges(name))
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with Segmind(Secret(KEY), base_url=url, submit_timeout_s=0.3 if name == "submit_hang" else 5) as ours:
            told = [tell(await play(ours, line, tmp_path)) for line in server.lines]
    finally:
        server.held.set()
        await runner.cleanup()
    return Counter(line["kind"] for line in server.lines), told, server


APART: Final = frozenset({"submit_refused", "submit_no_key", "files_upload_wav"})


@pytest.mark.parametrize("name", [name for name in CASES if name not in APART])
async def test_the_recorded_answers_give_what_the_table_says(name: str, tmp_path: Path) -> None:
    """Case by case; and every call is made once, POSTs above all."""
    kinds, told, server = await replay(name, tmp_path)
    assert told[-1] == CASES[name][1]
    assert kinds["submit"] <= 1
    # The history asks for one page more, to know that it was the last; aiohttp repeats a dropped GET once.
    assert server.calls == len(told) + (name in {"generations_history", "poll_drop"})
    assert all(word == told[-1] or word.split()[0] in {"Accepted", "Running", "Completed"} for word in told[:-1])


async def test_a_refused_connection_is_surely_not_submitted() -> None:
    """The one network failure that may be tried again; the SDK lets a foreign exception out."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    async with Segmind(Secret(KEY), base_url=url) as ours:
        with pytest.raises(NowError) as caught:
            await ours.submit("wan-2.5-t2v", {})
    assert tell(caught.value) == CASES["submit_refused"][1]


def test_an_empty_key_is_refused_before_anything_is_sent() -> None:
    """The SDK sends the request without its header."""
    with pytest.raises(UsageError) as caught:
        Segmind(Secret(""))
    assert type(caught.value).__name__ == CASES["submit_no_key"][1]


async def test_wav_is_uploaded_although_the_vendors_client_refuses_it(tmp_path: Path) -> None:
    """The model takes it; the answer is that of the recorded mp3."""
    server = Replay(exchanges("files_upload_mp3"))
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with Segmind(Secret(KEY), base_url=f"http://127.0.0.1:{runner.addresses[0][1]}") as ours:
            assert await ours.upload(audio(tmp_path, "hook.wav")) == CASES["files_upload_wav"][1]
    finally:
        await runner.cleanup()
