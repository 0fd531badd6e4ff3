"""The cart: priced by the plan's own code, written as a manifest that asks for what it says, and never spent."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchgen.errors import UsageError
from batchgen.events import Downloaded, Generated, SubmitStarted, Submitted
from batchgen.ledger import Home, SqliteLedger
from batchgen.manifest import load
from batchgen.planning.saved_files import read_plan
from batchgen.review.followup import cart_lines
from batchgen.review.followup_files import follow_up

NIGHT = """
model: wan-2.5-t2v
defaults: {size: 832*480, duration: 5, negative_prompt: "100 % {{ '{{' }}braces}}"}
prompts:
  - {id: dawn, prompt: "A courier at dawn: \\"yes\\" # no comment", takes: 2}
  - {id: dusk, prompt: "A courier at dusk"}
prices: {wan-2.5-t2v: {832*480/5: 0.3, 1920*1080/5: 0.9}}
limits: {rpm: 20}
"""


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A batch that has 10 $, with nothing submitted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGMIND_API_KEY", "SG_0123456789abcdef")
    path = tmp_path / "jobs" / "night.yaml"
    path.parent.mkdir()
    path.write_text(NIGHT)
    with closing(SqliteLedger(path.with_suffix(""))) as ledger:
        ledger.bind(Home("../night.yaml", "https://api.segmind.com", "account"))
        ledger.remember("name", "night")
        ledger.remember("cap", "10000000")
        ledger.sync(load(path).wanted)
    yield path.with_suffix("")


def keys(folder: Path) -> dict[str, str]:
    return {clip.name: clip.key for clip in load(folder.with_suffix(".yaml")).wanted}


def cart(folder: Path, *lines: dict[str, Any], **options: Any) -> dict[str, Any]:
    named = keys(folder)
    return follow_up(folder, cart_lines([{**line, "clip": named[line["clip"]]} for line in lines]), **options)


TAKES = {"kind": "takes", "clip": "dawn_1", "count": 2}
EDIT = {"kind": "edit", "clip": "dusk_1", "prompt": "{{ no }} {% template %} {# at all #}: 'x'\nline two", "count": 1}
FINAL = {"kind": "final", "clip": "dawn_1", "size": "1920*1080", "count": 2}


def test_each_line_has_the_price_that_the_plan_would_have(batch: Path) -> None:
    """By the manifest's own prices; the budget's rest is what the caps leave."""
    found = cart(batch, TAKES, EDIT, FINAL)
    assert [line["usd"] for line in found["lines"]] == ["0.60", "0.30", "1.80"]
    assert (found["usd"], found["left_usd"], found["faults"]) == ("2.70", "10.00", [])
    assert "1920*1080" in found["sizes"]
    assert found["written"] is None
    assert sorted(path.name for path in batch.parent.iterdir()) == ["night", "night.yaml"]


def test_the_manifest_asks_for_what_the_cart_says(batch: Path) -> None:
    """Word for word, whatever is in a prompt; with new seeds, so that nothing is paid for a second time."""
    written = cart(batch, TAKES, EDIT, FINAL, write=True)["written"]
    assert written | {"clips": 5, "usd": "2.70", "manifest": "jobs/night-2.yaml"} == written
    made = load(Path(written["manifest"]))
    old = {clip.key for clip in load(batch.with_suffix(".yaml")).wanted}
    assert len({clip.key for clip in made.wanted} - old) == 5
    by_prompt: dict[str, list[dict[str, Any]]] = {}
    for clip in made.wanted:
        by_prompt.setdefault(clip.prompt_id, []).append(json.loads(clip.params))
    assert {name: len(found) for name, found in by_prompt.items()} == {"dawn": 2, "dusk-edit": 1, "dawn-final": 2}
    assert by_prompt["dusk-edit"][0]["prompt"] == EDIT["prompt"]
    assert by_prompt["dawn"][0]["negative_prompt"] == "100 % {{braces}}"
    assert {params["size"] for params in by_prompt["dawn-final"]} == {"1920*1080"}
    assert made.limits.rpm == 20
    assert made.budget.max_usd == 10


def test_its_comments_say_from_which_clips_it_comes_and_that_a_size_is_another_film(batch: Path) -> None:
    """Whoever opens it next week knows."""
    text = Path(cart(batch, TAKES, FINAL, write=True)["written"]["manifest"]).read_text()
    assert f"# from dawn_1 of night ({keys(batch)['dawn_1']}): 2 × further takes" in text
    assert "# Another size is another film" in text


def test_the_saved_plan_submits_it_and_nothing_else(batch: Path) -> None:
    """`run --plan` obeys it exactly."""
    written = cart(batch, TAKES, write=True)["written"]
    plan = read_plan(Path(written["plan"]))
    assert plan.chosen == {clip.key for clip in load(Path(written["manifest"])).wanted}
    assert shlex.split(written["command"]) == ["batchgen", "run", "night-2", "--plan", "jobs/night-2.plan.json"]


def test_a_second_follow_up_has_a_name_and_seeds_of_its_own(batch: Path) -> None:
    """The same cart again is other clips: one with the same seed would be paid for twice."""
    first, second = (cart(batch, TAKES, write=True)["written"]["manifest"] for _ in range(2))
    assert (first, second) == ("jobs/night-2.yaml", "jobs/night-3.yaml")
    assert not {clip.key for clip in load(Path(first)).wanted} & {clip.key for clip in load(Path(second)).wanted}


@pytest.mark.parametrize("taken", ["night-2.yaml", "night-2.sandbox", "night-2", "night-2.plan.json"])
def test_nothing_that_is_there_is_touched(batch: Path, taken: str) -> None:
    """A folder of that name is another batch's, and a link is not followed."""
    (batch.parent / taken).symlink_to(batch.parent / "nowhere")
    assert cart(batch, TAKES, write=True)["written"]["manifest"] == "jobs/night-3.yaml"
    assert not (batch.parent / "nowhere").exists()
    with pytest.raises(UsageError, match="exists"):
        cart(batch, TAKES, write=True, name="night-2")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", ".hidden", "a/b", "a\0b"])
