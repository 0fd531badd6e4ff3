"""The pictures in the report of a night, as SVG that needs no script: timeline, histogram, bars. Pure."""

from __future__ import annotations

import html
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Final

from batchgen.views.night_facts import Moment, NightFacts, stretches
from batchgen.views.text import clock, plural, time_of_day
from batchgen.wording import duration

_WIDTH: Final = 960
_LEFT, _RIGHT = 44, 12
#: Pixels of a pause that was cut out, and the least of a stretch.
_PAUSE, _LEAST = 26.0, 30.0
#: Points of a line, and bars of a histogram.
_POINTS, _BARS = 320, 24
_TOP, _LINES, _FLIGHT, _BETWEEN = 14, 150, 70, 26
#: A night that is shorter has its times to the second.
_SHORT_S: Final = 1200.0


class TimeAxis:
    """Where moments lie from left to right: long pauses are cut out.

    Args:
        times: epoch seconds; at least one.
    """

    def __init__(self, times: Sequence[float]) -> None:
        self.parts = stretches(times)
        total = sum(end - begin for begin, end in self.parts)
        room = _WIDTH - _LEFT - _RIGHT - _PAUSE * (len(self.parts) - 1)
        spare = max(0.0, room - _LEAST * len(self.parts))
        self._places: list[tuple[float, float]] = []
        x = float(_LEFT)
        for begin, end in self.parts:
            share = (end - begin) / total if total else 1 / len(self.parts)
            width = max(2.0, min(_LEAST, room / len(self.parts)) + spare * share)
            self._places.append((x, width))
            x += width + _PAUSE
        self.right = x - _PAUSE

    def x(self, at: float) -> float:
        """Give the place of a moment; one in a pause lies at its beginning."""
        part = max(0, bisect_right(self.parts, at, key=lambda each: each[0]) - 1)
        (begin, end), (left, width) = self.parts[part], self._places[part]
        return left + width * (min(max(at, begin), end) - begin) / (end - begin) if end > begin else left + width / 2

    def pauses(self) -> list[tuple[float, float]]:
        """Give the middle and the length of each pause."""
        return [
            (left + width + _PAUSE / 2, later[0] - earlier[1])
            for (left, width), earlier, later in zip(self._places, self.parts, self.parts[1:], strict=False)
        ]

    def samples(self) -> list[list[float]]:
        """Give moments, evenly spread over each stretch."""
        share = max(2, _POINTS // len(self.parts))
        return [[begin + (end - begin) * i / (share - 1) for i in range(share)] for begin, end in self.parts]

    def ticks(self) -> list[float]:
        """Give moments to write below: the ends of each stretch, and some between where there is room."""
        found = []
        for (begin, end), (_, width) in zip(self.parts, self._places, strict=True):
            count = int(width // 110)
            found += [begin + (end - begin) * i / count for i in range(count + 1)] if count else [begin]
        return found


def timeline(facts: NightFacts, tz: tzinfo | None = None) -> str:
    """Draw what was submitted, in flight and done over time, with refusals (429) and waits; empty without events."""
    if not facts.moments:
        return ""
    spans = [at for span in facts.waits for at in (span.began, span.ended)]
    axis = TimeAxis([*(moment.at for moment in facts.moments), *facts.refused, *spans])
    most = max(1, *(max(moment.submitted, moment.done) for moment in facts.moments))
    flight = max(1, *(moment.in_flight for moment in facts.moments))
    low = _TOP + _LINES
    base = low + _BETWEEN + _FLIGHT
    parts = [
        *_waits(facts, axis, base),
        _frame(_TOP, low, most, axis.right),
        _line(facts.moments, axis, lambda each: each.submitted, (low, _LINES / most), "submitted"),
        _line(facts.moments, axis, lambda each: each.done, (low, _LINES / most), "done"),
        _frame(low + _BETWEEN, base, flight, axis.right),
        _line(facts.moments, axis, lambda each: each.in_flight, (base, _FLIGHT / flight), "flight", filled=True),
        *_times(axis, base + 22, tz),
        *_pauses(axis, base),
        *(f'<path class="refused" d="M{axis.x(at):.1f} {base + 2}l4 7h-8z"/>' for at in _thinned(facts.refused, axis)),
    ]
    return _svg(base + 30, "Clips submitted, in flight and done over the night", parts)


def _times(axis: TimeAxis, y: float, tz: tzinfo | None) -> list[str]:
    """Write times below a chart, each once; to the second where a whole night takes minutes."""
    first, last = axis.parts[0][0], axis.parts[-1][1]
    drawn, said = [], ""
    for at in axis.ticks():
        text = time_of_day(at, tz) if last - first < _SHORT_S else clock(at, last, tz)
        if text != said:
            anchor = "end" if axis.x(at) > _WIDTH - _LEFT else "middle"
            drawn.append(_text(min(axis.x(at), _WIDTH - 1.0), y, text, anchor))
        said = text
    return drawn


def _thinned(times: Sequence[float], axis: TimeAxis) -> list[float]:
    """Leave out marks that would lie on each other."""
    kept: dict[int, float] = {}
    for at in times:
        kept.setdefault(round(axis.x(at) / 2), at)
    return list(kept.values())


def _waits(facts: NightFacts, axis: TimeAxis, base: float) -> list[str]:
    drawn = [(axis.x(span.began), axis.x(span.ended), span.why) for span in facts.waits]
    return [
        f'<rect class="wait" x="{left:.1f}" y="{_TOP}" width="{max(2.0, right - left):.1f}" '
        f'height="{base - _TOP}"><title>{html.escape(why)}</title></rect>'
        for left, right, why in drawn[:500]
    ]


def _pauses(axis: TimeAxis, base: float) -> list[str]:
    return [
        f'<path class="pause" d="M{x:.1f} {_TOP}V{base}"><title>nothing for {duration(length)}</title></path>'
        for x, length in axis.pauses()
    ]


def _frame(top: float, low: float, most: int, right: float) -> str:
    lines = f'<path class="axis" d="M{_LEFT} {low:.1f}H{right:.1f}M{_LEFT} {top:.1f}H{right:.1f}"/>'
    return lines + _text(_LEFT - 6, top + 4, f"{most:,}", "end") + _text(_LEFT - 6, low + 4, "0", "end")


def _line(
    moments: Sequence[Moment],
    axis: TimeAxis,
    of: Callable[[Moment], int],
    scale: tuple[float, float],
    name: str,
    *,
    filled: bool = False,
) -> str:
    low, each = scale
    paths = []
    for stretch in axis.samples():
        points = []
        for at in stretch:
            index = bisect_right(moments, at, key=lambda moment: moment.at) - 1
            points.append(f"{axis.x(at):.1f} {low - each * (of(moments[index]) if index >= 0 else 0):.1f}")
        body = "M" + "L".join(points)
        paths.append(f"{body}L{points[-1].split()[0]} {low:.1f}L{points[0].split()[0]} {low:.1f}Z" if filled else body)
    return f'<path class="{name}" d="{"".join(paths)}"/>'


def histogram(seconds: Sequence[float]) -> str:
    """Draw how long clips took, from submission to the end; empty without one."""
    if not seconds:
        return ""
    ordered = sorted(seconds)
    low, high = ordered[0], max(ordered[-1], ordered[0] + 1.0)
    counts = [0] * _BARS
    for each in ordered:
        counts[min(_BARS - 1, int((each - low) / (high - low) * _BARS))] += 1
    most, step, base = max(counts), (_WIDTH - _LEFT - _RIGHT) / _BARS, _TOP + 120
    bars = []
    for index, count in enumerate(counts):
        begin, end = (low + (high - low) * (index + i) / _BARS for i in (0, 1))
        height = 120 * count / most
        said = f"{plural(count, 'clip')} took {begin:.0f} to {end:.0f} s"
        bars.append(
            f'<rect class="bar" x="{_LEFT + index * step + 1:.1f}" y="{base - height:.1f}" width="{step - 2:.1f}" '
            f'height="{height:.1f}"><title>{said}</title></rect>'
        )
    right = _WIDTH - _RIGHT
    places = 1 if high - low < 12 else 0
    marks = [
        _text(_LEFT + i * (right - _LEFT) / 6, base + 18, f"{low + (high - low) * i / 6:.{places}f} s",
              "end" if i == 6 else "middle")
        for i in range(7)
    ]  # fmt: skip
    return _svg(base + 28, "Run times of clips", [_frame(_TOP, base, most, right), *bars, *marks])


def bar(share: float) -> str:
    """Draw one bar of a table; `share` is 0 to 1."""
    width = max(0.0, min(1.0, share)) * 100
    return (
        '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="bar" width="{width:.1f}" height="8"/></svg>'
    )


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{html.escape(label)}">'
        f"{''.join(parts)}</svg>"
    )
