"""`notify:` in the real command: who is informed of a run, and `batchgen notify`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from command import Desk

from batchgen.ledger import SqliteLedger

pytestmark = pytest.mark.real_time


class Post(ThreadingHTTPServer):
    """Takes every message, and keeps it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taken)
        self.taken: list[tuple[str, bytes]] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Taken(BaseHTTPRequestHandler):
    server: Post

    def do_POST(self) -> None:
        self.server.taken.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:
        self.server.taken.append((self.path, b""))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def post() -> Iterator[Post]:
    """A webhook, and a heartbeat monitor."""
    with Post() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_run_informs_whom_the_manifest_names(desk: Desk, post: Post) -> None:
    """From a timer: that it began, and how it ended; the address is in `.env`, and nowhere else."""
    (desk.folder / ".env").write_text(f"HOOK={post.url}/sesame\n")
    desk.manifest("a cat", more=f"notify: [$HOOK, 'heartbeat+{post.url}/beat', $NOT_SET]\n")
    ended = desk.run().expect(0, done=1)
    messages = [json.loads(body) for _, body in post.taken if body]
    assert [each["event"] for each in messages] == ["started", "done"]
    assert (messages[1]["state"]["done"], messages[1]["spent_usd"]) == (1, 0.5)
    assert [path for path, body in post.taken if not body] == ["/beat/start", "/beat"]
    assert "notify 3: the variable NOT_SET is not set" in ended.said
    assert "sesame" not in ended.said


def test_a_timers_run_that_cannot_begin_is_reported(desk: Desk, post: Post) -> None:
    """In silence nobody would know before the morning: without `--yes`, a key, a sound ledger."""
    desk.manifest("a cat", more=f"notify: ['{post.url}/hook', 'heartbeat+{post.url}/beat']\n")
    desk.call(*desk.paid()).expect(2)
    desk.call(*desk.paid("--yes"), env={"SEGMIND_API_KEY": None}).expect(2)
    (desk.batch / "ledger.db").write_bytes(bytes(8192))
    desk.call(*desk.paid("--yes")).expect(2)
    messages = [json.loads(body) for _, body in post.taken if body]
    assert [each["event"] for each in messages] == ["stopped"] * 3
    assert "cannot ask for confirmation" in messages[0]["reason"]
    assert "no API key" in messages[1]["reason"]
    assert messages[0]["state"]["pending"] == 1
    assert "ledger" in messages[2]["reason"]
    assert "The ledger could not be read. Spent unknown." in messages[2]["text"]
    assert [path for path, body in post.taken if not body] == ["/beat/fail"] * 3


def test_the_run_that_is_at_work_reports_and_not_the_one_that_it_keeps_out(desk: Desk, post: Post) -> None:
    """A timer's second start must not raise an alarm about a healthy run."""
    desk.manifest("a cat", more=f"notify: ['{post.url}/hook', 'heartbeat+{post.url}/beat']\n")
    desk.batch.mkdir(parents=True)
    with closing(SqliteLedger(desk.batch)):
        assert "another run holds" in desk.call(*desk.paid("--yes")).expect(6).said
    assert post.taken == []


def test_several_batches_that_nobody_can_be_asked_about_are_each_reported(desk: Desk, post: Post) -> None:
    """`--yes` was forgotten in the timer's line: whoever is named in one of them hears of it."""
    for name in ("one", "two"):
        desk.manifest("a cat", more=f"notify: ['{post.url}/{name}']\n", name=f"{name}.yaml")
    line = desk.paid()
    desk.call(line[0], "one.yaml", "two.yaml", *line[2:]).expect(2)
    told = {path: json.loads(body) for path, body in post.taken}
    assert {path: (each["event"], each["batch"]) for path, each in told.items()} == {
        "/one": ("stopped", "one"),
        "/two": ("stopped", "two"),
    }


def test_the_command_sends_a_test_to_each_address(desk: Desk, post: Post) -> None:
    """Before the night, not after it: code 2 says that one of them does not work."""
    desk.manifest("a cat", more=f"notify: ['{post.url}/sesame', 'heartbeat+http://127.0.0.1:9/beat']\n")
    ended = desk.call("notify", "night.yaml", "--test").expect(2)
    assert [json.loads(body)["event"] for _, body in post.taken] == ["test"]
    assert "notify 1 (webhook at 127.0.0.1): took the message" in ended.stdout.decode()
    assert "notify 2 (heartbeat at 127.0.0.1): ClientConnectorError" in ended.stdout.decode()
    assert "sesame" not in ended.stdout.decode() + ended.said
    shown = desk.call("notify", "night.yaml", "--json").expect(0)
    assert [each["kind"] for each in shown.obj["addresses"]] == ["webhook", "heartbeat"]


@pytest.mark.slow
@pytest.mark.parametrize("typed", ["variables", "plain"])
def test_no_address_is_shown_or_kept_anywhere(desk: Desk, post: Post, typed: str) -> None:
    """In no log at any detail, no error, no answer of a command, and no file of the batch; whatever fails there."""
    hooks = {
        "HOOK": f"{post.url}/sesame",
        "GONE": "https://sesame:sesame@127.0.0.1:9/sesame?key=sesame",
        "BEAT": "heartbeat+http://127.0.0.1:9/sesame",
        "CHAT": "json://sesame:sesame@127.0.0.1:9/sesame",
        "BOT": "tgram://sesame/sesame",
        "NONE": "nosuch://sesame/x",
        "BAD": "sesame",
    }
    listed = [f"${name}" for name in hooks] if typed == "variables" else [*hooks.values()][:-1]
    (desk.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in hooks.items()))
    desk.manifest("a cat", more=f"notify: {json.dumps(listed)}\n")
    ran = desk.run("-vv").expect(0, done=1)
    shown = [ran, desk.call("notify", "night", "--test").expect(2), desk.call("notify", "night", "--json")]
    shown += [desk.call(*words, "night", "--json") for words in (("check",), ("plan",), ("status", "-v"), ("report",))]
    said = b"".join(each.stdout + each.stderr for each in shown).decode()
    assert "Traceback" not in said
    assert "sesame" not in said
    kept = [path for path in desk.batch.rglob("*") if path.is_file() and b"sesame" in path.read_bytes()]
    assert not kept
    assert {path for path, _body in post.taken} == {"/sesame"}
    assert "notify 2 (webhook at 127.0.0.1): ClientConn" in ran.said
    assert "notify 4 (json:// by apprise): apprise could not deliver the message; the run goes on" in ran.said
    assert "notify 6 (nosuch:// by apprise): apprise does not know such an address; the run goes on" in ran.said
