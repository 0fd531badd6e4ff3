"""A client's page opens without a server, lets somebody choose, and gives nothing away that was not asked for."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from handover_samples import sample

from batchgen.clip import Request
from batchgen.errors import OutputError, UsageError
from batchgen.files.findings import Findings, KeptFindings, Pictures
from batchgen.handover import client, folder
from batchgen.handover.chosen import Select
from batchgen.review.client_reports import ClientReport, reports_of

REPORT = ClientReport("0011223344556677", "ab" * 32, "2026-11-27T18:00:00.000Z")
EVIL = "</script><script>alert(1)</script><!-- \u2028 & \"quoted\" 'x'"


class Page(HTMLParser):
    """What a browser would see of a page: its texts by element, and its data."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[tuple[str, str]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self._texts.append((self.tags[-1][0] if self.tags else "", data))

    @property
    def data(self) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(next(text for tag, text in self._texts if tag == "script"))
        return made

    @property
    def text(self) -> str:
        return " ".join(text for tag, text in self._texts if tag not in {"script", "style"})


def kept(tmp_path: Path) -> KeptFindings:
    return KeptFindings(tmp_path / "batch")


def paid(select: Select, prompt_id: str = "") -> Select:
    """Give a clip its request, with a link and an id that nobody else may see."""
    request = Request(1, 0.0, request_id="req-secret", cost=312_500, url="https://cdn.example.com/x.mp4?token=secret")
    wanted = replace(select.clip.wanted, prompt_id=prompt_id or select.clip.wanted.prompt_id)
    return replace(select, clip=replace(select.clip, request=request, wanted=wanted))


def write(tmp_path: Path, selects: list[Select], title: str = "night", **more: Any) -> client.ClientPage:
    return client.write(selects, tmp_path / "out", REPORT, kept(tmp_path), title=title, **more)


def test_a_page_is_one_file_next_to_its_films(tmp_path: Path) -> None:
    done = write(tmp_path, [paid(sample(tmp_path, "fox")), paid(sample(tmp_path, "sea", 2))])
    found = sorted(str(path.relative_to(done.path)) for path in done.path.rglob("*") if path.is_file())
    assert found == ["clips/shot-01_take-1.mp4", "clips/shot-02_take-1.mp4", "index.html"]
    page = Page(done.path / "index.html")
    assert [clip["file"] for clip in page.data["clips"]] == found[:2]
    assert "AI-generated" in page.text
    assert not [attrs for tag, attrs in page.tags if tag in {"link", "img"} or attrs.get("src")]


def test_nothing_says_how_a_film_was_made(tmp_path: Path) -> None:
    """No prompt, cost, id, seed, key, link or name of the batch's own; handles are of this page alone."""
    select = paid(sample(tmp_path, "fox"))
    done = write(tmp_path, [select])
    text = (done.path / "index.html").read_text()
    for secret in ("a secret prompt", "0.31", "fox", "req-secret", "wan-2.5", "token=", select.clip.key, REPORT.secret,
                   select.clip.sha256 or "", str(tmp_path)):  # fmt: skip
        assert secret not in text
    (clip,) = Page(done.path / "index.html").data["clips"]
    assert clip["facts"] == []
    assert clip["handle"] == REPORT.handle(select.clip.key) != ClientReport.new("").handle(select.clip.key)


@pytest.mark.parametrize(
    ("word", "fact"),
    [
        ("prompts", ["Prompt", "a secret prompt of fox"]),
        ("costs", ["Cost", "$0.31"]),
        ("ids", ["Clip", "fox"]),
        ("seeds", ["Seed", "7"]),
        ("models", ["Model", "wan-2.5-t2v"]),
    ],
)
def test_what_is_asked_for_is_shown_and_nothing_else(word: str, fact: list[str], tmp_path: Path) -> None:
    done = write(tmp_path, [paid(sample(tmp_path, "fox"))], shown={word})
    assert [clip["facts"] for clip in Page(done.path / "index.html").data["clips"]] == [[fact]]


def test_no_text_of_the_batch_becomes_a_part_of_the_page(tmp_path: Path) -> None:
    select = paid(sample(tmp_path, "fox"))
    wanted = replace(select.clip.wanted, params=json.dumps({"prompt": EVIL}), name=EVIL)
    done = write(
        tmp_path,
        [replace(select, clip=replace(select.clip, wanted=wanted))],
        title=EVIL,
        shown=["prompts", "ids"],
    )
    page = Page(done.path / "index.html")
    assert sum(tag == "script" for tag, _ in page.tags) == 2
    assert page.data["clips"][0]["facts"] == [["Prompt", EVIL], ["Clip", EVIL]]
    assert EVIL in page.text


