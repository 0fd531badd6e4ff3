"""Numbers, times and names as people read them, laid out in columns. Pure, and quick to import."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from batchgen.clip import State
from batchgen.money import to_usd

_URL_TAIL = re.compile(r"""(https?://[^\s?#"'<>\\]+)[?#][^\s"'<>\\]*""")
_HALF_DAY, _SIX_DAYS = 12 * 3600, 6 * 86_400


def plural(count: int, one: str) -> str:
    """Count regular nouns: "1 clip", "1,200 clips"."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def size(count: int) -> str:
    """Write a number of bytes in decimal units: "640 bytes", "4.2 MB", "1.3 GB"."""
    if count < 1000:
        return plural(count, "byte")
    amount = float(count)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} TB"


def queued_text(retries: int, rerolls: int, *, live: bool) -> str:
    """Say what `retry` and `reroll` queued and no run has taken up; "" for nothing."""
    parts = [f"{retries:,} {'retry' if retries == 1 else 'retries'}"] if retries else []
    parts += [plural(rerolls, "re-roll")] if rerolls else []
    verb = "waits" if retries + rerolls == 1 else "wait"
    return f"{' and '.join(parts)} {verb} for the {'run' if live else 'next run'}" if parts else ""


def unwanted_text(unwanted: int, replaced: int) -> list[str]:
    """Say which clips are no longer wanted, and why: `replaced` are among the unwanted; empty for none."""
    gone = unwanted - replaced
    texts = [f"{replaced:,} replaced by a new seed"] if replaced else []
    return texts + ([f"{gone:,} no longer in the manifest"] if gone else [])


def dollars(micro: int | None) -> float | None:
    """Give an amount as a JSON number of dollars, exact to 4 decimals, halves up; None stays unknown."""
    return None if micro is None else to_usd(micro)


def stamp(at: float, tz: tzinfo | None = None) -> str:
    """Write a moment (epoch seconds) as local time to the second: "2026-11-22 02:12:00"."""
    return _moment(at, tz).strftime("%Y-%m-%d %H:%M:%S")


def stamp_zone(at: float, tz: tzinfo | None = None) -> str:
    """Write a moment (epoch seconds) as ISO-8601 local time with its zone: a log spans nights when clocks change."""
    return _moment(at, tz).isoformat(timespec="seconds")


def time_of_day(at: float, tz: tzinfo | None = None) -> str:
    """Write a moment (epoch seconds) as local time without its date: "22:03:51"."""
    return _moment(at, tz).strftime("%H:%M:%S")


def stamp_utc(at: float) -> str:
    """Write a moment (epoch seconds) as ISO-8601 UTC with milliseconds: "2026-11-22T02:12:00.123Z"."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def clock(at: float, now: float, tz: tzinfo | None = None) -> str:
    """Write a moment as local time: "02:40"; 12 hours from `now` or more "Mon 02:40", six days "23 Nov 02:40"."""
    away = abs(at - now)
    return _moment(at, tz).strftime("%H:%M" if away < _HALF_DAY else "%a %H:%M" if away < _SIX_DAYS else "%d %b %H:%M")


def bare_urls(text: str) -> str:
    """Cut query and fragment off every URL in a text: a signed link's secret is in there."""
    return _URL_TAIL.sub(r"\1", text)


def one_line(text: str) -> str:
    """Put a text on one line without control characters, so that no answer can control the terminal."""
    words = " ".join(text.split())
    if words.isascii() and words.isprintable():
        return words
    return "".join(c for c in words if unicodedata.category(c) not in {"Cc", "Cf", "Cs"})


def under(label: str, text: str, width: int) -> list[str]:
    """Keep a label's column: what runs over goes below the text."""
    lines = wrap(text, width - columns(label))
    return [(" " * columns(label) if i else label) + line for i, line in enumerate(lines)]


def ascii_only(text: str) -> str:
    r"""Spell what is not ASCII as an escape ("\xe9"): ugly, but nothing gets lost."""
    return text.encode("ascii", "backslashreplace").decode("ascii")


def columns(text: str) -> int:
    """How many columns of a terminal a text takes; rich knows too, but costs `status` 40 ms."""
    return sum(_columns_of(c) for c in text)


def fit(text: str, width: int, ellipsis: str = "…") -> str:
    """Cut a text to `width` columns, marking the cut."""
    if columns(text) <= width:
        return text
    room = width - len(ellipsis)
    kept = ""
    for char in text:
        room -= _columns_of(char)
        if room < 0:
            break
        kept += char
    return kept.rstrip() + ellipsis


def pack(pieces: Iterable[str], width: int, gap: str = "   ", indent: str = "") -> list[str]:
    """Put pieces side by side in lines of `width` columns; later lines are indented, no piece is broken."""
    lines: list[str] = []
    for piece in pieces:
        if lines and columns(lines[-1]) + len(gap) + columns(piece) <= width:
            lines[-1] += gap + piece
        else:
            lines.append((indent if lines else "") + piece)
    return lines


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Break a text at its spaces; all lines are indented. A long word (path, id) stays whole to be copied."""
    return [indent + line for line in pack(text.split(), width - len(indent), " ")]


def _columns_of(char: str) -> int:
    if char.isascii():
        return 1
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _moment(at: float, tz: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(at, tz or UTC).astimezone(tz)


#: The order in which states are shown.
SHOWN = (
    State.DONE,
    State.DOWNLOADING,
    State.GENERATING,
    State.SUBMITTING,
    State.PENDING,
    State.FAILED,
    State.BLOCKED,
    State.UNCONFIRMED,
    State.LOST,
)


@dataclass(frozen=True, slots=True)
class Marks:
    """One set of characters."""

    done: str
    bad: str
    ask: str
    working: str
    waiting: str
    bar: str  #: settled, in progress, the rest
    thin: str  #: of a thin bar: the part that is over, the rest
    ellipsis: str

    def of(self, state: State) -> str:
        """Give a state's mark."""
        match state:
            case State.DONE:
                return self.done
            case State.PENDING:
                return self.waiting
            case State.FAILED | State.BLOCKED:
                return self.bad
            case State.UNCONFIRMED | State.LOST:
                return self.ask
        return self.working


UNICODE = Marks("✓", "✗", "?", "▸", "·", "█▒░", "━─", "…")
ASCII = Marks("+", "x", "?", ">", "-", "#=.", "=.", "...")
