"""How a command opens a batch: manifest, settings, key, session; the same steps for all."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchgen import manifest as manifests
from batchgen.cli import common
from batchgen.ledger import Reader
from batchgen.planning.inputs import SANDBOX_ORIGIN
from batchgen.redact import Redactor
from batchgen.runner.session import Session
from batchgen.settings import find_key, find_manifest, merge, read_config
from batchgen.views.log import setup_logging


@contextmanager
def opened(arg: str, folder: Path | None, given: Mapping[str, Any], *, verbosity: int) -> Iterator[Session]:
    """Hold a batch for a command that is no run; its origin is that of the batch, unless another is named.

    Raises:
        UsageError, LockedError, LedgerError: see `Session`.
    """
    path = find_manifest(arg)
    where = common.ledger_folder(arg, folder, sandbox=bool(given.get("sandbox"))).absolute()
    given = {**given, **_origin(where, given)}
    sandbox = bool(given.get("sandbox"))
    key = None if sandbox else find_key(path.parent)
    redact = Redactor([key.get_secret_value()] if key else []).redact
    setup_logging(verbosity, redact, sys.stderr)
    manifest = manifests.load(path)
    session = Session(manifest, where, merge(given, manifest, read_config()), key)
    try:
        yield session
    finally:
        session.close()


def _origin(folder: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    if given.get("base_url") or given.get("sandbox"):
        return {}
    reader = Reader(folder)
    try:
        origin = reader.meta("origin")
    finally:
        reader.close()
    return {"sandbox": True} if origin == SANDBOX_ORIGIN else {"base_url": origin}
