"""Files → text; API keys in it are noted as faults."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from batchgen.manifest.errors import SECRET, FaultList, Position, position

MAX_BYTES = 64_000_000
#: Bytes that are read at once.
_BLOCK = 1 << 20
_KEY_NAME = re.compile(r"[^a-z]")


def read_text(
    path: Path, file: str, faults: FaultList, *, limit: int = MAX_BYTES, named_at: Position | None = None
) -> tuple[str, bytes] | None:
    """Return a file's text and bytes, or note the one fault that it has and return None.

    `named_at` is where another file names this one: a file that can't be opened is a fault there.
    """
    place = named_at or Position(file)
    name = f"{path.name}: " if named_at else ""
    try:
        raw = read_bounded(path, limit)
        if raw is None:
            faults.error(
                place, f"{name}the file is over {limit // 1_000_000} MB", "put long lists in several CSV files"
            )
            return None
    except FileNotFoundError:
        advice = "paths start at the manifest's folder" if named_at else "check the folder that you are in"
        faults.error(place, f"{name}there is no such file", f"check the name; {advice}")
    except IsADirectoryError:
        faults.error(place, f"{name}this is a folder", "name the file in it")
    except (OSError, ValueError) as error:
        faults.error(
            place,
            f"{name}the file can't be read ({getattr(error, 'strerror', None) or error})",
            "check its permissions",
        )
    else:
        text = _decode(raw, file, faults)
        if text is not None:
            faults.read(file, text)
            return text, raw
    return None


def read_bounded(path: Path, limit: int) -> bytes | None:
    """Return a file's bytes; None when there are more than `limit`.

    Raises:
        OSError: it can't be read, or is a device or a pipe, which may have no end.
        ValueError: the path holds a NUL.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a device or a pipe")
    if path.stat().st_size > limit:
        return None
    with path.open("rb") as file:
        blocks, left = [], limit + 1
        while left and (block := file.read(min(left, _BLOCK))):  # never the limit at once: memory may be short
            blocks.append(block)
            left -= len(block)
    return b"".join(blocks) if left else None


def _decode(raw: bytes, file: str, faults: FaultList) -> str | None:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        faults.error(Position(file), "the file is UTF-16", "save it as UTF-8")
        return None
    if b"\0" in raw:
        faults.error(Position(file), "this is a binary file, not text", "name a text file")
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8-sig", "replace")
        place = position(file, before, len(before))
        faults.error(place, "this is not UTF-8", "save the file as UTF-8 (Excel: “CSV UTF-8”)")
        return None


def scan_secrets(file: str, text: str, faults: FaultList) -> None:
    """Note every API key in a text; the message does not show it."""
    for match in SECRET.finditer(text):
        faults.error(
            position(file, text, match.start()),
            "an API key is written here in plain text",
            "remove it, revoke it, and set a new one as SEGMIND_API_KEY in the environment or in .env",
        )


def is_key_name(word: str) -> bool:
    """Say whether a word names an API key: api_key, SEGMIND_API_KEY, x-api-key."""
    return _KEY_NAME.sub("", word.lower()).endswith("apikey")
