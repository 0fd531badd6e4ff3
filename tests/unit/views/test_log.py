"""The plain log: one line an event, redacted, and deaf to a stream that goes away."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from test_progress import FRAME, HungUp

from batchgen.clip import Clip, Wanted
from batchgen.events import (
    AnswerLost,
    Blocked,
    Downloaded,
    Event,
    Failed,
    Generated,
    Lost,
    SubmitDeferred,
    SubmitStarted,
    Submitted,
)
from batchgen.states import advance
from batchgen.views.log import HTTP_LOGGER, EventLog, setup_logging
from batchgen.views.streams import Lines, speaks_utf8

ZONE = timezone(timedelta(hours=1))
KEY = "SG_0123456789abcdef"
CLIP = Clip(1, Wanted("k1-abc", "singer", 1, "wan-2.5-t2v", "{}", "singer_1"))
AT = 1_795_313_520.0
START = SubmitStarted(AT, reserved=625_000)
ID = "2c7f6e1a-52ab-4c0e-9d0f-1b2c3d4e5f60"


def redact(text: str) -> str:
    return text.replace(KEY, "SG_…")


def told(*events: Event, verbosity: int = 0) -> list[str]:
    out = io.StringIO()
    log = EventLog(out, verbosity, redact, tz=ZONE, now=lambda: AT)
    clip = CLIP
    for event in events:
        clip = advance(clip, event)
        log(clip, event)
    return out.getvalue().splitlines()


@pytest.fixture
def quiet_logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("batchgen")
    http = logging.getLogger(HTTP_LOGGER)
    before = (logger.level, logger.propagate, list(logger.handlers), http.level)
    yield logger
    logger.setLevel(before[0])
    logger.propagate = before[1]
    logger.handlers[:] = before[2]
    http.setLevel(before[3])


def test_every_event_is_one_line_with_local_time_and_zone() -> None:
    """ "What happened at 03:12" is asked in the morning, of a plain file."""
    url = "https://images.segmind.com/a.mp4?sig=secret"
    lines = told(START, Submitted(ID, AT), Generated(url, AT, 625_000), Downloaded("singer_1.mp4", 4_200_000, "00"))
    assert lines == [
        "2026-11-22T03:12:00+01:00 singer_1 submitting ($0.63 reserved)",
        "2026-11-22T03:12:00+01:00 singer_1 generating (request 2c7f…)",
        "2026-11-22T03:12:00+01:00 singer_1 downloading (cost $0.63)",
        "2026-11-22T03:12:00+01:00 singer_1 done (singer_1.mp4, 4.2 MB)",
    ]


def test_an_unknown_cost_is_logged_as_unknown() -> None:
    """Never as $0.00."""
    assert told(START, Submitted(ID, AT), Generated("https://x/a.mp4", AT))[-1].endswith("(cost unknown)")


def test_reasons_are_one_line_redacted_and_without_url_queries() -> None:
    """A provider's answer may hold newlines, escape codes, a signed link, or the key."""
    reason = f"bad\n\x1b[31mthing {KEY} at https://x.com/a.mp4?token=secret#f, sorry"
    assert told(START, Failed(reason))[-1].endswith("singer_1 failed: bad [31mthing SG_… at https://x.com/a.mp4 sorry")


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (Failed("no"), True),
        (Blocked("no"), True),
        (AnswerLost("no"), True),
        (Submitted(ID, AT), False),
        (SubmitDeferred("busy"), False),
    ],
)
def test_quiet_shows_trouble_only(event: Event, shown: bool) -> None:
    """-q is for cron, which mails what is printed."""
    assert len(told(START, event, verbosity=-1)) == shown
    assert len(told(START, Submitted(ID, AT), Lost("gone"), verbosity=-1)) == 1


def test_verbose_shows_ids_whole() -> None:
    """Support asks for them."""
    assert ID in told(START, Submitted(ID, AT), verbosity=1)[-1]


