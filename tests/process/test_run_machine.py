"""The machine under a run: full disks, read-only folders, closed streams, terminals."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import termios
from functools import cache

import pytest
from bad_replies import says
from command import Desk, Ended
from mp4 import video
from scripted_service import FakeApi

pytestmark = pytest.mark.real_time


# --- disks --------------------------------------------------------------------------------------------------------


@cache
def own_mounts() -> tuple[str, ...]:
    """The command that may mount a disk of its own, unseen by others; empty where the system allows none."""
    for command in (("unshare", "-m"), ("unshare", "-rm")):
        if shutil.which(command[0]):
            probe = [*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return command
    return ()


def on_disk(desk: Desk, place: str, options: str) -> list[Ended]:
    """Run with a small disk of its own at `place`, and again when it has been given room."""
    if not own_mounts():
        pytest.skip("this system lets nobody mount a small disk")
    (desk.folder / place).mkdir(parents=True)
    mount = f"mount -t tmpfs -o {options} tmpfs {place}"
    script = f'{mount} && "$@"; echo "#$?"; mount -o remount,rw,size=20m {place}; "$@"; echo "#$?"'
    both = desk.run(wrap=[*own_mounts(), "sh", "-c", script, "sh"])
    answers = both.stdout.decode().split("#")
    codes = [int(text.partition("\n")[0]) for text in answers[1:]]
    objects = [answers[0], answers[1].partition("\n")[2]]
    return [Ended(code, text.encode(), both.stderr) for code, text in zip(codes, objects, strict=True)]


@pytest.mark.parametrize(
    "kb",
    [pytest.param(100, marks=pytest.mark.slow), 244, pytest.param(500, marks=pytest.mark.slow)],
    ids=["opening", "answers", "files"],
)
def test_a_full_disk_stops_the_run_and_loses_nothing(api: FakeApi, desk: Desk, kb: int) -> None:
    """Wherever it strikes, ledger or file: exit 4, said in words; with room again, all is done and paid once."""
    prompts = [f"shot {number}" for number in range(8)]
    desk.manifest(*prompts)
    api.file = video(60_000)
    api.scripts["history"] = says(503, "down")  # what was paid for must be known without it
    full, roomy = on_disk(desk, "night", f"size={kb}k")
    assert full.code == 4, full.said
    assert re.search("full|room|space", full.obj["stopped"])
    assert "Traceback" not in full.said
    roomy.expect(0, done=8)
    assert api.prompts == dict.fromkeys(prompts, 1)
    assert roomy.obj["spent_usd"] == api.charged


@pytest.mark.parametrize("place", [pytest.param("night", marks=pytest.mark.slow), "night/clips"])
def test_a_read_only_folder_stops_the_run_and_loses_nothing(api: FakeApi, desk: Desk, place: str) -> None:
    """No intent on disk, no POST; no place for the files, and they are fetched when there is one."""
    locked, roomy = on_disk(desk, place, "ro")
    assert locked.code == 4, locked.said
    assert "Read-only file system" in locked.obj["stopped"]
    roomy.expect(0, done=3)
    assert api.posts == 3
    assert api.prompts == {"a cat": 1, "a dog": 1, "an owl": 1}


# --- streams ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("closed", "options", "code"), [(">&-", ["--yes"], 0), ("2>&-", ["--yes"], 0), ("<&-", [], 2)])
def test_streams_closed_from_the_start_change_nothing(
    api: FakeApi, desk: Desk, closed: str, options: list[str], code: int
) -> None:
    """Daemons start programs so; a closed stdin is nobody who could agree."""
    wrap = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    desk.call(*desk.paid(*options), wrap=wrap).expect(code)
    assert len(desk.clips) == api.posts == (0 if code else 3)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_pipe_that_its_reader_closed_changes_no_exit_code(api: FakeApi, desk: Desk, stream: str) -> None:
    """`batchgen run … | head -1`, and a logout: the night goes on, and its exit code stays its own."""
    api.error = lambda params: "invalid parameter" if params["prompt"] == "a cat" else None
    reader, writer = os.pipe()
    os.close(reader)
    try:
        desk.run(**{stream: writer}).expect(3)
    finally:
        os.close(writer)
    assert len(desk.clips) == 2


# --- terminals ----------------------------------------------------------------------------------------------------


def on_terminal(desk: Desk, *options: str, fresh: bool = False, **env: str) -> tuple[Ended, str]:
    """Run with a terminal as stderr; returns what it was shown, too."""
    ours, theirs = pty.openpty()
    terminal = {"TERM": "xterm-256color", **env}
    process = desk.start(*desk.paid("--yes", *options), stderr=theirs, env=terminal, fresh=fresh)
    os.close(theirs)
    shown = b""
    while piece := _read(ours):
        shown += piece
    os.close(ours)
    return desk.end(process), shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux tells that the other side is gone
        return b""


def test_a_terminal_gets_a_live_display_and_is_left_clean(api: FakeApi, desk: Desk) -> None:
    """Counts while it runs, the cursor given back at the end, and the answer on stdout without any escape code."""
    api.run_s = 0.8
    ended, shown = on_terminal(desk, "--json")
    ended.expect(0, done=3)
    assert "night: 0 of 3 clips done" in shown
    assert "$3.75 reserved" in re.sub(r"\x1b\[[\d;?]*\w", "", shown)
    assert shown.count("\x1b[?25l") <= shown.count("\x1b[?25h") > 0
    assert shown.rindex("\x1b[?25h") > shown.rindex("clips done")
    assert b"\x1b" not in ended.stdout


def test_a_resized_terminal_is_painted_again(api: FakeApi, desk: Desk) -> None:
    """Whoever makes the window narrower sees one whole frame of the new width, not pieces of wider ones."""
    api.run_s = 60
    ours, theirs = pty.openpty()
    process = desk.start(*desk.paid("--yes", "--json", "--grace", "0"), stderr=theirs, env={"TERM": "xterm"})
    api.until(lambda: len(api.of("status")) >= 3)
    before = os.read(ours, 65536)
    termios.tcsetwinsize(theirs, (20, 44))
    os.close(theirs)
    process.send_signal(signal.SIGWINCH)
    shown = b""
    while b"\x1b[H\x1b[J" not in shown or b"Pace" not in shown.rpartition(b"\x1b[H\x1b[J")[2]:
        shown += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    while piece := _read(ours):
        shown += piece
    os.close(ours)
    desk.end(process).expect(130, generating=3)
    assert b"\x1b[H" not in before
    frame = shown.split(b"\x1b[H\x1b[J")[1].partition(b"Pace")[0].decode()
    rows = re.sub(r"\x1b\[[\d;?]*\w", "", frame).split("\r\n")
    assert "night: 0 of 3 clips done" in frame
    assert max(map(len, rows)) <= 43


def test_no_color_means_no_colour(desk: Desk) -> None:
    """https://no-color.org."""
    ended, shown = on_terminal(desk, NO_COLOR="1")
    ended.expect(0)
    assert not re.search(r"\x1b\[[\d;]*[34]\d", shown)


def test_a_dumb_terminal_without_utf8_gets_plain_ascii_lines(desk: Desk) -> None:
    """Emacs shells, LANG=C over ssh: no escape codes at all."""
    ended, shown = on_terminal(desk, fresh=True, TERM="dumb", LANG="C", LC_ALL="C", PYTHONIOENCODING="ascii")
    ended.expect(0)
    assert "cat_1 done" in shown
    assert (shown + ended.stdout.decode()).replace("\r\n", "").replace("\n", "").isprintable()
    assert (shown + ended.stdout.decode()).isascii()


def test_ctrl_c_on_a_terminal_leaves_it_clean(api: FakeApi, desk: Desk) -> None:
    """The display goes away, the cursor comes back."""
    api.run_s = 60
    ours, theirs = pty.openpty()
    process = desk.start(*desk.paid("--yes", "--json", "--grace", "0"), stderr=theirs, env={"TERM": "xterm"})
    os.close(theirs)
    api.until(lambda: len(api.of("status")) >= 3)
    process.send_signal(2)
    shown = b""
    while piece := _read(ours):
        shown += piece
    os.close(ours)
    desk.end(process).expect(130, generating=3)
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert b"interrupted" in shown
