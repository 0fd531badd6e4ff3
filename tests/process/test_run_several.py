"""`run A B C`: one after the other, one cap, one summary."""

from __future__ import annotations

from typing import Any

import pytest
from bad_replies import says
from command import Desk, Ended
from scripted_service import FakeApi

pytestmark = pytest.mark.real_time

NAMES = ("one", "two", "three")


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """Three manifests of two prompts each."""
    for name in NAMES:
        desk.manifest(f"{name} a", f"{name} b", name=f"{name}.yaml")
    return desk


def several(desk: Desk, *options: str, names: tuple[str, ...] = NAMES, **more: Any) -> Ended:
    """Run them at the pace of tests."""
    pace = ("--base-url", desk.url, "--rpm", "0", "--expect-latency", "0.1", "--in-flight", "1")
    return desk.call("run", *names, *pace, "--yes", *options, **more)


def ends(ended: Ended) -> list[tuple[int, int | None]]:
    """Give each batch's exit code, and how many of its clips are done."""
    return [
        (batch["exit_code"], batch["status"] and batch["status"]["state"]["done"]) for batch in ended.obj["batches"]
    ]


def test_one_that_stops_for_a_reason_of_its_own_does_not_stop_the_next(api: FakeApi, desk: Desk) -> None:
    """A budget that is used up, a manifest with a fault, one that is not there: the others are made."""
    desk.manifest("one a", "one b", more="budget: {max_usd: 0.30}", name="one.yaml")
    (desk.folder / "two.yaml").write_text("prompts: 3")
    api.price = lambda _params: 0.3125
    ended = several(desk, "--json", names=(*NAMES, "fore"))
    assert ended.code == ended.obj["exit_code"] == 2
    assert ends(ended) == [(4, 0), (2, None), (0, 2), (2, None)]
    assert (ended.obj["error"], ended.obj["spent_usd"]) == (None, 0.625)
    assert "two.yaml:1" in ended.said and "two cannot run as it is" in ended.said
    assert "Traceback" not in ended.said
    assert several(desk, names=("three", "one")).code == 4


def test_a_dead_account_stops_all_that_have_it(api: FakeApi, desk: Desk) -> None:
    """What comes next would only ask again."""
    api.scripts["submit"] = says(406, "Insufficient credits")
    ended = several(desk, "--give-up", "0", "--json")
    assert ended.code == 4
    assert [batch["began"] for batch in ended.obj["batches"]] == [True, False, False]
    assert ended.obj["batches"][1]["stopped"].startswith("its account cannot go on: credits: ")
    assert not (desk.folder / "two").exists()


def test_they_never_spend_more_together_than_they_may(api: FakeApi, desk: Desk) -> None:
    """Over all their runs, by the service's own books; the words name the option."""
    api.price = lambda _params: 0.3125
    ended = several(desk, "--max-usd-together", "2.20", "--json")
    assert ended.code == 4
    assert api.charged == ended.obj["spent_usd"] <= 2.20
    assert ends(ended) == [(0, 2), (0, 2), (4, 0)]
    assert "to continue, raise --max-usd-together" in ended.obj["batches"][2]["stopped"]
    again = several(desk, "--max-usd-together", "2.20", "--json")
    assert (api.charged, again.obj["max_usd_together"]) == (1.25, 2.2)
    desk.manifest("one c", more="budget: {max_usd: 50}", name="one.yaml")
    assert several(desk, "--max-usd-together", "1.3").code == 4
    assert api.charged == 1.25
    desk.manifest("one a", "one b", name="one.yaml")
    assert several(desk, "--max-usd-together", "9").expect(0).stdout.count(b"done: 2 of 2 clips") == 3


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("run", "one", "two", "--dir", "x"), "--dir goes with one manifest only"),
        (("run", "one", "two", "--plan", "x.json"), "--plan goes with one manifest only"),
        (("run", "one", "two", "--dry-run"), "--dry-run goes with one manifest only"),
        (("run", "one", "one"), "one is named twice"),
        (("run", "one", "two"), "cannot ask for confirmation"),
        (("run", "one", "--until", "25:00", "--yes"), "'25:00' is not a time of the day; write 07:00"),
        (("run", "one", "--max-usd-together", "", "--yes"), "is not an amount of USD"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_sent(
    api: FakeApi, desk: Desk, args: tuple[str, ...], said: str
) -> None:
    """With one object, as every command that fails."""
    ended = desk.call(*args, "--base-url", desk.url, "--json").expect(2)
    assert said in ended.said
    assert ended.obj["exit_code"] == 2
    assert not api.posts