def test_a_heartbeat_comes_each_minute() -> None:
    """A silent log looks like a dead run; a chatty one is not read."""
    out = io.StringIO()
    log = EventLog(out, tz=ZONE, now=lambda: AT)
    for tick in range(601):
        log.update(replace(FRAME, elapsed_s=tick / 2))
    log.close()
    assert len(out.getvalue().splitlines()) == 5
    assert "142/200 done, 6 failed" in out.getvalue()


@pytest.mark.parametrize("stream", [HungUp(), io.StringIO()])
def test_a_stream_that_goes_away_ends_the_log_and_not_the_run(stream: io.StringIO) -> None:
    """Logging out at night (EIO), `| head` (EPIPE): the money is spent all the same."""
    stream.close()
    log = EventLog(stream)
    log(CLIP, START)
    log.heartbeat(FRAME)


def test_characters_the_stream_lacks_are_escaped() -> None:
    """A prompt in Japanese must not end a run in a C locale."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    Lines(out).line("渋谷 ✓")
    assert raw.getvalue() == rb"\u6e0b\u8c37 \u2713" + b"\n"
    assert not speaks_utf8(out)
    assert speaks_utf8(io.TextIOWrapper(io.BytesIO(), encoding="UTF-8"))


@pytest.mark.parametrize(
    ("verbosity", "seen"),
    [
        (-1, ["error"]),
        (0, ["error", "warning", "info"]),
        (1, ["error", "warning", "info", "debug"]),
        (2, ["error", "warning", "info", "debug", "http"]),
        (3, ["error", "warning", "info", "debug", "http"]),
    ],
)
def test_verbosity_chooses_what_is_logged(quiet_logger: logging.Logger, verbosity: int, seen: list[str]) -> None:
    """-q, nothing, -v and -vv as people expect them."""
    out = io.StringIO()
    setup_logging(verbosity, redact, out, tz=ZONE)
    quiet_logger.error("error")
    quiet_logger.warning("warning")
    quiet_logger.info("info")
    quiet_logger.debug("debug")
    logging.getLogger(HTTP_LOGGER).debug("http")
    assert [line.rsplit(" ", 1)[1] for line in out.getvalue().splitlines()] == seen


def test_log_lines_are_redacted_last(quiet_logger: logging.Logger) -> None:
    """Also what comes in by an argument or a traceback."""
    out = io.StringIO()
    setup_logging(1, redact, out, tz=ZONE)
    try:
        raise ValueError(KEY)
    except ValueError:
        quiet_logger.exception("key %s", KEY)
    assert KEY not in out.getvalue()
    assert "ValueError: SG_…" in out.getvalue()


def test_tracebacks_need_v(quiet_logger: logging.Logger) -> None:
    """A content producer can't use one."""
    out = io.StringIO()
    setup_logging(0, redact, out, tz=ZONE)
    try:
        raise ValueError("inner")
    except ValueError:
        quiet_logger.exception("it broke")
    assert len(out.getvalue().splitlines()) == 1
    assert out.getvalue().endswith("error: it broke\n")


def test_setting_up_again_replaces_our_handler_only(quiet_logger: logging.Logger) -> None:
    """The API can be used twice in a process; others' handlers are theirs."""
    theirs = logging.NullHandler()
    quiet_logger.addHandler(theirs)
    first, second = io.StringIO(), io.StringIO()
    setup_logging(0, redact, first)
    setup_logging(0, redact, second)
    quiet_logger.warning("once")
    assert not first.getvalue()
    assert second.getvalue().count("once") == 1
    assert theirs in quiet_logger.handlers


def test_where_somebody_watches_times_have_no_date(quiet_logger: logging.Logger) -> None:
    """Above a live display, date and zone only push the words over the edge."""
    out = io.StringIO()
    log = EventLog(out, tz=ZONE, now=lambda: AT, dated=False)
    log(advance(CLIP, START), START)
    setup_logging(0, str, out, tz=ZONE, dated=False)
    quiet_logger.handle(logging.makeLogRecord({"msg": "slower", "levelno": logging.INFO, "created": AT}))
    assert out.getvalue().splitlines() == ["03:12:00 singer_1 submitting ($0.63 reserved)", "03:12:00 slower"]
