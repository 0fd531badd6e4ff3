"""What a pick has cost: all that was charged for a prompt, a cell or a model, by the picks that came of it."""

from __future__ import annotations

from typing import Any

from batchgen.clip import ClipSummary, State
from batchgen.review.choice import Choice
from batchgen.review.cost import cost_of_picks


def clip(key: str, prompt: str, spent: int, *, label: str = "", state: State = State.DONE) -> ClipSummary:
    return ClipSummary(key, prompt, 1, "wan", "{}", key, 0, 0, label, None, None, state, 1, 0, 0, "", None, spent, 0, 0)


CLIPS = [
    clip("a1", "a", 600_000, label="city=Tokyo, time=dawn"),
    clip("a2", "a", 600_000, label="city=Tokyo, time=dawn"),
    clip("b1", "b", 300_000, label="city=Lisbon, time=dawn"),
    clip("b2", "b", 0, label="city=Lisbon, time=dawn", state=State.FAILED),
]
CHOICES = {"a1": Choice(pick=1), "a2": Choice(pick=-1, reason="hands"), "b1": Choice(pick=-1)}


def row(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(each for each in rows if name in {each.get("name"), each.get("value"), each.get("reason")})


def test_all_that_was_charged_counts_for_the_picks() -> None:
    """A reject was paid for as well: it is what choosing costs."""
    found = cost_of_picks(CLIPS, CHOICES)
    assert (found["picks"], found["rejects"], found["clips"]) == (1, 2, 3)
    assert (found["spent_usd"], found["per_pick_usd"]) == ("1.50", "1.50")
    assert row("a", found["by_prompt"])["per_pick_usd"] == "1.20"
    assert row("b", found["by_prompt"])["per_pick_usd"] is None
    assert row("wan", found["by_model"])["spent_usd"] == "1.50"


def test_a_cell_counts_on_each_of_its_axes() -> None:
    """One sees which city, and which time, is worth more takes."""
    cells = cost_of_picks(CLIPS, CHOICES)["by_cell"]
    assert row("Tokyo", cells) | {"axis": "city"} == row("Tokyo", cells)
    assert (row("dawn", cells)["spent_usd"], row("dawn", cells)["picks"]) == ("1.50", 1)


def test_rejects_are_summed_by_reason() -> None:
    """A reject without a reason is one, too."""
    found = cost_of_picks(CLIPS, CHOICES)["rejects_by_reason"]
    assert found == [
        {"reason": "hands", "clips": 1, "spent_usd": "0.60"},
        {"reason": "", "clips": 1, "spent_usd": "0.30"},
    ]


def test_nothing_decided_costs_nothing_a_pick() -> None:
    """No pick: no price, and not 0."""
    assert cost_of_picks(CLIPS, {})["per_pick_usd"] is None
