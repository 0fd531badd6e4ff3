"""kill -9 and lost answers: what was accepted is found again, what is in doubt is never paid for by itself."""

from __future__ import annotations

import random
import sqlite3
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from bad_replies import Gate, accepted_but, cut_short, drop, first, no_rows, says, slow
from command import Desk
from scripted_service import FakeApi

pytestmark = pytest.mark.real_time


def once(api: FakeApi) -> bool:
    """Nothing was accepted twice."""
    return set(api.prompts.values()) <= {1}


# --- kill -9 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["status", "file"])
def test_a_run_killed_while_it_collects_pays_for_nothing_twice(api: FakeApi, desk: Desk, kind: str) -> None:
    """Between the request id on disk and the final name of the file, any moment is as good as another."""
    gate = api.scripts[kind] = Gate()
    process = desk.start(*desk.paid("--yes"))
    api.until(lambda: gate.held >= 2)
    desk.kill(process)
    del api.scripts[kind]
    ended = desk.run().expect(0, done=3)
    assert api.prompts == {"a cat": 1, "a dog": 1, "an owl": 1}
    assert ended.obj["spent_usd"] == api.charged
    assert len(desk.clips) == 3


def test_posts_accepted_before_a_kill_are_found_in_the_history(api: FakeApi, desk: Desk) -> None:
    """The answers never came, the service's own history has them: no word of the user is needed."""
    gate = api.scripts["submit"] = Gate()
    process = desk.start(*desk.paid("--yes"))
    api.until(lambda: gate.held == 3)
    desk.kill(process)
    gate.open()
    ended = desk.run().expect(0, done=3)
    assert (api.posts, once(api)) == (3, True)
    assert ended.obj["spent_usd"] == api.charged == 1.5


def test_posts_that_were_not_accepted_before_a_kill_want_the_users_word(api: FakeApi, desk: Desk) -> None:
    """A history that lags proves nothing: exit 5, money reserved, and nothing is POSTed by itself, ever."""
    gate = api.scripts["submit"] = Gate(accepts=False)
    process = desk.start(*desk.paid("--yes"))
    api.until(lambda: gate.held == 3)
    desk.kill(process)
    del api.scripts["submit"]
    ended = desk.run("--resubmit-unconfirmed").expect(5, unconfirmed=3)
    assert api.posts == 3
    assert ended.obj["reserved_usd"] == 3.75
    assert [clip["state"] for clip in ended.obj["attention"]] == ["unconfirmed"] * 3
    assert "batchgen run night.yaml --resubmit-unconfirmed" in ended.obj["next"]
    desk.run("--resubmit-unconfirmed", "--history-settle", "0").expect(0, done=3)
    assert api.prompts == {"a cat": 1, "a dog": 1, "an owl": 1}


def test_kills_at_random_moments_never_pay_twice_nor_lose_a_clip(api: FakeApi, desk: Desk) -> None:
    """Three kills, then to the end; what hung in the air is settled by the history and the user's word."""
    prompts = [f"shot {number}" for number in range(12)]
    desk.manifest(*prompts)
    api.scripts["submit"] = slow(0.05)
    dice = random.Random(7)
    for _ in range(3):
        process = desk.start(*desk.paid("--yes", "--in-flight", "3"))
        with suppress(subprocess.TimeoutExpired):
            process.wait(dice.uniform(0.6, 1.1))
        desk.kill(process)
    desk.run("--resubmit-unconfirmed", "--history-settle", "0").expect(0, done=12)
    assert api.prompts == dict.fromkeys(prompts, 1)
    assert len(desk.clips) == 12


# --- lost answers -----------------------------------------------------------------------------------------------


LOST = {"gateway": accepted_but(says(504)), "cut": cut_short}


@pytest.mark.parametrize("how", LOST)
def test_an_answer_lost_on_the_way_is_found_within_the_run(api: FakeApi, desk: Desk, how: str) -> None:
    """Accepted, but nobody said so: never POSTed again, and settled from the history before the run ends."""
    api.scripts["submit"] = first(1, LOST[how])
    ended = desk.run().expect(0, done=3)
    assert (api.posts, once(api)) == (3, True)
    assert ended.obj["spent_usd"] == 1.5
    assert "unconfirmed" in ended.said


def test_a_post_that_vanished_stays_unconfirmed(api: FakeApi, desk: Desk) -> None:
    """Nothing was accepted, but nobody can know: the others are done, exit 5; later the history may settle it."""
    api.scripts["submit"] = first(1, drop)
    ended = desk.run("--in-flight", "1").expect(5, done=2, unconfirmed=1)
    assert api.posts == 3
    assert ended.obj["attention"][0]["reserved_usd"] > 0
    api.accept(api.of("submit")[0].params)  # the history lagged
    desk.run().expect(0, done=3)
    assert (api.posts, once(api)) == (3, True)


