"""What a person or a script sees of a run: live display or plain lines, events.jsonl, the object at the end."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from batchgen.cli import common
from batchgen.clip import Clip
from batchgen.errors import BatchgenError, LockedError
from batchgen.events import Blocked, Downloaded, Event, Failed, Lost
from batchgen.redact import Redactor, Secret
from batchgen.views.log import EventLog, setup_logging
from batchgen.views.progress import Frame, Painter, can_paint

if TYPE_CHECKING:
    from batchgen.runner.session import Outcome, Session
    from batchgen.views.events_file import EventsFile

log = logging.getLogger("batchgen.watch")

FRAME_S = 0.5


class RunMonitor:
    """Follows one run. Progress goes to stderr, the answer to stdout."""

    def __init__(self, manifest_arg: str, folder: Path | None, *, verbosity: int, as_json: bool) -> None:
        self.folder: Path | None = None
        self._options = ("--dir", str(folder)) if folder else ()
        self._arg = manifest_arg
        self._verbosity = verbosity
        self._as_json = as_json
        self._redact = Redactor([]).redact
        self._display: Painter | EventLog | None = None
        self._lines: EventLog | None = None
        self._events: EventsFile | None = None
        self._session: Session | None = None
        self._failures: deque[tuple[str, str]] = deque(maxlen=5)
        self._done: deque[str] = deque(maxlen=3)
        self._finished = 0
        self._alarm = ""
        self._paces_told = 0
        self._told = False  # the object was printed
        self._started = time.monotonic()

    def protect(self, key: Secret | None) -> None:
        """Take the key out of all that is told from now on."""
        self._redact = Redactor([key.get_secret_value()] if key else []).redact

    def tell(self, text: str) -> None:
        """Say something on stderr, above a live display."""
        out = self._display if isinstance(self._display, Painter) else sys.stderr
        with suppress(OSError, ValueError):  # nobody reads it: no reason to end a run
            out.write(self._redact(text) + "\n")
            out.flush()

    # --- during the run ---------------------------------------------------------------------------------

    def attach(self, session: Session) -> None:
        """Begin to follow a session."""
        from batchgen.views.events_file import EventsFile

        self._session = session
        self._events = EventsFile(
            session.folder / "events.jsonl", self._redact, run=f"{os.getpid():x}-{time.time():.0f}"
        )
        session.ledger.observers += [self._events, self._note]

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
            painter = self._display = Painter(sys.stderr)
            setup_logging(self._verbosity, self._redact, painter)
            if self._verbosity > 0:
                session.ledger.observers.append(EventLog(painter, self._verbosity, self._redact))
        else:
            self._display = EventLog(sys.stderr, self._verbosity, self._redact)
            setup_logging(self._verbosity, self._redact, sys.stderr)
            session.ledger.observers.append(self._display)

    def _repaint(self, session: Session) -> None:
        if self._display and session.tools:
            self._display.update(self._frame(session))
        if self._events:
            if session.tools and session.tools.alarm != self._alarm:
                self._alarm = session.tools.alarm
                self._events.note("expiring", alarm=self._alarm)
            self._tell_pace(session, self._events)
            self._events.flush()

    def _tell_pace(self, session: Session, events: EventsFile) -> None:
        for text in session.pace.notes[self._paces_told :]:
            self._paces_told += 1
            events.note("pace", text=text)
            log.info("%s", text)

    def _close_display(self) -> None:
        if self._display:
            self._display.close()
        self._display = None
        setup_logging(self._verbosity, self._redact, sys.stderr)

    def _note(self, clip: Clip, event: Event) -> None:
        if isinstance(event, Failed | Blocked | Lost):
            self._failures.append((clip.wanted.name, clip.reason))
        if isinstance(event, Downloaded):
            self._done.append(clip.wanted.name)
        self._finished += clip.state.settled

    def _frame(self, session: Session) -> Frame:
        from batchgen.cli.outlook import cost_left, note_of, time_left

        tools, ledger = session.tools, session.ledger
        assert tools is not None  # noqa: S101 - the caller looked
        return Frame(
            name=session.manifest.name,
            counts=ledger.live_totals.counts,
            unwanted=ledger.live_totals.unwanted,
            spent=ledger.money.spent,
            reserved=ledger.money.reserved,
            cap=ledger.money.caps.usd,
            estimated_left=cost_left(session),
            unpriced=ledger.money.unpriced,
            elapsed_s=session.elapsed_s,
            eta_s=time_left(session, self._finished),
            rpm=tools.pacer.rate or None,
            rpm_asked=tools.pacer.ceiling or None,
            calls_last_minute=tools.pacer.calls_last_minute,
            in_flight=tools.places.taken,
            in_flight_limit=int(tools.places.limit),
            queue_s=tools.places.queue_s,
            note=note_of(tools),
            failures=tuple(self._failures),
            done_last=tuple(self._done),
        )

    # --- the end ----------------------------------------------------------------------------------------

    def finish(self, outcome: Outcome) -> None:
        """Print the summary, or the object."""
        from batchgen.views.facts import facts_of
        from batchgen.views.status import status_object, status_text

        session = self._session
        if session is None or self._events is None:
            return
        self._events.note("ended", exit_code=int(outcome.exit_code), stopped=outcome.stopped)
        self._events.close()
        self._told = True
        facts = facts_of(session.ledger, self._arg, elapsed_s=outcome.elapsed_s, stopped=outcome.stopped,
                         caps=session.settings.caps, options=self._options)  # fmt: skip
        obj = status_object(facts, now=time.time())
        if self._as_json:
            common.put(self._redact(common.json_text(obj)))
        else:
            common.put(self._redact(status_text(obj, common.width(), ascii=common.plain_ascii())))

    @contextmanager
    def telling_errors(self) -> Iterator[None]:
        """With --json, print an object on an error's way out, too."""
        try:
            yield
        except BatchgenError as error:
            self._error_object(str(error), live=isinstance(error, LockedError))
            raise
        except sqlite3.DatabaseError as error:
            self._error_object(f"the ledger can't be read ({error})")
            raise
        except (KeyboardInterrupt, SystemExit) as ending:
            if not self._told:
                self._error_object("terminated" if isinstance(ending, SystemExit) else "interrupted")
            raise
        except Exception:
            self._error_object("a fault of batchgen")
            raise
        finally:
            if self._events:
                self._events.close()

    def _error_object(self, message: str, *, live: bool = False) -> None:
        if not self._as_json:
            return
        from batchgen.views.facts import facts_of_folder
        from batchgen.views.status import status_object

        elapsed = time.monotonic() - self._started
        facts = facts_of_folder(self.folder, self._arg, elapsed_s=elapsed, stopped=message, live=live)
        common.put(self._redact(common.json_text(status_object(facts, now=time.time()))))
