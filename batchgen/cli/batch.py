"""How a command finds and opens a batch: its folder, and for commands that are no run, its session."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchgen.errors import UsageError
from batchgen.ledger import SANDBOX_ORIGIN

if TYPE_CHECKING:
    from batchgen.ledger.reader import Reader
    from batchgen.runner.session import Session


def ledger_folder(manifest: str, folder: Path | None, *, sandbox: bool) -> Path:
    """Find the folder of a batch that has run, by its manifest, its name, or `--dir`.

    The YAML is not read, and need not exist any more.

    Raises:
        UsageError: there is no ledger where it should be.
    """
    from batchgen.ledger.integrity import LastSeen
    from batchgen.ledger.reader import Reader
    from batchgen.locate import find_manifest

    candidates = [folder] if folder else _candidates(manifest, sandbox=sandbox)
    for candidate in candidates:
        if Reader.exists(candidate) or LastSeen.of(candidate, None):
            return candidate
    if not folder:
        find_manifest(manifest)  # without one either, the name is misspelt: its error names the nearest
    tried = ", ".join(str(candidate) for candidate in candidates)
    start = command_line("run", manifest, folder, sandbox=True)
    raise UsageError(f"{manifest or folder} has not been run yet (no ledger in {tried}). Start with: {start}")


def _candidates(manifest: str, *, sandbox: bool) -> list[Path]:
    from batchgen.locate import batch_folder, find_manifest

    path = Path(manifest)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        base = path.absolute()
    else:
        try:
            base = find_manifest(manifest)
        except UsageError:
            base = Path(f"{(path if path.is_dir() else Path('jobs') / manifest).absolute()}.yaml")
    real, tried = batch_folder(base), batch_folder(base, sandbox=True)
    return [tried] if sandbox else [real, tried]


def is_sandbox(ledger: Reader) -> bool:
    """True if a batch is the sandbox's: further commands about it need `--sandbox`."""
    return ledger.meta("origin") == SANDBOX_ORIGIN


def command_line(verb: str, manifest: str, folder: Path | None = None, *, sandbox: bool = False) -> str:
    """Write a command to type next, with the options that it needs to mean the same batch."""
    options = [*(["--sandbox"] if sandbox else []), *(["--dir", str(folder)] if folder else [])]
    return shlex.join(["batchgen", verb, *([manifest] if manifest else []), *options])


@contextmanager
def opened(arg: str, folder: Path | None, given: Mapping[str, Any], *, verbosity: int) -> Iterator[Session]:
    """Hold a batch for a command that is no run; its origin is that of the batch, unless another is named.

    Raises:
        UsageError, LockedError, LedgerError: see `Session`.
    """
    from batchgen import manifest as manifests
    from batchgen.locate import find_key, find_manifest
    from batchgen.redact import Redactor
    from batchgen.runner.session import Session
    from batchgen.settings import merge, read_config
    from batchgen.views.log import setup_logging

    path = find_manifest(arg)
    where = ledger_folder(arg, folder, sandbox=bool(given.get("sandbox"))).absolute()
    given = {**given, **_origin(where, given)}
    key = None if given.get("sandbox") else find_key(path.parent)
    redact = Redactor([key.get_secret_value()] if key else []).redact
    setup_logging(verbosity, redact, sys.stderr)
    manifest = manifests.load(path)
    session = Session.open(manifest, where, merge(given, manifest, read_config()), key)
    try:
        yield session
    finally:
        session.close()


def _origin(folder: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    from batchgen.ledger.reader import Reader

    if given.get("base_url") or given.get("sandbox"):
        return {}
    reader = Reader(folder)
    try:
        origin = reader.meta("origin")
    finally:
        reader.close()
    return {"sandbox": True} if origin == SANDBOX_ORIGIN else {"base_url": origin}
