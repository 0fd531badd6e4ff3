"""What a video file says about itself: a walk of its ISO base media boxes, compared with what was asked for.

A truncated MP4 opens without complaint in FFmpeg, its full duration reported. The walk catches even one missing
byte, in about 0.1 ms, and never reads the picture data. Layout: ISO/IEC 14496-12, sections 4.2 and 8.
No heavy import: PyAV is loaded by `deep_check` alone.
"""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from batchgen.files.fragments import index_end

#: Bounds for what a lying file may cost us; a ten-second clip has 4 top-level boxes and a moov of 15 kB.
_MAX_BOXES = 20_000
_MAX_MOOV = 64 * 2**20
#: Models round to whole frames (5 s asked, 5.06 s made), so smaller differences are not worth a flag.
_SECONDS_OFF = 0.5
_UNKNOWN_DURATION = frozenset({0, 2**32 - 1, 2**64 - 1})
#: What a body that failed the check is kept as, next to the final name, until a better one is there.
BAD = ".bad"
#: Bytes that say whether a file begins as a film does.
HEAD = 12
#: What may stand in front, or at the end, without harm.
_FILLERS = frozenset({b"free", b"skip", b"wide", b"uuid", b"pnot"})
#: The first box of a film: its name is bytes 4 to 8. QuickTime files of old have no `ftyp` at all.
FIRST = frozenset({b"ftyp", b"moov", b"mdat", *_FILLERS})
#: Boxes that the film is in: where one of these is cut, so is the film.
_FILM = frozenset({b"ftyp", b"moov", b"mdat", b"moof"})
#: Of what is worth nothing (see `worth`).
NO_FILM = (0, 0)
#: Compared in lower case.
_HEADS = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<", "an XML or HTML text"),
    (b"{", "a JSON text"),
    (b"[", "a JSON text"),
    (b"\x89png", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"gif8", "a GIF picture"),
    (b"\x1ae\xdf\xa3", "a WebM or Matroska file"),
    (b"\x1f\x8b", "a gzip archive"),
)


class BrokenVideo(ValueError):  # noqa: N818 (the state of the file, reported as it is)
    """The bytes are no whole MP4; the message says why in plain words.

    Args:
        reason: in words that follow "is not a complete video: ".
        foreign: it is something else altogether (an error page, an empty file), and no damaged MP4.
        text: it is surely no film of any kind: a page, a text, nothing.
    """

    def __init__(self, reason: str, *, foreign: bool = False, text: bool = False) -> None:
        super().__init__(reason)
        self.foreign = foreign
        self.text = text


class _OddHeaderError(ValueError):
    """The header makes no sense within. It came whole and is paid for: a flag, no reason to refuse it."""


@dataclass(frozen=True, slots=True)
class Structure:
    """What a whole file says about itself: length in bytes, seconds and (width, height) where it has them.

    `odd` marks a header that is there in full and makes no sense within, or names no picture; `loose` what stands
    round a whole film: bytes that are no box, boxes in front, a second header. `open_end` is set where nothing in the
    file shows that it ends here: it goes on in fragments, without an index of them (mfra, sidx).
    """

    bytes: int
    seconds: float | None = None
    size: tuple[int, int] | None = None
    odd: bool = False
    loose: bool = False
    open_end: bool = False


@dataclass(frozen=True, slots=True)
class Expect:
    """What was asked for, as far as is known. Only flags come of it: a paid clip is kept."""

    bytes: int | None = None
    size: tuple[int, int] | None = None
    seconds: float | None = None
    made_at: float = 0.0  #: when the service made it, epoch seconds: it deletes files in this order


@dataclass(frozen=True, slots=True)
class Fetched:
    """A checked file: its length, lower-case hex sha256, space-separated flags, and what its header says."""

    bytes: int
    sha256: str
    flags: str = ""
    seconds: float | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int  #: of the payload
    end: int


def walk(source: Path | bytes | BinaryIO) -> Structure:
    """Walk the boxes of an MP4 and return what it is.

    Args:
        source: a path, the bytes themselves, or a seekable binary file (left open, its position moved).

    Raises:
        BrokenVideo: no whole MP4: cut short, empty, text, zeros, lying sizes, no header, no picture data.
        OSError: the file can't be read.
    """
    if isinstance(source, Path):
        with source.open("rb") as opened:
            return walk(opened)
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    total = file.seek(0, io.SEEK_END)
    boxes = list(_top_level(file, total))
    kinds = [box.kind for box in boxes]
    if b"moov" not in kinds:
        raise BrokenVideo("no header (moov) in it")
    header = boxes[kinds.index(b"moov")]
    if (size := header.end - header.start) > _MAX_MOOV:
        raise BrokenVideo(f"a header of {size:,} bytes")
    data = sum(box.end - box.start for box in boxes if box.kind == b"mdat")
    if not data:
        raise BrokenVideo("no picture data (mdat) in it")
    file.seek(header.start)
    structure = _structure(file.read(size), total, data)
    loose = boxes[-1].end < total or kinds[0] != b"ftyp" or kinds.count(b"moov") > 1
    return replace(structure, loose=loose, open_end=_open_end(file, boxes, total))


