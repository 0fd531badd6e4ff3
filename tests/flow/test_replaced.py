"""The right film under the right name: an edit moves the old one to `clips/replaced/`, and going back moves it back."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from batch import Batch, Kill, check

from batchgen.clip import Clip, State, Wanted
from batchgen.events import Moved
from batchgen.files import sidecar
from batchgen.files.renames import put_in_place
from batchgen.files.verify import check_files
from batchgen.ledger import FILE, SqliteLedger, journal
from batchgen.ledger.recovery.rebuild import recover
from batchgen.testing import EPOCH, FakeDownloads, always, content_of, first, wanted

OLD = wanted(0)
#: The same prompt after an edit: another clip that asks for the same name.
NEW = replace(wanted(90), name=OLD.name)
NEWER = replace(wanted(91), name=OLD.name)


def aside(clip: Wanted) -> str:
    return f"replaced/{OLD.name}~{clip.key[-8:]}"


def film(batch: Batch, key: str) -> bytes:
    """What the service made for a clip."""
    request = batch.clips()[key].request
    assert request
    return content_of(batch.provider.jobs[request.request_id or ""].url)  # a ledger from sidecars has no link


def lies(batch: Batch, clip: Wanted, name: str) -> None:
    """A clip's own film and its sidecar have this name, and the ledger says so."""
    known = batch.clips()[clip.key]
    video = batch.folder / "clips" / f"{name}.mp4"
    record = sidecar.read(sidecar.path_for(video))
    assert (known.state, known.wanted.name, known.file) == (State.DONE, name, f"{name}.mp4")
    assert video.read_bytes() == film(batch, clip.key)
    assert record and (record["key"], record["name"], record["request_id"]) == (clip.key, name, known.request_id)


def films(batch: Batch) -> int:
    """How many files there are; no sidecar lies alone, and no `.part` is left."""
    files = [path for path in (batch.folder / "clips").rglob("*") if path.is_file()]
    videos = {path for path in files if path.suffix == ".mp4"}
    assert {path.with_suffix(".json") for path in videos} == {*files} - videos
    return len(videos)


def edited(batch: Batch, *clips: Wanted) -> None:
    """Let the manifest ask for these clips, and run."""
    batch.wanted = list(clips)
    check(batch, batch.live())


def test_the_wanted_clip_owns_the_plain_name_through_all_edits(tmp_path: Path) -> None:
    """There, back, and to a third version: each film is kept, and nothing is made twice."""
    batch = Batch(tmp_path, [OLD, wanted(1)])
    check(batch, batch.live())
    edited(batch, NEW, wanted(1))
    lies(batch, NEW, OLD.name)
    lies(batch, OLD, aside(OLD))
    edited(batch, OLD, wanted(1))
    lies(batch, OLD, OLD.name)
    lies(batch, NEW, aside(NEW))
    edited(batch, NEWER, wanted(1))
    lies(batch, NEWER, OLD.name)
    lies(batch, OLD, aside(OLD))
    lies(batch, NEW, aside(NEW))
    assert films(batch) == 4
    assert len(batch.provider.jobs) == 4


def test_a_clip_without_a_successor_stays_where_it_is(tmp_path: Path) -> None:
    """Nobody else asks for its name."""
    batch = Batch(tmp_path, 2)
    batch.live()
    edited(batch, wanted(1))
    lies(batch, OLD, OLD.name)


def test_a_move_is_in_the_ledger_before_and_after(tmp_path: Path) -> None:
    """Before: the clip's name is no longer that of its file. After: an event, for the log and the recovery."""
    batch = Batch(tmp_path, [OLD])
    batch.live()
    batch.wanted = [NEW]
    with closing(SqliteLedger(batch.folder)) as ledger:
        ledger.sync(batch.wanted)
        [due] = ledger.misplaced()
        assert (due.wanted.name, due.file) == (aside(OLD), f"{OLD.name}.mp4")
        heard: list[tuple[Clip, object]] = []
        ledger.observers.append(lambda clip, event: heard.append((clip, event)))
        assert put_in_place(ledger, batch.folder / "clips") == 1
        assert [event for _, event in heard] == [Moved(f"{aside(OLD)}.mp4", f"{OLD.name}.mp4")]
        assert ledger.misplaced() == []
    assert "Moved" in (batch.folder / "ledger.log").read_text()


