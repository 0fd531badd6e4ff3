"""Several batches of one command: one code, one object, one text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from batchgen.clip import State
from batchgen.errors import AccountProblem, Exit
from batchgen.views.nights import GRAVEST_FIRST, BatchEnd, code_of, nights_object, nights_text


def status(done: int, pending: int = 0, *, spent: float = 0.0, following: str = "") -> dict[str, Any]:
    """Give what of `status --json` is used."""
    counts = {str(state): 0 for state in State} | {"done": done, "pending": pending}
    return {"state": counts, "spent_usd": spent, "reserved_usd": 0.5, "next": [following] if following else []}


ENDS = [
    BatchEnd("jobs/first.yaml", Exit.OK, None, status(3, spent=1.875)),
    BatchEnd("second", Exit.STOPPED, "credits: 406: top up the account, then run again",
             status(1, 4, spent=0.625, following="batchgen run second")),
    BatchEnd("third", Exit.STOPPED, "its account cannot go on: credits: 406", began=False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([], 0),
        ([0, 0], 0),
        ([3, 0], 3),
        ([3, 6], 6),
        ([3, 4, 6], 4),
        ([4, 5, 3], 5),
        ([5, 2], 2),
        ([5, 130], 130),
        ([143, 2], 143),
        ([130, 1], 1),
    ],
)
def test_the_code_is_what_needs_a_person_most(codes: list[int], code: int) -> None:
    """One that has nothing left does not hide one that waits for a decision; every code has its rank."""
    ends = [BatchEnd(str(n), Exit(each)) for n, each in enumerate(codes)]
    assert code_of(ends) == code_of(ends[::-1]) == code
    assert sorted(GRAVEST_FIRST) == sorted(Exit)


def test_the_object_has_each_batch_and_the_sums() -> None:
    """A script needs no second call."""
    obj = nights_object(ENDS, together=10_000_000, elapsed_s=61.0)
    assert (obj["spent_usd"], obj["reserved_usd"], obj["max_usd_together"], obj["elapsed_s"]) == (2.5, 1.0, 10.0, 61.0)
    assert [(batch["manifest"], batch["began"], batch["exit_code"]) for batch in obj["batches"]] == [
        ("jobs/first.yaml", True, 0),
        ("second", True, 4),
        ("third", False, 4),
    ]
    assert obj["batches"][2]["status"] is None
    assert nights_object([], together=None, elapsed_s=0.0)["max_usd_together"] is None


def test_the_text(golden: Callable[[str, str], None]) -> None:
    """A line a batch, why it ended early, and the next commands."""
    golden("nights", nights_text(nights_object(ENDS, together=10_000_000, elapsed_s=8000.0), 80))


def test_only_what_stops_every_batch_of_the_account_is_its_death() -> None:
    """A model that was withdrawn, or clips that are refused alike, are one batch's trouble."""
    assert {problem.name for problem in AccountProblem if problem.everywhere} == {
        "KEY",
        "CREDITS",
        "SPEND_LIMIT",
        "THROTTLED",
    }
