"""`notify:` in the real command: who is informed of a run, and `batchgen notify`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from command import Desk

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
