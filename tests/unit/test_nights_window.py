"""When a night opens and closes: across midnight, on chosen days, and over every change of the clocks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from batchgen.window import Night, Window

#: Zone, start, stop, a time before it opens, and what its night then is, all in UTC.
NIGHTS = [
    # Europe/Berlin leaves summer time on 25 Oct 2026 at 01:00 UTC, and enters it on 28 Mar 2027 at 01:00 UTC.
    ("Europe/Berlin", "22:00", "06:30", "2026-07-01 12:00", "2026-07-01 20:00", "2026-07-02 04:30"),
    ("Europe/Berlin", "22:00", "06:30", "2026-10-24 12:00", "2026-10-24 20:00", "2026-10-25 05:30"),  # 9.5 hours
    ("Europe/Berlin", "22:00", "02:30", "2026-10-24 12:00", "2026-10-24 20:00", "2026-10-25 00:30"),  # the first 02:30
    ("Europe/Berlin", "02:30", "06:00", "2026-10-24 12:00", "2026-10-25 00:30", "2026-10-25 05:00"),
    ("Europe/Berlin", "22:00", "06:30", "2027-03-27 12:00", "2027-03-27 21:00", "2027-03-28 04:30"),  # 7.5 hours
    ("Europe/Berlin", "02:15", "06:00", "2027-03-27 12:00", "2027-03-28 01:00", "2027-03-28 04:00"),  # opens at 03:00
    ("Europe/Berlin", "22:00", "02:15", "2027-03-27 12:00", "2027-03-27 21:00", "2027-03-28 01:00"),
    ("Europe/Berlin", "02:10", "02:50", "2027-03-27 12:00", "2027-03-29 00:10", "2027-03-29 00:50"),  # none that day
    ("Europe/Berlin", "09:00", "17:00", "2026-07-01 00:00", "2026-07-01 07:00", "2026-07-01 15:00"),
    # America/Santiago has no midnight on 6 Sep 2026: from 04:00 UTC on it is 01:00. On 4 Apr 2027 it has 23:00 twice.
    ("America/Santiago", "22:00", "00:30", "2026-09-05 12:00", "2026-09-06 02:00", "2026-09-06 04:00"),
    ("America/Santiago", "00:00", "06:00", "2026-09-05 12:00", "2026-09-06 04:00", "2026-09-06 09:00"),
    ("America/Santiago", "23:30", "06:00", "2027-04-03 12:00", "2027-04-04 02:30", "2027-04-04 10:00"),
    # Australia/Lord_Howe changes by half an hour: on 4 Apr 2027 at 15:00 UTC of the 3rd, on 3 Oct 2027 at 15:30 UTC.
    ("Australia/Lord_Howe", "01:45", "06:00", "2027-04-03 00:00", "2027-04-03 14:45", "2027-04-03 19:30"),
    ("Australia/Lord_Howe", "02:15", "06:00", "2027-10-02 00:00", "2027-10-02 15:30", "2027-10-02 19:00"),
]


def utc(text: str) -> float:
    """Read "2026-07-01 12:00" as epoch seconds."""
    return datetime.fromisoformat(f"{text}+00:00").timestamp()


@pytest.mark.parametrize(("zone", "start", "stop", "before", "opens", "closes"), NIGHTS)
def test_a_night_is_two_instants_whatever_the_clocks_do(
    zone: str, start: str, stop: str, before: str, opens: str, closes: str
) -> None:
    """A time that comes twice is the first one; a time that is skipped is the first instant after the gap."""
    window = Window(start, stop, (), zone)
    night = window.next_night(utc(before))
    assert night == Night(utc(opens), utc(closes))
    assert window.night_at(night.opens - 1) is None
    assert [window.night_at(at) for at in (night.opens, night.closes - 1)] == [night, night]
    assert window.night_at(night.closes) is None


@pytest.fixture
def berlin() -> Iterator[None]:
    """Let the machine be in Berlin."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_without_a_zone_the_clock_is_the_machines() -> None:
    """With the same nights as the zone by its name."""
    for _, start, stop, before, opens, closes in NIGHTS[:9]:
        window = Window(start, stop)
        assert window.next_night(utc(before)) == Night(utc(opens), utc(closes))
    assert Window("22:00", "06:30").when(utc("2026-07-01 20:00")) == "Wed 22:00 CEST"


def test_a_night_does_not_open_again_in_the_hour_that_comes_twice() -> None:
    """22:00 to 02:30 closes at the first 02:30, and 02:10 an hour later is not in it."""
    window = Window("22:00", "02:30", (), "Europe/Berlin")
    assert window.night_at(utc("2026-10-25 01:10")) is None
    assert window.next_night(utc("2026-10-25 00:30")).opens == utc("2026-10-25 21:00")


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    """Saturday 01:00 is Friday's night, and Monday 01:00 is Sunday's, which is not wanted."""
    window = Window("22:00", "06:30", ("fri", "mon"), "Europe/Berlin")
    assert window.night_at(utc("2026-07-03 23:00")) == Night(utc("2026-07-03 20:00"), utc("2026-07-04 04:30"))
    assert window.night_at(utc("2026-07-05 23:00")) is None
    assert window.next_night(utc("2026-07-04 12:00")).opens == utc("2026-07-06 20:00")


def test_one_day_a_week_opens_even_if_it_was_swallowed() -> None:
    """Sunday's only hour is in the gap of 28 Mar 2027: the next one is a week later."""
    window = Window("02:10", "02:50", ("sun",), "Europe/Berlin")
    assert window.next_night(utc("2027-03-21 12:00")).opens == utc("2027-04-04 00:10")


@pytest.mark.parametrize(
    ("window", "opens", "closes"),
    [
        (Window(None, "06:30", (), "Europe/Berlin"), "2026-07-01 04:30", "2026-07-02 04:30"),
        (Window("06:30", "06:30", (), "Europe/Berlin"), "2026-07-01 04:30", "2026-07-02 04:30"),
        (Window(None, None, ("wed",), "Europe/Berlin"), "2026-06-30 22:00", "2026-07-01 22:00"),
    ],
)
def test_what_is_left_out_is_the_end_of_the_night_before(window: Window, opens: str, closes: str) -> None:
    """A stop alone leaves the day open until then; days alone are whole days."""
    assert window.night_at(utc("2026-07-01 12:00")) == Night(utc(opens), utc(closes))


def test_an_instant_is_written_with_its_zone() -> None:
    """The machine may be elsewhere."""
    window = Window("22:00", "06:30", (), "Australia/Lord_Howe")
    assert window.when(utc("2027-01-01 11:00")) == "Fri 22:00 +11"
