"""Which clips are handed over, and under which names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from handover_samples import sample
from hypothesis import given
from hypothesis import strategies as st

from batchgen.clip import Clip, State, Wanted
from batchgen.errors import UsageError
from batchgen.handover.chosen import Select, choose, named
from batchgen.review.choice import Choice


def clip(name: str, order: int = 0, state: State = State.DONE) -> Clip:
    return Clip(order, Wanted(name, name, 1, "m", '{"seed": 3}', name, order), state, file=f"{name}.mp4")


def test_finished_clips_come_in_the_order_of_the_picks_and_then_of_the_manifest() -> None:
    clips = [clip("a", 1), clip("b", 2), clip("c", 3), clip("d", 4), clip("e", 5, State.FAILED)]
    choices = {"a": Choice(1), "c": Choice(1, order=0), "d": Choice(-1), "b": Choice(1), "e": Choice(1)}
    found = choose(clips, choices, lambda _, choice: choice.pick > 0, Path("clips"))
    assert [(select.order, select.clip.key) for select in found] == [(1, "c"), (2, "a"), (3, "b")]


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{order:02d}_{name}", "01_fox.mp4"),
        ("{prompt}-{take}-{seed}", "fox-1-3.mp4"),
        ("a/b:c", "a-b-c.mp4"),
        ("CON", "_CON.mp4"),
        ("..hidden..", "hidden.mp4"),
        ("é" * 300, "é" * 100 + ".mp4"),
    ],
)
def test_a_template_gives_a_name_that_every_system_can_hold(template: str, name: str) -> None:
    assert named(choose([clip("fox")], {}, lambda *_: True, Path("clips")), template)[0].name == name


@pytest.mark.parametrize("template", ["{nothing}", "{order:zz}", "{", "{0}", "{name.x}", "///", ""])
def test_a_template_that_can_not_be_used_is_a_usage_error(template: str) -> None:
    selects = choose([clip("fox")], {}, lambda *_: True, Path("clips"))
    with pytest.raises(UsageError, match="--template"):
        named(selects, template)


@given(st.lists(st.text(min_size=1, max_size=12).map(lambda text: text.replace("/", "-")), min_size=1, max_size=12))
def test_no_two_names_are_one_on_any_disk(names: list[str]) -> None:
    """macOS and Windows fold case, macOS accents, too. A clip's name has no slash but that of `replaced/`."""
    found = [
        Select(1, replace(clip("x"), wanted=replace(clip("x").wanted, name=f"x{name}")), Choice(), Path())
        for name in names
    ]
    out = [select.name.casefold() for select in named(found, "{name}")]
    assert len(set(out)) == len(out)
    assert all(len(name.encode()) < 255 and "/" not in name and not name.startswith(".") for name in out)


def test_keywords_are_what_an_editor_searches_for(tmp_path: Path) -> None:
    chosen = Choice(pick=1, stars=4, label="red", tags=("hero",))
    assert sample(tmp_path, "fox", choice=chosen).keywords == ["4 stars", "red", "hero", "city=Tokyo"]
