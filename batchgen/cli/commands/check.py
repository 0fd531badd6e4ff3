"""`batchgen check`: is the manifest sound, and everything that it names? Spends nothing, writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import common
from batchgen.errors import ManifestError

if TYPE_CHECKING:
    from batchgen.errors import Fault


@click.command("check")
@common.manifest_argument
@common.json_option
def check(manifest: str, *, as_json: bool) -> None:
    """Check a manifest and every file that it names; all faults at once, with file, line and column.

    Exit code 0 when it can run (warnings are told), 2 when not.
    """
    from batchgen import manifest as manifests
    from batchgen.settings import find_manifest
    from batchgen.views.text import plural

    path = find_manifest(manifest)
    try:
        read = manifests.load(path)
    except ManifestError as error:
        if as_json:
            common.put(
                common.json_text({"schema_version": 1, "ok": False, "faults": _faults(error.faults), "warnings": []})
            )
        raise
    if as_json:
        warnings = _faults(read.warnings)
        obj = {"schema_version": 1, "ok": True, "clips": len(read.wanted), "faults": [], "warnings": warnings}
        common.put(common.json_text(obj))
        return
    for warning in read.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{path.name} is sound: {plural(len(read.wanted), 'clip')}, {plural(len(read.warnings), 'warning')}.")
    click.echo(f"Next: batchgen plan {manifest}")


def _faults(faults: list[Fault]) -> list[dict[str, Any]]:
    return [
        {"file": fault.file, "line": fault.line, "column": fault.column, "what": fault.what, "mend": fault.fix}
        for fault in faults
    ]