def worth(path: Path) -> tuple[int, int]:
    """Rank a body that failed the check: a whole film, the beginning of one, other bytes, and of each the longest.

    Pages, texts, zeros, symlinks and what is not there are worth `NO_FILM`. Raises OSError.
    """
    if path.is_symlink() or not path.is_file():
        return NO_FILM
    size = path.stat().st_size
    try:
        walk(path)
    except BrokenVideo as error:
        return NO_FILM if error.text else (1 if error.foreign else 2, size)
    return (3, size)


def flags(structure: Structure, expect: Expect, *, length_known: bool = False) -> str:
    """Name what is other than asked: any of "header", "layout", "bytes", "length", "size", "duration"; or "".

    `length_known` is True when the server said how long the file is.
    """
    off = ["header"] if structure.odd else []
    if structure.loose:
        off.append("layout")
    if expect.bytes is not None and expect.bytes != structure.bytes:
        off.append("bytes")
    if structure.open_end and expect.bytes is None and not length_known:
        off.append("length")
    if expect.size and structure.size and expect.size != structure.size:
        off.append("size")
    if expect.seconds and structure.seconds and abs(expect.seconds - structure.seconds) > _SECONDS_OFF:
        off.append("duration")
    return " ".join(off)


def inspect(path: Path, bytes: int | None = None, sha256: str | None = None) -> str:  # noqa: A002 (as in Fetched)
    """Say in words what is wrong with a kept file; "" when it is sound and is the one that was recorded."""
    try:
        structure = walk(path)
        if bytes is not None and structure.bytes != bytes:
            return f"has {structure.bytes:,} bytes, {bytes:,} were recorded"
        if sha256 is not None and file_sha256(path) != sha256.lower():
            return "its content has changed since it was downloaded (sha256)"
    except FileNotFoundError:
        return "missing"
    except BrokenVideo as error:
        return f"not a complete video: {error}"
    except OSError as error:
        return f"can't be read: {error.strerror or type(error).__name__}"
    return ""


