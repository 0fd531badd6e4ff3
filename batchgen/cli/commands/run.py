"""`batchgen run`: make all that is wanted, or go on where the last run ended."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import common
from batchgen.cli.options import cap_options, caps_said, usd_amount
from batchgen.errors import Exit, UsageError

if TYPE_CHECKING:
    from batchgen.cli.monitor import RunMonitor
    from batchgen.planning import Plan
    from batchgen.runner.session import Outcome, Session
    from batchgen.settings import Settings

#: Objects that are made before the collector looks for rings among them; the usual 700 are a single clip's.
GARBAGE = 20_000


@click.command("run")
@common.manifest_argument
@common.folder_option
@click.option("--sandbox", is_flag=True, help="Use a local stand-in for the service: no key, no money, real MP4s.")
@click.option("--base-url", envvar="SEGMIND_BASE_URL", help="Another origin in place of https://api.segmind.com.")
@click.option("--history-url", envvar="SEGMIND_HISTORY_URL", hidden=True)
@click.option("--upload-url", envvar="SEGMIND_UPLOAD_URL", hidden=True)
@click.option("--yes", is_flag=True, help="Don't ask before the first paid call.")
@common.json_option
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Submit at most N clips, then stop.")
@click.option("--only", metavar="ID-GLOB", help="Submit only clips whose id or name fits, as in 'singer*'.")
@click.option(
    "--plan",
    "plan_file",
    envvar="BATCHGEN_PLAN",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Run exactly what `plan --out FILE` wrote, without asking; or refuse, if the world has moved.",
)
@cap_options
@click.option("--rpm", type=common.Finite(0), metavar="N", help="API calls a minute; 0: no limit. [default: 50]")
@click.option(
    "--in-flight", type=click.IntRange(1), metavar="N", help="Clips at the service at once, at most. [default: 32]"
)
@click.option("--downloads", type=click.IntRange(1), metavar="N", help="Downloads at once. [default: 8]")
@click.option(
    "--expect-latency", type=common.Finite(0), metavar="SECONDS", help="The model's run time, before any was seen."
)
@click.option(
    "--grace", type=common.Finite(0), metavar="SECONDS", help="After Ctrl-C, collect for so long. [default: 5]"
)
@click.option("--drain", is_flag=True, default=None, help="After Ctrl-C, collect all that is in flight.")
@click.option(
    "--deadline", type=common.Finite(1), metavar="SECONDS", help="Give a request up after so long. [default: 3300]"
)
@click.option(
    "--give-up",
    type=common.Finite(0),
    metavar="SECONDS",
    help="End the run after such an outage, or refusals of every call. [default: 7200]",
)
@click.option(
    "--resubmit-unconfirmed",
    is_flag=True,
    default=None,
    help="Submit again what the history, read whole, does not have.",
)
@click.option(
    "--resubmit-lost", is_flag=True, default=None, help="Submit again what was paid for and can't be collected."
)
@click.option(
    "--history-settle",
    type=common.Finite(0),
    metavar="SECONDS",
    help="How long the history may lag. [default: 7200]",
)
@click.option(
    "--moved", is_flag=True, default=None, help="The batch's manifest, key or origin has moved; go on with it."
)
@click.option(
    "--trust-recovery",
    is_flag=True,
    default=None,
    help="After `recover`: submit, though the history could not be asked.",
)
@click.option(
    "--sandbox-latency", type=common.Finite(0), metavar="SECONDS", help="Seconds a sandbox job runs. [default: 2]"
)
@click.option(
    "--sandbox-credits", callback=usd_amount, metavar="X", help="USD in the sandbox's account, in all. [default: 10000]"
)
@click.option(
    "--fault",
    "faults",
    envvar="BATCHGEN_FAULT",
    multiple=True,
    metavar="NAME=DOSE",
    help="What the sandbox shall do wrong; see `batchgen sandbox --help`.",
)
@common.verbosity_options
def run(manifest: str, folder: Path | None, *, sandbox: bool, yes: bool, as_json: bool, verbose: int, quiet: bool,
        faults: tuple[str, ...], plan_file: Path | None, **given: Any) -> None:  # noqa: ANN401 - the settings, by name  # fmt: skip
    """Make all clips that are wanted, at the pace that the account bears; run again to resume.

    What was paid for is collected first, nothing is paid for twice. Ctrl-C stops gently, twice at once. With --plan it
    submits the clips of a saved plan and no others, under the plan's caps; run it again to resume.

    Exit codes: 0 all done, 2 usage or manifest, 3 some clips failed, 4 stopped early (run again),
    5 some clips want your word, 6 another run holds the batch, 130 interrupted, 143 terminated.
    """
    from batchgen.cli.monitor import RunMonitor

    given |= {"sandbox": sandbox or None, "sandbox_faults": ",".join(faults) or None}
    if faults and not sandbox:
        raise UsageError("--fault goes with --sandbox")
    # Until the event loop takes the signals over, SIGTERM ends it as Ctrl-C does: with its object and its code.
    signal.signal(signal.SIGTERM, _terminated)
    watch = RunMonitor(manifest, folder, verbosity=-1 if quiet else verbose, as_json=as_json)
    with watch.telling_errors():
        code = _run(watch, manifest, folder, given, yes=yes, plan_file=plan_file)
    sys.exit(code)


def _terminated(_signum: int, _frame: object) -> None:
    sys.exit(Exit.TERMINATED)


def _run(
    watch: RunMonitor, arg: str, folder: Path | None, given: dict[str, Any], *, yes: bool, plan_file: Path | None
) -> Exit:
    from batchgen import manifest as manifests
    from batchgen.planning import saved_files
    from batchgen.planning.inputs import snapshot, snapshot_in
    from batchgen.runner.session import Session
    from batchgen.settings import batch_folder, find_key, find_manifest, merge, read_config

    path = find_manifest(arg)
    saved = saved_files.read_plan(plan_file) if plan_file else None
    said = caps_said(given)
    if saved:
        given = saved_files.with_plan_settings(saved, given)
    watch.folder = folder = (folder or batch_folder(path, sandbox=bool(given["sandbox"]))).absolute()
    key = None if given["sandbox"] else find_key(path.parent)
    watch.protect(key)
    manifest = manifests.load(path)
    for warning in manifest.warnings:
        watch.tell(f"warning: {warning}")
    settings = merge(given, manifest, read_config())
    if saved:
        saved_files.refuse_if_changed(saved, manifest, settings, snapshot_in(folder), folder)
    session = Session(manifest, folder, saved_files.restricted_to(saved, settings) if saved else settings, key)
    try:
        session.ledger.remember("caps_said", json.dumps(said))
        if saved:  # now that the batch is held, nothing can move any more
            saved_files.refuse_if_changed(saved, manifest, settings, snapshot(session.ledger), folder)
        watch.attach(session)
        _share_pace(session, watch)
        if not (saved or _nothing_to_pay(session) or settings.sandbox):
            _confirm(watch, session, yes=yes)
        gc.freeze()  # what is loaded by now stays: the collector need not walk over it again and again
        gc.set_threshold(GARBAGE)
        outcome = asyncio.run(_supervised(session, watch, settings))
        watch.finish(outcome)
    finally:
        session.close()
    return outcome.exit_code


def _share_pace(session: Session, watch: RunMonitor) -> None:
    """Say who else uses the account's rate. Raises UsageError as `Session.share_pace` does."""
    session.share_pace()
    if others := "; ".join(session.pace.others):
        watch.tell(f"note: another run uses this API key on this machine: {others}. The calls of the two add up")


