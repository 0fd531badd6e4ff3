"""Telling the service's trouble from a clip's."""

from __future__ import annotations

from batchgen.runner.service_trouble import NEVER_STOP, REFUSED_CLIPS, UNSURE_SLOW, ServiceTrouble


def test_one_clip_that_meets_500s_is_to_blame_itself() -> None:
    """A bad parameter answers so for ever."""
    trouble = ServiceTrouble()
    assert not any(trouble.met_500(1, float(n)) for n in range(50))
    assert not trouble.on


def test_many_clips_that_meet_500s_are_not_to_blame() -> None:
    """An outage must not fail a night clip by clip."""
    trouble = ServiceTrouble()
    blamed = [trouble.met_500(row, 100.0) for row in range(REFUSED_CLIPS + 2)]
    assert blamed == [False] * (REFUSED_CLIPS - 1) + [True] * 3
    assert trouble.since == 100.0
    assert trouble.until > 100.0


def test_waits_grow_while_trouble_lasts_and_its_start_stays() -> None:
    """When to give up counts from the first sign."""
    trouble = ServiceTrouble()
    waits = []
    for n in range(20):
        trouble.met_500(n, float(n))
        waits.append(trouble.until - n)
    later = [wait for wait in waits if wait > 0]
    assert later == sorted(later)
    assert trouble.since == REFUSED_CLIPS - 1


def test_silence_slows_down_after_a_streak() -> None:
    """Each unclear POST puts money in doubt."""
    trouble = ServiceTrouble()
    for n in range(UNSURE_SLOW - 1):
        trouble.met_silence(float(n))
    assert trouble.since is None
    trouble.met_silence(50.0)
    assert trouble.on
    assert trouble.until > 50.0


def test_one_acceptance_ends_all_suspicion() -> None:
    """The service works."""
    trouble = ServiceTrouble()
    for n in range(30):
        trouble.met_500(n, 1.0)
        trouble.met_silence(1.0)
    trouble.over()
    assert not trouble.on
    assert (trouble.refused, trouble.unsure, trouble.until) == (set(), 0, 0.0)


def test_a_clip_that_was_refused_while_others_were_accepted_is_to_blame() -> None:
    """Bad clips that are left over at the end of a night must not pass for an outage of hours."""
    trouble = ServiceTrouble()
    bad = range(REFUSED_CLIPS + 1)
    for row in bad:
        trouble.met_500(row, 0.0)
    trouble.over()
    assert [trouble.met_500(row, 100.0) for row in bad] == [False] * len(bad)


def test_a_run_that_never_had_anything_accepted_gives_up_after_so_many_tries() -> None:
    """A bad value in the defaults answers 500 for ever; hours of tries would not mend it."""
    trouble = ServiceTrouble()
    for n in range(NEVER_STOP + REFUSED_CLIPS - 1):
        assert not trouble.hopeless
        trouble.met_500(n % 8, float(n))
    assert trouble.hopeless
    trouble.over()
    assert not trouble.hopeless