def file_sha256(path: Path) -> str:
    """Give the lower-case hex sha256 of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sniff(head: bytes) -> str:
    """Name what a file that is no MP4 begins with, or "" if it is nothing that we know."""
    if not head.strip(b"\0"):
        return "nothing but zeros" if head else "an empty file"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    named = next((name for magic, name in _HEADS if start.startswith(magic)), "")
    plain = all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)
    return named or ("a text" if plain else "")


# --- the walk -----------------------------------------------------------------------------------------


def _top_level(file: BinaryIO, total: int) -> Iterator[_Box]:
    """Yield the boxes, up to loose bytes behind the last one."""
    position, kinds = 0, set[bytes]()
    for _ in range(_MAX_BOXES):
        if position == total and position:
            return
        file.seek(position)
        head = file.read(16)
        if position == 0 and head[4:8] not in FIRST:
            file.seek(0)
            raise _no_film(file.read(256))
        try:
            box = _box(head, position, total)
        except BrokenVideo:
            if _is_loose(head[4:8], kinds):
                return
            raise
        yield box
        kinds.add(box.kind)
        position = box.end
    raise BrokenVideo(f"more than {_MAX_BOXES:,} boxes")


def _open_end(file: BinaryIO, boxes: Sequence[_Box], total: int) -> bool:
    """Return whether a film in fragments could have been cut between two of them.

    Raises:
        BrokenVideo: it was: the last fragment has no data, or an index lists more than there is.
    """
    kinds = [box.kind for box in boxes]
    if b"moof" not in kinds:
        return False
    if b"mdat" not in kinds[len(kinds) - 1 - kinds[::-1].index(b"moof") :]:
        raise BrokenVideo("cut short: its last fragment has no data")
    ends = [index_end(file, box.start, box.end) for box in boxes if box.kind == b"sidx"]
    if (missing := max((end for end in ends if end is not None), default=0) - total) > 0:
        raise BrokenVideo(f"cut short: {missing:,} bytes of its fragments are missing")
    return b"mfra" not in kinds and not any(ends)


def _is_loose(kind: bytes, before: set[bytes]) -> bool:
    """Return whether bytes that make no box may stand behind a film: header and data came before, in one piece each.

    Where the film goes on in fragments, these may be the beginning of the next one.
    """
    return {b"moov", b"mdat"} <= before and b"moof" not in before and kind not in _FILM


def _no_film(head: bytes) -> BrokenVideo:
    named = sniff(head)
    text = named.endswith(("page", "text", "zeros", "file")) and "WebM" not in named
    return BrokenVideo(f"{named or 'unknown data'} instead of an MP4", foreign=True, text=text)


def _box(head: bytes, position: int, limit: int) -> _Box:
    """Read one box header; size 1 means a 64-bit size follows, size 0 "to the end"."""
    if len(head) < 8:
        raise BrokenVideo(f"cut short: {len(head)} stray bytes at {position:,}")
    size, kind, start = int.from_bytes(head[:4], "big"), head[4:8], 8
    if size == 1:
        if len(head) < 16:
            raise BrokenVideo(f"cut short within the header of {_name(kind)}")
        size, start = int.from_bytes(head[8:16], "big"), 16
    end = position + size if size else limit
    if end < position + start:
        raise BrokenVideo(f"{_name(kind)} at {position:,} says that it has {size} bytes")
    if end > limit:
        raise BrokenVideo(f"cut short: {end - limit:,} bytes of {_name(kind)} are missing")
    return _Box(kind, position + start, end)


def _name(kind: bytes) -> str:
    return repr(kind.decode("latin-1"))


def _structure(moov: bytes, total: int, data: int) -> Structure:
    """Read the header as far as it makes sense.

    Raises:
        BrokenVideo: it lists more than the file holds: the file was cut.
    """
    seconds, sizes, samples, odd = None, [], 0, False
    try:
        for box in _inside(moov, 0, len(moov)):
            if box.kind == b"mvhd":
                layout, skip = (">IQ", 20) if moov[box.start : box.start + 1] == b"\1" else (">II", 12)
                timescale, length = _unpack(layout, moov[: box.end], box.start + skip)
                seconds = length / timescale if timescale and length not in _UNKNOWN_DURATION else None
            elif box.kind == b"trak":
                sizes.append(_picture(moov, box))
                samples += _sample_bytes(moov, box, total)
    except _OddHeaderError:
        odd = True
    if samples > data:
        raise BrokenVideo(f"cut short: {samples - data:,} bytes of its frames are missing")
    picture = max((size for size in sizes if size), default=None)
    return Structure(bytes=total, seconds=seconds, size=picture, odd=odd or picture is None)


def _inside(data: bytes, start: int, end: int) -> Iterator[_Box]:
    """Yield the boxes of a container. Fewer than 8 bytes, or a zero size, end it (as QuickTime writes)."""
    for _ in range(_MAX_BOXES):
        if end - start < 8 or data[start : start + 4] == b"\0\0\0\0":
            return
        try:
            box = _box(data[start : min(start + 16, end)], start, end)
        except BrokenVideo as error:
            raise _OddHeaderError(str(error)) from None
        yield box
        start = box.end
    raise _OddHeaderError("too many boxes")


def _find(data: bytes, box: _Box, *path: bytes) -> _Box | None:
    """Go down a path of nested boxes, the first of each kind."""
    at: _Box | None = box
    for kind in path:
        at = next((child for child in _inside(data, at.start, at.end) if child.kind == kind), None) if at else None
    return at


def _picture(moov: bytes, trak: _Box) -> tuple[int, int] | None:
    """Give a track's width and height in whole pixels (16.16 fixed point at the end of tkhd); None for sound."""
    tkhd = _find(moov, trak, b"tkhd")
    if tkhd is None or tkhd.end - tkhd.start < 84:
        raise _OddHeaderError("a track without its header (tkhd)")
    width, height = _unpack(">II", moov, tkhd.end - 8)
    return (width >> 16, height >> 16) if width >> 16 and height >> 16 else None


def _sample_bytes(moov: bytes, trak: _Box, total: int) -> int:
    """Add up a track's frames as its header lists them, and check that every chunk starts inside the file."""
    stbl = _find(moov, trak, b"mdia", b"minf", b"stbl")
    if stbl is None:
        raise _OddHeaderError("a track without its tables (stbl)")
    tables = {box.kind: moov[box.start : box.end] for box in _inside(moov, stbl.start, stbl.end)}
    for kind, width in ((b"stco", "I"), (b"co64", "Q")):
        if kind in tables and max(_table(tables[kind], 4, width), default=0) >= total:
            raise BrokenVideo("its header points beyond its end")
    if b"stsz" not in tables:
        return 0  # stz2, or fragments that list their own: the other checks hold
    fixed, count = _unpack(">II", tables[b"stsz"], 4)
    return fixed * count if fixed else sum(_table(tables[b"stsz"], 8, "I"))


def _table(table: bytes, skip: int, width: str) -> tuple[int, ...]:
    """Read a table of big-endian numbers whose count stands at `skip`."""
    (count,) = _unpack(">I", table, skip)
    if count > len(table):
        raise _OddHeaderError("a table is cut short")
    return _unpack(f">{count}{width}", table, skip + 4)


def _unpack(layout: str, data: bytes, offset: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, data, offset)
    except struct.error:
        raise _OddHeaderError("a table is cut short") from None
