"""`batchgen run`: generate every missing clip, or go on where the last run ended."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import candidates, output
from batchgen.cli.error_text import HasNames, check_only, status_fields
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
    manifest_argument,
    only_option,
    options_as_typed,
    resubmit_options,
    rpm_option,
    service_options,
    usd_amount,
    verbosity_options,
    yes_option,
)
from batchgen.errors import Exit, UsageError
from batchgen.views.text import plural

if TYPE_CHECKING:
    from batchgen.cli.monitor import RunMonitor
    from batchgen.planning import Plan
    from batchgen.runner.session import Outcome, Session
    from batchgen.settings import Settings

_WHILE_STOPPING = "no new clips; downloading finished ones (Ctrl-C again quits now)"
#: Objects that are made before the garbage collector runs; the usual 700 are a single clip's.
GARBAGE = 20_000
#: Of each worker thread (bytes); the usual 8 MB are too much where memory is limited, and threads don't recurse.
STACK = 2**20


@click.command("run")
@click.option_panel("Options")  # of everyday, before the other groups
@manifest_argument
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
def run(ctx: click.RichContext, /, manifest: str, folder: Path | None, *, sandbox: bool, yes: bool,
        as_json: bool, verbose: int, quiet: bool, faults: tuple[str, ...], plan_file: Path | None, dry_run: bool,
        **given: Any) -> None:  # noqa: ANN401 - the settings, by name  # fmt: skip
    """Generate every missing clip of the manifest. Safe to run again: it resumes.

    Clips already paid for are collected first; nothing is paid for twice. The first Ctrl-C stops submitting and
    keeps downloading, the second quits now. With --plan only the clips of the saved plan are submitted, under its caps.

    Exit codes: 0 all that was asked for is done, 2 usage or manifest, 3 some clips failed, 4 stopped early (run again),
    5 some clips need your decision, 6 another run holds the batch, 130 interrupted, 143 terminated.
    """
    from batchgen.cli.monitor import RunMonitor

    if dry_run:
        _plan_instead(ctx)
        return
    output.CommandAnswer.current().describe = status_fields(manifest, folder, sandbox=sandbox)
    given |= {"sandbox": sandbox or None, "sandbox_faults": ",".join(faults) or None}
    if faults and not sandbox:
        raise UsageError("--fault needs --sandbox")
    # Until the event loop takes the signals over, SIGTERM ends it as Ctrl-C does: with its object and its code.
    signal.signal(signal.SIGTERM, _terminated)
    monitor = RunMonitor(manifest, folder, verbosity=-1 if quiet else verbose, as_json=as_json)
    with monitor.observing():
        code = _run(monitor, manifest, folder, given, yes=yes, plan_file=plan_file)
    sys.exit(code)


def _plan_instead(ctx: click.RichContext) -> None:
    """Do what `plan` does, with the options that both have."""
    from batchgen.cli.commands.plan import plan

    if ctx.params["plan_file"]:
        raise UsageError("--dry-run goes without --plan", tip="`batchgen plan --show FILE` shows a saved plan")
    both = {param.name for param in plan.params} & ctx.params.keys()
    ctx.invoke(plan, **{name: ctx.params[name] for name in both})


def _terminated(_signum: int, _frame: object) -> None:
    sys.exit(Exit.TERMINATED)


def _run(
    monitor: RunMonitor, arg: str, folder: Path | None, given: dict[str, Any], *, yes: bool, plan_file: Path | None
) -> Exit:
    from batchgen import manifest as manifests
    from batchgen.locate import batch_folder, find_key, find_manifest
    from batchgen.planning import saved_files
    from batchgen.planning.inputs import snapshot, snapshot_in, wanted_in
    from batchgen.runner.session import Session
    from batchgen.settings import merge, read_config

    path = find_manifest(arg)
    saved = saved_files.read_plan(plan_file) if plan_file else None
    typed = options_as_typed(given, plan_file)
    if saved:
        given = saved_files.with_plan_settings(saved, given)
    folder = (folder or batch_folder(path, sandbox=bool(given["sandbox"]))).absolute()
    key = None if given["sandbox"] else find_key(path.parent)
    monitor.protect(key)
    manifest = manifests.load(path)
    seen = snapshot_in(folder) if given["only"] is not None else None
    asked: list[HasNames] = [*wanted_in(manifest, seen), *seen.known] if seen else []  # re-rolls are in the ledger only
    for line in [*(f"warning: {text}" for text in manifest.warnings), *check_only(given["only"], asked)]:
        monitor.say(line)
    settings = merge(given, manifest, read_config())
    if saved:
        saved_files.refuse_if_changed(saved, manifest, settings, snapshot_in(folder), folder)
    session = Session.open(manifest, folder, saved_files.restricted_to(saved, settings) if saved else settings, key)
    try:
        session.ledger.remember("caps_said", json.dumps(typed))
        if saved:  # now that the batch is held, nothing can move any more
            saved_files.refuse_if_changed(saved, manifest, settings, snapshot(session.ledger), folder)
        monitor.attach(session)
        _share_pace(session, monitor)
        if not saved:
            _confirm(monitor, session, yes=yes)
        gc.freeze()  # what is loaded by now stays: the collector need not visit it again and again
        gc.set_threshold(GARBAGE)
        threading.stack_size(STACK)
        outcome = asyncio.run(_supervised(session, monitor, settings))
        monitor.finish(outcome)
    finally:
        session.close()
    return outcome.exit_code


def _share_pace(session: Session, monitor: RunMonitor) -> None:
    """Report who else uses the account's rate. Raises UsageError as `Session.share_pace` does."""
    session.share_pace()
    if others := "; ".join(session.pace.others):
        monitor.say(f"note: another run uses this API key on this machine: {others}. Their calls add up")


