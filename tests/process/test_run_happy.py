"""`batchgen run` when all goes well: what it makes, says and leaves behind, and what a second run pays for."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

import pytest
from command import KEY, STATES, Desk
from fake_api import FakeApi

from batchgen.media import inspect

pytestmark = pytest.mark.real_time


def test_a_run_makes_whole_files_with_sidecars_and_an_honest_bill(api: FakeApi, desk: Desk) -> None:
    """The product in one test: three prompts in, three checked files and the service's own bill out."""
    obj = desk.run().expect(0, done=3).obj
    assert api.prompts == {"a cat": 1, "a dog": 1, "an owl": 1}
    assert (obj["spent_usd"], obj["reserved_usd"]) == (api.charged, 0.0)
    served = {hashlib.sha256(api.content(job)).hexdigest(): job for job in api.jobs.values()}
    for path in desk.clips:
        told = json.loads(path.with_suffix(".json").read_text())
        assert inspect(path, told["bytes"], told["sha256"]) == ""
        job = served.pop(hashlib.sha256(path.read_bytes()).hexdigest())
        assert (told["request_id"], told["prompt"], told["params"]) == (job.id, job.params["prompt"], job.params)
        assert told["cost_usd"] == 0.5
    assert not served
    assert not list(desk.batch.rglob("*.part*"))


def test_the_object_has_the_documented_fields(desk: Desk) -> None:
    """Scripts rely on names and types; numbers are numbers, not text."""
    obj = desk.run().expect(0).obj
    kinds = {"schema_version": int, "name": str, "state": dict, "unwanted": int, "spent_usd": float, "clips_dir": str}
    for name, kind in {**kinds, "reserved_usd": float, "elapsed_s": float, "stopped": type(None)}.items():
        assert type(obj[name]) is kind, name
    assert tuple(sorted(obj["state"])) == tuple(sorted(STATES))
    assert all(type(count) is int for count in obj["state"].values())
    assert obj["clips_dir"] == str(desk.batch / "clips")
    assert obj["name"] == "night"


def test_every_parameter_is_sent_with_a_seed_of_its_own(api: FakeApi, desk: Desk) -> None:
    """The service's own defaults (seed 42, a negative prompt) must never slip in."""
    desk.run("--in-flight", "1").expect(0)
    sent = [call.params for call in api.of("submit")]
    assert all({"prompt", "negative_prompt", "size", "duration", "seed", "enable_prompt_expansion"} <= set(params) for params in sent)
    assert len({params["seed"] for params in sent}) == 3


def test_the_key_goes_to_the_api_alone_and_into_no_file_or_output(api: FakeApi, desk: Desk) -> None:
    """Promise 7, by every byte under the working folder; the service's own echo of it is taken out, too."""
    api.error = lambda params: f"internal: bad key {KEY}" if params["prompt"] == "a dog" else None
    ended = desk.run("-vv").expect(3)
    with_key = {call.kind for call in api.calls if call.key == KEY}
    assert with_key >= {"submit", "status", "result"}
    assert not [call for call in api.of("file") if call.key or KEY in str(call.request.headers)]
    files = [path for path in desk.folder.rglob("*") if path.is_file()]
    assert desk.batch / "events.jsonl" in files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert KEY.encode() not in ended.stdout + ended.stderr


def test_a_second_run_pays_for_nothing(api: FakeApi, desk: Desk) -> None:
    """Running again is always safe, needs no agreement, and touches no file."""
    desk.run().expect(0)
    before = {path: path.stat().st_mtime_ns for path in desk.clips}
    again = desk.call(*desk.paid("--json")).expect(0, done=3)
    assert api.posts == 3
    assert again.obj["spent_usd"] == 1.5
    assert before == {path: path.stat().st_mtime_ns for path in desk.clips}


