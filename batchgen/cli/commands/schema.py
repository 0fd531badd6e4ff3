"""`batchgen schema`: the manifest's JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path

import rich_click as click

from batchgen.cli import output


@click.command("schema")
def schema() -> None:
    """Print the JSON Schema of the manifest (draft-07), for editors and other tools.

    It has the built-in models, and those of jobs/models/.
    """
    from batchgen import manifest as manifests
    from batchgen.providers.models import FOLDER, Catalogue

    known = Catalogue(Path("jobs") / FOLDER)
    output.put(json.dumps(manifests.json_schema(known), ensure_ascii=False, indent=2))
