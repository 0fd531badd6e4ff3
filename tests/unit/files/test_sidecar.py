from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from batchgen.clip import Clip, Request, State, Wanted
from batchgen.files.mp4 import Fetched
from batchgen.files.sidecar import describe, path_for, write

PARAMS = {"prompt": "Ein Hund läuft 🐕", "negative_prompt": "blurry", "seed": 7, "size": "832*480", "duration": 5}
WANTED = Wanted(
    key="k1:abc", prompt_id="dog", take=2, model="wan-2.5-t2v", params=json.dumps(PARAMS), name="dog_2", label="dawn"
)
REQUEST = Request(
    n=1,
    intent_at=0.0,
    request_id="req-1",
    submitted_at=1_760_000_000.0,
    cost=312_501,
    url="https://user:pw@images.example/a/b.mp4?Signature=secret#x",
    queue_s=2.5,
    run_s=10.0,
)
CLIP = Clip(row=1, wanted=WANTED, state=State.DOWNLOADING, request=REQUEST, attempts=1)
FETCHED = Fetched(bytes=10, sha256="ff", flags="size duration", seconds=5.06, size=(832, 480))


def test_a_sidecar_says_how_the_video_came_about() -> None:
    """A producer who finds the file in a year must be able to make it again."""
    told = describe(CLIP, FETCHED, at=1_760_000_100.5)
    assert told["schema_version"] == 1
    assert told["params"] == PARAMS
    assert (told["prompt"], told["negative_prompt"], told["seed"]) == ("Ein Hund läuft 🐕", "blurry", 7)
    assert (told["key"], told["id"], told["take"], told["model"]) == ("k1:abc", "dog", 2, "wan-2.5-t2v")
    assert (told["request_id"], told["attempts"], told["cost_usd"]) == ("req-1", 1, 0.312501)
    assert told["submitted_at"] == "2025-10-09T08:53:20.000+00:00"
    assert told["completed_at"] == "2025-10-09T08:53:32.500+00:00"
    assert told["downloaded_at"] == "2025-10-09T08:55:00.500+00:00"
    assert (told["bytes"], told["sha256"], told["seconds"], told["size"]) == (10, "ff", 5.06, "832*480")
    assert told["flags"] == ["size", "duration"]


def test_a_sidecar_holds_no_link() -> None:
    """Whoever has it has the film, and the sidecar lies next to the clip that is handed on."""
    told = json.dumps(describe(CLIP, FETCHED, at=0.0))
    assert not [word for word in ("secret", "pw", "url", "https", "images.example") if word in told]


def test_what_is_unknown_is_null_and_never_zero() -> None:
    """A price that was not told is not 0."""
    told = describe(replace(CLIP, request=None), None, at=0.0)
    for name in ("cost_usd", "request_id", "submitted_at", "completed_at", "bytes", "sha256", "seconds", "size"):
        assert told[name] is None
    unpriced = replace(CLIP, request=replace(REQUEST, cost=None, run_s=None))
    assert describe(unpriced, FETCHED, at=0.0)["cost_usd"] is None
    assert describe(unpriced, FETCHED, at=0.0)["completed_at"] is None


def test_what_was_sent_counts_where_it_differs() -> None:
    """With local audio the uploaded file's link is only in what was sent."""
    sent = json.dumps({**PARAMS, "audio": "https://a/b.mp3"})
    assert describe(replace(CLIP, request=replace(REQUEST, sent=sent)), None, at=0.0)["params"]["audio"]


def test_a_sidecar_can_be_made_again_from_the_ledger() -> None:
    """That is why it is not synced: what the ledger holds of a done clip is enough."""
    done = replace(CLIP, bytes=10, sha256="ff", flags="size")
    told = describe(done, None, at=0.0)
    assert (told["bytes"], told["sha256"], told["flags"]) == (10, "ff", ["size"])


def test_a_sidecar_is_written_in_one_piece(tmp_path: Path) -> None:
    """Whoever reads the folder at any moment sees whole JSON, in plain UTF-8."""
    path = path_for(tmp_path / "dog.v2.mp4")
    assert path.name == "dog.v2.json"
    path.write_text("old")
    write(path, describe(CLIP, FETCHED, at=0.0))
    assert json.loads(path.read_text(encoding="utf-8"))["prompt"] == PARAMS["prompt"]
    assert "läuft 🐕" in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o600
    assert '\n  "params": {\n    "' in path.read_text(encoding="utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["dog.v2.json"]


def test_a_symlink_of_a_sidecars_name_is_replaced(tmp_path: Path) -> None:
    """It was followed, and the file of yours that it led to was overwritten."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "dog.json").symlink_to(tmp_path / "mine")
    write(tmp_path / "dog.json", describe(CLIP, FETCHED, at=0.0))
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "dog.json").is_symlink()
