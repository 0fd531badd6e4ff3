"""The pictures of simulated nights: plain SVG that reads well on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

from batchgen.polling.schedule import RunTimes

INK, GRID, OURS = "#6e7781", "#8c959f44", "#2f81f7"
COLOURS = {
    "ours": OURS, "oracle": "#3fb950", "optimal": "#a371f7", "every 1 s": "#f85149", "every 5 s": "#f0883e",
    "doubling": "#d29922",
}  # fmt: skip
WIDTH, ROW, LEFT, EDGE = 860, 22, 190, 170


def nights_picture(nights: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Draw makespan over its bound, one row a night, one dot a policy."""
    height = 70 + ROW * len(nights)
    most = 2.0
    parts = [_text(LEFT, 18, "Makespan over what rate and slots allow: 1 is the bound, left is better", weight="bold")]
    for i in range(6):
        x = _x(1 + i * 0.2, most)
        parts += [_line(x, 30, x, height - 34, GRID), _text(x, height - 20, f"{1 + i * 0.2:.1f}", anchor="middle")]
    for row, (name, policies) in enumerate(nights.items()):
        y = 44 + row * ROW
        parts.append(_text(LEFT - 12, y + 4, name, anchor="end"))
        parts.append(_line(LEFT, y, WIDTH - 20, y, GRID))
        for policy in reversed(COLOURS):
            if policy in policies:
                over = float(policies[policy]["over"])
                parts.append(_dot(_x(min(over, most), most), y, COLOURS[policy], 6 if policy == "ours" else 4))
    parts += _legend(height - 4)
    return _svg(height + 8, parts)


def polls_picture() -> str:
    """Draw a distribution of run times, and where polls are put for it at two, four and six polls a clip."""
    times, curve = RunTimes(213.0), NormalDist(math.log(213.0), 0.25)
    for n in range(240):
        times.learn(math.exp(curve.inv_cdf((n + 0.5) / 240)))
    ages = [90 + 3 * n for n in range(121)]
    top = max(_density(curve, age) for age in ages)
    points = " ".join(f"{_age_x(age):.1f},{150 - 110 * _density(curve, age) / top:.1f}" for age in ages)
    parts = [
        _text(EDGE, 18, "Run times (log-normal, median 213 s), and when each clip is polled", weight="bold"),
        f'<polyline points="{points}" fill="none" stroke="{INK}" stroke-width="2"/>',
        _line(EDGE, 150, WIDTH - 20, 150, INK),
    ]
    for i, calls in enumerate((2.0, 4.0, 6.0)):
        y = 178 + 26 * i
        polls = times.schedule(calls)
        parts.append(_text(EDGE - 12, y + 4, f"{polls.polls:.1f} polls, mean lag {polls.lag:.0f} s", anchor="end"))
        parts += [_dot(_age_x(age), y, OURS, 4) for age in polls.ages if 90 <= age <= 450]
    parts += [_text(_age_x(age), 258, f"{age} s", anchor="middle") for age in range(100, 451, 50)]
    return _svg(268, parts)


def _density(curve: NormalDist, age: float) -> float:
    return curve.pdf(math.log(age)) / age


def _age_x(age: float) -> float:
    return EDGE + (age - 90) / 360 * (WIDTH - EDGE - 20)


def _x(over: float, most: float) -> float:
    return LEFT + (over - 0.95) / (most - 0.95) * (WIDTH - LEFT - 30)


def _legend(y: float) -> list[str]:
    step = (WIDTH - LEFT) / len(COLOURS)
    placed = [(LEFT + step * i, policy, colour) for i, (policy, colour) in enumerate(COLOURS.items())]
    return [part for x, policy, colour in placed for part in (_dot(x, y - 4, colour, 4), _text(x + 9, y, policy))]


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{INK}">{text}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _dot(x: float, y: float, colour: str, radius: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>'


def _svg(height: float, parts: list[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif" '
    return head + 'font-size="12">\n' + "\n".join(parts) + "\n</svg>\n"
