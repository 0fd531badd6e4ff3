"""`batchgen deliver` as a process: after the picks, before the edit."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Desk

pytestmark = pytest.mark.real_time


def test_the_picks_of_a_night_are_handed_over(desk: Desk, tmp_path: Path) -> None:
    """Under clean names, in order; what is not picked stays, and a second delivery overwrites nothing."""
    desk.run().expect(0, done=3)
    assert "batchgen review" in desk.call("deliver", "night.yaml", "out", "--for", "folder").expect(2).said
    assert not (desk.batch / "selects.log").exists()  # an archive may be read-only
    desk.call("picks", "night.yaml", "--set", "a cat,an owl", "pick").expect(2)
    names = sorted(path.stem for path in (desk.batch / "clips").glob("*.mp4"))
    desk.call("picks", "night.yaml", "--set", f"{names[0]},{names[2]}", "pick").expect(0)
    done = desk.call("deliver", "night.yaml", "out", "--for", "folder", "--json").expect(0).obj
    assert [clip["clip"] for clip in done["clips"]] == [names[0], names[2]]
    assert sorted(path.name for path in (desk.folder / "out").glob("*.mp4")) == [
        f"01_{names[0]}.mp4",
        f"02_{names[2]}.mp4",
    ]
    assert "exists already" in desk.call("deliver", "night.yaml", "out", "--for", "folder").expect(2).said
    everything = desk.call("deliver", "night.yaml", "all", "--all", "--for", "folder", "--template", "{prompt}").expect(
        0
    )
    assert "Delivered 3 clips to all" in everything.stdout.decode()
    assert desk.call("deliver", "night.yaml", "x", "--stars", "4", "--for", "folder").expect(2).said
    assert "no clip" in desk.call("deliver", "night.yaml", "x", "--only", "zebra", "--for", "folder").expect(2).said
    assert not (desk.folder / "x").exists()
