"""`batchgen plan`: what a run would do and why, what it would cost and take. Writes nothing but `--out FILE`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import candidates, output
from batchgen.cli.batch import command_line
from batchgen.cli.error_text import check_only
from batchgen.cli.options import (
    base_url_option,
    cap_options,
    folder_option,
    in_flight_option,
    json_option,
    latency_option,
    only_option,
    options_as_typed,
    resubmit_options,
    rpm_option,
    sandbox_option,
)

if TYPE_CHECKING:
    from batchgen.planning import Plan
    from batchgen.planning.saved import Saved


@click.command("plan")
@click.option_panel("Options")  # of everyday, before the other groups
@click.argument("manifest", metavar="MANIFEST", required=False, shell_complete=candidates.batches)
@folder_option
@sandbox_option
@cap_options
@rpm_option
@in_flight_option
@latency_option
@resubmit_options
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Plan a run that submits at most N clips.")
@only_option(planned=True)
@base_url_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Save the plan, for `run --plan FILE`.",
)
@click.option(
    "--show",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Show a saved plan; MANIFEST is optional then.",
)
@json_option
@click.option("-v", "--verbose", is_flag=True, help="List every clip.")
def plan(
    manifest: str | None,
    folder: Path | None,
    *,
    sandbox: bool,
    as_json: bool,
    verbose: bool,
    out: Path | None,
    show: Path | None,
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

    if show is not None:
        _show(show, manifest, as_json=as_json)
        return
    if manifest is None:
        raise click.UsageError("missing argument 'MANIFEST'", click.get_current_context())
    path = find_manifest(manifest)
    read = manifests.load(path)
    settings = merge({**given, "sandbox": sandbox or None}, read, read_config())
    where = (folder or batch_folder(path, sandbox=sandbox)).absolute()
    seen = snapshot_in(where, read)
    warnings = [f"warning: {text}" for text in read.warnings]
    for line in [*warnings, *check_only(given["only"], [*wanted_in(read, seen), *seen.known])]:
        click.echo(line, err=True)
    made = plan_of(read, settings, seen, folder=where, each_clip=verbose, start=start_in(read, settings, seen))
    obj = plan_object(made, now=time.time())
    ending = _next(made, manifest, folder, [*(["--sandbox"] if sandbox else []), *options_as_typed(given)])
    if out:
        saved = write_plan(out, made, read, settings, seen, where)
        obj |= {"saved": {"file": str(out), "sha256": saved.sha256}}
        run_it = command_line("run", manifest, folder, sandbox=sandbox)
        ending = f"Saved. To run exactly this plan, without a question:\n  {run_it} --plan {shlex.quote(str(out))}"

    def text() -> str:
        ascii_only, colour = output.plain_ascii(), output.coloured()
        return plan_text(made, output.width(), ascii=ascii_only, colour=colour, now=time.time()) + f"\n\n{ending}"

    output.answer(obj, text, as_json=as_json)


def _next(made: Plan, manifest: str, folder: Path | None, options: list[str]) -> str:
    """Say what to type next: what this plan needs, with the options that it was made with."""
    from batchgen.planning import Action

    def line(verb: str, *more: str) -> str:
        where = ["--dir", str(folder)] if folder else []
        return shlex.join(["batchgen", verb, manifest, *where, *more])

    has = {step.action for step in made.steps if step.count}
    if made.keys.submit and has <= {Action.NEW, Action.LATER} and "--sandbox" not in options:
        rehearsal = line("run", "--sandbox")
        return f"Next: {line('run', *options)}\n      {rehearsal}  (a rehearsal, free)"
    if made.keys.submit or Action.IN_FLIGHT in has:
        return f"Next: {line('run', *options)}"
    sandbox = [option for option in options if option == "--sandbox"]
    if has & {Action.UNCONFIRMED, Action.LOST}:
        return f"Next: {line('reconcile', *sandbox)}"
    if Action.FAILED in has:
        return f"Next: {line('retry', *sandbox)}"
    if Action.BLOCKED in has:
        return f"Next: edit the blocked prompts, or {line('retry', *sandbox, '--blocked', '--new-seed')}"
    return f"Nothing is left to do. The night in numbers: {line('report', *sandbox)}"


def _show(file: Path, manifest: str | None, *, as_json: bool) -> None:
    """Print a saved plan; the names of its clips come from the manifest, if it is found."""
    from batchgen import manifest as manifests
    from batchgen.locate import find_manifest
    from batchgen.planning.saved_files import manifest_of, read_plan
    from batchgen.views.saved_plan import saved_object, saved_text

    saved = read_plan(file)
    path = find_manifest(manifest) if manifest else manifest_of(saved, file)
    names = {clip.key: clip.name for clip in manifests.load(path).wanted} if path else {}
    ending = (
        f"Next: {_run_of(saved, manifest or str(path), path)} --plan {shlex.quote(str(file))}"
        if path
        else "Its manifest is not here, or was edited since: a run of this plan would be refused."
    )
    output.answer(
        saved_object(saved, names),
        lambda: saved_text(saved, names, output.width(), ascii=output.plain_ascii()) + f"\n\n{ending}",
        as_json=as_json,
    )


def _run_of(saved: Saved, manifest: str, path: Path) -> str:
    """Write the run of a saved plan: in its batch folder, and in the sandbox if it was made for that."""
    from batchgen.locate import batch_folder

    sandbox = bool(saved.basis.settings.get("sandbox"))
    where = path.parent / saved.basis.folder
    usual = where.resolve() == batch_folder(path, sandbox=sandbox).resolve()
    return command_line("run", manifest, None if usual else where, sandbox=sandbox)
