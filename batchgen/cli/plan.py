"""`batchgen plan`: what a run would make, cost and take. Writes nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import rich_click as click

from batchgen.cli import common
from batchgen.cli.caps import cap_options


@click.command("plan")
@common.manifest_argument
@common.folder_option
@common.sandbox_option
@cap_options
@click.option("--rpm", type=click.FloatRange(0), metavar="N", help="API calls a minute; 0: no limit.")
@click.option("--in-flight", type=click.IntRange(1), metavar="N", help="Clips at the service at once, at most.")
@click.option("--expect-latency", type=click.FloatRange(0), metavar="SECONDS", help="The model's run time.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Plan a run that submits at most N clips.")
@click.option("--only", metavar="ID-GLOB", help="Plan a run of the clips whose id or name fits, as in 'singer*'.")
@click.option(
    "--resubmit-unconfirmed", is_flag=True, default=None, help="Plan what that option of run would make again."
)
@click.option("--resubmit-lost", is_flag=True, default=None, help="Plan what that option of run would make again.")
@common.json_option
@click.option("-v", "--verbose", is_flag=True, help="List every clip.")
def plan(
    manifest: str,
    folder: Path | None,
    *,
    sandbox: bool,
    as_json: bool,
    verbose: bool,
    **given: Any,  # noqa: ANN401 - the settings, by name
) -> None:
    """Show what a run would do with each clip and why, what it would cost (estimated), and how long it would take.

    The manifest is held against the batch's ledger: + is made and paid for, ~ is changed, = is kept. Spends nothing.
    """
    from batchgen import manifest as manifests
    from batchgen.estimate import plan_folder
    from batchgen.settings import batch_folder, find_manifest, merge, read_config
    from batchgen.views.plan import plan_object, plan_text

    path = find_manifest(manifest)
    read = manifests.load(path)
    for warning in read.warnings:
        click.echo(f"warning: {warning}", err=True)
    settings = merge({**given, "sandbox": sandbox or None}, read, read_config())
    where = (folder or batch_folder(path, sandbox=sandbox)).absolute()
    made = plan_folder(read, settings, where, each_clip=verbose)
    common.answer(
        plan_object(made),
        lambda: plan_text(made, common.width(), ascii=common.plain_ascii(), colour=common.coloured(), now=time.time()),
        as_json=as_json,
    )
