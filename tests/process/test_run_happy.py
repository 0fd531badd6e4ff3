"""`batchgen run` when all goes well: what it makes, says and leaves behind, and what a second run pays for."""

from __future__ import annotations

import hashlib
import json
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from command import KEY, STATES, Desk, Ended
from scripted_service import FakeApi

from batchgen.files.mp4 import inspect

pytestmark = pytest.mark.real_time


@dataclass(frozen=True)
class Night:
    """A night that went well, looked at by many tests and changed by none."""

    api: FakeApi
    desk: Desk
    ended: Ended


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """Two prompts of two takes each, one after the other."""
    with FakeApi() as api:
        desk = Desk(tmp_path_factory.mktemp("happy"), api.url)
        (desk.folder / "night.yaml").write_text(
            "prompts:\n  - {prompt: a cat, takes: 2}\n  - {prompt: a dog, takes: 2}\n"
        )
        yield Night(api, desk, desk.run("--in-flight", "1").expect(0, done=4))


def test_files_are_whole_and_each_has_a_sidecar_that_says_how_it_came_about(night: Night) -> None:
    """The very bytes that the service served, under their final names, and nothing else."""
    served = {hashlib.sha256(night.api.content(job)).hexdigest(): job for job in night.api.jobs.values()}
    for path in night.desk.clips:
        told = json.loads(path.with_suffix(".json").read_text())
        assert inspect(path, told["bytes"], told["sha256"]) == ""
        job = served.pop(hashlib.sha256(path.read_bytes()).hexdigest())
        assert (told["request_id"], told["prompt"], told["params"]) == (job.id, job.params["prompt"], job.params)
        assert told["cost_usd"] == 0.5
    assert not served
    assert len(list((night.desk.batch / "clips").iterdir())) == 8


def test_the_object_has_the_documented_fields(night: Night) -> None:
    """Scripts rely on names and types; numbers are numbers, not text."""
    obj = night.ended.obj
    kinds = {"schema_version": int, "name": str, "state": dict, "unwanted": int, "spent_usd": float, "clips_dir": str}
    for name, kind in {**kinds, "reserved_usd": float, "elapsed_s": float, "stopped": type(None)}.items():
        assert type(obj[name]) is kind, name
    assert sorted(obj["state"]) == sorted(STATES)
    assert all(type(count) is int for count in obj["state"].values())
    assert (obj["name"], obj["clips_dir"]) == ("night", str(night.desk.batch / "clips"))


def test_the_bill_is_the_services_own(night: Night) -> None:
    """Each clip was accepted once, and what is told was charged."""
    assert night.api.posts == 4
    assert night.ended.obj["spent_usd"] == night.api.charged == 2.0
    assert night.ended.obj["reserved_usd"] == 0.0


def test_every_parameter_is_sent_with_a_seed_of_its_own(night: Night) -> None:
    """The service's own defaults (seed 42, a negative prompt) never slip in; first takes come first."""
    sent = [call.params for call in night.api.of("submit")]
    needed = {"prompt", "negative_prompt", "size", "duration", "seed", "enable_prompt_expansion"}
    assert all(needed <= set(params) for params in sent)
    assert [params["prompt"] for params in sent] == ["a cat", "a dog", "a cat", "a dog"]
    assert len({params["seed"] for params in sent}) == 4


def test_the_events_file_tells_every_clips_life_in_order(night: Night) -> None:
    """One JSON object a line, with the time and the run."""
    lines = [json.loads(line) for line in (night.desk.batch / "events.jsonl").read_text().splitlines()]
    life = [line["event"] for line in lines if line.get("clip") == "cat_2"]
    assert life == ["SubmitStarted", "Submitted", "Generated", "Downloaded"]
    assert len({line["run"] for line in lines}) == 1
    assert all(datetime.fromisoformat(line["t"]).tzinfo for line in lines)


def test_without_a_terminal_there_is_one_plain_line_per_event(night: Night) -> None:
    """Cron mails and log files: ISO-8601 times, no escape codes."""
    lines = night.ended.said.splitlines()
    told = [line for line in lines if " warning: prices: " not in line]  # this service charges less than the table says
    assert len(told) == 4 * 4
    assert len(lines) <= len(told) + 1
    assert all(datetime.fromisoformat(line.split(" ", 1)[0]).tzinfo for line in lines)
    assert "\x1b" not in night.ended.said


@pytest.mark.parametrize("key", [KEY, "odd/key+of=another&shape"])
def test_the_key_goes_to_the_api_alone_and_into_no_file_or_output(api: FakeApi, desk: Desk, key: str) -> None:
    """Promise 7, by every byte under the working folder, though the service echoes it; any shape is tried."""
    api.error = lambda params: f"internal: bad key {key}" if params["prompt"] == "a dog" else None
    ended = desk.run("-vv", env={"SEGMIND_API_KEY": key}).expect(3)
    assert {call.kind for call in api.calls if call.key == key} >= {"submit", "status", "result"}
    assert not [call for call in api.of("file") if call.key or key in str(call.request.headers)]
    files = [path for path in desk.folder.rglob("*") if path.is_file()]
    assert desk.batch / "events.jsonl" in files
    assert not [path for path in files if key.encode() in path.read_bytes()]
    assert key.encode() not in ended.stdout + ended.stderr


def test_a_second_run_pays_for_nothing(api: FakeApi, desk: Desk) -> None:
    """Running again is always safe, needs no agreement, and touches no file; the answer for people says it all."""
    desk.run("-q").expect(0)
    before = {path: path.stat().st_mtime_ns for path in desk.clips}
    again = desk.call(*desk.paid("-q")).expect(0)
    assert (api.posts, again.stderr) == (3, b"")
    assert all(text in again.stdout.decode() for text in ("3 of 3 clips done", "$1.50", str(desk.batch / "clips")))
    assert before == {path: path.stat().st_mtime_ns for path in desk.clips}


def test_an_edit_runs_only_what_is_new(api: FakeApi, desk: Desk) -> None:
    """Promise 5: order doesn't matter, other parameters are another clip, what fell out is kept and told."""
    desk.run().expect(0)
    (desk.folder / "night.yaml").write_text("prompts: [a fish, an owl, {prompt: a cat, duration: 10}]")
    ended = desk.run().expect(0, done=3)
    assert [call.params["duration"] for call in api.of("submit")].count(10) == 1
    assert api.prompts == {"a cat": 2, "a dog": 1, "an owl": 1, "a fish": 1}
    assert ended.obj["unwanted"] == 2
    assert [path.stem for path in desk.clips] == ["cat_1", "dog_1", "fish_1", "owl_1"]
    assert len(list((desk.batch / "clips" / "replaced").glob("cat_1~*.mp4"))) == 1


def test_local_audio_is_uploaded_once_and_sent_as_a_link(api: FakeApi, desk: Desk) -> None:
    """Two clips with the same file cost one upload; the path never leaves the machine."""
    _silence(desk.folder / "hook.wav", seconds=4)
    desk.manifest("a cat", "a dog", more="defaults: {audio: hook.wav}")
    desk.run().expect(0, done=2)
    assert len(api.of("upload")) == 1
    assert {call.params["audio"] for call in api.of("submit")} == {f"{api.url}/assets/0.wav"}


def _silence(path: Path, seconds: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2 * 8000 * seconds))
