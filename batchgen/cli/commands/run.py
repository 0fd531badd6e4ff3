"""`batchgen run`: generate every missing clip, or go on where the last run ended."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import rich_click as click

from batchgen.cli import candidates, output
from batchgen.cli.error_text import status_fields
from batchgen.cli.options import (
    PACE,
    SANDBOX,
    TROUBLE,
    Finite,
    cap_options,
    folder_option,
    history_settle_option,
    in_flight_option,
    json_option,
    latency_option,
    night_options,
    only_option,
    resubmit_options,
    rpm_option,
    service_options,
    usd_amount,
    verbosity_options,
    yes_option,
)
from batchgen.errors import UsageError


@click.command("run")
@click.option_panel("Options")  # of everyday, before the other groups
@click.argument("manifest", metavar="MANIFEST...", nargs=-1, required=True, shell_complete=candidates.batches)
@folder_option
@click.option("--sandbox", is_flag=True, help="Use the stand-in service: no key, no money, real MP4s.")
@service_options
@click.option("--upload-url", envvar="SEGMIND_UPLOAD_URL", hidden=True)
@yes_option
@click.option("--dry-run", is_flag=True, help="Show what it would do and cost, as `plan` does.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Submit at most N clips.")
@only_option(planned=True)
@click.option(
    "--plan",
    "plan_file",
    envvar="BATCHGEN_PLAN",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Run a saved plan; fails if anything changed.",
)
@json_option
@verbosity_options
@cap_options
@night_options
@rpm_option
@in_flight_option
@click.option("--downloads", type=click.IntRange(1), metavar="N", panel=PACE, help="Downloads at once. [default: 8]")
@latency_option
@click.option(
    "--grace",
    type=Finite(0),
    metavar="SECONDS",
    panel=PACE,
    help="Keep downloading after Ctrl-C. [default: 5]",
)
@click.option(
    "--no-wait",
    is_flag=True,
    panel=PACE,
    help="Outside the window's hours, end with code 4.",
)
@click.option("--awake", is_flag=True, panel=PACE, help="Keep this machine awake during the run.")
@click.option("--drain", is_flag=True, default=None, panel=PACE, help="After Ctrl-C, wait for all clips in flight.")
@click.option(
    "--deadline",
    type=Finite(1),
    metavar="SECONDS",
    panel=PACE,
    help="Give a clip up after this long. [default: 3300]",
)
@click.option(
    "--give-up",
    type=Finite(0),
    metavar="SECONDS",
    panel=PACE,
    help="Stop after an outage this long. [default: 7200]",
)
@resubmit_options
@history_settle_option
@click.option(
    "--moved",
    is_flag=True,
    default=None,
    panel=TROUBLE,
    help="Accept a new manifest path, API key or URL.",
)
@click.option(
    "--trust-recovery",
    is_flag=True,
    default=None,
    panel=TROUBLE,
    help="After `recover`: skip the check of the history.",
)
@click.option(
    "--sandbox-latency",
    type=Finite(0),
    metavar="SECONDS",
    panel=SANDBOX,
    help="Run time of a sandbox job. [default: 2]",
)
@click.option(
    "--sandbox-credits",
    callback=usd_amount,
    metavar="USD",
    panel=SANDBOX,
    help="Credits in the sandbox account. [default: 10000]",
)
@click.option(
    "--fault",
    "faults",
    envvar="BATCHGEN_FAULT",
    multiple=True,
    metavar="NAME=RATE",
    shell_complete=candidates.faults,
    panel=SANDBOX,
    help="Make it misbehave; see `sandbox --help`.",
)
@click.pass_context
def run(ctx: click.RichContext, /, manifest: tuple[str, ...], folder: Path | None, *, sandbox: bool, yes: bool,
        as_json: bool, verbose: int, quiet: bool, no_wait: bool, awake: bool, faults: tuple[str, ...],
        plan_file: Path | None, dry_run: bool, **given: Any) -> None:  # noqa: ANN401 - the settings, by name  # fmt: skip
    """Generate every missing clip of the manifest. Safe to run again: it resumes.

    Clips already paid for are collected first; nothing is paid for twice. The first Ctrl-C stops submitting and
    keeps downloading, the second quits now. With --plan only the clips of the saved plan are submitted, under its caps.
    Several manifests run one after the other, with one summary.

    Exit codes: 0 all that was asked for is done, 2 usage or manifest, 3 some clips failed, 4 stopped early (run again),
    5 some clips need your decision, 6 another run holds the batch, 130 interrupted, 143 terminated.
    """
    from batchgen.cli.awake import kept
    from batchgen.cli.monitor import RunMonitor
    from batchgen.cli.nights import Nights
    from batchgen.cli.one_run import run_one, terminated

    _refuse(manifest, folder, plan_file, faults, sandbox=sandbox, dry_run=dry_run)
    if dry_run:
        _plan_instead(ctx, manifest[0])
        return
    output.CommandAnswer.current().describe = status_fields(manifest[0], folder, sandbox=sandbox)
    given |= {"sandbox": sandbox or None, "sandbox_faults": ",".join(faults) or None, "wait": not no_wait}
    # Until the event loop takes the signals over, SIGTERM ends it as Ctrl-C does: with its object and its code.
    signal.signal(signal.SIGTERM, terminated)
    verbosity = -1 if quiet else verbose
    monitor = RunMonitor(manifest[0], folder, verbosity=verbosity, as_json=as_json)
    with kept(monitor.say) if awake else nullcontext():
        if len(manifest) > 1 or given["max_usd_together"] is not None:
            code = Nights(manifest, given, verbosity=verbosity, as_json=as_json, folder=folder).run(yes=yes)
        else:
            del given["max_usd_together"]
            with monitor.observing():
                code = run_one(monitor, manifest[0], folder, given, yes=yes, plan_file=plan_file).exit_code
    sys.exit(code)


def _refuse(
    manifests: Sequence[str],
    folder: Path | None,
    plan_file: Path | None,
    faults: Sequence[str],
    *,
    sandbox: bool,
    dry_run: bool,
) -> None:
    """Refuse what does not go together. Raises UsageError."""
    if faults and not sandbox:
        raise UsageError("--fault needs --sandbox")
    if dry_run and plan_file:
        raise UsageError("--dry-run goes without --plan", tip="`batchgen plan --show FILE` shows a saved plan")
    if len(manifests) == 1:
        return
    for option, is_given in (("--dir", folder), ("--plan", plan_file), ("--dry-run", dry_run)):
        if is_given:
            raise UsageError(f"{option} goes with one manifest only")
    if twice := next((name for name, count in Counter(manifests).items() if count > 1), None):
        raise UsageError(f"{twice} is named twice")


def _plan_instead(ctx: click.RichContext, manifest: str) -> None:
    """Do what `plan` does, with the options that both have."""
    from batchgen.cli.commands.plan import plan

    both = {param.name for param in plan.params} & ctx.params.keys()
    ctx.invoke(plan, **{name: ctx.params[name] for name in both} | {"manifest": manifest})
