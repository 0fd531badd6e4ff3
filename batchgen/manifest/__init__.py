"""The manifest: YAML text → wanted clips, all faults at once, nothing spent.

Read in this order: values (what comes out), walk (the way through it), yaml_strict, schema and shape (the file),
files, tables, matrix, templates, params, takes, keys (the parts), expand and naming (put together).
"""

from __future__ import annotations

from pathlib import Path

from batchgen.manifest.model import BudgetLimits, Limits, Manifest, Window
from batchgen.providers.models import Prices

__all__ = ["BudgetLimits", "Limits", "Manifest", "Prices", "Window", "json_schema", "load", "template"]


def load(path: Path) -> Manifest:
    """Read, check and expand a manifest; it and its files are read, nothing is written or sent.

    Raises:
        ManifestError: with all faults, each as `file:line:column: what: how to mend it`.
    """
    from batchgen.manifest.loader import load_manifest

    return load_manifest(path)


def json_schema() -> dict[str, object]:
    """Return the manifest's JSON Schema (draft-07) for editors, every field described."""
    from batchgen.manifest.scaffold import json_schema as schema

    return schema()


def template(name: str) -> str:
    """Return the annotated manifest that `batchgen init` writes for a batch of this name."""
    from batchgen.manifest.scaffold import starter

    return starter(name)
