"""`batchgen verify`: check the files; what is missing or damaged is downloaded again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import rich_click as click

from batchgen.cli import output
from batchgen.cli.batch import opened
from batchgen.cli.options import (
    base_url_option,
    folder_option,
    json_option,
    manifest_argument,
    sandbox_option,
    verbosity_options,
)


@click.command("verify")
@manifest_argument
@folder_option
@sandbox_option
@base_url_option
@click.option("--deep", is_flag=True, help="Also decode every frame (needs '.[media]').")
@json_option
@verbosity_options
def verify(
    manifest: str,
    folder: Path | None,
    *,
    sandbox: bool,
    base_url: str | None,
    deep: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Check every finished clip: the file exists, is complete, and has not changed since its download.

    A damaged file is set aside, never deleted; flags and bad copies are listed. Missing files are downloaded again as
    long as the service keeps them (seven days), which is free. Nothing is ever submitted. `--deep` also names what to
    watch first: black or frozen stretches, hard cuts, black bars, silence, takes that look alike. It rejects nothing.
    """
    from importlib.util import find_spec

    from batchgen.files.findings import KeptFindings
    from batchgen.files.verify import kept_aside, worth_watching
    from batchgen.views.kept import found_lines, kept_lines, kept_object
    from batchgen.views.text import plural

    if deep and not find_spec("av"):
        raise click.UsageError("--deep decodes films, and PyAV is not installed: pip install '.[media]'")
    given = {"sandbox": sandbox or None, "base_url": base_url, "collect_only": True}
    with opened(manifest, folder, given, verbosity=-1 if quiet else verbose) as session:
        checked, bad, states = asyncio.run(session.verify(deep=deep))
        kept = kept_object(session.ledger.flagged(), kept_aside(session.folder / "clips"))
        found = worth_watching(session.ledger.clips(), KeptFindings(session.folder)) if deep else {}
    rows = [{"clip": name, "reason": reason, "now": str(states[name])} for name, reason in bad.items()]

    def text() -> str:
        lines = [f"{row['clip']}: {row['reason']} → {row['now']}" for row in rows]
        back = sum(row["now"] == "done" for row in rows)
        summary = f"Checked {plural(checked, 'file')}: {checked - len(rows):,} intact, {back:,} downloaded again."
        return "\n".join([*lines, summary, *kept_lines(kept, output.width()), *found_lines(found, output.width())])

    obj = {"schema_version": 1, "checked": checked, "sound": checked - len(rows), "clips": rows, **kept}
    if deep:
        obj["found"] = [{"clip": name, "flags": flags} for name, flags in found.items()]
    output.answer(obj, text, as_json=as_json)
