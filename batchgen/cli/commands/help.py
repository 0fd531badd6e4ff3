"""`batchgen help`: the manual, and the help of every command.

A topic is a Markdown file in `batchgen/docs/`, shipped with the package. It begins with `# Title`, followed by one
sentence that says what it is for.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from importlib.resources import files

import rich_click as click

from batchgen.cli import output
from batchgen.cli.error_text import did_you_mean
from batchgen.cli.overview import COMMANDS
from batchgen.errors import UsageError

#: In the order in which a newcomer needs them.
TOPICS = (
    "manifest", "options", "money", "review", "deliver", "schedule", "stopped", "unconfirmed", "recover", "pace",
    "json", "export", "environment", "sandbox", "guarantees", "python", "benchmarks",
)  # fmt: skip
#: The topic, or the command, that has what people look for by these words.
_ALSO = {
    "environment": "api-key config dotenv env key proxy variables",
    "options": "exit exit-codes flags only settings",
    "stopped": "crash ctrl-c disk expiry interrupt kill outage resume",
    "money": "audit bill budget cap caps cost credits price prices takes",
    "deliver": "edl fcpxml label otio premiere resolve xmp",
    "export": "csv jsonl parquet spreadsheet",
    "pace": "429 limits polling rate rate-limit rpm",
    "unconfirmed": "duplicate history lost",
    "sandbox": "faults rehearsal",
    "guarantees": "promises safety",
    "recover": "damage damaged ledger",
    "manifest": "matrix seed template yaml",
    "json": "output script",
    "python": "api",
    "benchmarks": "speed",
    "plan": "dry-run",
    "review": "browser choose page phone pick reject select",
    "reroll": "undo",
    "status": "progress",
    "schedule": "cron launchd night systemd timer window",
    "notify": "heartbeat webhook",
}
SYNONYMS = {word: name for name, words in _ALSO.items() for word in words.split()}
#: Longer lines are hard to read, however wide the terminal is.
MAX_WIDTH = 100
_TOPIC_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<topic>\w+)\.md\)")
#: Into the repository, which a reader of the installed manual may not have.
_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]+\)\n*")
_COMMENT = re.compile(r"<!--.*?-->\n*", re.DOTALL)
_FILE_LINK = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")


def topic_text(topic: str) -> str:
    """Return the Markdown of a topic, one of `TOPICS`."""
    return files("batchgen").joinpath("docs", f"{topic}.md").read_text(encoding="utf-8")


def summary(topic: str) -> str:
    """Return what a topic is for: its second paragraph, on one line."""
    return " ".join(topic_text(topic).split("\n\n", 2)[1].split())


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete topics first, then commands."""
    del param
    return [name for name in _names(ctx) if name.startswith(incomplete)]


@click.command("help")
@click.argument("topic", required=False, shell_complete=_complete)
@click.pass_context
def help(ctx: click.Context, topic: str | None) -> None:  # noqa: A001 - the command's name
    """Show a topic of the manual, or the help of a command; without a name, list the topics.

    On a terminal the text is formatted, and shown in a pager (PAGER) if it is longer than the screen. In a pipe it is
    plain Markdown. Where a topic and a command have the same name, this shows the topic; `batchgen COMMAND --help`
    shows the command.
    """
    topic = topic and SYNONYMS.get(topic.lower(), topic)
    if topic is None:
        output.put(contents(min(output.width(), MAX_WIDTH)))
    elif topic in TOPICS:
        more = f"\n\nOptions of the command: `batchgen {topic} --help`" if topic in COMMANDS else ""
        _show(_COMMENT.sub("", topic_text(topic)).rstrip("\n") + more)
    elif topic in _names(ctx):
        cli = ctx.find_root().command
        cli.main([topic, "--help"], prog_name="batchgen", standalone_mode=False)
    else:
        tips = [did_you_mean(topic, [*_names(ctx), *SYNONYMS]), "`batchgen help` lists the topics"]
        raise UsageError(f"there is no help topic {topic}", tip=" ".join(tip for tip in tips if tip))


def contents(width: int) -> str:
    """List the topics, each with what it is for, in lines of at most `width` columns."""
    indent = max(map(len, TOPICS)) + 4
    lines = ["Topics of the manual: batchgen help TOPIC", ""]
    for topic in TOPICS:
        text = f"  {topic:<{indent - 2}}{summary(topic)}"
        lines.append(textwrap.fill(text, width, subsequent_indent=" " * indent))
    return "\n".join([*lines, "", "Commands: batchgen --help. One command: batchgen help COMMAND"])


def _names(ctx: click.Context) -> tuple[str, ...]:
    group = ctx.find_root().command
    commands = group.list_commands(ctx) if isinstance(group, click.Group) else []
    return tuple(dict.fromkeys([*TOPICS, *commands]))


def _show(text: str) -> None:
    """Print Markdown: formatted on a terminal, through a pager if it is longer than the screen; else as it is."""
    if not sys.stdout.isatty():
        output.put(text.rstrip("\n"))
        return
    formatted = render(text, min(output.width(), MAX_WIDTH), colour=output.coloured())
    if formatted.count("\n") < shutil.get_terminal_size((80, 24)).lines:
        output.put(formatted.rstrip("\n"))
    else:
        click.echo_via_pager(formatted)


def render(text: str, width: int, *, colour: bool) -> str:
    """Format Markdown for a terminal of `width` columns."""
    import io

    from rich.console import Console
    from rich.markdown import Markdown

    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, color_system="standard" if colour else None)
    console.print(Markdown(_without_links(text), hyperlinks=False))
    return out.getvalue()


def _without_links(text: str) -> str:
    """Replace links: to a topic by the command that shows it, to a file of the repository by its name."""

    def command(link: re.Match[str]) -> str:
        shown = f"`batchgen help {link['topic']}`"
        return shown if link["text"] == link["topic"] else f"{link['text']} ({shown})"

    return _FILE_LINK.sub(r"\1", _TOPIC_LINK.sub(command, _PICTURE.sub("", text)))