def _confirm(monitor: RunMonitor, session: Session, *, yes: bool) -> None:
    """Ask a person before the first paid call, with count, price and time; where nothing is to be paid, go on.

    The sandbox asks too, so that the question is rehearsed; where nobody can be asked, it goes on: it is free.

    Raises:
        UsageError: nobody can be asked, and `--yes` was not given; or the answer was no.
    """
    from batchgen.runner.alerts import shortage
    from batchgen.views.plan import plan_text

    sandbox = session.settings.sandbox
    if yes or (sandbox and not sys.stdin.isatty()):
        return
    plan, settings = session.plan(), session.settings
    if not (plan.keys.submit or settings.resubmit_lost or settings.resubmit_unconfirmed):
        return  # nothing to pay for
    free = "(sandbox, free)" if sandbox else "(estimated)"
    what = f"This run generates {plural(len(plan.keys.submit), 'clip')} {_price(plan)} {free}{_time(plan)}"
    if not sys.stdin.isatty():
        raise UsageError(
            f"cannot ask for confirmation: not a terminal. {what}", tip="pass --yes to run without a question"
        )
    monitor.say(plan_text(plan, output.width(), ascii=output.plain_ascii()))
    if not sandbox and (text := shortage(asyncio.run(session.credits()), plan.cost.total, unpriced=plan.cost.unpriced)):
        monitor.say(f"Warning: {text}")
    if not click.confirm(f"{what}. Continue?", err=True):
        raise UsageError("cancelled: nothing was submitted")


def _price(plan: Plan) -> str:
    from batchgen.money import usd

    if plan.cost.total is None:
        return "at an unknown price"
    more = f" and {plural(plan.cost.unpriced, 'clip')} of unknown price" if plan.cost.unpriced else ""
    return f"for about {usd(plan.cost.total)}{more}"


def _time(plan: Plan) -> str:
    from batchgen.wording import duration

    return "" if plan.seconds is None else f", in about {duration(plan.seconds)}"


async def _supervised(session: Session, monitor: RunMonitor, settings: Settings) -> Outcome:
    with _signals(session, settings, monitor):
        return await session.run(monitor.follow)


@contextmanager
def _signals(session: Session, settings: Settings, monitor: RunMonitor) -> Iterator[None]:
    """The first signal stops submissions, the second quits; an ignored SIGHUP stays ignored (nohup)."""
    loop = asyncio.get_running_loop()
    grace = float("inf") if settings.drain else settings.grace

    def stop(signum: signal.Signals) -> None:
        code = Exit.INTERRUPTED if signum is signal.SIGINT else Exit.TERMINATED
        word = "interrupted" if signum is signal.SIGINT else "terminated"
        again = session.shutdown.exit in (Exit.INTERRUPTED, Exit.TERMINATED)
        session.shutdown.request(word, code, grace_s=0.0 if again else grace, now=again)
        monitor.say(f"{word}: quitting now" if again else f"{word}: {_WHILE_STOPPING}")

    chosen = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        chosen.append(signal.SIGHUP)
    for signum in chosen:
        loop.add_signal_handler(signum, stop, signum)
    try:
        yield
    finally:
        for signum in chosen:
            loop.remove_signal_handler(signum)
        signal.signal(signal.SIGTERM, _terminated)  # the loop leaves the system's own action, without a code
