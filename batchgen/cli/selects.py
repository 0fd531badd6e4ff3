"""Which clips a hand-over is about: the options that `deliver` and `report --for-client` share, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from batchgen.cli import candidates
from batchgen.cli.error_text import check_only
from batchgen.clip import State
from batchgen.errors import UsageError
from batchgen.selection import matches

if TYPE_CHECKING:
    from batchgen.clip import Clip
    from batchgen.handover.chosen import Select
    from batchgen.review.choice import Choice

_Command = TypeVar("_Command", bound=Callable[..., Any])
#: Names of the parameters that `select_options` adds.
NAMES = ("picks", "everything", "stars", "only")


@dataclass(frozen=True, slots=True)
class ClipChoice:
    """What is asked for; nothing: the picks."""

    picks: bool = False
    everything: bool = False
    stars: int | None = None
    only: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> ClipChoice:
        """Take the parameters of a command. Raises click.UsageError when more than one is given."""
        found = cls(**{name: given[name] for name in NAMES})
        if sum((found.picks, found.everything, found.stars is not None, found.only is not None)) > 1:
            raise click.UsageError("pass one of --picks, --all, --stars and --only")
        return found


def select_options(panel: str | None = None) -> Callable[[_Command], _Command]:
    """Add --picks, --all, --stars and --only, in a group of the help."""

    def add(command: _Command) -> _Command:
        more: dict[str, Any] = {"panel": panel} if panel else {}
        add_only = click.option(
            "--only",
            metavar="GLOB",
            shell_complete=candidates.clips_of(State.DONE, several=True),
            help="Only clips whose id or name matches, picked or not.",
            **more,
        )
        add_stars = click.option(
            "--stars", type=click.IntRange(1, 5), metavar="N", help="Only clips of N stars or more.", **more
        )
        add_all = click.option(
            "--all",
            "everything",
            is_flag=True,
            envvar="BATCHGEN_ALL",
            help="Every clip that is not rejected.",
            **more,
        )
        add_picks = click.option("--picks", is_flag=True, help="The picks. [default]", **more)
        return add_picks(add_all(add_stars(add_only(command))))

    return add


def zip_option(panel: str | None = None) -> Callable[[_Command], _Command]:
    """Add --zip, in a group of the help."""
    more: dict[str, Any] = {"panel": panel} if panel else {}
    return click.option(
        "--zip", "as_zip", is_flag=True, envvar="BATCHGEN_ZIP", help="Write one zip file, DIR.zip.", **more
    )


def selected(where: Path, selection: ClipChoice) -> tuple[list[Select], str]:
    """Give the clips that are meant, and the batch's name. Raises UsageError when there is none."""
    from batchgen.handover.chosen import choose
    from batchgen.ledger.reader import Reader
    from batchgen.review.picks import choices_of

    with closing(Reader(where)) as reader:
        if selection.only is not None:
            for line in check_only(selection.only, (clip.wanted for clip in reader.clips())):
                click.echo(line, err=True)
        selects = choose(reader.clips(), choices_of(where), _wish(selection), where / "clips")
        title = reader.meta("name") or where.name
    if not selects:
        raise UsageError("there is no clip to deliver", tip=_tip(selection))
    return selects, title


def _wish(selection: ClipChoice) -> Callable[[Clip, Choice], bool]:
    """Say which clips are meant; what is rejected goes nowhere unless its name is asked for."""
    only, stars = selection.only, selection.stars
    if only is not None:
        return lambda clip, _: matches(only, clip.wanted.prompt_id, clip.wanted.name)
    if stars is not None:
        return lambda _, choice: choice.pick >= 0 and choice.stars >= stars
    if selection.everything:
        return lambda clip, choice: choice.pick >= 0 and not clip.unwanted
    return lambda _, choice: choice.pick > 0


def _tip(selection: ClipChoice) -> str:
    if selection.only is not None:
        return "none of these clips is finished yet: see `batchgen status`"
    if selection.stars is not None:
        return "no finished clip has that many stars"
    if selection.everything:
        return "no clip is finished yet"
    return "pick some with `batchgen review`, or with `batchgen picks NAME --set CLIP pick`; or pass --all"
