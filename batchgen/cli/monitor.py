"""A run as people and scripts see it: live display or plain lines, events.jsonl, the summary at the end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchgen.cli import output
from batchgen.cli.frame import Recent, frame_of
from batchgen.clip import State
from batchgen.errors import BatchgenError, LockedError
from batchgen.redact import Redactor, Secret
from batchgen.views.log import EventLog, setup_logging
from batchgen.views.painter import Painter, can_paint

if TYPE_CHECKING:
    from batchgen.cli.notices import Notices
    from batchgen.manifest import Manifest
    from batchgen.runner.session import Outcome, Session
    from batchgen.views.events_file import EventsFile

log = logging.getLogger(__name__)

FRAME_S = 0.5


class RunMonitor:
    """Observes one run. Progress goes to stderr, the answer to stdout; one of several batches leaves that to others."""

    def __init__(
        self, manifest_arg: str, folder: Path | None, *, verbosity: int, as_json: bool, one_of_many: bool = False
    ) -> None:
        self._given_folder = folder
        self._options = ("--dir", str(folder)) if folder else ()
        self._arg = manifest_arg
        self._verbosity = verbosity
        self._as_json = as_json
        self._one_of_many = one_of_many
        #: The object of the run, once it has ended.
        self.obj: dict[str, Any] | None = None
        self._redact = Redactor([]).redact
        self._display: Painter | EventLog | None = None
        self._lines: EventLog | None = None
        self._events: EventsFile | None = None
        self._manifest: Manifest | None = None  # to be paid for, once it is read; None for a rehearsal
        self._session: Session | None = None
        self._recent = Recent([])
        self._alarm = self._retuned = ""
        self._waits = False
        self._notes_reported = 0

    def protect(self, key: Secret | None) -> None:
        """Take the key out of everything that is printed from now on."""
        self._redact = output.CommandAnswer.current().redact = Redactor([key.get_secret_value()] if key else []).redact

    def about(self, manifest: Manifest) -> None:
        """Say which manifest is about to be paid for: it names who is informed, even if the run can't begin."""
        self._manifest = manifest

    @property
    def folder(self) -> Path | None:
        """The folder of the batch that it observes; None: it was not opened."""
        return None if self._session is None else self._session.folder

    def say(self, text: str) -> None:
        """Print on stderr, above a live display."""
        out = self._display if isinstance(self._display, Painter) else sys.stderr
        with suppress(OSError, ValueError):  # nobody reads it: no reason to end a run
            out.write(self._redact(text) + "\n")
            out.flush()

    # --- during the run ---------------------------------------------------------------------------------

    def attach(self, session: Session) -> None:
        """Start to observe a session."""
        from batchgen.views.events_file import EventsFile

        self._session = session
        self._events = EventsFile(
            session.folder / "events.jsonl", self._redact, run=f"{os.getpid():x}-{time.time():.0f}"
        )
        self._recent = Recent(session.ledger.clips(State.GENERATING), session.pending_keys())
        session.ledger.observers += [self._events, self._recent]

    async def follow(self, session: Session) -> None:
        """Repaint twice a second until cancelled."""
        self._open_display(session)
        if self._events:
            self._events.note("started", name=session.manifest.name, wanted=len(session.manifest.wanted))
        try:
            while True:
                self._repaint(session)
                await asyncio.sleep(FRAME_S)
        finally:
            self._repaint(session)
            self._close_display()

    def _open_display(self, session: Session) -> None:
        if can_paint(sys.stderr, os.environ) and self._verbosity >= 0:
            painter = self._display = Painter(sys.stderr, colour=not os.environ.get("NO_COLOR"))
            asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, painter.resized)
            setup_logging(self._verbosity, self._redact, painter, dated=False)
            if self._verbosity > 0:
                session.ledger.observers.append(EventLog(painter, self._verbosity, self._redact, dated=False))
        else:
            self._display = EventLog(sys.stderr, self._verbosity, self._redact)
            setup_logging(self._verbosity, self._redact, sys.stderr)
            session.ledger.observers.append(self._display)

    def _repaint(self, session: Session) -> None:
        if self._display and session.tools:
            frame = frame_of(session, session.tools, self._recent)
            self._display.update(frame)
        if self._events:
            if session.tools and session.tools.alarm != self._alarm:
                self._alarm = session.tools.alarm
                self._events.note("expiring", alarm=self._alarm)
            if session.tools and session.tools.retuned != self._retuned:
                self._retuned = session.tools.retuned
                self._events.note("set", text=self._retuned)
            self._report_pace(session, self._events)
            self._report_waits(session, self._events)
            self._events.flush()

    def _report_pace(self, session: Session, events: EventsFile) -> None:
        for text in session.pace.notes[self._notes_reported :]:
            self._notes_reported += 1
            events.note("pace", text=text)
            log.info("%s", text)

    def _report_waits(self, session: Session, events: EventsFile) -> None:
        """Note when an outage, or a refusal of the account, begins and ends; its words may change in between."""
        why = (session.tools.outage or session.tools.waits) if session.tools else ""
        if bool(why) != self._waits:
            self._waits = bool(why)
            events.note("waiting", text=why)

    def _close_display(self) -> None:
        if self._display:
            self._display.close()
        if isinstance(self._display, Painter):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGWINCH)
        self._display = None
        setup_logging(self._verbosity, self._redact, sys.stderr)

    # --- the end ----------------------------------------------------------------------------------------

    def finish(self, outcome: Outcome) -> None:
        """Print the summary, or the object."""
        from batchgen.views.status import status_text

        session = self._session
        if session is None or self._events is None:
            return
        self._events.note("ended", exit_code=int(outcome.exit_code), stopped=outcome.stopped)
        self._events.close()
        obj = self.obj = self._object(session, outcome.stopped, elapsed_s=outcome.elapsed_s)
        if self._one_of_many:
            return
        output.answer(
            obj,
            lambda: status_text(obj, output.width(), ascii=output.plain_ascii()),
            as_json=self._as_json,
            code=outcome.exit_code,
        )

    def notices(self, session: Session) -> Notices:
        """Give what informs people of this run, as the manifest's `notify:` says; nobody of a rehearsal."""
        from batchgen.cli.notices import Notices, addresses_of

        listed = () if session.settings.sandbox else session.manifest.notify
        given = addresses_of(listed, session.manifest.path.parent)
        return Notices(
            given,
            lambda stopped, live: self._object(session, stopped, live=live),
            by_timer=not sys.stdin.isatty(),
            redact=self._redact,
        )

    def could_not_begin(self, error: BatchgenError) -> None:
        """Inform people that a timer's run ended before it began; who sits at a terminal reads it there.

        A manifest that cannot be read informs nobody: it names them. Nor does a batch that another run holds: it has
        not stopped, and that run informs them.
        """
        from batchgen.cli.error_text import error_object, status_fields
        from batchgen.cli.notices import Notices, addresses_of

        manifest = self._manifest
        if manifest is None or sys.stdin.isatty() or isinstance(error, LockedError):
            return
        describe = status_fields(self._arg, self._given_folder, sandbox=False)
        status = partial(describe, error_object(error, error.exit_code))
        given = addresses_of(manifest.notify, manifest.path.parent)
        notices = Notices(given, lambda _stopped, _live: dict(status()), by_timer=True, redact=self._redact)
        asyncio.run(notices.could_not_begin(manifest.name, str(error)))

    def _object(
        self, session: Session, stopped: str | None, *, live: bool = False, elapsed_s: float | None = None
    ) -> dict[str, Any]:
        from batchgen.views.facts import facts_of
        from batchgen.views.status import status_object

        facts = facts_of(
            session.ledger,
            self._arg,
            live=live,
            elapsed_s=session.elapsed_s if elapsed_s is None else elapsed_s,
            stopped=stopped,
            caps=session.settings.caps,
            options=self._options,
        )
        return status_object(facts, now=time.time())

    @contextmanager
    def observing(self) -> Iterator[None]:
        """Close `events.jsonl`, however the run ends."""
        try:
            yield
        finally:
            if self._events:
                self._events.close()