def test_the_policy_lets_only_the_pages_own_script_run(tmp_path: Path) -> None:
    done = write(tmp_path, [paid(sample(tmp_path, "fox"))])
    text = (done.path / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert "http" not in policy[1]
    for name in ("script", "style"):
        inline = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        assert [client._digest(each) in policy[1] for each in inline] == [True]


def test_prompts_are_numbered_as_they_come_and_their_takes_in_turn(tmp_path: Path) -> None:
    """The manifest's own numbers would say what is missing."""
    clips = [("sea", "sea"), ("fox_4", "fox"), ("fox_9", "fox"), ("sea_7", "sea")]
    selects = [paid(sample(tmp_path, name, 1 + at), prompt) for at, (name, prompt) in enumerate(clips)]
    done = write(tmp_path, selects)
    shown = [(clip["shot"], clip["take"]) for clip in Page(done.path / "index.html").data["clips"]]
    assert shown == [(1, 1), (2, 1), (2, 2), (1, 2)]


def test_posters_are_inline_and_a_film_without_one_shows_itself(tmp_path: Path) -> None:
    fox, sea = paid(sample(tmp_path, "fox")), paid(sample(tmp_path, "sea", 2))
    kept(tmp_path).write(str(fox.clip.sha256), Findings(), Pictures(b"poster", b"strip"))
    done = write(tmp_path, [fox, sea])
    posters = [clip["poster"] for clip in Page(done.path / "index.html").data["clips"]]
    assert posters == ["data:image/webp;base64,cG9zdGVy", None]
    assert done.posters == 1


def test_the_batch_can_read_its_handles_back_later(tmp_path: Path) -> None:
    select = paid(sample(tmp_path, "fox"))
    write(tmp_path, [select])
    (report,) = reports_of(tmp_path / "batch")
    assert report == REPORT
    assert report.keys([select.clip.key, "other"])[report.handle(select.clip.key)] == select.clip.key


def test_a_zip_holds_one_folder_that_opens_by_itself(tmp_path: Path) -> None:
    done = write(tmp_path, [paid(sample(tmp_path, "fox"))], as_zip=True)
    assert done.path == tmp_path / "out.zip"
    with zipfile.ZipFile(done.path) as file:
        assert file.testzip() is None
        assert sorted(file.namelist()) == ["out/clips/shot-01_take-1.mp4", "out/index.html"]


def test_a_film_that_has_changed_is_not_sent(tmp_path: Path) -> None:
    select = paid(sample(tmp_path, "fox"))
    select.source.write_bytes(b"other")
    with pytest.raises(UsageError, match="has changed since it was downloaded"):
        write(tmp_path, [select])
    assert not (tmp_path / "out").exists()
    assert reports_of(tmp_path / "batch") == []


@pytest.mark.parametrize("as_zip", [False, True])
def test_nothing_is_overwritten_and_nothing_goes_into_the_batch(as_zip: bool, tmp_path: Path) -> None:
    selects = [paid(sample(tmp_path, "fox"))]
    write(tmp_path, selects, as_zip=as_zip)
    with pytest.raises(UsageError, match="exists already"):
        write(tmp_path, selects, as_zip=as_zip)
    inside = tmp_path / "batch" / "clips" / "client"
    with pytest.raises(UsageError, match="is in the batch folder"):
        client.write(selects, inside, REPORT, kept(tmp_path), title="night", as_zip=as_zip)
    with pytest.raises(UsageError, match="is in the batch folder"):
        folder.deliver(selects, inside, folder.Delivery("night", as_zip=as_zip), kept(tmp_path))


def test_a_batch_that_can_not_keep_the_page_gives_none(tmp_path: Path) -> None:
    """Answers to it could never be read."""
    select = paid(sample(tmp_path, "fox"))
    (tmp_path / "batch" / "client-reports.jsonl").mkdir()
    with pytest.raises(OutputError, match=r"client-reports\.jsonl"):
        write(tmp_path, [select])
    assert not (tmp_path / "out").exists()
