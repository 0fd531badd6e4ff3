"""`batchgen schema`: the manifest's JSON Schema."""

from __future__ import annotations

import json

import rich_click as click

from batchgen.cli import output


@click.command("schema")
def schema() -> None:
    """Print the JSON Schema of the manifest (draft-07), for editors and other tools."""
    from batchgen import manifest as manifests

    output.put(json.dumps(manifests.json_schema(), ensure_ascii=False, indent=2))
