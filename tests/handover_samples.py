"""Chosen clips, each with a file of its own, for the tests of a hand-over."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path

from mp4 import video

from batchgen.clip import Clip, State, Wanted
from batchgen.handover.chosen import Select, named
from batchgen.handover.film import FilmFacts
from batchgen.review.choice import Choice

FILM = FilmFacts(frames=120, rate=Fraction(24), width=1280, height=720, channels=2, sample_rate=48_000)


def sample(
    folder: Path, name: str, order: int = 1, choice: Choice | None = None, film: FilmFacts | None = FILM
) -> Select:
    """Make a select whose film lies in `folder/batch/clips/`."""
    clips = folder / "batch" / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    body = video(500 + order)
    (clips / f"{name}.mp4").write_bytes(body)
    values = {"prompt": f"a secret prompt of {name}", "seed": 7, "size": "1280*720"}
    wanted = Wanted(f"key-{name}", name, 1, "wan-2.5-t2v", json.dumps(values), name, label="city=Tokyo")
    digest = hashlib.sha256(body).hexdigest()
    clip = Clip(order, wanted, State.DONE, sha256=digest, bytes=len(body), file=f"{name}.mp4")
    return named([Select(order, clip, choice or Choice(pick=1), clips / f"{name}.mp4", film=film)])[0]
