"""`batchgen help`: the manual where nobody has the repository, on a terminal and in a pipe."""

from __future__ import annotations

import os
import pty
import re

import pytest
from command import Desk, Ended

from batchgen.cli.commands.help import TOPICS, summary, topic_text

pytestmark = pytest.mark.real_time

#: Shows what went through it, and is on every machine.
PAGER = "sed s/^/paged:/"


def on_terminal(desk: Desk, *words: str, **env: str) -> tuple[Ended, str]:
    """Run `batchgen help` on a terminal of 80 columns; returns what was shown there."""
    ours, theirs = pty.openpty()
    size = {"COLUMNS": "80", "LINES": "40"}
    environment = {"TERM": "xterm-256color", "PAGER": PAGER, **size, **env}
    process = desk.start("help", *words, stdin=theirs, stdout=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while piece := _read(ours):
        shown += piece
    os.close(ours)
    return desk.end(process).expect(0), shown.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux answers when the other side is closed
        return b""


def test_a_pipe_gets_the_markdown_as_it_is(desk: Desk) -> None:
    """`batchgen help json > json.md` is the file, and no pager waits for a key."""
    shown = desk.call("help", "json", env={"PAGER": PAGER}).expect(0)
    assert shown.stdout.decode() == topic_text("json")
    assert b"<!--" not in desk.call("help", "options").expect(0).stdout


def test_without_a_topic_all_are_listed(desk: Desk) -> None:
    """In the order of the manual, each with what it is for, within 80 columns."""
    text = desk.call("help").expect(0).stdout.decode()
    assert re.findall(r"(?m)^  (\w+)  ", text) == list(TOPICS)
    flat = " ".join(text.split())
    assert not [topic for topic in TOPICS if f"{topic} {summary(topic)}" not in flat]
    assert max(map(len, text.splitlines())) <= 80


def test_a_topic_that_is_misspelt_is_suggested(desk: Desk) -> None:
    """Exit 2, on stderr, with the nearest names and where all are listed."""
    ended = desk.call("help", "guarantes").expect(2)
    assert ended.stdout == b""
    assert "guarantes" in ended.said
    assert "did you mean guarantees" in ended.said
    assert "`batchgen help` lists the topics" in ended.said
    assert "did you mean" not in desk.call("help", "xyzzy").expect(2).said


@pytest.mark.parametrize("command", ["run", "help"])
def test_help_of_a_command_is_its_own_help(desk: Desk, command: str) -> None:
    """People type either."""
    assert desk.call("help", command).expect(0).stdout == desk.call(command, "--help").expect(0).stdout


def test_a_terminal_gets_formatted_text_in_a_pager(desk: Desk) -> None:
    """Longer than the screen: through PAGER. No Markdown marks are left, and links say what to type."""
    _, shown = on_terminal(desk, "guarantees")
    assert all(line.startswith("paged:") for line in shown.splitlines())
    assert "**" not in shown
    assert "<!--" not in shown
    assert ".md)" not in shown
    assert "batchgen help money" in shown


def test_a_text_that_fits_on_the_screen_needs_no_pager(desk: Desk) -> None:
    """A pager for ten lines is a key too many."""
    _, shown = on_terminal(desk, "recover", LINES="99")
    assert "paged:" not in shown
    assert "\x1b[" in shown


def test_no_color_and_a_dumb_terminal_get_no_escape_codes(desk: Desk) -> None:
    """https://no-color.org, and editors' shells."""
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        _, shown = on_terminal(desk, "recover", LINES="99", **env)
        assert "\x1b" not in shown
        assert "A damaged ledger" in shown


def test_topics_and_commands_are_completed(desk: Desk) -> None:
    """The shell knows the names, so nobody has to."""
    words = {"_BATCHGEN_COMPLETE": "bash_complete", "COMP_WORDS": "batchgen help re", "COMP_CWORD": "2"}
    offered = {line.partition(",")[2] for line in desk.call(env=words).stdout.decode().splitlines()}
    assert {"recover", "retry", "report"} <= offered
    assert not [name for name in offered if not name.startswith("re")]
