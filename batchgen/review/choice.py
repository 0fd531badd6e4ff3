"""What people decide about a clip: pick, stars, label, tags, note, marks, reason, order, reviewers' answers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from batchgen.errors import UsageError

#: The colour labels, as the keys 6 to 9 give them.
LABELS: Final = ("", "red", "yellow", "green", "blue")
#: Why a clip was rejected, as the keys 1 to 9 give them after a reject.
REASONS: Final = ("", "hands", "face", "text", "motion", "prompt", "flicker", "sound", "crop", "other")
#: Characters of a note, of a tag, and how many tags and marks a clip may have.
LONGEST_NOTE, LONGEST_TAG, MOST = 4_000, 100, 100
#: A moment in UTC as pages write it; such texts sort by time.
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@dataclass(frozen=True, slots=True)
class ReviewerAnswer:
    """What a reviewer sent back about a clip, from a page for clients. The own choice is another thing.

    Attributes:
        by: the reviewer's name.
        at: when it was last changed, by the reviewer's clock, as `2026-11-27T18:02:11.123Z`.
        pick, stars, note: as in `Choice`.
    """

    by: str
    at: str
    pick: int = 0
    stars: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was decided about one clip; the values here are those of a clip that nobody has looked at.

    Attributes:
        pick: 1 picked, -1 rejected, 0 undecided.
        stars: 0 (none) to 5.
        label: a colour of `LABELS`, or empty.
        tags: words, sorted, each once.
        note: free text.
        marks: notes at frames, as (frame, text), by frame.
        reason: of a reject, one of `REASONS`, or empty.
        order: of the pick in the hand-over; None: after those that have one, in the manifest's order.
        answers: of reviewers, by name; each has one at most.
    """

    pick: int = 0
    stars: int = 0
    label: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    marks: tuple[tuple[int, str], ...] = ()
    reason: str = ""
    order: int | None = None
    answers: tuple[ReviewerAnswer, ...] = ()

    @property
    def decided(self) -> bool:
        """True once it was picked or rejected."""
        return self.pick != 0

    def as_json(self) -> dict[str, Any]:
        """Give every field, in the shape that files, commands and the page use."""
        return {field.name: to_json(field.name, getattr(self, field.name)) for field in fields(self)}


NAMES: Final = tuple(field.name for field in fields(Choice))
UNDECIDED: Final = Choice()


def to_json(name: str, value: Any) -> Any:  # noqa: ANN401 - one of the fields' types
    """Give a field's value as JSON has it."""
    if name == "tags":
        return list(value)
    if name == "answers":
        return [asdict(each) for each in value]
    return [{"frame": frame, "text": text} for frame, text in value] if name == "marks" else value


def checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Read changed fields as JSON gives them, and check every one.

    Raises:
        UsageError: a field that does not exist, or a value that it can't have.
    """
    unknown = sorted(changes.keys() - set(NAMES))
    if unknown:
        raise UsageError(f"a choice has no field {unknown[0]!r}", tip=f"the fields are {', '.join(NAMES)}")
    return {name: _CHECKS[name](name, value) for name, value in changes.items()}


def _one_of(*allowed: object) -> Any:  # noqa: ANN401 - a check, as those below
    def check(name: str, value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, bool) or value not in allowed:
            words = ", ".join(str(each) or "(empty)" for each in allowed)
            raise UsageError(f"{name} can't be {value!r}", tip=f"it is one of {words}")
        return value

    return check


def _text(name: str, value: Any, longest: int = LONGEST_NOTE) -> str:  # noqa: ANN401
    if not isinstance(value, str) or len(value) > longest:
        raise UsageError(f"{name} must be a text of at most {longest:,} characters")
    return value.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair can't be stored


def _tags(name: str, value: Any) -> tuple[str, ...]:  # noqa: ANN401
    if not isinstance(value, list | tuple) or len(value) > MOST:
        raise UsageError(f"{name} must be a list of at most {MOST} words")
    return tuple(sorted({tag for each in value if (tag := " ".join(_text(name, each, LONGEST_TAG).split()))}))


def _marks(name: str, value: Any) -> tuple[tuple[int, str], ...]:  # noqa: ANN401
    if not isinstance(value, list | tuple) or len(value) > MOST or not all(isinstance(each, Mapping) for each in value):
        raise UsageError(f"{name} must be a list of at most {MOST} notes with `frame` and `text`")
    return tuple(sorted((_count(f"{name}.frame", each.get("frame")), _text(name, each.get("text"))) for each in value))


def _count(name: str, value: Any) -> int:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise UsageError(f"{name} must be a whole number from 0, not {value!r}")
    return value


def _order(name: str, value: Any) -> int | None:  # noqa: ANN401
    return None if value is None else _count(name, value)


def _answers(name: str, value: Any) -> tuple[ReviewerAnswer, ...]:  # noqa: ANN401
    if not isinstance(value, list | tuple) or len(value) > MOST:
        raise UsageError(f"{name} must be a list of at most {MOST} answers of reviewers")
    found = [each if isinstance(each, ReviewerAnswer) else answer_of(each) for each in value]
    return tuple(sorted(found, key=lambda each: each.by))


def answer_of(value: Any) -> ReviewerAnswer:  # noqa: ANN401
    """Read an answer as JSON has it.

    Raises:
        UsageError: it has a value that does not exist, or names no reviewer.
    """
    if not isinstance(value, Mapping):
        raise UsageError("an answer must be an object with `by` and `at`")
    by, at = " ".join(_text("by", value.get("by"), LONGEST_TAG).split()), value.get("at")
    if not by or not isinstance(at, str) or not _MOMENT.fullmatch(at):
        raise UsageError("an answer must have `by`, the reviewer's name, and `at`, as in 2026-11-27T18:02:11.123Z")
    rest = {name: value[name] for name in ("pick", "stars", "note") if name in value}
    return ReviewerAnswer(by, at, **checked(rest))


_CHECKS: Final[Mapping[str, Any]] = {
    "pick": _one_of(-1, 0, 1),
    "stars": _one_of(*range(6)),
    "label": _one_of(*LABELS),
    "tags": _tags,
    "note": _text,
    "marks": _marks,
    "reason": _one_of(*REASONS),
    "order": _order,
    "answers": _answers,
}
