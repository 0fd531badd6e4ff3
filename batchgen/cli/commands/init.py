"""`batchgen init`: an example manifest to start from, and its schema for editors."""

from __future__ import annotations

import json
from pathlib import Path

import rich_click as click

from batchgen.cli.batch import command_line
from batchgen.errors import UsageError


@click.command("init")
@click.argument("name", metavar="NAME")
@click.option("--force", is_flag=True, help="Overwrite an existing manifest.")
def init(name: str, *, force: bool) -> None:
    """Write an annotated example manifest, jobs/NAME.yaml, and batchgen.schema.json next to it for your editor.

    NAME may also be a path that ends in .yaml.
    """
    from batchgen import manifest as manifests

    path = Path(name) if name.endswith((".yaml", ".yml")) else Path("jobs") / f"{name}.yaml"
    if path.exists() and not force:
        raise UsageError(f"{path} already exists", tip="choose another name, or pass --force to overwrite it")
    text = manifests.template(path.stem)
    schema = json.dumps(manifests.json_schema(), ensure_ascii=False, indent=2) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        (path.parent / "batchgen.schema.json").write_text(schema, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    click.echo(f"Wrote {path} and {path.parent / 'batchgen.schema.json'}.")
    click.echo(f"Next: edit it, then {command_line('check', str(path))}")
    click.echo(f"Or try it free: {command_line('run', str(path), sandbox=True)}")
