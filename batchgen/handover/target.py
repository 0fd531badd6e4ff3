"""Where a hand-over goes: a new folder, or one zip file, that is there whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchgen.errors import OutputError, UsageError


def target_of(target: Path, batch: Path, *, as_zip: bool) -> Path:
    """Give the folder or zip file to make; a zip file's name ends with `.zip`.

    Raises:
        UsageError: it is there already (an empty folder is not), or lies in the batch folder or below a file.
    """
    if as_zip and target.suffix.lower() != ".zip":
        target = target.with_name(target.name + ".zip")
    if target.exists() and (as_zip or not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} exists already", tip="name a new folder, or remove this one")
    above = next(each for each in target.absolute().parents if each.exists())
    if not above.is_dir():
        raise UsageError(f"{target} can't be made: {above} is a file", tip="name another folder")
    if target.resolve().is_relative_to(batch.resolve()):
        raise UsageError(f"{target} is in the batch folder {batch}", tip="name a folder outside of it")
    return target


@contextmanager
def staged(target: Path, *, as_zip: bool) -> Iterator[Path]:
    """Give a folder to write into; when the block ends without an error, all of it is at `target`.

    Raises:
        OutputError: it can't be written. Nothing is left behind, whatever went wrong.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name[:60]}.", dir=target.parent))
    except OSError as error:
        raise OutputError.of(target, error) from error
    try:
        part.chmod(0o755)
        yield part
        _put(part, target, as_zip=as_zip)
    except OSError as error:
        raise OutputError.of(target, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _put(part: Path, target: Path, *, as_zip: bool) -> None:
    """Give what was written its name."""
    if not as_zip:
        if target.exists():
            target.rmdir()  # it is empty
        part.rename(target)
        return
    packed = part.with_name(f"{part.name}.zip")
    try:
        with zipfile.ZipFile(packed, "x", zipfile.ZIP_STORED, allowZip64=True) as file:  # films do not get smaller
            for path in sorted(each for each in part.rglob("*") if each.is_file()):
                file.write(path, f"{target.stem}/{path.relative_to(part)}")
        packed.replace(target)
    finally:
        packed.unlink(missing_ok=True)
