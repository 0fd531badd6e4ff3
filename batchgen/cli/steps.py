"""How a command opens a batch: manifest, settings, key, session; the same steps for all."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchgen import manifest as manifests
from batchgen.redact import Redactor
from batchgen.session import Session
from batchgen.settings import batch_folder, find_key, find_manifest, merge, read_config
from batchgen.views.log import setup_logging


@contextmanager
def opened(arg: str, folder: Path | None, given: Mapping[str, Any], *, verbosity: int) -> Iterator[Session]:
    """Hold a batch for a command that is no run.

    Raises:
        UsageError, LockedError, LedgerError: see `Session`.
    """
    path = find_manifest(arg)
    sandbox = bool(given.get("sandbox"))
    key = None if sandbox else find_key(path.parent)
    redact = Redactor([key.get_secret_value()] if key else []).redact
    setup_logging(verbosity, redact, sys.stderr)
    manifest = manifests.load(path)
    where = (folder or batch_folder(path, sandbox=sandbox)).absolute()
    session = Session(manifest, where, merge(given, manifest, read_config()), key)
    try:
        yield session
    finally:
        session.close()
