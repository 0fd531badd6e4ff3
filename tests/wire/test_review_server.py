"""The page's server on the wire: who may ask, what is answered, and that nobody loses a choice by it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from batchgen.clip import Clip
from batchgen.events import AnswerLost, Downloaded, Failed, Generated, SubmitStarted, Submitted
from batchgen.files.findings import Findings, KeptFindings, Pictures
from batchgen.ledger import FILE, SqliteLedger
from batchgen.ledger.wishes import CONTROL, Control
from batchgen.review.batches import Batches, every_one_in
from batchgen.review.guard import COOKIE, HEADER, POLICY, names_of
from batchgen.review.picks import LOG, choices_of
from batchgen.review.server import ReviewServer
from batchgen.testing import wanted

pytestmark = pytest.mark.real_time

FILM = bytes(range(256)) * 40
LINK = "https://files.example/r1?signature=SECRET"


def filled(folder: Path) -> Path:
    """Make a batch: one clip done, one failed, one unconfirmed, one pending."""
    with closing(SqliteLedger(folder)) as ledger:
        ledger.remember("name", "night")
        ledger.sync([wanted(n) for n in range(4)])

        async def live() -> None:
            async def lead(row: int, *events: Any) -> Clip:
                clip = ledger.clip(row)
                for event in events:
                    clip = await ledger.record(clip, event)
                return clip

            at = ledger.now()
            done = Downloaded("shot0_1.mp4", len(FILM), "ab" * 32, seconds=5.0)
            await lead(1, SubmitStarted(at, 1), Submitted("r1", at), Generated(LINK, at, 625_000), done)
            await lead(2, SubmitStarted(at, 1), Failed(f"refused, see {LINK}"))
            await lead(3, SubmitStarted(at, 400_000), AnswerLost("no answer"))
            await ledger.settle()

        asyncio.run(live())
    clips = folder / "clips"
    clips.mkdir()
    (clips / "shot0_1.mp4").write_bytes(FILM)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return filled(tmp_path / "jobs" / "night")


class Page:
    """A browser's tab, as far as the wire is concerned."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        address, _, self.token = url.partition("#")
        self.session, self.base = session, URL(address)

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any, Any]:
        """Give status, body (JSON where it is some) and headers; the token is in unless headers say otherwise."""
        sent = {HEADER: self.token} | {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(f"{self.base}{path}", encoded=True)
        sent = {name: value for name, value in sent.items() if value}
        async with self.session.request(method, url, json=body, headers=sent, allow_redirects=False) as answer:
            raw = await answer.read()
            shown = json.loads(raw) if raw and answer.content_type == "application/json" else raw
            return answer.status, shown, answer.headers

    async def get(self, path: str, **headers: str) -> Any:
        status, body, _ = await self.ask("GET", path, **headers)
        assert status == 200, body
        return body

    async def post(self, path: str, body: object, **headers: str) -> tuple[int, Any]:
        status, found, _ = await self.ask("POST", path, body, **headers)
        return status, found


@asynccontextmanager
async def opened(folder: Path, *, check_films: bool = False, **options: Any) -> AsyncIterator[Page]:
    batches = Batches(every_one_in(folder.parent), check_films=check_films)
    async with ReviewServer(batches, **options).serving() as url, aiohttp.ClientSession() as session:
        yield Page(session, url)


STATE = "api/b/night/state"


async def keys(page: Page) -> list[str]:
    return [clip["key"] for clip in (await page.get(STATE))["clips"]]


# --- what is answered -------------------------------------------------------------------------------------


async def test_the_state_says_what_the_ledger_knows(folder: Path) -> None:
    """Counts, money, failures with the command that changes something, and what is in doubt."""
    async with opened(folder) as page:
        found = await page.get(STATE)
        batch = found["batch"]
        assert (batch["name"], batch["live"], batch["control"], batch["wanted"]) == ("night", False, None, 4)
        assert (batch["spent_usd"], batch["reserved_usd"], batch["max_usd"]) == ("0.625", "0.40", None)
        (failed,) = batch["failures"]
        assert (failed["count"], failed["command"], failed["paid_usd"]) == (1, "batchgen retry night --all", "0.00")
        (doubt,) = batch["unconfirmed"]
        assert (doubt["usd"], doubt["known"], doubt["command"]) == ("0.40", "no answer", "batchgen reconcile night")
        clips = {clip["key"]: clip for clip in found["clips"]}
        assert clips[doubt["clip"]]["state"] == "unconfirmed"
        (done,) = [clip for clip in clips.values() if clip["state"] == "done"]
        assert (done["file"], done["cost_usd"], done["request_id"]) == ("shot0_1.mp4", "0.625", "r1")
        assert done["got"]["duration_s"] == 5.0
        assert done["at"] > 1e9  # epoch seconds


@pytest.mark.parametrize("path", ["", "assets/app.js", "assets/page.css", STATE])
async def test_texts_are_sent_compressed_and_asked_about_each_time(folder: Path, path: str) -> None:
    """They are kept under a tag: a second visit costs an answer without a body. Without gzip they come plain."""
    async with opened(folder) as page:
        plain, packed = [await page.ask("GET", path, Accept_Encoding=each) for each in ("identity", "gzip")]
        assert ("Content-Encoding" in plain[2], packed[2].get("Content-Encoding")) == (False, "gzip")
        assert plain[1] == packed[1]
        assert {plain[2]["Cache-Control"], packed[2]["Cache-Control"]} == {"no-cache"}
        status, body, headers = await page.ask("GET", path, If_None_Match=packed[2]["ETag"])
        assert (status, body, headers["ETag"]) == (304, b"", plain[2]["ETag"])
        assert (await page.ask("GET", path, If_None_Match='"another"'))[0] == 200


async def test_films_are_not_compressed_again(folder: Path) -> None:
    async with opened(folder) as page:
        status, body, headers = await page.ask("GET", "b/night/files/clips/shot0_1.mp4", Accept_Encoding="gzip")
        assert (status, body, headers.get("Content-Encoding")) == (200, FILM, None)


async def test_a_change_comes_as_a_delta_and_nothing_as_304(folder: Path) -> None:
    """Of a poll each two seconds only what changed is sent."""
    async with opened(folder) as page:
        _, first, headers = await page.ask("GET", STATE)
        assert (await page.ask("GET", STATE, If_None_Match=headers["ETag"]))[0] == 304
        key = first["clips"][0]["key"]
        await page.post("api/b/night/choose", {"clip": key, "set": {"pick": 1}})
        later = await page.get(f"{STATE}?since={first['rev']}")
        assert (later["whole"], [clip["key"] for clip in later["clips"]]) == (False, [key])
        assert later["clips"][0]["choice"]["pick"] == 1
        with closing(SqliteLedger(folder)) as ledger:  # a manifest that wants one clip less says so by no event
            ledger.sync([wanted(n) for n in range(3)])
        assert (await page.get(f"{STATE}?since={later['rev']}"))["whole"]


@pytest.mark.parametrize("rev", ["", "x", "1", "-1.0", "9" * 40, "99999.0.x", "1.1.\ud800", "٣.٤.x"])
async def test_any_revision_is_answered(folder: Path, rev: str) -> None:
    async with opened(folder) as page:
        assert (await page.get(f"{STATE}?since={quote(rev, errors='replace')}"))["whole"]


async def test_no_answer_holds_a_link_or_a_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has the link has the film; the server never reads the key."""
    monkeypatch.setenv("SEGMIND_API_KEY", "SG_0123456789abcdef")
    async with opened(folder) as page:
        every = [STATE, "api/batches", "api/b/night/cost", *(f"api/b/night/clips/{key}" for key in await keys(page))]
        said = json.dumps([await page.get(path) for path in every])
        said += json.dumps(await page.post("api/b/night/follow-up", {"lines": []}))
    assert "SECRET" not in said
    assert "SG_0123456789abcdef" not in said


async def test_a_batch_that_appears_later_is_listed(folder: Path) -> None:
    """`batchgen review` without a name follows jobs/."""
    async with opened(folder) as page:
        (folder.parent / "later").mkdir()
        (folder.parent / "later" / FILE).write_bytes(b"no ledger")
        listed = {each["name"]: each for each in (await page.get("api/batches"))["batches"]}
        assert listed["night"] == {"name": "night", "sandbox": False, "live": False, "done": 1, "undecided": 1}
        assert "ledger" in listed["later"]["error"]


# --- who may ask --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "", "127.0.0.1.evil"])
async def test_only_our_own_name_is_answered(folder: Path, host: str) -> None:
    """A page of another site that rebinds its name to this machine sends its own name as Host, and as Origin."""
    async with opened(folder) as page:
        for path in ("", STATE, "assets/app.js", "b/night/files/clips/shot0_1.mp4"):
            status, body, headers = await page.ask("GET", path, Host=host or "x", Origin=f"http://{host}")
            assert (status, headers["Content-Security-Policy"]) == (421, POLICY)
            assert FILM not in (body if isinstance(body, bytes) else b"")


WRITES = ["choose", "control", "skip", "follow-up"]


@pytest.mark.parametrize("token", ["", "wrong", "é", "x" * 32])
async def test_nobody_writes_without_the_token(folder: Path, token: str) -> None:
    """Another user of this machine, or a form of another site, has none; the cookie alone does not do."""
    async with opened(folder) as page:
        for write in [*(f"api/b/night/{each}" for each in WRITES), "api/session"]:
            cookie = f"{COOKIE}={page.token}"
            headers = {HEADER.replace("-", "_"): token.encode().decode("latin-1"), "Cookie": cookie}
            status, body, sent = await page.ask("POST", write, {"clip": "x"}, **headers)
            assert (status, body["error"]["code"]) == (403, 403)
            assert sent["Content-Security-Policy"] == POLICY
    assert choices_of(folder) == {}


async def test_another_site_may_not_write_even_with_the_token(folder: Path) -> None:
    async with opened(folder) as page:
        for site in ("cross-site", "same-site"):
            assert (await page.post("api/b/night/control", {"do": "stop"}, Sec_Fetch_Site=site))[0] == 403


async def test_reads_need_the_token_too_when_others_can_reach_it(folder: Path) -> None:
    """In a network, prompts and films are nobody else's; a `<video>` shows the cookie."""
    async with opened(folder, host="0.0.0.0") as page:
        page.base = page.base.with_host("127.0.0.1")
        film = "b/night/files/clips/shot0_1.mp4"
        for path in ("api/batches", STATE, film):
            assert (await page.ask("GET", path, X_Batchgen_Token=""))[0] == 403
        _, _, headers = await page.ask("POST", "api/session")
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        page.session.cookie_jar.clear()
        name = cookie.partition(";")[0]
        assert (await page.ask("GET", film, X_Batchgen_Token="", Cookie=name))[0] == 200


@pytest.mark.parametrize(
    ("host", "has", "lacks"),
    [
        ("127.0.0.1", "localhost", "192.168.1.5"),
        ("192.168.1.5", "192.168.1.5", "evil.example"),
        ("0.0.0.0", "127.0.0.1", "0.0.0.0.evil"),
        ("::", "::1", "evil.example"),
    ],
)
def test_the_names_are_those_of_the_address(host: str, has: str, lacks: str) -> None:
    assert has in names_of(host)
    assert lacks not in names_of(host)


async def test_it_listens_on_ipv6(folder: Path) -> None:
    try:
        async with opened(folder, host="::1") as page:
            assert str(page.base).startswith("http://[::1]:")
            assert (await page.get("api/batches"))["batches"]
    except OSError as error:
        assert "::1" in str(error)  # a machine without IPv6 says so in one line


# --- files ---------------------------------------------------------------------------------------------------


async def test_a_film_comes_whole_or_in_parts(folder: Path) -> None:
    """A player seeks by Range."""
    async with opened(folder) as page:
        film = "b/night/files/clips/shot0_1.mp4"
        status, body, headers = await page.ask("GET", f"{film}?v=ab")
        assert (status, body, headers["Content-Type"]) == (200, FILM, "video/mp4")
        assert "immutable" in headers["Cache-Control"]
        for asked, expected in {
            "bytes=10-19": FILM[10:20],
            "bytes=-5": FILM[-5:],
            "bytes=10000-": FILM[10000:],
        }.items():
            status, body, _ = await page.ask("GET", film, Range=asked)
            assert (status, body) == (206, expected)
        assert (await page.ask("GET", film, Range="bytes=999999-"))[0] == 416


@pytest.mark.parametrize(
    "path",
    [
        "../ledger.db", "clips/../ledger.db", "clips/%2e%2e/ledger.db", "clips/..%2fledger.db", "%2e%2e%2fledger.db",
        "ledger.db", "selects.log", "clips/.%00.mp4",
        "clips/link.mp4", "clips/linked/shot0_1.mp4", "clips//shot0_1.mp4",
        "/etc/passwd", "other/shot.mp4",
        "clips/secret.txt", "clips/pipe.mp4", "clips", "clips/%ff.mp4", "clips/" + "a" * 300 + ".mp4",
        "..%5cledger.db", "clips/./../../night/ledger.db",
    ],
)  # fmt: skip
async def test_nothing_but_films_of_the_folder_is_served(folder: Path, path: str) -> None:
    """By no name, raw or encoded, and through no link."""
    (folder / "clips" / "secret.txt").write_text("secret")
    (folder / "other").mkdir()
    (folder / "other" / "shot.mp4").write_bytes(b"SQLite")
    (folder / "clips" / "link.mp4").symlink_to(folder / FILE)
    (folder / "clips" / "linked").symlink_to(folder / "clips")
    os.mkfifo(folder / "clips" / "pipe.mp4")
    async with opened(folder) as page:
        status, body, headers = await page.ask("GET", f"b/night/files/{path}")
        assert status in {400, 404}
        assert headers["Content-Security-Policy"] == POLICY
        assert b"SQLite" not in (body if isinstance(body, bytes) else json.dumps(body).encode())


# --- choices ---------------------------------------------------------------------------------------------------


async def test_two_tabs_that_disagree_are_both_answered(folder: Path) -> None:
    """The second one hears what the first has chosen; another field of the same clip merges."""
    async with opened(folder) as page:
        key = (await keys(page))[0]
        choose = "api/b/night/choose"
        assert (await page.post(choose, {"clip": key, "set": {"pick": 1}, "base": 0}))[0] == 200
        status, body = await page.post(choose, {"clip": key, "set": {"pick": -1}, "base": 0})
        assert (status, body["theirs"], body["rev"]) == (409, {"pick": 1}, 1)
        status, body = await page.post(choose, {"clip": key, "set": {"stars": 4}, "base": 0})
        assert (status, body["choice"]["pick"], body["choice"]["stars"]) == (200, 1, 4)


@pytest.mark.parametrize(
    "body",
    [
        {}, [], "x", {"clip": "c1-none", "set": {"pick": 1}}, {"clip": 5, "set": {}}, {"clip": "x", "set": []},
        {"clip": "x", "set": {"pick": 1}, "base": "1"}, {"clip": "x", "set": {"pick": 1}, "base": True},
    ],
)  # fmt: skip
async def test_a_choice_that_is_none_is_refused_in_one_line(folder: Path, body: object) -> None:
    async with opened(folder) as page:
        status, answer = await page.post("api/b/night/choose", body)
        assert (status, answer["error"]["code"]) == (400, 400)
        assert "\n" not in answer["error"]["message"]


async def test_a_body_that_is_too_large_or_no_json_is_refused(folder: Path) -> None:
    """A form of another site can't send application/json without asking."""
    async with opened(folder) as page:
        headers = {HEADER: page.token}
        for data, kind, expected in [
            (b"x" * 300_000, "application/json", 413), (b"{", "application/json", 400), (b"{}", "text/plain", 400),
            (b"[" * 100_000, "application/json", 400),
        ]:  # fmt: skip
            sent = headers | {"Content-Type": kind}
            async with page.session.post(page.base / "api/b/night/choose", data=data, headers=sent) as answer:
                assert answer.status == expected
                assert (await answer.json())["error"]["code"] == expected


# --- trouble -----------------------------------------------------------------------------------------------------


def deleted(folder: Path) -> None:
    (folder / FILE).unlink()


def damaged(folder: Path) -> None:
    (folder / FILE).write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)


