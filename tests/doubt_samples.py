"""A clip in doubt, and the row of the request history that is its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from batchgen.clip import Clip
from batchgen.events import AnswerLost, SubmitStarted
from batchgen.providers.base import Completed, HistoryRow
from batchgen.states import advance
from batchgen.testing import wanted

T0 = 1_790_000_000.0


def doubt(n: int = 0, *, at: float = T0, sent: Mapping[str, Any] | None = None) -> Clip:
    text = None if sent is None else json.dumps(sent)
    clip = advance(Clip(n + 1, wanted(n)), SubmitStarted(at, reserved=10, sent=text))
    return advance(clip, AnswerLost("reset"))


def row(clip: Clip, request_id: str = "r1", *, at: float | None = T0 + 1, **changes: Any) -> HistoryRow:
    params = {**json.loads(clip.wanted.params), **changes}
    return HistoryRow(request_id, clip.wanted.model, Completed("u"), params, at)
