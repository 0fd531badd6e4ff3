"""One batch's run, as the command does it: what opens it, the question before the first paid call, the signals."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import output
from batchgen.cli.error_text import HasNames, check_only
from batchgen.cli.options import options_as_typed
from batchgen.errors import BatchgenError, Exit, UsageError
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


def terminated(_signum: int, _frame: object) -> None:
    """End the command as SIGTERM asks, with its object and its code."""
    sys.exit(Exit.TERMINATED)


def run_one(
    monitor: RunMonitor, arg: str, folder: Path | None, given: Mapping[str, Any], *, yes: bool, plan_file: Path | None
) -> Outcome:
    """Run a batch to its end, and print what became of it.

    Args:
        monitor: observes the run; used for this one only.
        arg: the manifest as it was typed.
        folder: the batch folder; None: next to the manifest.
        given: the settings that were given, by `Settings`' names.
        yes: do not ask before the first paid call.
        plan_file: the saved plan to run.

    Raises:
        BatchgenError: it could not begin, or its disk failed.
    """
    began = False
    try:
        with opened_run(monitor, arg, folder, given, plan_file=plan_file) as (session, settings):
            if not plan_file:
                _confirm(monitor, session, yes=yes)
            began = True
            return _run(monitor, session, settings)
    except BatchgenError as error:
        if not began:
            monitor.could_not_begin(error)
        raise


def _run(monitor: RunMonitor, session: Session, settings: Settings) -> Outcome:
    gc.freeze()  # what is loaded by now stays: the collector need not visit it again and again
    gc.set_threshold(GARBAGE)
    threading.stack_size(STACK)
    outcome = asyncio.run(_supervised(session, monitor, settings))
    monitor.finish(outcome)
    return outcome


@contextmanager
def opened_run(
    monitor: RunMonitor, arg: str, folder: Path | None, given: Mapping[str, Any], *, plan_file: Path | None
) -> Iterator[tuple[Session, Settings]]:
    """Hold a batch that is about to run, and give it with the settings as merged. Raises as `run_one`."""
    from batchgen import manifest as manifests
    from batchgen.locate import batch_folder, find_key, find_manifest
    from batchgen.planning import saved_files
    from batchgen.planning.inputs import snapshot, snapshot_in, wanted_in
    from batchgen.runner.session import Session
    from batchgen.settings import merge, read_config

    path = find_manifest(arg)
    saved = saved_files.read_plan(plan_file) if plan_file else None
    typed = options_as_typed(given, plan_file)
    given = saved_files.with_plan_settings(saved, dict(given)) if saved else given
    folder = (folder or batch_folder(path, sandbox=bool(given["sandbox"]))).absolute()
    key = None if given["sandbox"] else find_key(path.parent)
    monitor.protect(key)
    manifest = manifests.load(path)
    if not given["sandbox"]:
        monitor.about(manifest)
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
        yield session, settings
    finally:
        session.close()


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
    monitor.say(plan_text(plan, output.width(), ascii=output.plain_ascii(), now=time.time()))
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
        return await monitor.notices(session).around(session, session.run(monitor.follow))


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
        signal.signal(signal.SIGTERM, terminated)  # the loop leaves the system's own action, without a code
