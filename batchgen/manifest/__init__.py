"""The manifest: YAML text → wanted clips, with all faults at once; nothing is spent.

Reading order: `model` (what comes out), `loader` (the way from file to manifest), `faults` (with their positions, and
files as texts), `yaml_loader` and `yaml_causes` (text → plain values, and why it is none), `schema` and
`schema_check` (what may be written, and what was), `price_rows`, `repair` (so that the rest can be checked). Then
`expand` puts the parts of a prompt together: cells of the matrix (`prompt_source`), rows (`tables`), filled texts
(`templates`), checked `parameters` and `audio`, `model_names`, seeds and `keys` (and `older_keys`); `naming` gives
ids and file names. `rerolls` makes further takes of clips in a ledger; `scaffold` helps to write a manifest.
"""

from __future__ import annotations

from pathlib import Path

from batchgen.manifest.model import BudgetLimits, Limits, Manifest
from batchgen.providers.models import BUILT_IN, Catalogue, Prices
from batchgen.window import Window

__all__ = ["BudgetLimits", "Limits", "Manifest", "Prices", "Window", "json_schema", "load", "template"]


def load(path: Path) -> Manifest:
    """Read, check and expand a manifest; it and its files are read, nothing is written or sent.

    Raises:
        ManifestError: with all faults, each as `file:line:column: what: how to fix it`.
    """
    from batchgen.manifest.loader import load_manifest

    return load_manifest(path)


def json_schema(models: Catalogue = BUILT_IN) -> dict[str, object]:
    """Return the manifest's JSON Schema (draft-07) for editors, every field described."""
    from batchgen.manifest.scaffold import json_schema as schema

    return schema(models)


def template(name: str) -> str:
    """Return the annotated manifest that `batchgen init` writes for a batch of this name."""
    from batchgen.manifest.scaffold import starter

    return starter(name)
