"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.views import text
from batchgen.wording import duration


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3_569, "59 min"),
        (3_599, "1 h 00 min"),
        (11_520, "3 h 12 min"),
        (172_799, "2 days 0 h"),
        (662_043, "7 days 15 h"),
    ],
)
def test_a_length_of_time_reads_well(seconds: float, expected: str) -> None:
    """ "3 hours" for 2 h 32 min is what a package would say."""
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, "1 byte"), (999, "999 bytes"), (4_200_000, "4.2 MB"), (999_960_000, "1.0 GB"), (5 * 10**12, "5.0 TB")],
)
def test_a_size_reads_well(count: int, expected: str) -> None:
    """In the units that file managers show."""
    assert text.size(count) == expected


def test_moments_of_a_log_carry_their_zone() -> None:
    """A log without one is useless in the night when the clocks change; a table for people needs none."""
    zone = timezone(timedelta(hours=1))
    assert text.stamp_zone(1_795_313_520.9, zone) == "2026-11-22T03:12:00+01:00"
    assert text.stamp(1_795_313_520.9, zone) == "2026-11-22 03:12:00"
    assert text.stamp_utc(1_795_313_520.9) == "2026-11-22T02:12:00.900Z"
    assert text.clock(1_795_313_520, 1_795_313_520 - 86_400, zone) == "Sun 03:12"


@settings(deadline=None)
@given(st.text(), st.integers(1, 60))
def test_cut_text_fits(raw: str, width: int) -> None:
    """Whatever a provider or a prompt says."""
    line = text.one_line(raw)
    assert text.columns(text.fit(line, width)) <= width
    assert "\n" not in line
    assert "\x1b" not in line


@settings(deadline=None)
@given(st.lists(st.text("abcé渋", min_size=1, max_size=12), max_size=20), st.integers(14, 60))
def test_wrapping_loses_no_word_and_fits(parts: list[str], width: int) -> None:
    """Only a word wider than the line may stick out."""
    lines = text.wrap(" ".join(parts), width, "  ")
    assert " ".join(lines).split() == parts
    assert all(text.columns(line) <= width or len(line.split()) == 1 for line in lines)


@pytest.mark.parametrize(
    ("raw", "bare"),
    [
        ("https://a.b/c.mp4?sig=1#x", "https://a.b/c.mp4"),
        ('{"u":"https://a.b/c?x=1","v":2}', '{"u":"https://a.b/c","v":2}'),
        ("why? https://a.b/c is fine?", "why? https://a.b/c is fine?"),
    ],
)
def test_urls_lose_their_secrets_only(raw: str, bare: str) -> None:
    """A signed link is a key to the file; the rest of the text is wanted."""
    assert text.bare_urls(raw) == bare
