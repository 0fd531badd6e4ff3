"""The audit: every disagreement with the history is found, and nothing is concluded from what was not shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.billing.audit import Audit, Read, hold, period
from batchgen.clip import Clip, Request, State
from batchgen.providers.base import Completed, HistoryRow, Refused, Running
from batchgen.testing import wanted
from batchgen.views.bill import audit_lines, audit_object
from batchgen.views.text import columns

AT = 1_795_300_000.0


def ours(n: int, cost: int | None = 625_000, outcome: str = "charged") -> Clip:
    request = Request(1, AT + n, request_id=f"r{n}", submitted_at=AT + n, cost=cost, outcome=outcome)
    return Clip(n, wanted(n), State.DONE, request)


def row(n: int, charged: int | None = 625_000, *, prompt: str | None = None, at: float | None = None) -> HistoryRow:
    outcome = Completed(url="u", cost=charged)
    params = {"prompt": f"shot {n}" if prompt is None else prompt}
    return HistoryRow(f"r{n}", "wan-2.5-t2v", outcome, params, AT + n if at is None else at, charged)


def held(*rows: HistoryRow, clips: list[Clip] | None = None, whole: bool = True) -> Audit:
    return hold([ours(1), ours(2)] if clips is None else clips, Read(list(rows), whole, "" if whole else "down"))


def test_a_bill_that_agrees_is_told_so() -> None:
    """Amount for amount."""
    audit = held(row(1), row(2))
    assert (audit.ok, audit.agreed, audit.agreed_sum) == (True, 2, 1_250_000)


@pytest.mark.parametrize(
    ("group", "rows", "clips"),
    [
        ("differ", [row(1, 700_000), row(2)], None),
        ("uncharged", [row(1, 0), row(2)], None),
        ("missing", [row(2)], None),
        ("unknown", [row(1), row(2), replace(row(1), request_id="x")], None),
        ("differ", [replace(row(1, 625_000), outcome=Refused("internal"))], [ours(1, None, "failed")]),
    ],
)
def test_each_disagreement_is_found(group: str, rows: list[HistoryRow], clips: list[Clip] | None) -> None:
    """Another amount, nothing charged, nothing there, charged without us knowing, a failure that was charged."""
    audit = held(*rows, clips=clips)
    assert audit.ok is False
    assert [item.request_id for item in getattr(audit, group)] == ["x" if group == "unknown" else "r1"]


def test_what_was_not_shown_proves_nothing() -> None:
    """A history that was read in part, or not at all, has no word on what is missing; what it shows counts."""
    assert held(row(2), whole=False).ok is None
    assert held(row(2), whole=False).missing == []
    assert held(whole=False).why == "down"
    assert held(row(1, 1), whole=False).ok is False


def test_a_cost_that_we_never_heard_is_learned_and_no_fault() -> None:
    """It is the bill that was open, not the history that is wrong."""
    audit = held(row(1), clips=[ours(1, None)])
    assert (audit.ok, [item.theirs for item in audit.learned]) == (True, [625_000])
    assert held(row(1, None), clips=[ours(1)]).untold == 1


def test_other_tools_and_batches_are_told_apart() -> None:
    """A studio has one account: what is not of this batch is no fault of it."""
    strange = replace(row(3, 900_000, prompt="something else"), request_id="theirs")
    sibling = replace(row(1), request_id="s1")
    free = replace(row(1, 0), request_id="free", outcome=Refused("bad"))
    old = replace(row(1, at=AT - 86_400), request_id="old")
    read = Read([row(1), row(2), strange, sibling, free, old], whole=True)
    audit = hold([ours(1), ours(2)], read, {"s1"})
    assert (audit.ok, audit.others, audit.others_sum, audit.siblings) == (True, 1, 900_000, 1)


def test_a_request_of_the_batch_that_still_runs_is_shown() -> None:
    """It will be charged, and nobody knows of it: the answer to its submission was lost."""
    running = replace(row(1, None), request_id="x", outcome=Running("PROCESSING"))
    assert [item.request_id for item in held(row(1), row(2), running).unknown] == ["x"]


def test_the_period_is_that_of_the_submissions() -> None:
    """With a little slack for two clocks; none for a batch that never submitted."""
    assert period([ours(1), ours(500)]) == (AT + 1 - 900, AT + 500 + 900)
    assert period([Clip(1, wanted(1))]) is None
    assert hold([], Read(whole=True)).ok is True


@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 3)), st.one_of(st.none(), st.integers(0, 3)))))
def test_every_request_of_ours_is_in_one_place(pairs: list[tuple[int | None, int | None]]) -> None:
    """Agreed, untold, or in exactly one list; of unknown cost on both sides, in none."""
    clips = [ours(n, cost) for n, (cost, _) in enumerate(pairs)]
    audit = hold(clips, Read([row(n, charge) for n, (_, charge) in enumerate(pairs)], whole=True))
    listed = [*audit.differ, *audit.uncharged, *audit.missing, *audit.learned, *audit.unknown]
    nothing = sum(1 for cost, charge in pairs if cost is None and charge == 0)
    assert audit.agreed + audit.untold + len(listed) + nothing == len(pairs)
    assert (audit.ok is True) == (not audit.differ and not audit.uncharged)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_words_fit_and_the_object_has_all(width: int) -> None:
    """What differs is named, with both amounts."""
    many = [replace(row(1), request_id=f"x{n}") for n in range(14)]
    audit = held(row(1, 700_000), *many, row(3, prompt="else"))
    lines = audit_lines(audit, width)
    assert max(map(columns, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for words in ("The bill differs", "ledger $0.625, history $0.70", "and 4 more", "other tools or machines"):
        assert words in text
    told = audit_object(audit)
    assert (told["ok"], len(told["unknown"]), told["differ"][0]["clip"]) == (False, 14, "shot1_1")
    assert "Cannot compare the bill with the account history: down" in " ".join(audit_lines(held(whole=False), width))
