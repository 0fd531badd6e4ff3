"""`batchgen check`: validate the manifest and the files it uses. Spends nothing, writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import output
from batchgen.cli.batch import command_line
from batchgen.cli.error_text import source_lines
from batchgen.cli.options import json_option, manifest_argument
from batchgen.errors import ManifestError

if TYPE_CHECKING:
    from batchgen.errors import Fault


@click.command("check")
@manifest_argument
@json_option
def check(manifest: str, *, as_json: bool) -> None:
    """Validate a manifest and the files it uses; all faults at once, with file, line and column.

    Exit code 0 when it can run (warnings are printed), 2 when not.
    """
    from batchgen import manifest as manifests
    from batchgen.locate import find_manifest
    from batchgen.views.text import plural

    path = find_manifest(manifest)
    try:
        read = manifests.load(path)
    except ManifestError as error:
        if as_json:
            output.put(
                output.json_text({"schema_version": 1, "ok": False, "faults": _faults(error.faults), "warnings": []})
            )
        raise
    if as_json:
        warnings = _faults(read.warnings)
        obj = {"schema_version": 1, "ok": True, "clips": len(read.wanted), "faults": [], "warnings": warnings}
        output.put(output.json_text(obj))
        return
    for warning in read.warnings:
        click.echo("\n".join([f"warning: {warning}", *source_lines(warning)]), err=True)
    noted = f", {plural(len(read.warnings), 'warning')}" if read.warnings else ""
    click.echo(f"{path.name} is valid: {plural(len(read.wanted), 'clip')}{noted}.")
    click.echo(f"Next: {command_line('plan', manifest)}")


def _faults(faults: list[Fault]) -> list[dict[str, Any]]:
    return [
        {"file": fault.file, "line": fault.line, "column": fault.column, "what": fault.what, "mend": fault.fix}
        for fault in faults
    ]
