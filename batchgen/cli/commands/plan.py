"""`batchgen plan`: what a run would do and why, what it would cost and take. Writes nothing but `--out FILE`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

import rich_click as click

from batchgen.cli import output
from batchgen.cli.batch import command_line
from batchgen.cli.error_text import unmatched_text
from batchgen.cli.options import (
    base_url_option,
    cap_options,
    folder_option,
    in_flight_option,
    json_option,
    latency_option,
    manifest_argument,
    resubmit_options,
    rpm_option,
    sandbox_option,
)


@click.command("plan")
@click.option_panel("Options")  # of everyday, before the other groups
@manifest_argument
@folder_option
@sandbox_option
@cap_options
@rpm_option
@in_flight_option
@latency_option
@resubmit_options
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Plan a run that submits at most N clips.")
@click.option("--only", metavar="GLOB", help="Only clips whose id or name matches, as in 'singer*'.")
@base_url_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Save the plan, for `run --plan FILE`.",
)
@json_option
@click.option("-v", "--verbose", is_flag=True, help="List every clip.")
def plan(
    manifest: str,
    folder: Path | None,
    *,
    sandbox: bool,
    as_json: bool,
    verbose: bool,
    out: Path | None,
    **given: Any,  # noqa: ANN401 - the settings, by name
) -> None:
    """Show what a run would generate and why, what it would cost (estimated) and how long it would take.

    Compares the manifest with the batch's ledger: + is generated and paid for, ~ was changed, = is kept. Free.
    """
    from batchgen import manifest as manifests
    from batchgen.locate import batch_folder, find_manifest
    from batchgen.planning.inputs import plan_of, snapshot_in, start_in, wanted_in
    from batchgen.planning.saved_files import write_plan
    from batchgen.settings import merge, read_config
    from batchgen.views.plan import plan_object, plan_text

    path = find_manifest(manifest)
    read = manifests.load(path)
    settings = merge({**given, "sandbox": sandbox or None}, read, read_config())
    where = (folder or batch_folder(path, sandbox=sandbox)).absolute()
    seen = snapshot_in(where)
    for line in [
        *(f"warning: {text}" for text in read.warnings),
        *unmatched_text(given["only"], wanted_in(read, seen)),
    ]:
        click.echo(line, err=True)
    made = plan_of(read, settings, seen, folder=where, each_clip=verbose, start=start_in(read, settings, seen))
    obj, ending = plan_object(made), ""
    run_it = command_line("run", manifest, folder, sandbox=sandbox)
    if made.keys.submit:
        ending = f"\n\nNext: {run_it}"
    if out:
        saved = write_plan(out, made, read, settings, seen, where)
        obj |= {"saved": {"file": str(out), "sha256": saved.sha256}}
        ending = f"\n\nSaved. To run exactly this plan, without a question:\n  {run_it} --plan {shlex.quote(str(out))}"

    def text() -> str:
        ascii_only, colour = output.plain_ascii(), output.coloured()
        return plan_text(made, output.width(), ascii=ascii_only, colour=colour, now=time.time()) + ending

    output.answer(obj, text, as_json=as_json)
