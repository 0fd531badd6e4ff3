"""What the page shows of a whole batch: which clips belong together."""

from __future__ import annotations

import pytest

from batchgen.review.overview import cell_of, group_of


@pytest.mark.parametrize(
    ("prompt_id", "label", "group"),
    [
        ("courier-tokyo-dawn", "city=Tokyo, time=dawn", "courier"),
        ("courier-são-paulo-at-dawn", "city=São Paulo, time=at dawn!", "courier"),
        ("tokyo-tokyo", "city=Tokyo", "tokyo"),
        ("bike-crosses_tokyo", "city=Tokyo", "bike-crosses"),  # an id that is made of the prompt's words
        ("courier", "", "courier"),
        ("courier-tokyo", "", "courier-tokyo"),
        ("bike_tokyo-a1b2c3", "city=Tokyo", "bike_tokyo-a1b2c3"),  # a hash tells it from that of another prompt
        ("tokyo", "city=Tokyo", "tokyo"),
        ("in-kyoto", "city=oto", "in-kyoto"),
        ("courier", "mark=!", "courier"),
    ],
)
def test_the_cells_of_a_prompt_are_one_group(prompt_id: str, label: str, group: str) -> None:
    assert group_of(prompt_id, cell_of(label)) == group
