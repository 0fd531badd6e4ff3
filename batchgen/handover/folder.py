"""A hand-over written: a folder, or one zip file, that is there whole or not at all.

Films are hard links where the file system can, so that nothing is copied; with a label they are copies, because a link
is the original. Each film is checked against the ledger's sha256 on the way: what is handed over is what was paid for.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from batchgen.errors import OutputError, UsageError
from batchgen.files.findings import KeptFindings
from batchgen.handover import edl, fcpxml, film, lists, otio, sheet, xmeml, xmp
from batchgen.handover.chosen import Select

_PIECE: Final = 1 << 20
_REFETCH: Final = "run `batchgen verify`: it fetches the film again, as long as the service has it"
#: Writers of the files for editors, by name.
_WRITERS: Final = {
    "selects.otio": otio.written,
    "selects.fcpxml": fcpxml.written,
    "selects.xml": xmeml.written,
    "selects.edl": edl.written,
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is asked for.

    Attributes:
        title: the batch's name.
        programs: of `lists.PROGRAMS`, whose files are written; none: the clips and lists alone.
        label: films are copies with an XMP box that says that an AI made them.
        with_prompt: prompts are written, too: into the table, the label, the editors' files.
        as_zip: one file instead of a folder.
    """

    title: str
    programs: tuple[str, ...] = ()
    label: bool = False
    with_prompt: bool = False
    as_zip: bool = False


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was written: where, which files, and what could not be."""

    path: Path
    films: int
    copied: int  #: films that are copies, no hard links
    files: tuple[str, ...]
    left_out: tuple[str, ...]  #: sentences


def deliver(selects: list[Select], target: Path, order: Delivery, kept: KeptFindings) -> Delivered:
    """Write a hand-over.

    Args:
        selects: named; at least one.
        target: the folder to make, or the zip file.
        order: what is asked for.
        kept: posters of the batch, for the contact sheet.

    Raises:
        UsageError: the target is there already, or a film is no longer the one that was downloaded.
        OutputError: it can't be written. Nothing is left behind.
    """
    if order.as_zip and target.suffix.lower() != ".zip":
        target = target.with_name(target.name + ".zip")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{target} exists already", tip="name a new folder, or remove this one")
    for select in selects:
        if not select.source.is_file():
            raise UsageError(f"{select.source} is missing", tip=_REFETCH)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise OutputError.of(target, error) from error
    try:
        part.chmod(0o755)
        films, copied = _films(selects, part, order)
        files, left_out = _papers(selects, part, order, kept, films)
        _put(part, target, as_zip=order.as_zip)
    except OSError as error:
        raise OutputError.of(target, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Delivered(target, len(films), copied, tuple(files), tuple(left_out))


def _films(selects: list[Select], part: Path, order: Delivery) -> tuple[dict[str, str], int]:
    """Link or copy the films; gives the sha256 of each by name, and how many are copies."""
    digests, copied = {}, 0
    for select in selects:
        path = part / select.name
        extra = xmp.box(select, with_prompt=order.with_prompt) if order.label else b""
        linked = not extra and _linked(select.source, path)
        copied += not linked
        digests[select.name] = _hashed(select, path) if linked else _copied(select, path, extra)
    return digests, copied


def _linked(source: Path, path: Path) -> bool:
    try:
        os.link(source, path, follow_symlinks=False)
    except OSError:
        return False  # another file system, or one that knows no hard links
    return True


def _hashed(select: Select, path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return _checked(select, digest)


def _copied(select: Select, path: Path, extra: bytes) -> str:
    """Copy a film and append to it; gives the sha256 of the copy, once the original's is found right."""
    digest = hashlib.sha256()
    with select.source.open("rb") as source, path.open("xb") as file:
        while piece := source.read(_PIECE):
            digest.update(piece)
            file.write(piece)
        _checked(select, digest.hexdigest())
        file.write(extra)
    digest.update(extra)
    return digest.hexdigest()


def _checked(select: Select, digest: str) -> str:
    if select.clip.sha256 and digest != select.clip.sha256.lower():
        raise UsageError(f"{select.source} has changed since it was downloaded", tip=_REFETCH)
    return digest


def _papers(
    selects: list[Select], part: Path, order: Delivery, kept: KeptFindings, digests: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Write all but the films; gives the names, and what was left out and why."""
    shown = selects if order.with_prompt else [_without_prompt(select) for select in selects]
    texts, left_out = _for_editors(shown, order, lists.files_for(order.programs))
    texts |= {"names.txt": lists.names(selects), "selects.csv": lists.table(selects, with_prompt=order.with_prompt),
              "sha256.txt": lists.checksums(digests)}  # fmt: skip
    pictures, why = _contact_sheet(selects, order, kept)
    left_out += why
    names = [*texts, *pictures]
    texts["README.txt"] = lists.readme(selects, order.title, names, labelled=order.label)
    for name, text in texts.items():
        (part / name).write_text(text, encoding="utf-8", newline="\n")
    for name, body in pictures.items():
        (part / name).write_bytes(body)
    return sorted([*names, "README.txt"]), left_out


def _for_editors(selects: list[Select], order: Delivery, wanted: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    texts, left_out = {}, []
    for name in sorted(set(wanted) & _WRITERS.keys()):
        try:
            texts[name] = _WRITERS[name](selects, order.title)
        except ImportError:
            left_out.append(f"{name} was not written: it needs OpenTimelineIO (pip install '.[edit]')")
    return texts, left_out


def _contact_sheet(selects: list[Select], order: Delivery, kept: KeptFindings) -> tuple[dict[str, bytes], list[str]]:
    try:
        pages = sheet.pages(selects, order.title, kept)
    except ImportError:
        return {}, ["The contact sheet was not made: it needs PyAV and Pillow (pip install '.[media]')"]
    more = {f"contact-sheet-{number}.jpg": sheet.as_jpeg(page) for number, page in enumerate(pages[1:], start=2)}
    return {"contact-sheet.jpg": sheet.as_jpeg(pages[0]), **more, "contact-sheet.pdf": sheet.as_pdf(pages)}, []


def _without_prompt(select: Select) -> Select:
    """Take the prompt out of what the files for editors get to see."""
    params = {name: value for name, value in select.clip.wanted.values.items() if "prompt" not in name}
    wanted = replace(select.clip.wanted, params=json.dumps(params))
    return replace(select, clip=replace(select.clip, wanted=wanted))


def _put(part: Path, target: Path, *, as_zip: bool) -> None:
    """Give what was written its name."""
    if not as_zip:
        if target.exists():
            target.rmdir()  # it is empty
        part.rename(target)
        return
    packed = target.with_name(f".{target.name}.zip.part")
    try:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED, allowZip64=True) as file:  # films do not get smaller
            for path in sorted(part.iterdir()):
                file.write(path, f"{target.stem}/{path.name}")
        packed.replace(target)
    finally:
        packed.unlink(missing_ok=True)


def with_films(selects: list[Select]) -> list[Select]:
    """Read the facts of each film. Raises UsageError as `film.read`."""
    return [replace(select, film=film.read(select.source)) for select in selects]
