"""An edited manifest and the command: which film has the plain name, what the commands show, and kills on the way."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from command import Desk
from scripted_service import FakeApi

from batchgen.ledger import FILE

pytestmark = pytest.mark.real_time


def ask(desk: Desk, prompt: str) -> None:
    """Let the manifest ask for one clip, always under the same id."""
    (desk.folder / "night.yaml").write_text(f"prompts:\n  - {{id: cat, prompt: {prompt}, seed: 7}}\n")


def prompts(desk: Desk) -> dict[str, str]:
    """Give the prompt of every film by its name under `clips/`, as its sidecar says; the film is that request's."""
    clips = desk.batch / "clips"
    found = {}
    for video in clips.rglob("*.mp4"):
        record = json.loads(video.with_suffix(".json").read_text())
        assert record["name"] == video.relative_to(clips).with_suffix("").as_posix()
        found[record["name"]] = record["prompt"]
    return found


def is_right(desk: Desk, api: FakeApi, now: str, before: str) -> None:
    """The film of `now` has the plain name, that of `before` is kept, and each was paid for once."""
    films = prompts(desk)
    assert films.pop("cat_1") == now
    [(name, prompt)] = films.items()
    assert (name.startswith("replaced/cat_1~"), prompt) == (True, before)
    bytes_of = {job.params["prompt"]: api.content(job) for job in api.jobs.values()}
    for name, prompt in prompts(desk).items():
        assert (desk.batch / "clips" / f"{name}.mp4").read_bytes() == bytes_of[prompt]
    assert api.prompts == Counter([now, before])


def test_an_edit_moves_the_old_film_and_going_back_moves_it_back(api: FakeApi, desk: Desk) -> None:
    """Whoever copies `cat_1.mp4` has the film that the manifest asks for; every command names the same files."""
    ask(desk, "a cat")
    desk.run().expect(0, done=1)
    ask(desk, "a red cat")
    desk.run().expect(0, done=1)
    is_right(desk, api, "a red cat", "a cat")
    rows = {
        row["prompt"]: row for row in csv.DictReader(io.StringIO(desk.call("export", "night.yaml").stdout.decode()))
    }
    assert rows["a red cat"]["file"] == "clips/cat_1.mp4"
    assert (desk.batch / rows["a cat"]["file"]).is_file()
    assert rows["a cat"]["clip"] == rows["a cat"]["file"].removeprefix("clips/").removesuffix(".mp4")
    assert rows["a cat"]["clip"] in desk.call("report", "night.yaml", "--bill", "--by", "clip").stdout.decode()
    assert desk.call("verify", "night.yaml", "--json").expect(0).obj["sound"] == 2
    ask(desk, "a cat")
    assert desk.call("verify", "night.yaml", "--json").expect(0).obj["sound"] == 2  # opening the batch moves it back
    is_right(desk, api, "a cat", "a red cat")
    assert desk.run().expect(0, done=1).obj["unwanted"] == 1
    is_right(desk, api, "a cat", "a red cat")


@pytest.mark.parametrize("each", [pytest.param(1, marks=pytest.mark.slow), 6])
def test_a_run_that_moves_films_may_be_killed_at_any_step(api: FakeApi, desk: Desk, tmp_path: Path, each: int) -> None:
    """No film is lost, mixed up or paid for again, and the next run finishes the move."""
    ask(desk, "a cat")
    desk.run().expect(0, done=1)
    kept = desk.clips[0].read_bytes()
    shutil.copytree(desk.batch, tmp_path / "kept")
    ask(desk, "a red cat")
    log, killed = tmp_path / "steps.log", 0
    while True:
        shutil.rmtree(desk.batch)
        shutil.rmtree(desk.folder / "home", ignore_errors=True)  # else this machine knows that the copy is old
        shutil.copytree(tmp_path / "kept", desk.batch)
        for job in [job for job in api.jobs.values() if job.params["prompt"] == "a red cat"]:
            del api.jobs[job.id]
        wish = f"kill@{killed * each + 1}"
        ended = desk.run(env={"BATCHGEN_FAILPOINT": wish, "BATCHGEN_FAILPOINT_LOG": str(log)})
        if ended.code != -9:
            break
        killed += 1
        assert kept in [video.read_bytes() for video in desk.batch.rglob("cat_1*.mp4")]
        ended = desk.run("--history-settle", "0")
        if ended.code == 5:  # killed within its POST
            ended = desk.run("--resubmit-unconfirmed", "--history-settle", "0")
        ended.expect(0, done=1)
        is_right(desk, api, "a red cat", "a cat")
    is_right(desk, api, "a red cat", "a cat")
    assert killed >= 20 // each
    if each == 1:
        struck = {line.split()[1] for line in log.read_text().splitlines()}
        assert struck >= {"move.before", "move.after", "sidecar.before", "folder.before", "commit.after"}


def test_a_run_submits_nothing_that_an_older_release_paid_for(api: FakeApi, desk: Desk) -> None:
    """A release that did not know the model hashed the text of the table."""
    (desk.folder / "night.yaml").write_text("model: veo-3.1-fast\nprompts:\n  - file: rows.csv\n")
    (desk.folder / "rows.csv").write_text("prompt,seed,duration\nrain,7,8\n")
    desk.run().expect(0, done=1)
    with closing(sqlite3.connect(desk.batch / FILE)) as db, db:
        db.execute("UPDATE clip SET key='c1-98aca7dd243ec089491f20e2d3726438'")
    desk.run().expect(0, done=1)
    assert len(api.jobs) == 1
