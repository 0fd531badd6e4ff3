"""82 recorded cases of the vendor's client, replayed against ours, for `conformance_table`.

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
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from conformance_table import CASES, GROUPS, NEVER

from batchgen.errors import AccountError, CallError, ClipError, TryAgain, UsageError
from batchgen.providers.base import Accepted, Completed, Gone, HistoryPage, HistoryRow, Refused, Running
from batchgen.providers.models.pulled import CatalogueError, file_of
from batchgen.providers.paced import read_whole
from batchgen.providers.segmind.catalogue import read_catalogue
from batchgen.providers.segmind.client import Segmind
from batchgen.providers.segmind.parse import find_link
from batchgen.redact import Secret

pytestmark = pytest.mark.real_time

ROOT: Final = Path(__file__).parents[2]
TRAFFIC: Final = Path(__file__).parent.parent / "data" / "segmind-traffic.jsonl"
KEY: Final = "SG_0123456789abcdef"
ID: Final = "2c7f59ea-13f1-402c-9353-915a2b5a2124"
LINK: Final = "https://images.segmind.com/generations/wan-2.5-t2v/0c1d2e3f.mp4"

#: Their calls have other paths than ours; only the answers are compared.
ELSEWHERE: Final = frozenset({"v1_sync_bytes", "v1_sync_406", "generations_list"})
#: Without a server that answers by the record.
APART: Final = frozenset({"submit_refused", "submit_no_key", "files_upload_wav", "pixelflow_run_poll", "models_list"})


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
    assert sorted(traffic()) == sorted([*CASES, *NEVER])
    assert sorted(traffic()) == sorted(name for group in GROUPS for name in group.cases)


@pytest.mark.parametrize("name", [*CASES, *NEVER])
def test_the_table_says_truly_what_the_vendors_client_did(name: str) -> None:
    """The comparison is with the record, not with our memory of it."""
    (outcome,) = (line["sdk"] for line in traffic()[name] if line["type"] == "outcome")
    words = [outcome["python_type"].rpartition(".")[2], outcome.get("status")]
    told = " ".join(str(word) for word in words if word is not None)
    assert (CASES | NEVER)[name][0] == ("raises " if outcome["kind"] == "raise" else "returns ") + told


class Replay:
    """Answers call after call as the record says, and checks that ours are the calls of the record."""

    def __init__(self, lines: list[dict[str, Any]], *, elsewhere: bool = False, key: str | None = KEY) -> None:
        self.lines = lines
        self.key = key
        self.elsewhere = elsewhere
        self.calls = 0
        self.held = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        line = self.lines[min(self.calls, len(self.lines) - 1)]
        self.calls += 1
        assert request.headers.get("x-api-key") == self.key
        if not self.elsewhere:
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
            case ("submit", [_, model]) | ("any", ["v1", "wan-2.5-t2v" as model]):
                return await segmind.submit(model, request["json"])
            case "status", [*_, request_id, "status"]:
                return await segmind.status(request_id)
            case "result", [*_, request_id]:
                return await segmind.result(request_id)
            case _, ["v1", "get-user-credits"]:
                return await segmind.balance()
            case _, ["upload-asset"]:
                return await segmind.upload(audio(tmp_path, "hook.mp3"))
            case _, ["inference-request", "request-history" | "generations"]:
                return await read_whole(segmind.history("wan-2.5-t2v", 1_795_000_000, 1_795_000_000))
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
        case AccountError():
            return f"AccountError {got.problem}{'' if got.collects else ', collects nothing'}"
        case ClipError():
            return f"ClipError{' blocked' if got.blocked else ''}"
        case _:
            return type(got).__name__ if isinstance(got, CallError) else str(got)


@asynccontextmanager
async def listening(server: Replay) -> AsyncIterator[str]:
    """Let it answer on loopback; gives its address."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        server.held.set()
        await runner.cleanup()


async def replay(name: str, tmp_path: Path) -> tuple[Counter[str], list[str], Replay]:
    """Play a whole case against our provider."""
    server = Replay(exchanges(name), elsewhere=name in ELSEWHERE)
    patience = 0.3 if name == "submit_hang" else 5
    async with listening(server) as url, Segmind(Secret(KEY), base_url=url, submit_timeout_s=patience) as ours:
        told = [tell(await play(ours, line, tmp_path)) for line in server.lines]
    return Counter(line["kind"] for line in server.lines), told, server


@pytest.mark.parametrize("name", [name for name in CASES if name not in APART])
async def test_the_recorded_answers_give_what_the_table_says(name: str, tmp_path: Path) -> None:
    """Case by case; and every call is made once, POSTs above all."""
    kinds, told, server = await replay(name, tmp_path)
    assert told[-1] == CASES[name][1]
    assert kinds["submit"] <= 1
    # The history asks for one page more, to know that it was the last; aiohttp repeats a dropped GET once.
    assert server.calls == len(told) + (name in {"generations_history", "generations_list", "poll_drop"})
    assert all(word == told[-1] or word.split()[0] in {"Accepted", "Running", "Completed"} for word in told[:-1])


async def test_a_refused_connection_is_surely_not_submitted() -> None:
    """The one network failure that may be tried again; the SDK lets a foreign exception out."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    async with Segmind(Secret(KEY), base_url=url) as ours:
        with pytest.raises(TryAgain) as caught:
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
    async with listening(server) as url, Segmind(Secret(KEY), base_url=url) as ours:
        assert await ours.upload(audio(tmp_path, "hook.wav")) == CASES["files_upload_wav"][1]


async def test_the_catalogue_of_models_is_read_without_a_key() -> None:
    """It is public, and on another host than the API: the key has no business there."""
    server = Replay(exchanges("models_list"), key=None)
    async with listening(server) as url:
        answer = await read_catalogue(url + exchanges("models_list")[0]["request"]["path"])
    with pytest.raises(CatalogueError) as caught:
        file_of(answer, "wan-2.5-t2v", "the record", date(2026, 11, 28))
    assert str(caught.value) == CASES["models_list"][1]


def test_the_link_of_a_workflow_is_found_though_workflows_are_not_run() -> None:
    """Another product of the vendor, whose output has a shape that a model's may take."""
    last = exchanges("pixelflow_run_poll")[-1]["response"]["json"]
    assert ("link" if find_link(last) == LINK else "none") == CASES["pixelflow_run_poll"][1]


@pytest.mark.parametrize("name", NEVER)
def test_calls_that_are_of_no_use_are_not_in_the_program(name: str) -> None:
    """Each has its reason in the table; what is not asked can't go wrong, and tells nobody anything."""
    (exchange,) = exchanges(name)
    path = exchange["request"]["path"]
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "batchgen").rglob("*.py"))
    assert path not in source
    assert NEVER[name][1]