def garbled(folder: Path) -> None:
    (folder / LOG).write_bytes(b"\x00\xff no json\n")


@pytest.mark.parametrize(("trouble", "status"), [(deleted, 503), (damaged, 503), (garbled, 400)])
async def test_trouble_with_a_file_is_one_clear_message(
    folder: Path, trouble: Callable[[Path], None], status: int
) -> None:
    """While it serves; the server goes on, and answers as soon as the file is right again."""
    async with opened(folder) as page:
        before, log = (folder / FILE).read_bytes(), folder / LOG
        first = await page.get(STATE)
        await asyncio.to_thread(trouble, folder)
        found, body, headers = await page.ask("GET", STATE)
        assert (found, headers["Content-Security-Policy"]) == (status, POLICY)
        assert str(folder) in body["error"]["message"]
        (folder / FILE).write_bytes(before)
        log.write_bytes(b"")
        assert (await page.get(STATE))["clips"] == first["clips"]


async def test_a_ledger_that_is_replaced_is_shown_whole(folder: Path, tmp_path: Path) -> None:
    """`recover` puts a rebuilt one in its place."""
    other = await asyncio.to_thread(filled, tmp_path / "other")
    async with opened(folder) as page:
        first = await page.get(STATE)
        for name in (FILE, "ledger.log"):
            (other / name).replace(folder / name)
        assert (await page.get(f"{STATE}?since={first['rev']}"))["whole"]


