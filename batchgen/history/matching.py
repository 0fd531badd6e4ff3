"""Which row of the request history is which clip's: by model, what was sent, and time. Pure.

To take a wrong row would lose a paid clip, and to call a row a stranger's would pay for one twice. So a row is
claimed only where nothing else fits as well; whatever can't be distinguished is left in doubt, to be shown.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from batchgen.clip import Clip
from batchgen.providers.base import HistoryRow, Refused

#: A row may be dated this much before our own clock says that the POST left (seconds).
CLOCK_SKEW_S = 300.0
#: A request can't have been made later than its POST could have been on the way (seconds).
LATEST_S = 900.0
_NUMBER = re.compile(r"([+-]?\d+)\.(\d*)")
_SIZE = re.compile(r"(\d+)\s*[x×*]\s*(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Tie:
    """Clips and rows that match each other, with nothing to show which row is whose."""

    clips: tuple[Clip, ...]
    rows: tuple[HistoryRow, ...]


@dataclass(frozen=True, slots=True)
class Matching:
    """Rows by clip number, and what could not be distinguished, also by clip number."""

    found: dict[int, HistoryRow] = field(default_factory=dict)
    ties: dict[int, Tie] = field(default_factory=dict)


def canonical(params: Mapping[str, Any]) -> dict[str, str]:
    """Give parameters in a form in which types, spellings and key orders do not matter: "5" is 5, "x" is "*"."""
    return {name: _plain(value) for name, value in params.items() if value is not None}


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    text = text.strip().replace("\r\n", "\n")
    if (number := _NUMBER.fullmatch(text)) and not number[2].strip("0"):
        return number[1]
    if size := _SIZE.fullmatch(text):
        return f"{size[1]}*{size[2]}"
    return text.lower() if text in ("True", "False") else text


def agrees(sent: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Return whether a row shows what was sent; defaults that the service added are allowed."""
    return _agrees(canonical(sent), canonical(row))


def _agrees(ours: Mapping[str, str], theirs: Mapping[str, str]) -> bool:
    return all(theirs.get(name, "" if value == "" else None) == value for name, value in ours.items())


def sent_params(clip: Clip) -> dict[str, Any]:
    """Give the parameters of the clip's last request, as they were sent."""
    text = clip.request.sent if clip.request and clip.request.sent else clip.wanted.params
    params: dict[str, Any] = json.loads(text)
    return params


def left_at(clip: Clip) -> float:
    """Give when the clip's last request left, by the service's clock as far as it is known (epoch seconds)."""
    return clip.request.left_at if clip.request else 0.0


def match(doubts: Iterable[Clip], rows: Iterable[HistoryRow], taken: Iterable[str]) -> Matching:
    """Find each clip's row; a row is claimed by one clip only.

    Args:
        doubts: clips whose last request may have been accepted.
        rows: the history, in any order, each request once.
        taken: request ids that belong to other requests already.

    Returns:
        What was found. Clips that sent the same are distinguished by the time of their rows. Where, within the
        bounds of time, there are more clips than rows or more rows than clips, none of them is given one. Rows of
        requests that FAILED stand back: what is to be collected is behind the others, which made the very same film.
    """
    spoken_for = set(taken)
    free = [row for row in rows if row.request_id not in spoken_for and row.params is not None]
    result = Matching()
    for clips, near in _groups(list(doubts), free):
        clips.sort(key=left_at)
        alive = [row for row in near if not isinstance(row.outcome, Refused)]
        fitting = alive if alive and len(near) > len(clips) else near
        fitting.sort(key=lambda row: row.at or 0.0)
        pairs = list(zip(clips, fitting, strict=False))
        if len(clips) == len(fitting) and all(_in_time(clip, row) for clip, row in pairs):
            result.found.update({clip.row: row for clip, row in pairs})
        else:
            tie = Tie(tuple(clips), tuple(fitting))
            result.ties.update({clip.row: tie for clip in clips})
    return result


def _groups(clips: list[Clip], rows: list[HistoryRow]) -> Iterator[tuple[list[Clip], list[HistoryRow]]]:
    """Put together what hangs together: clips, rows that fit them, other clips that these rows fit."""
    rows_of, clips_of = _fits(clips, rows)
    left = set(rows_of)
    for start in rows_of:
        if start not in left:
            continue
        some_clips, some_rows, ahead = set[int](), set[int](), [start]
        while ahead:
            clip = ahead.pop()
            if clip in some_clips:
                continue
            some_clips.add(clip)
            some_rows.update(rows_of[clip])
            ahead += [other for row in rows_of[clip] for other in clips_of[row]]
        left -= some_clips
        yield [clips[n] for n in sorted(some_clips)], [rows[n] for n in sorted(some_rows)]


def _fits(clips: list[Clip], rows: list[HistoryRow]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Rows by clip and clips by row, as positions in the lists.

    A row fits the clips that say most of it: what one clip sent and another one left out is no default.
    """
    ours = [canonical(sent_params(clip)) for clip in clips]
    by_prompt: dict[str | None, list[int]] = {}
    for n, sent in enumerate(ours):
        by_prompt.setdefault(sent.get("prompt"), []).append(n)
    rows_of: dict[int, list[int]] = {}
    clips_of: dict[int, list[int]] = {}
    for m, row in enumerate(rows):
        theirs = canonical(row.params or {})
        near = {*by_prompt.get(theirs.get("prompt", ""), []), *by_prompt.get(None, []), *by_prompt.get("", [])}
        fitting = [n for n in near if _may_be(clips[n], row) and _agrees(ours[n], theirs)]
        most = max((_told(ours[n]) for n in fitting), default=0)
        clips_of[m] = [n for n in fitting if _told(ours[n]) == most]
        for n in clips_of[m]:
            rows_of.setdefault(n, []).append(m)
    return rows_of, clips_of


def _told(sent: Mapping[str, str]) -> int:
    return sum(1 for value in sent.values() if value != "")


def _may_be(clip: Clip, row: HistoryRow) -> bool:
    return (not row.model or row.model == clip.wanted.model) and _in_time(clip, row)


def _in_time(clip: Clip, row: HistoryRow) -> bool:
    return row.at is None or -CLOCK_SKEW_S <= row.at - left_at(clip) <= LATEST_S


def could_be(clip: Clip, row: HistoryRow) -> bool:
    """Return whether a row can't be ruled out: to find a clip takes proof, and so does to say that it is absent."""
    if row.params is None:
        return True
    ours, theirs = canonical(sent_params(clip)), canonical(row.params)
    if "seed" in ours and theirs.get("seed", ours["seed"]) != ours["seed"]:
        return False
    one, other = _loose(ours.get("prompt")), _loose(theirs.get("prompt"))
    return one.startswith(other) or other.startswith(one)  # a service may cut a long prompt silently


def _loose(text: str | None) -> str:
    return " ".join(unicodedata.normalize("NFKC", text or "").casefold().split())