def test_two_clips_that_swap_their_ids_swap_their_files(tmp_path: Path) -> None:
    """Each waits for the other's name: one of them goes aside first."""
    one, other = wanted(0), wanted(1)
    batch = Batch(tmp_path, [one, other])
    batch.live()
    swapped = [replace(one, name=other.name), replace(other, name=one.name)]
    edited(batch, *swapped)
    for clip in swapped:
        lies(batch, clip, clip.name)
    assert films(batch) == len(batch.provider.jobs) == 2


def test_a_clip_that_is_replaced_on_its_way_is_fetched_into_the_folder(tmp_path: Path) -> None:
    """It was paid for, so it is kept; but it never has the name that is another's by now."""
    batch = Batch(tmp_path, [OLD], downloads=FakeDownloads(meets=always("trouble")))
    batch.live()
    batch.downloads.meets = always("ok")
    edited(batch, NEW)
    lies(batch, NEW, OLD.name)
    lies(batch, OLD, aside(OLD))
    assert films(batch) == 2


def test_a_file_that_a_killed_run_named_goes_along(tmp_path: Path) -> None:
    """It has the plain name, and no event says so yet: it must not keep the new clip from its name."""
    batch = Batch(tmp_path, [OLD])
    batch.live(kill=Kill("rename"))
    assert batch.states() == [State.DOWNLOADING]
    edited(batch, NEW)
    lies(batch, NEW, OLD.name)
    lies(batch, OLD, aside(OLD))
    assert len(batch.downloads.fetched) == 2


def test_a_batch_of_an_earlier_release_is_put_right(tmp_path: Path) -> None:
    """There the new clip had the hash, and the old one the plain name."""
    batch = Batch(tmp_path, [OLD, replace(NEW, name=f"{OLD.name}~{NEW.key[-8:]}")])
    batch.live()
    edited(batch, NEW)
    lies(batch, NEW, OLD.name)
    lies(batch, OLD, aside(OLD))


def moved_to(clips: Path, *, sidecar_first: bool, file: bool, cleaned: bool) -> None:
    """Do what a move does, up to some step."""
    (clips / "replaced").mkdir()
    old, new = clips / OLD.name, clips / aside(OLD)
    if sidecar_first:
        record = json.loads(old.with_suffix(".json").read_text())
        new.with_name(f"{new.name}.json").write_text(json.dumps({**record, "name": aside(OLD)}))
    if file:
        old.with_suffix(".mp4").rename(new.with_name(f"{new.name}.mp4"))
    if cleaned:
        old.with_suffix(".json").unlink()