# --- a run that is at work -----------------------------------------------------------------------------------


async def test_only_a_live_run_can_be_steered(folder: Path) -> None:
    """What the page asks for reaches it as a wish of its ledger; one that only collects says so."""
    async with opened(folder) as page:
        ask = "api/b/night/control"
        assert (await page.post(ask, {"do": "pause"}))[0] == 409
        with closing(SqliteLedger(folder)) as ledger:
            assert (await page.post(ask, {"do": "pause"}))[0] == 409
            ledger.remember(CONTROL, Control.RUNNING)
            for do, stands in (("pause", "paused"), ("resume", "running"), ("stop", "stopping")):
                assert await page.post(ask, {"do": do}) == (200, {"control": stands})
            assert (await page.post(ask, {"do": "explode"}))[0] == 400
            assert [wish.control for _, wish in ledger.wishes()] == ["paused", "running", "stopping"]
            batch = (await page.get(STATE))["batch"]
            assert (batch["live"], batch["control"], batch["unconfirmed"][0]["command"]) == (True, "running", None)


@pytest.mark.parametrize("live", [False, True])
async def test_takes_that_are_not_made_are_counted_with_what_they_save(folder: Path, *, live: bool) -> None:
    """Next to a run or without one; and it can be taken back."""
    async with opened(folder) as page:
        (pending,) = [clip for clip in (await page.get(STATE))["clips"] if clip["state"] == "pending"]
        run = SqliteLedger(folder) if live else None
        try:
            ask = {"prompt_id": pending["prompt_id"], "skip": True}
            status, body = await page.post("api/b/night/skip", ask)
            assert (status, body["clips"], body["saved_usd"]) == (200, 1, pending["price_usd"])
            assert (await page.get(STATE))["batch"]["skipped"] == {pending["prompt_id"]: 1}
            assert (await page.post("api/b/night/skip", ask | {"skip": False}))[1]["clips"] == 1
            assert (await page.get(STATE))["batch"]["skipped"] == {}
        finally:
            if run is not None:
                run.close()


