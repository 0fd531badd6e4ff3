"""`reroll` and `retry`: what they mean, what they ask, and what can be taken back."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batchgen import manifest as manifests
from batchgen.cli import main
from batchgen.clip import State
from batchgen.events import Blocked, Downloaded, Generated, SubmitDeferred, SubmitStarted, Submitted
from batchgen.ledger import FILE, Reader, SqliteLedger
from batchgen.ledger.recovery.rebuild import recover
from batchgen.ledger.wishes import QueuedWish, add
from batchgen.manifest.rerolls import further
from batchgen.planning.inputs import plan_folder
from batchgen.settings import merge
from batchgen.views.facts import facts_of
from batchgen.views.plan import plan_text
from batchgen.views.status import status_object, status_text

MANIFEST = """
defaults: {size: "832*480", takes: 3}
prompts:
  - {id: cat, prompt: a cat}
  - {id: dog, prompt: a dog}
"""
Called = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """A batch of two prompts with three takes each, of which nothing was submitted."""
    (tmp_path / "n.yaml").write_text(MANIFEST)
    with closing(SqliteLedger(tmp_path / "n")) as ledger:
        ledger.sync(manifests.load(tmp_path / "n.yaml").wanted)
        ledger.remember("manifest", "../n.yaml")
    return tmp_path / "n"


@pytest.fixture
def called(batch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Called:
    """Run a command about the batch: exit code, object, standard error."""
    monkeypatch.chdir(batch.parent)

    def call(command: str, *args: str) -> tuple[int, dict[str, Any], str]:
        monkeypatch.setattr(sys, "argv", ["batchgen", command, "n.yaml", *args, "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(str(ended.value.code)), json.loads(out), err

    return call


def happened(batch: Path, name: str, *events: Any) -> None:
    """Let something happen to a clip."""

    async def happen(ledger: SqliteLedger) -> None:
        (clip,) = [clip for clip in ledger.clips() if clip.wanted.name == name]
        for event in events:
            clip = await ledger.record(clip, event)
        await ledger.settle()

    with closing(SqliteLedger(batch)) as ledger:
        asyncio.run(happen(ledger))


def takes(obj: dict[str, Any]) -> list[str]:
    """The names of what was queued."""
    return [row["clip"] for row in obj["rerolled"]]


@pytest.mark.parametrize("word", ["cat", "cat_2", "cat_2.mp4", "ca*", "cat_1,cat_3"])
def test_takes_are_counted_by_prompt_and_not_by_its_takes(called: Called, word: str) -> None:
    """`--takes 2` of a prompt with three takes is two more, not six; an id, a file and a glob mean the same."""
    assert takes(called("reroll", word, "--takes", "2")[1]) == ["cat_4", "cat_5"]
    assert takes(called("reroll", word)[1]) == ["cat_6"]


def test_much_is_asked_for_and_says_number_and_price(called: Called, batch: Path) -> None:
    """$125 must not be queued by a glob: without a terminal it is refused, and nothing is queued."""
    code, obj, err = called("reroll", "*", "--takes", "6")
    assert (code, obj["exit_code"]) == (2, 2)
    assert "This queues 12 clips, about $3.75 (estimated)" in err
    assert "--yes" in err
    with closing(Reader(batch)) as ledger:
        assert ledger.totals().counts[State.PENDING] == 6
    assert called("reroll", "*", "--takes", "5")[0] == 0  # ten clips, $3.13
    assert called("reroll", "cat", "--takes", "17")[0] == 2  # $5.31
    assert len(takes(called("reroll", "*", "--takes", "6", "--yes")[1])) == 12


def test_an_undo_takes_out_what_was_not_submitted_and_names_the_rest(called: Called, batch: Path) -> None:
    """What is paid for cannot be taken back; and `recover` does not bring back what was."""
    called("reroll", "cat", "--takes", "3")
    happened(batch, "cat_4", SubmitStarted(1.0, reserved=1), Submitted("r", 1.0))
    happened(batch, "cat_5", SubmitStarted(1.0, reserved=1), SubmitDeferred("busy"))
    code, obj, _ = called("reroll", "cat", "--undo")
    assert (code, obj["undone"]) == (0, ["cat_6"])
    assert obj["kept"] == [{"clip": "cat_4", "state": "generating"}, {"clip": "cat_5", "state": "pending"}]
    assert called("reroll", "dog", "--undo")[0] == 2
    (batch / FILE).write_bytes(b"broken")
    recover(batch, manifests.load(batch.parent / "n.yaml").wanted)
    with closing(Reader(batch)) as ledger:
        assert "cat_6" not in {clip.wanted.name for clip in ledger.clips()}


def test_an_undo_wants_again_what_the_take_replaced(called: Called, batch: Path) -> None:
    """Else a blocked clip would be gone from the batch together with its substitute."""
    happened(batch, "dog_1", SubmitStarted(1.0, reserved=1), Blocked("rules"))
    assert called("retry", "--blocked", "--new-seed")[1]["rerolled"][0]["instead_of"] == "dog_1"
    assert called("reroll", "dog_4", "--undo")[1]["undone"] == ["dog_4"]
    assert called("retry", "--blocked", "--new-seed")[1]["rerolled"][0]["instead_of"] == "dog_1"


def test_a_wish_is_carried_out_once_and_counts_are_exact(batch: Path) -> None:
    """The run that holds the batch turns it into clips; doing so twice, as after a kill, adds nothing."""
    happened(batch, "dog_1", SubmitStarted(1.0, reserved=1), Blocked("rules"))

    async def carried_out(ledger: SqliteLedger) -> None:
        (clip,) = ledger.clips(State.BLOCKED)
        take = further(clip.wanted, clip.key, 4, ())
        add(ledger.path, QueuedWish([], [take], [clip.key]))
        add(ledger.path, QueuedWish([clip.key]))
        ((first, wish), (second, retry)) = ledger.wishes()
        fresh, rows = await ledger.fulfil(wish, first)
        assert ([each.name for each in fresh], rows) == (["dog_4"], [7])
        assert await ledger.fulfil(wish) == ([], [])
        assert ledger.live_totals == ledger.totals()
        assert await ledger.fulfil(retry, second) == ([], [clip.row])
        assert ledger.wishes() == []
        await ledger.settle()

    with closing(SqliteLedger(batch)) as ledger:
        asyncio.run(carried_out(ledger))


def test_what_waits_for_a_run_is_shown_by_status_and_plan(called: Called, batch: Path) -> None:
    """Whoever queued it next to a run, and looks a minute later, must not queue it again."""
    assert called("status")[1]["queued"] == {"retries": 0, "rerolls": 0}
    with closing(SqliteLedger(batch)) as ledger:
        (cat, dog) = [clip for clip in ledger.clips() if clip.wanted.name in ("cat_1", "dog_1")]
        add(ledger.path, QueuedWish([cat.key]))
        add(ledger.path, QueuedWish([], [further(dog.wanted, dog.key, 4, ())], [dog.key]))
        add(ledger.path, QueuedWish([], [further(cat.wanted, cat.key, 4, ())]))
        # The ledger is held, as by a run.
        assert called("status")[1]["queued"] == called("plan")[1]["queued"] == {"retries": 2, "rerolls": 1}
        live = facts_of(ledger, "n", live=True)
    assert "2 retries and 1 re-roll wait for the run." in status_text(status_object(live, now=1.0))
    read = manifests.load(batch.parent / "n.yaml")
    text = plan_text(plan_folder(read, merge({}, read), batch))
    assert "2 retries and 1 re-roll wait for the next run, and are not in this plan." in text


def test_plan_says_which_files_a_run_moves(called: Called, batch: Path) -> None:
    """A film that is looked for in its old place is no surprise then."""
    sent = (SubmitStarted(1.0, reserved=1), Submitted("r", 1.0), Generated("https://f.example/a", 2.0, 1))
    happened(batch, "cat_1", *sent, Downloaded("cat_1.mp4", 1, "0" * 64))
    assert called("plan")[1]["moves"] == []
    manifest = batch.parent / "n.yaml"
    manifest.write_text(MANIFEST.replace("a cat", "a red cat"))
    (move,) = called("plan")[1]["moves"]
    assert move["clip"] == "cat_1"
    assert move["to"].startswith("replaced/cat_1~")
    read = manifests.load(manifest)
    text = plan_text(plan_folder(read, merge({}, read), batch))
    assert "A run first moves finished files: 1 to clips/replaced/. Nothing is deleted." in text
    with closing(SqliteLedger(batch)) as ledger:
        ledger.sync(read.wanted)
        assert move["to"] in {clip.wanted.name for clip in ledger.clips()}
    manifest.write_text(MANIFEST)
    assert called("plan")[1]["moves"] == [{"clip": move["to"], "to": "cat_1"}]


def test_a_film_that_was_deleted_by_hand_is_missed_by_status(called: Called, batch: Path) -> None:
    """Its clip stays done: nobody pays for it again, and it can be had again for nothing."""
    for name in ("cat_1", "dog_1"):
        sent = (SubmitStarted(1.0, reserved=1), Submitted(name, 1.0), Generated("https://f.example/a", 2.0, 1))
        happened(batch, name, *sent, Downloaded(f"{name}.mp4", 1, "0" * 64))
    assert called("status")[1]["missing_files"]["clips"] == ["cat_1", "dog_1"]
    (batch / "clips").mkdir()
    for name in ("cat_1", "dog_1"):
        (batch / "clips" / f"{name}.mp4").touch()
    assert called("status")[1]["missing_files"] is None
    (batch / "clips" / "cat_1.mp4").unlink()
    with closing(Reader(batch)) as ledger:
        text = status_text(status_object(facts_of(ledger, "n"), now=1.0))
    assert "The file of 1 finished clip is missing: cat_1" in text
    assert "`batchgen picks NAME --set CLIP reject`" in " ".join(text.split())
    assert "\n      batchgen verify n\n" in text


def test_plan_refuses_a_ledger_that_a_run_would_refuse(called: Called, batch: Path) -> None:
    """It showed everything as new, and said nothing of what the folder knows."""
    with closing(Reader(batch)) as ledger:
        key = next(clip.key for clip in ledger.clips() if clip.wanted.name == "cat_1")
    sent = {"event": "Submitted", "t": "2026-11-27T22:00:00Z", "key": key, "request_id": "r1"}
    (batch / "events.jsonl").write_text(json.dumps(sent))
    code, obj, _ = called("plan")
    assert (code, obj["error"]["code"]) == (2, "ledger")
    assert "does not know the request r1" in obj["error"]["message"]
    assert "recover" in obj["error"]["message"]


def test_an_only_that_fits_nothing_is_refused_by_retry_and_export_too(called: Called) -> None:
    """A typo must not look like obedience, wherever it is."""
    for command in ("retry", "export", "plan"):
        more = ["--out", "x.csv"] if command == "export" else []
        code, obj, _ = called(command, "--only", "cta*", *more)
        assert (code, obj["error"]["code"]) == (2, "usage")
        assert "cat" in obj["error"]["message"]
