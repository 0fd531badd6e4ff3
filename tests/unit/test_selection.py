"""One rule for `--only`: the same text means the same clips in every command."""

from __future__ import annotations

import pytest

from batchgen.selection import Selection, matches


@pytest.mark.parametrize(
    ("only", "fits"),
    [
        (None, True),
        ("singer", True),
        ("singer_*", True),
        ("dawn, singer", True),
        ("dawn,singer_1 ", True),
        ("Singer", False),
        ("sing", False),
        ("dawn,", False),
        ("", False),
    ],
)
def test_globs_fit_an_id_or_a_name(only: str | None, fits: bool) -> None:
    """Case counts, blanks around a comma do not; nothing asked for is everything, an empty text is nothing."""
    assert matches(only, "singer", "singer_1") is fits


def test_a_selection_leaves_out_what_the_plan_or_only_leaves_out() -> None:
    """Both have to take a clip; without either, every clip is taken."""
    assert Selection().takes(7, "singer")
    assert Selection(planned=frozenset({7}), only="s*").takes(7, "singer")
    assert not Selection(planned=frozenset({7})).takes(8, "singer")
    assert not Selection(planned=frozenset({7}), only="d*").takes(7, "singer")
