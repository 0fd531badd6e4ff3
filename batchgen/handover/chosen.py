"""The clips of a hand-over: which ones, in which order, under which names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from batchgen.clip import Clip, State
from batchgen.errors import UsageError
from batchgen.handover.film import FilmFacts
from batchgen.review.choice import UNDECIDED, Choice

#: What a name's template may hold, as `str.format` fields.
FIELDS: Final = ("order", "name", "prompt", "take", "cell", "seed", "model", "stars")
TEMPLATE: Final = "{order:02d}_{name}"
#: Bytes of a name: file systems take 255, and sidecars and editors add to it.
_LONGEST: Final = 200
#: Names that Windows keeps for devices, whatever their ending.
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_UNFIT: Final = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')


@dataclass(frozen=True, slots=True)
class Select:
    """A chosen clip on its way to whoever edits it.

    Attributes:
        order: its number in the hand-over, from 1.
        name: of its file there, with `.mp4`.
        source: the checked file in the batch folder.
        film: what the file says of itself; None where no editor's file is written.
    """

    order: int
    clip: Clip
    choice: Choice
    source: Path
    name: str = ""
    film: FilmFacts | None = None

    @property
    def stem(self) -> str:
        """Its name without the ending."""
        return self.name.removesuffix(".mp4")

    @property
    def prompt(self) -> str:
        """The prompt as it was sent."""
        return str(self.clip.wanted.values.get("prompt") or "")

    @property
    def seed(self) -> object:
        """The seed, as it was sent; None where there was none."""
        return self.clip.wanted.values.get("seed")

    @property
    def keywords(self) -> list[str]:
        """What an editor's program can search for: the stars, the colour, the tags, and the matrix cell."""
        stars = [f"{self.choice.stars} star{'s' if self.choice.stars > 1 else ''}"] if self.choice.stars else []
        label = [self.choice.label] if self.choice.label else []
        cell = [self.clip.wanted.label] if self.clip.wanted.label else []
        return [*stars, *label, *self.choice.tags, *cell]

    @property
    def facts(self) -> FilmFacts:
        """Its film, where that was read."""
        assert self.film is not None  # noqa: S101 - the files for editors are written with it
        return self.film


def choose(
    clips: Iterable[Clip], choices: Mapping[str, Choice], wish: Callable[[Clip, Choice], bool], clips_dir: Path
) -> list[Select]:
    """Give the finished clips that are wished for: in the order of the picks, then of the manifest."""
    found = [(clip, choices.get(clip.key, UNDECIDED)) for clip in clips if clip.state is State.DONE and clip.file]
    found = [(clip, choice) for clip, choice in found if wish(clip, choice)]
    found.sort(key=lambda pair: (pair[1].order is None, pair[1].order or 0, pair[0].wanted.order, pair[0].wanted.take))
    return [
        Select(number, clip, choice, clips_dir / str(clip.file)) for number, (clip, choice) in enumerate(found, start=1)
    ]


def named(selects: Iterable[Select], template: str = TEMPLATE) -> list[Select]:
    """Give each its file name by a template; no two names differ in case or accents alone.

    Raises:
        UsageError: the template has a field that does not exist, or gives an empty name.
    """
    taken: set[str] = set()
    out = []
    for select in selects:
        stem = _named_stem(select, template)
        name, number = stem, 1
        while _folded(name) in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(_folded(name))
        out.append(replace(select, name=f"{name}.mp4"))
    return out


def _named_stem(select: Select, template: str) -> str:
    wanted = select.clip.wanted
    values = {
        "order": select.order, "name": wanted.name.rpartition("/")[2], "prompt": wanted.prompt_id, "take": wanted.take,
        "cell": wanted.label, "seed": select.seed or 0, "model": wanted.model, "stars": select.choice.stars,
    }  # fmt: skip
    try:
        text = template.format_map(values)
    except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
        tip = f"fields are {', '.join('{' + name + '}' for name in FIELDS)}; {{order:03d}} has three digits"
        raise UsageError(f"--template: {template!r} can't be used: {error}", tip=tip) from None
    text = _UNFIT.sub("-", unicodedata.normalize("NFC", text)).strip(" .-")
    text = text.encode()[:_LONGEST].decode(errors="ignore")
    if not text:
        raise UsageError(f"--template: {template!r} gives an empty name for {wanted.name}")
    return f"_{text}" if _DEVICES.match(text) else text


def _folded(name: str) -> str:
    """Fold a name as macOS and Windows do, where names that differ in case only are one."""
    return unicodedata.normalize("NFKD", name).casefold()


def for_xml(text: str) -> str:
    """Leave out what XML 1.0 can't hold."""
    return "".join(char for char in text if char >= " " or char in "\t\n")
