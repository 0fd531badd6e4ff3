"""The judge: innocent where all promises held, and never blind to one that did not, with clip and request named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchgen.torture.judge import Booked, Evidence, Kept, verdict

FINE = Evidence(
    booked=[Booked("r1", "cat", 500), Booked("r2", "dog", 0), Booked("r3", "dog", 500), Booked("r4", "owl", 0),
            Booked("r5", "fox", 500, frozenset({"broken_file"}))],
    kept=[
        Kept("cat", "cat_1", "done", ("r1",), "r1", "cat_1.mp4", "s1"),
        Kept("dog", "dog_1", "done", ("r2", "r3"), "r3", "dog_1.mp4", "s3"),
        Kept("owl", "owl_1", "blocked", ("r4",), "r4"),
        Kept("fox", "fox_1", "lost", ("r5",), "r5"),
    ],
    files={"cat_1.mp4": "s1", "dog_1.mp4": "s3"},
    made={"r1": "s1", "r3": "s3", "r5": "s5"},
    spent=1500,
    leftovers=[],
    final_exit=5,
)  # fmt: skip


def broken(evidence: Evidence) -> dict[str, list[str]]:
    """Give what the judge finds, by promise."""
    return {promise.name: promise.findings for promise in verdict(evidence) if promise.findings}


def cat(**changes: object) -> Evidence:
    """The evidence with another cat."""
    return replace(FINE, kept=[replace(FINE.kept[0], **changes), *FINE.kept[1:]])  # type: ignore[arg-type]


def test_innocent_where_everything_held() -> None:
    """A free failure that was tried again, a block, and a file that nobody can have: no promise is broken."""
    assert not broken(FINE)
    assert all(promise.ok for promise in verdict(FINE))


BOOKED = list(FINE.booked)
CASES: dict[str, tuple[Evidence, str, str]] = {
    "paid twice": (
        replace(FINE, booked=[*BOOKED, Booked("r9", "cat", 500)], spent=2000), "never pays twice", "cat_1.*r1, r9"),
    "a stranger's request": (
        replace(FINE, booked=[*BOOKED, Booked("r9", "cow", 500)], spent=2000), "never pays twice", "r9.*cow"),
    "not collected": (cat(state="lost", file=None), "never loses", "cat_1 is lost.*r1"),
    "done without a file": (replace(FINE, files={"dog_1.mp4": "s3"}), "never loses", "cat_1 is done.*r1"),
    "another clip's file": (replace(FINE, files={**FINE.files, "cat_1.mp4": "s3"}), "whole", "cat_1.mp4.*r1"),
    "half a file": (replace(FINE, files={**FINE.files, "cat_1.mp4": "half"}), "whole", "cat_1.mp4.*r1"),
    "a wrong digest": (cat(sha256="s9"), "whole", "another sha256"),
    "nobody's file": (replace(FINE, files={**FINE.files, "x.mp4": "s5"}), "whole", "x.mp4 is no clip's"),
    "a broken file that was kept": (
        replace(FINE, kept=[*FINE.kept[:3], Kept("fox", "fox_1", "done", ("r5",), "r5", "fox_1.mp4", "s5")],
                files={**FINE.files, "fox_1.mp4": "s5"}), "whole", "fox_1.mp4 is kept.*r5"),
    "litter": (replace(FINE, leftovers=["cat_1.mp4.part"]), "whole", "left over: cat_1.mp4.part"),
    "an id that is nowhere": (cat(request_ids=()), "open question", "r1"),
    "a bill too low": (replace(FINE, spent=1000), "bill", "1000.*1500"),
    "unsettled": (cat(state="unconfirmed"), "resumes", "cat_1 is still unconfirmed"),
    "a wrong exit": (replace(FINE, final_exit=0), "resumes", "exit 0, not 5"),
    "lost and not told": (
        replace(FINE, kept=[*FINE.kept[:3], replace(FINE.kept[3], state="failed")]), "never loses", "fox_1.*failed"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_broken_promise_is_seen_with_its_evidence(case: str) -> None:
    """A judge that finds nothing proves nothing."""
    import re

    evidence, promise, told = CASES[case]
    findings = [found for name, each in broken(evidence).items() if promise in name for found in each]
    assert any(re.search(told, found) for found in findings), broken(evidence)


def test_what_is_in_doubt_and_told_is_no_secret() -> None:
    """An unconfirmed clip's request need not be known: that is what unconfirmed means."""
    evidence = cat(state="unconfirmed", request_ids=(), request_id=None)
    assert not any("open question" in name for name in broken(evidence))
