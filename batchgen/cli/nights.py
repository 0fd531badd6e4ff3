"""`run A B C`: several batches one after the other, with one pace, one cap and one summary.

The pace is the account's, which each run takes over from the one before (`ratelimit/memory.py`). What one batch may
spend under the common cap is what all the others have left of it, over all their runs, at the moment when it begins.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import rich_click as click

from batchgen.cli import error_text, output
from batchgen.cli.monitor import RunMonitor
from batchgen.cli.one_run import opened_run, run_one
from batchgen.errors import BatchgenError, Exit, UsageError
from batchgen.views.nights import BatchEnd, code_of, nights_object, nights_text
from batchgen.views.text import plural

_INTERRUPTED = (Exit.INTERRUPTED, Exit.TERMINATED)


class Nights:
    """Runs batches one after the other.

    Args:
        args: their manifests, as they were typed.
        given: the settings that were given, by `Settings`' names, and `max_usd_together` (micro-dollars).
        verbosity, as_json: as for `RunMonitor`.
        folder: the batch folder of a single one; None: next to its manifest.
    """

    def __init__(
        self,
        args: Sequence[str],
        given: Mapping[str, Any],
        *,
        verbosity: int,
        as_json: bool,
        folder: Path | None = None,
    ) -> None:
        self._args = args
        self._together: int | None = given["max_usd_together"]
        self._given = {name: value for name, value in given.items() if name != "max_usd_together"}
        self._verbosity = verbosity
        self._as_json = as_json
        self._folder = folder
        self._began = time.monotonic()
        self._ends: list[BatchEnd] = []
        self._faulty = 0  #: how many can't run as they are
        self._dead: dict[str, str] = {}  #: why the account of a key is dead
        self._used: set[str] = set()  #: keys of batches that have run

    def __repr__(self) -> str:
        """Say how far it is, for logs."""
        return f"<Nights {len(self._ends)} of {len(self._args)}>"

    def run(self, *, yes: bool) -> Exit:
        """Run them all, print what became of them, and give the exit code.

        One that stops does not keep the next from its turn, unless the user stopped it or its account is dead.

        Raises:
            UsageError: the question cannot be asked, or the answer was no.
        """
        # The object of a command that fails is that of all batches, not of the last one.
        output.CommandAnswer.current().describe = lambda _error: self._object()
        self._ask(yes=yes)
        for arg in self._args:
            self._ends.append(self._run_next(arg))
            if self._ends[-1].code in _INTERRUPTED:
                break
        left = self._args[len(self._ends) :]
        self._ends += [BatchEnd(arg, self._ends[-1].code, "the command was ended", began=False) for arg in left]
        obj, code = self._object(), code_of(self._ends)
        text = nights_text(obj, output.width(), ascii=output.plain_ascii())
        output.answer(obj, lambda: text, as_json=self._as_json, code=code)
        return code

    def _object(self) -> dict[str, Any]:
        return nights_object(self._ends, together=self._together, elapsed_s=time.monotonic() - self._began)

    # --- the question -------------------------------------------------------------------------------------------

    def _ask(self, *, yes: bool) -> None:
        """Show what cannot run, while a person may still be there; ask before the first paid call, once for all."""
        from batchgen.money import usd

        free = bool(self._given["sandbox"])
        silent = yes or (free and not sys.stdin.isatty())
        clips, costs, monitors = 0, list[int | None](), list[RunMonitor]()
        for arg in self._args:
            with self._left_out(arg):
                if silent:
                    _load(arg)
                    continue
                monitor, given = self._monitor(arg), self._settings(arg)
                monitors.append(monitor)
                opened = opened_run(monitor, arg, self._folder, given, plan_file=None)
                with monitor.observing(), opened as (session, _settings):
                    plan = session.plan()
                    clips += len(plan.keys.submit)
                    costs.append(plan.cost.total)
                    monitor.say(f"{arg}: {plural(len(plan.keys.submit), 'clip')}, {usd(plan.cost.total)}")
        if silent or not clips:
            return
        total = None if None in costs else sum(cost or 0 for cost in costs)
        what = f"These runs generate {plural(clips, 'clip')} for about {usd(total)}{' (sandbox, free)' * free}"
        if not sys.stdin.isatty():
            what = f"cannot ask for confirmation: not a terminal. {what}"
            error = UsageError(what, tip="pass --yes to run without a question")
            for monitor in monitors:
                monitor.could_not_begin(error)
            raise error
        if not click.confirm(f"{what}. Continue?", err=True):
            raise UsageError("cancelled: nothing was submitted")

    @contextmanager
    def _left_out(self, arg: str) -> Iterator[None]:
        try:
            yield
        except BatchgenError as error:
            error_text.show(error)
            self._faulty += error.exit_code == Exit.USAGE
            if self._faulty == len(self._args):
                raise UsageError("none of these batches can run; nothing was submitted") from None
            click.echo(f"{arg} cannot run as it is; its turn comes all the same, and the others run", err=True)

    # --- one batch ----------------------------------------------------------------------------------------------

    def _monitor(self, arg: str) -> RunMonitor:
        return RunMonitor(arg, self._folder, verbosity=self._verbosity, as_json=self._as_json, one_of_many=True)

    def _run_next(self, arg: str) -> BatchEnd:
        monitor = self._monitor(arg)
        try:
            key = _key_of(arg, sandbox=bool(self._given["sandbox"]))
            if why := self._dead.get(key):
                return BatchEnd(arg, Exit.STOPPED, f"its account cannot go on: {why}", began=False)
            given = self._settings(arg) | {"continues": key in self._used or None}
            self._used |= {key} - {""}
            monitor.say(f"--- {arg}")
            with monitor.observing():
                outcome = run_one(monitor, arg, self._folder, given, yes=True, plan_file=None)
        except BatchgenError as error:
            error_text.show(error)
            return self._failed(arg, monitor, Exit(error.exit_code), str(error))
        except (KeyboardInterrupt, SystemExit) as ending:
            code = Exit.TERMINATED if isinstance(ending, SystemExit) else Exit.INTERRUPTED
            return self._failed(arg, monitor, code, code.name.lower())
        except sqlite3.DatabaseError as error:
            return self._failed(arg, monitor, Exit.USAGE, f"the ledger can't be read ({error}); it was not changed")
        except Exception:  # noqa: BLE001 - a fault of ours in one batch is no reason to leave the others undone
            from batchgen.cli import report_bug

            report_bug()
            return self._failed(arg, monitor, Exit.BUG, "a fault of batchgen")
        if outcome.by_account and key:
            self._dead[key] = outcome.stopped or ""
        return BatchEnd(arg, outcome.exit_code, outcome.stopped, monitor.obj)

    def _failed(self, arg: str, monitor: RunMonitor, code: Exit, why: str) -> BatchEnd:
        """Say how a batch ended whose run gave no outcome; what its ledger has is shown as far as it can be read."""
        if monitor.folder is None:
            return BatchEnd(arg, code, why, began=False)
        status = error_text.status_fields(arg, monitor.folder, sandbox=bool(self._given["sandbox"]))
        return BatchEnd(arg, code, why, status({"code": code.name, "message": why}))

    # --- the common cap -----------------------------------------------------------------------------------------

    def _settings(self, arg: str) -> dict[str, Any]:
        """Give the settings of a batch, with what the others leave to it of the common cap."""
        if self._together is None:
            return dict(self._given)
        others = sum(self._committed(other) for other in self._args if other != arg)
        return self._given | {"together": max(0, self._together - others)}

    def _committed(self, arg: str) -> int:
        """Give what a batch has spent and reserved over all its runs, in micro-dollars.

        Raises:
            LedgerError: that cannot be read, so that nothing may be spent under the common cap.
        """
        from batchgen.ledger import Reader
        from batchgen.locate import batch_folder, find_manifest

        with suppress(UsageError):  # there is no such manifest, so that it has spent nothing
            folder = batch_folder(find_manifest(arg), sandbox=bool(self._given["sandbox"]))
            if Reader.exists(folder):
                reader = Reader(folder)
                try:
                    money = reader.budget()
                    return money.spent + money.exposure(money.seen)
                finally:
                    reader.close()
        return 0


def _load(arg: str) -> None:
    """Read a manifest. Raises BatchgenError: it has faults, or is not there."""
    from batchgen import manifest as manifests
    from batchgen.locate import find_manifest

    manifests.load(find_manifest(arg))


def _key_of(arg: str, *, sandbox: bool) -> str:
    """Give the API key that a batch is run with; "" in the sandbox, where each batch has an account of its own."""
    from batchgen.locate import find_key, find_manifest

    key = None if sandbox else find_key(find_manifest(arg).parent)
    return key.get_secret_value() if key else ""
