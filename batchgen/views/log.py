"""Plain single lines on stderr, where no live display can be shown: cron, nohup, a file, a pipe."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import tzinfo

from batchgen.clip import Clip
from batchgen.events import AnswerLost, Blocked, Downloaded, Event, Failed, Generated, Lost, SubmitStarted, Submitted
from batchgen.money import usd
from batchgen.views.progress import Frame, heartbeat_text
from batchgen.views.streams import Lines, Sink
from batchgen.views.text import bare_urls, one_line, size, stamp_zone, time_of_day

QUIET = -1  #: -q: errors only
#: Who logs HTTP lines logs them here, at DEBUG: they show with -vv.
HTTP_LOGGER = "batchgen.http"
_LEVELS = {-1: (logging.ERROR, logging.ERROR), 0: (logging.INFO, logging.WARNING), 1: (logging.DEBUG, logging.INFO)}
_ALL = (logging.DEBUG, logging.DEBUG)
_SECONDS_A_BEAT = 60.0


class EventLog:
    """One line for each event of a clip: local time with its zone, name, state, and details.

    Args:
        stream: usually stderr; when it goes away the log ends and the run goes on.
        verbosity: -1 shows failures only; from 1 on, ids are shown in full.
        redact: takes secrets out of a text.
        tz: the zone of the times; None is the machine's.
        now: the clock, epoch seconds.
        dated: False leaves date and zone out, where somebody watches.
    """

    def __init__(
        self,
        stream: Sink,
        verbosity: int = 0,
        redact: Callable[[str], str] = str,
        *,
        tz: tzinfo | None = None,
        now: Callable[[], float] = time.time,
        dated: bool = True,
    ) -> None:
        self._out = Lines(stream)
        self._stamp = stamp_zone if dated else time_of_day
        self._verbosity = verbosity
        self._redact = redact
        self._tz = tz
        self._now = now
        self._last_beat = 0.0

    def __call__(self, clip: Clip, event: Event) -> None:
        """Write an event of a clip; `clip` is as it is after the event."""
        if self._verbosity > QUIET or isinstance(event, Failed | Blocked | Lost | AnswerLost):
            self._line(event_text(clip, event, whole_ids=self._verbosity > 0))

    def update(self, frame: Frame) -> None:
        """Take a frame, as `Painter` does: a heartbeat follows when the last one is a minute old."""
        if frame.elapsed_s - self._last_beat >= _SECONDS_A_BEAT:
            self.heartbeat(frame)

    def heartbeat(self, frame: Frame) -> None:
        """Write the progress of the run now."""
        self._last_beat = frame.elapsed_s
        if self._verbosity > QUIET:
            self._line(heartbeat_text(frame, self._tz))

    def close(self) -> None:
        """Nothing is buffered; the stream stays open, it is not ours."""

    def _line(self, text: str) -> None:
        self._out.line(f"{self._stamp(self._now(), self._tz)} {self._redact(text)}")


def event_text(clip: Clip, event: Event, *, whole_ids: bool = False) -> str:
    """Describe an event in a few words: "singer_1 generating (request 2c7f…)"; URLs without their query."""
    head = f"{clip.wanted.name} {clip.state}"
    match event:
        case Submitted(request_id=text):
            return one_line(f"{head} (request {text if whole_ids or len(text) <= 12 else text[:4] + '…'})")
        case SubmitStarted(reserved=reserved):
            return one_line(f"{head} ({usd(reserved)} reserved)" if reserved else head)
        case Generated(cost=cost):
            return one_line(f"{head} (cost {usd(cost)})")
        case Downloaded():
            odd = f"; not as requested: {event.flags}" if event.flags else ""
            return one_line(f"{head} ({event.file}, {size(event.bytes)}{odd})")
    reason = bare_urls(getattr(event, "reason", ""))
    return one_line(f"{head}: {reason}" if reason else head)


class _Formatter(logging.Formatter):
    """One redacted line with its time; a traceback follows where tracebacks are asked for."""

    def __init__(self, redact: Callable[[str], str], *, tracebacks: bool, tz: tzinfo | None, dated: bool) -> None:
        super().__init__()
        self._redact = redact
        self._tracebacks = tracebacks
        self._stamp = stamp_zone if dated else time_of_day
        self._tz = tz

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        text = f"{self._stamp(record.created, self._tz)} {level}{one_line(record.getMessage())}"
        if self._tracebacks and record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return self._redact(text)


class _Handler(logging.StreamHandler[Lines]):
    """Ours, so that setting up again replaces it and leaves others' handlers alone."""


def setup_logging(
    verbosity: int, redactor: Callable[[str], str], stream: Sink, *, tz: tzinfo | None = None, dated: bool = True
) -> logging.Handler:
    """Send the `batchgen` logger to a stream, redacted last; gives the handler, for its removal.

    -1: errors · 0: news and warnings · 1: debug, with tracebacks · 2: HTTP lines too (`HTTP_LOGGER`).
    `dated`: as of `EventLog`.
    """
    logger = logging.getLogger("batchgen")
    for old in [handler for handler in logger.handlers if isinstance(handler, _Handler)]:
        logger.removeHandler(old)
    handler = _Handler(Lines(stream))
    handler.setFormatter(_Formatter(redactor, tracebacks=verbosity > 0, tz=tz, dated=dated))
    logger.addHandler(handler)
    logger.propagate = False
    level, http_level = _LEVELS.get(max(QUIET, verbosity), _ALL)
    logger.setLevel(level)
    logging.getLogger(HTTP_LOGGER).setLevel(http_level)
    return handler