STEPS: dict[str, Callable[[Path], None]] = {
    "nothing": lambda clips: None,
    "folder": lambda clips: moved_to(clips, sidecar_first=False, file=False, cleaned=False),
    "sidecar": lambda clips: moved_to(clips, sidecar_first=True, file=False, cleaned=False),
    "file": lambda clips: moved_to(clips, sidecar_first=True, file=True, cleaned=False),
    "all but the event": lambda clips: moved_to(clips, sidecar_first=True, file=True, cleaned=True),
    "the file without its sidecar": lambda clips: moved_to(clips, sidecar_first=False, file=True, cleaned=False),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_move_that_was_cut_off_is_finished(tmp_path: Path, step: str) -> None:
    """Whatever of it had reached the disk when the run was killed or the power went."""
    batch = Batch(tmp_path, [OLD])
    batch.live()
    batch.wanted = [NEW]
    with closing(SqliteLedger(batch.folder)) as ledger:
        ledger.sync(batch.wanted)
    STEPS[step](batch.folder / "clips")
    check(batch, batch.live())
    lies(batch, NEW, OLD.name)
    lies(batch, OLD, aside(OLD))
    assert films(batch) == len(batch.provider.jobs) == 2


@pytest.mark.parametrize("torn", [True, False])
def test_without_its_sidecar_a_file_is_known_by_its_content(tmp_path: Path, torn: bool) -> None:
    """People delete them, and a power cut may leave half of one."""
    batch = Batch(tmp_path, [OLD])
    batch.live()
    record = batch.folder / "clips" / f"{OLD.name}.json"
    record.write_text("{") if torn else record.unlink()
    batch.wanted = [NEW]
    check(batch, batch.live())
    assert (batch.folder / "clips" / f"{aside(OLD)}.mp4").read_bytes() == film(batch, OLD.key)
    lies(batch, NEW, OLD.name)


def test_no_file_is_ever_overwritten(tmp_path: Path) -> None:
    """A stranger's file has the name in the folder: the clip takes the next one."""
    batch = Batch(tmp_path, [OLD])
    batch.live()
    mine = batch.folder / "clips" / f"{aside(OLD)}.mp4"
    mine.parent.mkdir()
    mine.write_text("mine")
    batch.wanted = [NEW]
    batch.live()
    kept = batch.clips()[OLD.key].file
    assert mine.read_text() == "mine"
    assert kept == f"{aside(OLD)}-2.mp4"
    assert (batch.folder / "clips" / kept).read_bytes() == film(batch, OLD.key)
    lies(batch, NEW, OLD.name)
    with closing(SqliteLedger(batch.folder)) as ledger:
        assert ledger.misplaced() == []


def test_a_file_that_is_not_the_clips_own_is_left_alone(tmp_path: Path) -> None:
    """The user put another film there: it is not moved as the clip's, and not overwritten by the next one."""
    batch = Batch(tmp_path, [OLD])
    batch.live()
    mine = batch.folder / "clips" / f"{OLD.name}.mp4"
    mine.write_text("mine")
    mine.with_suffix(".json").unlink()
    batch.downloads.meets = first("taken")
    batch.wanted = [NEW]
    batch.live()
    assert mine.read_text() == "mine"
    clip = batch.clips()[NEW.key]
    assert clip.file == f"{OLD.name}~{NEW.key[-8:]}.mp4"
    mine.unlink()
    batch.live()  # its name is free again
    lies(batch, NEW, OLD.name)


def test_a_folder_that_takes_no_file_does_not_stop_the_night(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file called `replaced` is in the way: the next run tries again."""
    batch = Batch(tmp_path, [OLD])
    batch.live()
    (batch.folder / "clips" / "replaced").write_text("mine")
    batch.wanted = [NEW]
    with closing(SqliteLedger(batch.folder)) as ledger:
        ledger.sync(batch.wanted)
        assert put_in_place(ledger, batch.folder / "clips") == 0
    assert "stay where they are" in caplog.text
    (batch.folder / "clips" / "replaced").unlink()
    check(batch, batch.live())
    lies(batch, OLD, aside(OLD))


def test_verify_finds_replaced_clips_and_fetches_them_into_their_folder(tmp_path: Path) -> None:
    """They were paid for as all others."""
    batch = Batch(tmp_path, [OLD])
    batch.live()
    edited(batch, NEW)
    shutil.rmtree(batch.folder / "clips" / "replaced")

    async def verify() -> tuple[int, dict[str, str]]:
        with closing(SqliteLedger(batch.folder, wall_clock=lambda: EPOCH + batch.clock)) as ledger:
            return await check_files(ledger, batch.folder / "clips")

    assert asyncio.run(verify()) == (2, {aside(OLD): "missing"})
    batch.live()
    lies(batch, OLD, aside(OLD))


@pytest.mark.parametrize("log", ["whole", "without the move", "gone"])
def test_a_rebuilt_ledger_knows_both_films(tmp_path: Path, log: str) -> None:
    """From the log, from one that lost its end, and from the sidecars in both folders."""
    batch = Batch(tmp_path, [OLD])
    batch.live()
    edited(batch, NEW)
    (batch.folder / FILE).write_bytes(bytes(8192))
    lines = (batch.folder / journal.FILE).read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if log == "whole" or (log != "gone" and b"Moved" not in line)]
    (batch.folder / journal.FILE).write_bytes(b"".join(kept))
    recover(batch.folder, batch.wanted)
    with closing(SqliteLedger(batch.folder)) as ledger:
        ledger.sync(batch.wanted)
        put_in_place(ledger, batch.folder / "clips")
    lies(batch, NEW, OLD.name)
    lies(batch, OLD, aside(OLD))
    assert films(batch) == 2