def _nothing_to_pay(session: Session) -> bool:
    settings = session.settings
    return not (session.ledger.pending() or settings.resubmit_lost or settings.resubmit_unconfirmed)


def _confirm(watch: RunMonitor, session: Session, *, yes: bool) -> None:
    """Ask a person before the first paid call, with count, price and time.

    Raises:
        UsageError: nobody can be asked, and `--yes` was not given; or the answer was no.
    """
    from batchgen.runner.credits import shortage
    from batchgen.views.plan import plan_text

    if yes:
        return
    plan = session.plan()
    if not sys.stdin.isatty():
        raise UsageError(f"{_in_short(plan)}. Nobody is at the terminal to agree: say --yes")
    watch.tell(plan_text(plan, common.width(), ascii=common.plain_ascii()))
    if text := shortage(asyncio.run(session.credits()), plan.cost.total, unpriced=plan.cost.unpriced):
        watch.tell(f"Warning: {text}")
    if not click.confirm(f"{_in_short(plan)}. Go ahead?", err=True):
        raise UsageError("not agreed: nothing was submitted")


def _in_short(plan: Plan) -> str:
    from batchgen.money import usd
    from batchgen.views.text import plural
    from batchgen.wording import duration

    price = f"about {usd(plan.cost.total)} (estimated)" if plan.cost.total is not None else "at an unknown price"
    if plan.cost.total is not None and plan.cost.unpriced:
        price += f" and {plural(plan.cost.unpriced, 'clip')} of unknown price"
    time = "" if plan.seconds is None else f", in about {duration(plan.seconds)}"
    return f"This will submit {plural(len(plan.keys.submit), 'clip')} for {price}{time}"


async def _supervised(session: Session, watch: RunMonitor, settings: Settings) -> Outcome:
    with _signals(session, settings, watch):
        return await session.run(watch.follow)


@contextmanager
def _signals(session: Session, settings: Settings, watch: RunMonitor) -> Iterator[None]:
    """The first signal stops gently, the second at once; an ignored SIGHUP stays ignored (nohup)."""
    loop = asyncio.get_running_loop()
    grace = float("inf") if settings.drain else settings.grace

    def stop(signum: signal.Signals) -> None:
        code = Exit.INTERRUPTED if signum is signal.SIGINT else Exit.TERMINATED
        word = "interrupted" if signum is signal.SIGINT else "terminated"
        again = session.shutdown.exit in (Exit.INTERRUPTED, Exit.TERMINATED)
        session.shutdown.request(word, code, grace_s=0.0 if again else grace, now=again)
        watch.tell(f"{word}: leaving at once" if again else f"{word}: no more submissions; once more leaves at once")

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
