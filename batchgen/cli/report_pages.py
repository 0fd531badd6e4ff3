"""The two pages that `batchgen report` writes: the story of a night, and a client's page to watch and choose."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

from batchgen.cli import output
from batchgen.cli.selects import NAMES, ClipChoice, select_options, selected, zip_option
from batchgen.errors import UsageError

if TYPE_CHECKING:
    from batchgen.ledger.reader import Reader

_Command = TypeVar("_Command", bound=Callable[..., Any])
_CLIENT, _NIGHT = "A page for a client", "A page for yourself"
#: What `--html` without a file means.
_DEFAULT = "-"
#: What a client's page shows only if it is asked for; `handover.client.SHOWN` has the rest.
SHOWN = ("prompts", "costs", "ids", "seeds", "models")


@dataclass(frozen=True, slots=True)
class PageWish:
    """Which page is asked for; neither: none."""

    html: str | None
    client: Path | None
    shown: frozenset[str]
    as_zip: bool
    selection: ClipChoice

    @classmethod
    def of(cls, given: Mapping[str, Any], other: str) -> PageWish:
        """Take the parameters of `page_options`.

        Args:
            given: as the command has them.
            other: options that no page goes with, where some are given.

        Raises:
            click.UsageError: they do not go together.
        """
        html, client = given["html"], given["for_client"]
        if html and client:
            raise click.UsageError("pass --html or --for-client, not both")
        if other and (html or client):
            raise click.UsageError(f"{other} are for the bill, not for a page")
        if not client:
            _refuse_lone_options()
        return cls(html, client, given["with_facts"], given["as_zip"], ClipChoice.of(given))


def _refuse_lone_options() -> None:
    """Options of the client's page mean nothing without it; the environment may hold those of other commands."""
    ctx = get_current_context()
    for name in (*NAMES, "as_zip", "with_facts"):
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = next(each for each in ctx.command.params if each.name == name)
            raise click.UsageError(f"{option.opts[0]} goes with --for-client DIR")


def _shown(ctx: click.Context, param: click.Parameter, value: str | None) -> frozenset[str]:
    del ctx
    names = frozenset(name.strip() for name in value.split(",")) - {""} if value else frozenset[str]()
    if wrong := sorted(names - {*SHOWN}):
        raise click.BadParameter(f"{wrong[0]!r} is none of {', '.join(SHOWN)}.", param=param)
    return names


def page_options(command: _Command) -> _Command:
    """Add --html, --for-client and what goes with it."""
    html = click.option(
        "--html",
        is_flag=False,
        flag_value=_DEFAULT,
        type=click.Path(dir_okay=False, allow_dash=True),
        metavar="[FILE]",
        panel=_NIGHT,
        help="Write the story of the night as one HTML file. [default: report.html in the batch folder]",
    )
    client = click.option(
        "--for-client",
        type=click.Path(path_type=Path),
        metavar="DIR",
        panel=_CLIENT,
        help="Write a folder to watch and choose from: no server, no prompts, no costs.",
    )
    more = click.option(
        "--with",
        "with_facts",
        envvar="BATCHGEN_WITH",
        callback=_shown,
        metavar="LIST",
        panel=_CLIENT,
        help=f"Show also, with commas between them: {', '.join(SHOWN)}.",
    )
    return html(client(select_options(_CLIENT)(more(zip_option(_CLIENT)(command)))))


def client_page(where: Path, wish: PageWish, picks: str, *, as_json: bool) -> None:
    """Write a client's page and say where it is; `picks` is the command that lists the choices."""
    from batchgen.files.findings import KeptFindings
    from batchgen.handover import client
    from batchgen.review.client_reports import ClientReport
    from batchgen.views.text import plural, stamp_utc

    selects, title = selected(where, wish.selection)
    report = ClientReport.new(stamp_utc(time.time()))
    target = wish.client or Path()
    page = client.write(selects, target, report, KeptFindings(where), title=title, shown=wish.shown, as_zip=wish.as_zip)
    clips = [
        {"clip": each.clip.wanted.name, "key": each.clip.key, "file": f"clips/{each.name}",
         "handle": report.handle(each.clip.key)} for each in page.selects
    ]  # fmt: skip
    obj = {"schema_version": 1, "path": str(page.path), "report": report.id, "clips": clips, "posters": page.posters}

    def text() -> str:
        lines = [f"Wrote a page with {plural(len(clips), 'clip')} to {page.path}."]
        if page.posters < len(clips):
            lines.append(f"{plural(len(clips) - page.posters, 'clip')} without a poster: the film's own first frame.")
        shows = f"It shows {', '.join(sorted(wish.shown))}." if wish.shown else "It shows no prompts, costs or ids."
        return "\n".join([*lines, shows, _SEND, f"  {picks} import FILE"])

    output.answer(obj, text, as_json=as_json)


_SEND = "Send it whole; the client opens index.html, chooses, and sends back a small file. Take that in with:"


def night_page(reader: Reader, numbers: Mapping[str, Any], wish: PageWish, *, as_json: bool) -> None:
    """Write the story of the night and say where it is."""
    from batchgen.files.output_file import is_stream, written
    from batchgen.views import night_page as page
    from batchgen.views.night_facts import night_facts

    path = reader.folder / "report.html" if wish.html in (None, _DEFAULT) else Path(str(wish.html))
    if path.exists() and not is_stream(path) and not page.is_ours(path):
        raise UsageError(f"{path} exists already, and is no report of batchgen", tip="name another file")
    body = page.written(numbers, night_facts(reader), now=time.time()).encode()
    with written(path) as file:
        file.write(body)
    obj = {"schema_version": 1, "path": str(path), "bytes": len(body)}
    output.answer(obj, lambda: f"Wrote the report to {path}.", as_json=as_json)
