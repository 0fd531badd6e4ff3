"""`batchgen init`: an example manifest to start from, and its schema for editors."""

from __future__ import annotations

import json
from pathlib import Path

import rich_click as click

from batchgen.cli import output
from batchgen.cli.batch import command_line
from batchgen.errors import OutputError, UsageError
from batchgen.files.output_file import written


@click.command("init")
@click.argument("name", metavar="NAME")
@click.option("--force", is_flag=True, help="Overwrite an existing manifest.")
def init(name: str, *, force: bool) -> None:
    """Write an annotated example manifest, jobs/NAME.yaml, and batchgen.schema.json next to it for your editor.

    NAME may also be a path that ends in .yaml.
    """
    from batchgen import manifest as manifests
    from batchgen.providers.models import Catalogue

    path = Path(name) if name.endswith((".yaml", ".yml")) else Path("jobs") / f"{name}.yaml"
    if path.exists() and not force:
        raise UsageError(f"{path} already exists", tip="choose another name, or pass --force to overwrite it")
    text = manifests.template(path.stem)
    known = Catalogue.of_manifest(path)
    schema = json.dumps(manifests.json_schema(known), ensure_ascii=False, indent=2) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError.of(path.parent, error) from None
    for target, content in ((path, text), (path.parent / "batchgen.schema.json", schema)):
        with written(target) as file:
            file.write(content.encode())
    lines = (
        f"Wrote {path} and {path.parent / 'batchgen.schema.json'}.",
        f"Next: edit it, then {command_line('check', str(path))}",
        f"Or try it free: {command_line('run', str(path), sandbox=True)}",
    )
    output.put("\n".join(lines))