def test_a_name_leads_nowhere_else(batch: Path, name: str) -> None:
    """It is written next to the manifest."""
    with pytest.raises(UsageError, match="name of a manifest"):
        cart(batch, TAKES, write=True, name=name)


def test_what_the_budget_does_not_have_is_not_written(batch: Path) -> None:
    """The wall is the batch's own."""
    found = cart(batch, TAKES | {"count": 50}, write=True)
    assert found["written"] is None
    assert found["faults"] == ["it costs about $15.00, and the budget has $10.00 left"]


def test_a_prompt_that_check_refuses_leaves_nothing_behind(batch: Path) -> None:
    """Its faults are those of `check`."""
    found = cart(batch, EDIT | {"prompt": "\u200b"}, write=True)
    assert found["faults"]
    assert sorted(path.name for path in batch.parent.iterdir()) == ["night", "night.yaml"]


def test_a_size_that_the_model_does_not_make_is_a_fault(batch: Path) -> None:
    found = cart(batch, FINAL | {"size": "1*1"}, write=True)
    assert "dawn_1: size can't be 1*1; it is one of" in found["faults"][0]
    assert (found["written"], found["usd"]) == (None, None)


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"kind": "takes", "clip": "x"},
        {"kind": "takes", "clip": "x", "count": 0},
        {"kind": "takes", "clip": "x", "count": True},
        {"kind": "takes", "clip": "x", "count": 101},
        {"kind": "edit", "clip": "x", "count": 1, "prompt": " "},
        {"kind": "final", "clip": "x", "count": 1, "size": 5},
        {"kind": "buy", "clip": "x", "count": 1},
        {"kind": "takes", "clip": "x", "count": 1, "yaml": "x"},
        "x",
    ],
)
def test_a_line_that_is_none_is_refused(line: object) -> None:
    with pytest.raises(UsageError):
        cart_lines([line])


def test_a_manifest_that_is_gone_is_reported(batch: Path) -> None:
    """A follow-up has prices and its place from it."""
    batch.with_suffix(".yaml").unlink()
    with pytest.raises(UsageError, match=r"manifest night\.yaml is gone"):
        follow_up(batch, [])


def test_what_another_follow_up_plans_is_not_left_any_more(batch: Path) -> None:
    """Two follow-ups together stay within the budget, whichever of them is run; it is named as long as it is there."""
    first = cart(batch, FINAL, write=True)["written"]
    found = cart(batch, TAKES)
    assert found["left_usd"] == "8.20"
    assert found["earlier"] == [{"name": "night-2", "usd": "1.80", "begun": False}]
    second = cart(batch, TAKES, write=True)["written"]
    assert load(Path(second["manifest"])).budget.max_usd == Decimal("8.2")
    assert cart(batch, TAKES)["left_usd"] == "7.60"
    for name in (first["manifest"], first["plan"]):
        Path(name).unlink()
    assert [each["name"] for each in cart(batch, TAKES)["earlier"]] == ["night-3"]


async def test_a_follow_up_that_was_run_takes_what_it_has_spent(batch: Path) -> None:
    """While it has clips to make, no less than was planned; then what was charged."""
    path = Path(cart(batch, FINAL, write=True)["written"]["manifest"])
    with closing(SqliteLedger(path.with_suffix(""))) as ledger:
        ledger.sync(load(path).wanted)
        for row, expected in ((1, "1.80"), (2, "1.00")):
            clip = await ledger.record(ledger.clip(row), SubmitStarted(ledger.now(), 900_000))
            clip = await ledger.record(clip, Submitted(f"r{row}", ledger.now()))
            clip = await ledger.record(clip, Generated("https://x/1.mp4", ledger.now(), 500_000))
            await ledger.record(clip, Downloaded(f"{row}.mp4", 1, "ab" * 32))
            assert cart(batch, TAKES)["earlier"] == [{"name": "night-2", "usd": expected, "begun": True}]


def test_a_cart_beyond_what_the_others_leave_is_not_written(batch: Path) -> None:
    """As one beyond the budget is not."""
    cart(batch, FINAL | {"count": 10}, write=True)
    found = cart(batch, FINAL, write=True)
    assert found["faults"] == ["it costs about $1.80, and the budget has $1.00 left"]
    assert found["written"] is None