def test_an_edit_runs_only_what_is_new(api: FakeApi, desk: Desk) -> None:
    """Promise 5: order and place don't matter, what fell out is kept and told as no longer wanted."""
    desk.run().expect(0)
    desk.manifest("a fish", "an owl", "a cat")
    ended = desk.run().expect(0, done=3)
    assert api.prompts == {"a cat": 1, "a dog": 1, "an owl": 1, "a fish": 1}
    assert ended.obj["unwanted"] == 1
    assert len(desk.clips) == 4


def test_other_parameters_are_another_clip(api: FakeApi, desk: Desk) -> None:
    """A clip is its parameters; the old file stays."""
    desk.manifest("a cat")
    desk.run().expect(0, done=1)
    desk.manifest("a cat", more="defaults: {duration: 10}")
    desk.run().expect(0, done=1)
    assert [call.params["duration"] for call in api.of("submit")] == [5, 10]
    assert len(desk.clips) == 2


def test_takes_are_clips_with_seeds_of_their_own(api: FakeApi, desk: Desk) -> None:
    """First takes of all prompts come before second ones."""
    desk.manifest(more="defaults: {takes: 2}\n")
    (desk.folder / "night.yaml").write_text("prompts:\n  - {prompt: a cat, takes: 2}\n  - {prompt: a dog, takes: 2}\n")
    desk.run("--in-flight", "1").expect(0, done=4)
    sent = [call.params for call in api.of("submit")]
    assert [params["prompt"] for params in sent] == ["a cat", "a dog", "a cat", "a dog"]
    assert len({params["seed"] for params in sent}) == 4


def test_local_audio_is_uploaded_once_and_sent_as_a_link(api: FakeApi, desk: Desk) -> None:
    """Two clips with the same file cost one upload; the manifest's own path never leaves the machine."""
    samples = (16000 * 4 * 2).to_bytes(4, "little")
    head = b"WAVEfmt " + (16).to_bytes(4, "little") + bytes.fromhex("01000100803e0000007d000002001000") + b"data" + samples
    (desk.folder / "hook.wav").write_bytes(b"RIFF" + (36 + 16000 * 8).to_bytes(4, "little") + head + bytes(16000 * 8))
    desk.manifest("a cat", "a dog", more="defaults: {audio: hook.wav}")
    desk.run().expect(0, done=2)
    assert len(api.of("upload")) == 1
    assert {call.params["audio"] for call in api.of("submit")} == {f"{api.url}/assets/0.wav"}


def test_the_events_file_tells_every_clips_life_in_order(api: FakeApi, desk: Desk) -> None:
    """One JSON object a line, over both runs."""
    desk.run().expect(0)
    desk.manifest("a cat", "a dog", "an owl", "a fish")
    desk.run().expect(0)
    lines = [json.loads(line) for line in (desk.batch / "events.jsonl").read_text().splitlines()]
    life = [line["event"] for line in lines if line.get("clip", "").startswith("a-fish")]
    assert life == ["SubmitStarted", "Submitted", "Generated", "Downloaded"]
    assert len({line["run"] for line in lines}) == 2
    assert all(datetime.fromisoformat(line["t"]).tzinfo for line in lines)


def test_without_a_terminal_there_is_one_plain_line_per_event(desk: Desk) -> None:
    """Cron mails and log files: ISO-8601 times, no escape codes; -q leaves only trouble."""
    lines = desk.run().expect(0).said.splitlines()
    assert len(lines) == 12
    assert all(datetime.fromisoformat(line.split(" ", 1)[0]).tzinfo for line in lines)
    assert "\x1b" not in "".join(lines)
    desk.manifest("a fish")
    assert desk.run("-q").expect(0).stderr == b""


def test_a_summary_for_people_stands_on_stdout_without_json(desk: Desk) -> None:
    """What was made, what it cost, and what to type next."""
    told = desk.call(*desk.paid("--yes")).expect(0).stdout.decode()
    assert "3 of 3 clips done" in told
    assert "$1.50" in told
    assert str(desk.batch / "clips") in told
