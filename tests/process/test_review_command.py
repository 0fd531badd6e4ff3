"""`batchgen review` and `picks` as processes: where it listens, how it ends, and a kill that costs nothing."""

from __future__ import annotations

import csv
import http.client
import io
import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from command import Desk, Process
from scripted_service import FakeApi

from batchgen.review.picks import LOG
from batchgen.wording import duration

pytestmark = pytest.mark.real_time


class Served:
    """A page that is served by a process of its own."""

    def __init__(self, desk: Desk, *options: str) -> None:
        self.process: Process = desk.start("review", *options, "--json")
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.url: str = json.loads(line)["url"] if line else ""
        self.address: str
        self.token: str
        self.address, _, self.token = self.url.removeprefix("http://").partition("/#")

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self.address, timeout=20)
        headers = {"X-Batchgen-Token": self.token, "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def state(self, name: str = "night") -> Any:
        return self.ask("GET", f"/api/b/{name}/state")[1]


@contextmanager
def served(desk: Desk, *options: str) -> Iterator[Served]:
    page = Served(desk, *options)
    try:
        yield page
    finally:
        if page.process.returncode is None:
            page.process.kill()
            desk.end(page.process)


def done(desk: Desk) -> None:
    desk.run().expect(0, done=3)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_one_line_says_where_it_listens_until_it_is_ended(
    api: FakeApi, desk: Desk, signum: signal.Signals, code: int
) -> None:
    """Ctrl-C is how one ends it, so that is no failure; what was chosen is in the snapshot and the sidecar then."""
    done(desk)
    with served(desk, "night.yaml") as page:
        assert page.url.startswith("http://127.0.0.1:")
        clip = page.state()["clips"][0]
        assert page.ask("POST", "/api/b/night/choose", {"clip": clip["key"], "set": {"pick": 1}})[0] == 200
        page.process.send_signal(signum)
        ended = desk.end(page.process)
        assert (ended.code, ended.stdout, ended.said) == (code, b"", "")
    assert json.loads((desk.batch / "selects.json").read_text())["clips"][clip["key"]]["pick"] == 1
    sidecar = json.loads((desk.batch / "clips" / clip["file"]).with_suffix(".json").read_text())
    assert (sidecar["choice"]["pick"], sidecar["key"]) == (1, clip["key"])
    desk.call("verify", "night.yaml", "--base-url", desk.url).expect(0)


def test_a_kill_loses_no_choice_that_was_answered(api: FakeApi, desk: Desk) -> None:
    """It was on disk before the answer."""
    done(desk)
    with served(desk, "night.yaml") as page:
        keys = [clip["key"] for clip in page.state()["clips"]]
        for stars in range(1, 6):
            for key in keys:
                assert page.ask("POST", "/api/b/night/choose", {"clip": key, "set": {"stars": stars}})[0] == 200
        desk.kill(page.process)
    with (desk.batch / LOG).open("ab") as log:
        log.write(b'{"v":1,"rev":16,"at":')  # and a press that was not answered
    listed = desk.call("picks", "night.yaml", "--json").expect(0).obj["clips"]
    assert [clip["stars"] for clip in listed] == [5, 5, 5]


def test_choices_from_a_terminal_are_in_every_list(api: FakeApi, desk: Desk) -> None:
    """`picks --set`, `export` and `report` speak of the same."""
    done(desk)
    desk.call("picks", "night.yaml", "--set", "cat*", "pick").expect(0)
    desk.call("picks", "night.yaml", "--set", "dog*", "reject").expect(0)
    desk.call("picks", "night.yaml", "--set", "owl*", "4").expect(0)
    listed = {clip["prompt_id"]: clip for clip in desk.call("picks", "night.yaml", "--json").obj["clips"]}
    assert [(clip["pick"], clip["stars"]) for clip in listed.values()] == [(1, 0), (-1, 0), (0, 4)]
    rows = {
        row["prompt_id"]: row for row in csv.DictReader(io.StringIO(desk.call("export", "night.yaml").stdout.decode()))
    }
    assert [row["pick"] for row in rows.values()] == ["1", "-1", "0"]
    numbers = desk.call("report", "night.yaml", "--json").expect(0).obj
    took = [each["seconds"] for each in numbers["slowest"]]
    assert len(took) == 3
    assert took == sorted(took, reverse=True)
    report = numbers["picks"]
    assert (report["picks"], report["rejects"], report["per_pick_usd"]) == (1, 1, report["spent_usd"])
    shown = desk.call("report", "night.yaml").stdout.decode()
    assert f"The slowest, from submission to the end\n  {duration(took[0])}  {numbers['slowest'][0]['clip']}\n" in shown
    assert f"1 picked, 1 rejected, 1 undecided; ${report['spent_usd']} a pick" in shown
    wrong = desk.call("picks", "night.yaml", "--set", "a-bird", "pick").expect(2)
    assert "no clip matches 'a-bird'" in wrong.said
    desk.call("picks", "night.yaml", "--set", "*", "love").expect(2)


def test_a_port_that_is_taken_is_one_clear_message(api: FakeApi, desk: Desk) -> None:
    done(desk)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = desk.call("review", "night.yaml", "--port", str(port), "--no-open").expect(2)
    assert f"127.0.0.1 port {port}: address already in use" in " ".join(ended.said.split()).lower()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["night.yaml", "--host", "203.0.113.9"], "203.0.113.9"),
        (["night.yaml", "--host", "no.such.host.invalid"], "no.such.host.invalid"),
        (["nothing"], "nothing"),
        ([], "there is no folder jobs/ here"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(api: FakeApi, desk: Desk, args: list[str], said: str) -> None:
    done(desk)
    ended = desk.call("review", *args, "--no-open").expect(2)
    assert said in ended.said


@pytest.mark.parametrize("garbage", [b"\x00\xffgarbage\n", b"{}\n", b"5\n", b'{"v":1,"rev":1,"set":[]}\n'])
def test_a_log_with_garbage_is_one_clear_message(api: FakeApi, desk: Desk, garbage: bytes) -> None:
    """Nothing is thrown away: it says which line."""
    done(desk)
    (desk.batch / LOG).write_bytes(garbage)
    for command in (["review", "night.yaml", "--no-open"], ["picks", "night.yaml"], ["export", "night.yaml"]):
        ended = desk.call(*command).expect(2)
        assert f"{LOG}:1: no change of a choice" in ended.said
    assert (desk.batch / LOG).read_bytes() == garbage


def test_a_take_that_is_not_to_be_made_is_left_out_until_that_is_undone(api: FakeApi, desk: Desk) -> None:
    """By the run that follows, whose work is done without it; `plan` and `status` count it."""
    desk.manifest("a cat", "a dog", "an owl", "a cow")
    desk.run("--limit", "0").expect(0, pending=4)
    with served(desk, "night.yaml") as page:
        skipped = page.ask("POST", "/api/b/night/skip", {"prompt_id": "owl", "skip": True})
        assert skipped[1]["clips"] == 1
        plan = desk.call("plan", "night.yaml").expect(0).stdout.decode()
        assert "1 skipped" in plan
        assert desk.run().expect(0, done=3, pending=1).obj["skipped"] == 1
        assert api.posts == 3
        shown = desk.call("status", "night.yaml").expect(0).stdout.decode()
        assert "1 take skipped: you picked another of their prompt." in shown
        assert page.ask("POST", "/api/b/night/skip", {"prompt_id": "owl", "skip": False})[1]["clips"] == 1
    desk.run().expect(0, done=4)


def standing(page: Served, control: str) -> None:
    """Wait until the run says that it stands so."""
    until = time.monotonic() + 25.0
    while page.state()["batch"]["control"] != control:
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.mark.slow
def test_a_live_run_obeys_the_page_within_seconds(api: FakeApi, desk: Desk) -> None:
    """Paused, it submits nothing and collects; resumed, it goes on; stopped, it ends as after Ctrl-C."""
    api.run_s = 1.0
    desk.manifest(*(f"shot number {n}" for n in range(40)), more="limits: {in_flight: 1}")
    desk.run("--limit", "0").expect(0, pending=40)
    with served(desk, "night.yaml") as page, desk.start(*desk.paid("--yes", "--json")) as run:
        try:
            for do, control in (("pause", "paused"), ("resume", "running"), ("pause", "paused")):
                standing(page, "running" if control == "paused" else "paused")
                assert page.ask("POST", "/api/b/night/control", {"do": do}) == (200, {"control": control})
                standing(page, control)
            assert "Submissions are paused" in desk.call("status", "night.yaml").stdout.decode()
            assert page.ask("POST", "/api/b/night/control", {"do": "stop"})[0] == 200
            ended = desk.end(run)
        finally:
            if run.returncode is None:
                run.kill()
        assert ended.code == 130
        assert ended.obj["stopped"] == "stopped from the review page"
        assert 0 < ended.counts["done"] < 40
        assert page.state()["batch"]["control"] is None
        assert page.ask("POST", "/api/b/night/control", {"do": "pause"})[0] == 409


def test_folders_that_cannot_be_written_are_one_clear_message(api: FakeApi, desk: Desk, tmp_path: Path) -> None:
    """A link in the log's place is not followed, either."""
    done(desk)
    (desk.batch / LOG).symlink_to(tmp_path / "elsewhere")
    ended = desk.call("review", "night.yaml", "--no-open").expect(2)
    assert "so no choice can be kept (is a link)" in " ".join(ended.said.split())
    assert not (tmp_path / "elsewhere").exists()
