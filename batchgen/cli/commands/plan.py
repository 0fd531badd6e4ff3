"""`batchgen plan`: what a run would do and why, what it would cost and take. Writes nothing but `--out FILE`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

import rich_click as click

from batchgen.cli import common
from batchgen.cli.options import cap_options


@click.command("plan")
@common.manifest_argument
@common.folder_option
@common.sandbox_option
@cap_options
@click.option("--rpm", type=common.Finite(0), metavar="N", help="API calls a minute; 0: no limit.")
@click.option("--in-flight", type=click.IntRange(1), metavar="N", help="Clips at the service at once, at most.")
@click.option("--expect-latency", type=common.Finite(0), metavar="SECONDS", help="The model's run time.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Plan a run that submits at most N clips.")
@click.option("--only", metavar="ID-GLOB", help="Plan a run of the clips whose id or name fits, as in 'singer*'.")
@click.option(
    "--resubmit-unconfirmed", is_flag=True, default=None, help="Plan what that option of run would make again."
)
@click.option("--resubmit-lost", is_flag=True, default=None, help="Plan what that option of run would make again.")
@click.option("--base-url", envvar="SEGMIND_BASE_URL", help="Plan a run at another origin.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the plan to a file, for `run --plan FILE` to do exactly this.",
)
@common.json_option
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
    """Show what a run would do with each clip and why, what it would cost (estimated), and how long it would take.

    The manifest is held against the batch's ledger: + is made and paid for, ~ is changed, = is kept. Spends nothing.
    """
    from batchgen import manifest as manifests
    from batchgen.planning.inputs import plan_of, snapshot_in, start_in
    from batchgen.planning.saved_files import write_plan
    from batchgen.settings import batch_folder, find_manifest, merge, read_config
    from batchgen.views.plan import plan_object, plan_text

    path = find_manifest(manifest)
    read = manifests.load(path)
    for warning in read.warnings:
        click.echo(f"warning: {warning}", err=True)
    settings = merge({**given, "sandbox": sandbox or None}, read, read_config())
    where = (folder or batch_folder(path, sandbox=sandbox)).absolute()
    seen = snapshot_in(where)
    made = plan_of(read, settings, seen, folder=where, each_clip=verbose, start=start_in(read, settings, seen))
    obj, told = plan_object(made), ""
    if out:
        saved = write_plan(out, made, read, settings, seen, where)
        obj |= {"saved": {"file": str(out), "sha256": saved.sha256}}
        again = f"{common.command_line('run', manifest, folder, sandbox=sandbox)} --plan {shlex.quote(str(out))}"
        told = f"\n\nSaved. This does exactly what stands above, and does not ask:\n  {again}"

    def text() -> str:
        ascii_only, colour = common.plain_ascii(), common.coloured()
        return plan_text(made, common.width(), ascii=ascii_only, colour=colour, now=time.time()) + told

    common.answer(obj, text, as_json=as_json)