async def test_a_poster_is_served_and_its_clip_is_sent_again_once_it_is_made(folder: Path) -> None:
    """What the film itself says comes in the place of what was asked for."""
    known = Findings(frames=120, width=832, height=480, fps="24/1", duration_s=5.0, black=((0.0, 1.0),), lufs=-18.2)
    KeptFindings(folder).write("ab" * 32, known, Pictures(b"a poster", b"a strip"))
    async with opened(folder, check_films=True) as page:
        state = await page.get(STATE)
        clips = {clip["state"]: clip["key"] for clip in state["clips"]}
        for kind in ("poster", "strip"):
            status, body, headers = await page.ask("GET", f"b/night/{kind}/{clips['done']}?v=1")
            assert (status, body, headers["Content-Type"]) == (200, f"a {kind}".encode(), "image/webp")
            assert (await page.ask("GET", f"b/night/{kind}/{clips['pending']}"))[0] == 404
        before = state["rev"].rpartition(".")[0] + ".0"
        while not (delta := await page.get(f"{STATE}?since={before}"))["clips"]:
            await asyncio.sleep(0.01)
        panel = await page.get(f"api/b/night/clips/{clips['done']}")
    (again,) = delta["clips"]
    assert not delta["whole"]
    assert again["check"] == {"flags": ["black"], "poster": True, "lufs": -18.2}
    assert again["got"] == {"width": 832, "height": 480, "duration_s": 5.0, "fps": 24.0}
    assert panel["check"]["black"] == [[0.0, 1.0]]
