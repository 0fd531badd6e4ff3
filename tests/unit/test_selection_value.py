"""Which clips `--only` and a saved plan include: one rule for plan and run."""

from __future__ import annotations

import pytest

from batchgen.selection import Selection, matches


@pytest.mark.parametrize(
    ("globs", "fits"),
    [
        (None, True),
        ("shot1", True),
        ("shot1_2", True),
        ("shot?_2", True),
        ("SHOT1", False),
        ("shot", False),
        ("", False),
        ("intro, shot1*", True),
        ("intro,\tshot[12]", True),
        ("intro, outro", False),
    ],
)
def test_globs_are_separated_by_commas_and_fit_prompt_id_or_name(globs: str | None, fits: bool) -> None:
    """Upper and lower case differ on every system."""
    assert matches(globs, "shot1", "shot1_2") is fits
    assert Selection(only=globs).takes(7, "shot1", "shot1_2") is fits


def test_a_saved_plan_names_the_rows_and_only_narrows_it() -> None:
    """Both have to include the clip."""
    selection = Selection(only="shot*", planned=frozenset({1, 2}))
    assert selection.takes(1, "shot1")
    assert not selection.takes(3, "shot3")
    assert not selection.takes(2, "intro")
    assert not Selection(planned=frozenset()).takes(1, "shot1")
