"""`batchgen plan`: what a run would make, cost and take. Writes nothing."""

from __future__ import annotations

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
@common.json_option
def plan(
    manifest: str,
    folder: Path | None,
    *,
    sandbox: bool,
    rpm: float | None,
    in_flight: int | None,
    expect_latency: float | None,
    as_json: bool,
    **caps: Any,  # noqa: ANN401 - by `Settings`' names
) -> None:
    """Show what a run would make, what it would cost (estimated), and how long it would take.

    The manifest is held against the batch's ledger: only what is new would be submitted. Writes nothing.
    """
    from batchgen import manifest as manifests
    from batchgen.estimate import plan_folder
    from batchgen.settings import batch_folder, find_manifest, merge, read_config
    from batchgen.views.plan import plan_object, plan_text

    path = find_manifest(manifest)
    read = manifests.load(path)
    for warning in read.warnings:
        click.echo(f"warning: {warning}", err=True)
    given = {**caps, "rpm": rpm, "in_flight": in_flight, "expect_latency": expect_latency}
    settings = merge({**given, "sandbox": sandbox or None}, read, read_config())
    made = plan_folder(read, settings, (folder or batch_folder(path, sandbox=sandbox)).absolute())
    common.answer(
        plan_object(made), lambda: plan_text(made, common.width(), ascii=common.plain_ascii()), as_json=as_json
    )
