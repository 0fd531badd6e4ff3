"""Where a batch is, and the API key: the manifest that a name means, its folder, and the place of the key.

The commands, the Python API and the planner use it; `settings` merges numbers and paths, and finds nothing.
"""

from __future__ import annotations

import os
import shlex
from difflib import get_close_matches
from pathlib import Path

from batchgen.errors import UsageError
from batchgen.redact import Secret

KEY_VARIABLE = "SEGMIND_API_KEY"
KEY_FILE_VARIABLE = "SEGMIND_API_KEY_FILE"
SUFFIXES = (".yaml", ".yml")
#: Manifests that an error names.
_LISTED = 12
#: What a folder has in it that a batch has run in.
LEDGER = "ledger.db"
#: Characters that are read of a key file: an endless device is no key.
_LONGEST_KEY = 4096


def find_manifest(arg: str) -> Path:
    """Find the manifest that a path or a batch's name (`night` → `jobs/night.yaml`) means.

    Raises:
        UsageError: there is none; the message says where it was looked for.
    """
    path = Path(arg)
    named = [Path("jobs") / f"{arg}{suffix}" for suffix in SUFFIXES]
    tried = [path, *(Path(f"{arg}{suffix}") for suffix in SUFFIXES), *named]
    for candidate in tried:
        if candidate.is_file():
            return candidate
    if path.is_dir():
        raise UsageError(f"{arg} is a folder", tip="name its manifest, as in `batchgen run jobs/night.yaml`")
    there = {found.stem if folder == "jobs" else str(found): found for folder in ("jobs", ".", "examples")
             for found in sorted(Path(folder).glob("*.y*ml"))}  # fmt: skip
    stems = {found.stem: name for name, found in reversed(there.items())}
    near = get_close_matches(path.stem, stems, n=1)
    what = f"there is no manifest {shlex.quote(arg)}"
    if near:
        raise UsageError(what, tip=f"did you mean {shlex.quote(stems[near[0]])}?")
    listed = ", ".join(map(shlex.quote, [*there][:_LISTED])) + (", …" if len(there) > _LISTED else "")
    raise UsageError(
        f"{what}; {f'there are: {listed}' if there else 'and there is none in jobs/, here, or in examples/'}",
        tip=f"`batchgen init {shlex.quote(path.stem)}` writes one",
    )


def batch_folder(manifest: Path, *, sandbox: bool = False) -> Path:
    """Name the batch folder of a manifest: next to it, with the same name.

    A link to a manifest is that manifest: one batch. A batch that an earlier release began next to the link is used.

    Raises:
        UsageError: there is a batch next to the link, and one next to its manifest.
    """
    ending = ".sandbox" if sandbox else ""
    by_name = manifest.with_name(manifest.stem + ending)
    if not manifest.is_symlink():
        return by_name
    target = manifest.resolve()
    real = target.with_name(target.stem + ending)
    begun = [folder for folder in (real, by_name) if (folder / LEDGER).exists()]
    if len(begun) > 1 and not real.samefile(by_name):
        raise UsageError(f"{manifest} has two batches: {real} and {by_name.absolute()}", tip="choose one with --dir")
    return begun[0] if begun else real


def find_key(manifest_folder: Path) -> Secret | None:
    """Find the API key: the environment, a key file, or `.env` next to the manifest or in the working folder.

    Raises:
        UsageError: the key file, or a `.env`, can't be read.
    """
    if key := os.environ.get(KEY_VARIABLE, "").strip():
        return Secret(key)
    if name := os.environ.get(KEY_FILE_VARIABLE, ""):
        return _key_of_file(name)
    for folder in (manifest_folder, Path.cwd()):
        env = folder / ".env"
        if env.is_file() and (key := _key_of_dotenv(env)):
            return Secret(key)
    return None


def _key_of_file(name: str) -> Secret:
    try:
        with Path(name).expanduser().open(encoding="utf-8") as file:
            return Secret(file.read(_LONGEST_KEY).strip())
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"{KEY_FILE_VARIABLE}: {name} can't be read: {error}") from None


def _key_of_dotenv(env: Path) -> str:
    from dotenv import dotenv_values

    try:
        return (dotenv_values(env, interpolate=False).get(KEY_VARIABLE) or "").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"{env}: can't be read: {error}") from None
