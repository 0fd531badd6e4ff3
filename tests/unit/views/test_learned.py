"""What was learned, shown: by `status -v`, and to programs."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from test_status import CLEAN, NOW

from batchgen.views.learned import ClassTimes, Learned, learned_lines, learned_object
from batchgen.views.status import status_object, status_text
from batchgen.views.text import columns

LEARNED = Learned(
    [
        ClassTimes(
            "wan-2.5-t2v 1280*720 5", run=[150.0 + n for n in range(100)], queue=[n / 4 for n in range(100)],
            ages=[171.2, 190.0, 214.4, 255.9, 400.0], looks=2.31, lag=11.26,
            made=(221, 90),
        ),
        ClassTimes("wan-2.5-t2v 720*1280 10", run=[1501.0], queue=[], ages=[1501.0, 1820.0], looks=1.12, lag=40.0),
    ],
    rate=(58.04, 9 * 3600.0),
    in_flight=(40.0, 8 * 3600.0 + 1200),
    borne=True,
)  # fmt: skip


def test_the_object_has_all_of_it_in_numbers() -> None:
    """Documented fields, as JSON takes them."""
    obj = learned_object(LEARNED)
    assert obj["rate"] == {"rpm": 58.0, "age_s": 32_400, "borne": True}
    assert obj["in_flight"] == {"clips": 40, "age_s": 30_000}
    first, second = obj["classes"]
    assert first["run_s"] == {"p10": 160, "p50": 200, "p90": 240}
    assert first["queue_s"] == {"p10": 2.5, "p50": 12.5, "p90": 22.5}
    ages = [171.2, 190, 214.4, 255.9, 400]
    made = {"made_a_clip": 2.46, "made_clips": 90}
    assert first["looks"] == {"ages_s": ages, "a_clip": 2.31, "lag_s": 11.3, **made}
    assert (second["clips"], second["queue_s"]) == (1, None)
    assert (second["looks"]["made_a_clip"], second["looks"]["made_clips"]) == (None, 0)
    assert json.loads(json.dumps(obj)) == obj


@pytest.mark.parametrize("width", [60, 80])
def test_the_text_is_as_in_the_golden_file(width: int, golden: Callable[[str, str], None]) -> None:
    """Within its width."""
    text = status_text(status_object(CLEAN, now=NOW) | {"learned": learned_object(LEARNED)}, width)
    golden(f"status_learned_{width}", text)
    assert all(columns(line) <= width for line in text.splitlines())


def test_a_long_schedule_is_cut_for_people_alone() -> None:
    """Looks that are dense round the end are dozens."""
    many = ClassTimes("m", run=[1.0], queue=[], ages=[0.5 + n / 10 for n in range(40)], looks=6.0, lag=0.1)
    obj = learned_object(Learned([many]))
    assert len(obj["classes"][0]["looks"]["ages_s"]) == 40
    assert "0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2 s, and later" in " ".join(" ".join(learned_lines(obj, 80)).split())


def test_a_rate_that_was_not_tried_is_not_said_to_hold() -> None:
    """Refusals led to it a minute ago; the real limit may be far below."""
    text = " ".join(learned_lines(learned_object(Learned([], rate=(25.0, 60.0), in_flight=(9.0, 60.0))), 200))
    assert "Slowed to 25 calls/min after refusals (60 s ago); up to 9 clips in flight" in " ".join(text.split())
    assert "accepted" not in text


def test_nothing_learned_is_said_and_nothing_asked_for_is_not() -> None:
    """Without -v there is no such part, and no such field."""
    assert learned_lines(None, 80) == []
    assert "learned" not in status_object(CLEAN, now=NOW)
    lines = "\n".join(learned_lines(learned_object(Learned([])), 80))
    assert "The account refused no calls." in lines
    assert "No run times yet." in lines