def test_resubmitting_takes_only_what_the_history_lacks(api: FakeApi, desk: Desk) -> None:
    """Two in doubt, one of them accepted: that one is collected, the other is made."""
    api.scripts["history"] = says(503, "down")
    api.scripts["submit"] = Gate(accepts=False)
    process = desk.start(*desk.paid("--yes"))
    api.until(lambda: api.posts == 3)
    desk.kill(process)
    api.scripts.pop("submit")
    for call in api.of("submit")[:1]:
        api.accept(call.params)
    desk.run("--resubmit-unconfirmed", "--history-settle", "0").expect(5, unconfirmed=3)
    assert api.posts == 3
    api.scripts.clear()
    desk.run("--resubmit-unconfirmed", "--history-settle", "0").expect(0, done=3)
    assert (api.posts, once(api)) == (5, True)


# --- lost clips ---------------------------------------------------------------------------------------------------


def test_a_record_that_is_gone_is_looked_up_in_the_history(api: FakeApi, desk: Desk) -> None:
    """404 on every poll, an hour later: the link comes from the history, and nothing is paid for again."""
    gate = api.scripts["status"] = Gate()
    process = desk.start(*desk.paid("--yes"))
    api.until(lambda: gate.held == 3)
    desk.kill(process)
    _age(desk.batch / "ledger.db", 3700)
    api.scripts["status"] = api.scripts["result"] = says(404, "Request not found")
    ended = desk.run().expect(0, done=3)
    assert (api.posts, once(api)) == (3, True)
    assert ended.obj["spent_usd"] == 1.5


def test_a_lost_clip_is_paid_for_again_only_on_the_users_word(api: FakeApi, desk: Desk) -> None:
    """Every way to the file is dead: exit 5, its cost stays in the bill, `--resubmit-lost` makes a new one."""
    desk.manifest("a cat")
    api.scripts["status"] = Gate()
    process = desk.start(*desk.paid("--yes"))
    api.until(lambda: len(api.of("status")) == 1)
    desk.kill(process)
    _age(desk.batch / "ledger.db", 3700)
    gone = says(404, "Request not found")
    api.scripts = {"status": gone, "result": gone, "lookup": gone, "history": no_rows}
    ended = desk.run().expect(5, lost=1)
    assert api.posts == 1
    assert ended.obj["attention"][0]["request_id"] in api.jobs
    assert "batchgen run night.yaml --resubmit-lost" in ended.obj["next"]
    api.scripts = {"lookup": gone, "history": no_rows}
    ended = desk.run("--resubmit-lost", "--history-settle", "0").expect(0, done=1)
    assert api.posts == 2
    assert ended.obj["reserved_usd"] == 1.25  # for the lost one


@pytest.mark.slow
def test_a_dead_link_is_kept_for_the_next_run_and_a_lost_clips_link_is_tried_by_reconcile(
    api: FakeApi, desk: Desk
) -> None:
    """Exit 4, with the reason and no offer to pay again; one GET brings back what was called lost."""
    desk.manifest("a cat")
    api.scripts["file"] = says(403, "denied")
    ended = desk.run("--give-up", "0.5").expect(4, downloading=1)
    assert "1 file could not be downloaded yet" in ended.obj["stopped"]
    assert "HTTP 403" in ended.obj["stopped"]
    assert not any("resubmit" in text for text in ended.obj["next"])
    _age(desk.batch / "ledger.db", 8 * 86400.0)
    desk.run("--give-up", "0.5").expect(5, lost=1)
    gets = len(api.of("file"))
    assert [
        row["now"] for row in desk.call("reconcile", "night.yaml", "--base-url", desk.url, "--json").obj["clips"]
    ] == ["lost"]
    assert len(api.of("file")) == gets + 1
    api.scripts.clear()
    assert [
        row["now"] for row in desk.call("reconcile", "night.yaml", "--base-url", desk.url, "--json").obj["clips"]
    ] == ["done"]
    assert (api.posts, once(api)) == (1, True)


def _age(ledger: Path, seconds: float) -> None:
    """Let all requests of a ledger have been made earlier."""
    db = sqlite3.connect(ledger)
    with db:
        times = ("submitted_at", "intent_at", "completed_at")
        db.execute(f"UPDATE request SET {', '.join(f'{name} = {name} - ?' for name in times)}", (seconds,) * 3)
    db.close()
