"""What a whole decode of a film found, and where that is kept: by content, in the batch folder's `.review/`.

The same film is not decoded twice, and the folder may be deleted at any time. None of this needs the `media` extra.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from batchgen.files import durable

#: Below the batch folder.
FOLDER: Final = ".review"
#: Frames of a strip, and hashes of a film.
FRAMES: Final = 8
#: Seconds for which a film is black or frozen before that is worth a flag.
STRETCH_S: Final = 0.5
#: Points of a waveform.
WAVE_POINTS: Final = 200
#: LUFS under which sound is none.
_SILENT_LUFS: Final = -60.0
#: Bits of 64 by which the frames of two near-duplicate takes differ at most, on average.
_ALIKE_BITS: Final = 8.0
#: Of a kept file: another form of findings is made again.
_VERSION: Final = 1
_HEX: Final = frozenset("0123456789abcdef")

Stretches = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What one decode of a film found. Times are seconds from its beginning.

    Attributes:
        fault: why it does not decode to the end, in words; empty when every frame does. The rest is then what was seen.
        frames: pictures that decoded.
        fps: frames a second as a fraction, `24/1`; empty when not known.
        black, frozen: stretches (from, to) of half a second or more.
        cuts: moments at which the picture changes all at once.
        bars: share of the picture that black bars take (left, top, right, bottom); all 0 without bars.
        lufs: integrated loudness (EBU R 128); None without a sound track.
        waveform: highest level in each of 200 parts of the sound, 0 to 1; empty without sound.
        hashes: of eight frames, 16 hex digits each.
    """

    fault: str = ""
    frames: int = 0
    width: int = 0
    height: int = 0
    fps: str = ""
    duration_s: float = 0.0
    black: Stretches = ()
    frozen: Stretches = ()
    cuts: tuple[float, ...] = ()
    bars: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    lufs: float | None = None
    waveform: tuple[float, ...] = ()
    hashes: tuple[str, ...] = ()

    @property
    def flags(self) -> list[str]:
        """Name what a person should see first: black, frozen, cut, letterbox, silent, broken."""
        silent = self.lufs is not None and self.lufs < _SILENT_LUFS
        found = {"broken": self.fault, "black": self.black, "frozen": self.frozen, "cut": self.cuts,
                 "letterbox": any(self.bars), "silent": silent}  # fmt: skip
        return [name for name, value in found.items() if value]

    def as_json(self) -> dict[str, Any]:
        """Give every field, as a cache keeps them."""
        return asdict(self)

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> Findings:
        """Read what `as_json` gave; raises TypeError or KeyError for anything else."""
        return cls(**{field.name: _frozen(obj[field.name]) for field in fields(cls)})

    def alike(self, other: Findings) -> bool:
        """Return whether two films show nearly the same: their eight frames differ in few bits."""
        pairs = list(zip(self.hashes, other.hashes, strict=False))
        if len(pairs) < FRAMES:
            return False
        return sum((int(a, 16) ^ int(b, 16)).bit_count() for a, b in pairs) <= _ALIKE_BITS * len(pairs)


@dataclass(frozen=True, slots=True)
class Pictures:
    """WebP files of a film: a poster, and a strip of eight frames in one row."""

    poster: bytes
    strip: bytes


class KeptFindings:
    """The findings and pictures that a batch folder keeps.

    Args:
        folder: the batch folder.
    """

    def __init__(self, folder: Path) -> None:
        self.batch = folder
        self._folder = folder / FOLDER

    def read(self, sha256: str) -> Findings | None:
        """Give what is kept of a film's content; None when nothing is, or it is of another form."""
        if len(sha256) != 64 or not set(sha256) <= _HEX:
            return None
        try:
            obj = json.loads((self._folder / f"{sha256}.json").read_bytes())
            return Findings.read(obj) if obj["v"] == _VERSION else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def poster(self, sha256: str) -> bytes | None:
        """Give the kept poster of a film's content as WebP; None without one."""
        if self.read(sha256) is None:
            return None
        try:
            return (self._folder / Path(picture_names(sha256)[0]).name).read_bytes()
        except OSError:
            return None

    def write(self, sha256: str, found: Findings, pictures: Pictures | None) -> None:
        """Keep them; the findings last: where they are, the pictures are. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        poster, strip = (Path(name).name for name in picture_names(sha256))
        if pictures:
            self._put(poster, pictures.poster)
            self._put(strip, pictures.strip)
        self._put(f"{sha256}.json", json.dumps({"v": _VERSION, **found.as_json()}).encode())

    def _put(self, name: str, body: bytes) -> None:
        part = self._folder / f"{name}.part"
        with os.fdopen(durable.own(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(body)
        part.replace(self._folder / name)


def picture_names(sha256: str) -> tuple[str, str]:
    """Give the names of a film's poster and strip below the batch folder."""
    return f"{FOLDER}/{sha256}.webp", f"{FOLDER}/{sha256}.strip.webp"


def near_duplicates(films: Mapping[str, Findings]) -> dict[str, str]:
    """Find takes that show nearly the same as an earlier one.

    Args:
        films: the takes of one prompt by name, in order.

    Returns:
        The name of the first take that it is like, by the name of each later one.
    """
    found: dict[str, str] = {}
    names = list(films)
    for at, name in enumerate(names):
        first = next((other for other in names[:at] if other not in found and films[name].alike(films[other])), None)
        if first is not None:
            found[name] = first
    return found


def _frozen(value: Any) -> Any:  # noqa: ANN401 - one of the fields' types, lists as tuples
    return tuple(_frozen(each) for each in value) if isinstance(value, list | tuple) else value
