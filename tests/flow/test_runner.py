from __future__ import annotations
import time
from pathlib import Path
from collections import Counter
from batchgen.flow.runner import Orders
from batchgen.clip import State
from batchgen.errors import Exit
from batch import Batch, Limits, check, Kill
from fakes import FakeProvider

def test_happy(tmp_path: Path) -> None:
    b = Batch(tmp_path, 6)
    life = b.live()
    assert b.states() == [State.DONE]*6
    check(b, life)

def test_night(tmp_path: Path) -> None:
    t=time.time()
    b = Batch(tmp_path, 2000, provider=FakeProvider(rpm=200), limits=Limits(rpm=200))
    life = b.live()
    print(time.time()-t, life.lasted_s, b.provider.limited)
    assert Counter(b.states())== {State.DONE:2000}
    check(b, life)

def test_limit(tmp_path: Path) -> None:
    b = Batch(tmp_path, 6)
    life = b.live(Orders(limit=3))
    assert len(b.provider.posts) == 3
    check(b, life)

def test_kill(tmp_path: Path) -> None:
    b = Batch(tmp_path, 6)
    life = b.live(kill=Kill("accept", 3))
    assert life.killed
    check(b)
    life = b.live()
    check(b, life)
    print(b.states(), [type(e).__name__ for c,e in life.events])
