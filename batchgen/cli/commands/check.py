"""`batchgen check`: validate the manifest and the files it uses. Spends nothing, writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rich_click as click

from batchgen.cli import output
from batchgen.cli.batch import command_line
from batchgen.cli.error_text import fault_object, source_lines
from batchgen.cli.options import json_option, manifest_argument


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
    output.CommandAnswer.current().describe = _refused
    read = manifests.load(path)
    for warning in read.warnings:
        output.note("\n".join([f"warning: {warning}", *source_lines(warning)]))
    obj = {
        "schema_version": 1,
        "ok": True,
        "clips": len(read.wanted),
        "faults": [],
        "warnings": [fault_object(warning) for warning in read.warnings],
    }

    def text() -> str:
        noted = f", {plural(len(read.warnings), 'warning')}" if read.warnings else ""
        valid = f"{path.name} is valid: {plural(len(read.wanted), 'clip')}{noted}."
        return f"{valid}\nNext: {command_line('plan', manifest)}"

    output.answer(obj, text, as_json=as_json)


def _refused(error: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema_version": 1, "ok": False, "faults": error["faults"], "warnings": []}
