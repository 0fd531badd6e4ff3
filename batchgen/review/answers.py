"""Answers of a client: the file that a client's page saves, and how it is merged into the choices of a batch.

Every answer is kept with its reviewer's name. It also becomes the own choice where nobody has chosen otherwise; a
choice of one's own, or of another reviewer, is never changed by it unless that is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from batchgen.errors import UsageError
from batchgen.review.choice import UNDECIDED, Choice, ReviewerAnswer, answer_of, to_json
from batchgen.review.picks import Decision, Picks, StaleError

#: What a file of answers calls itself.
KIND: Final = "batchgen-picks"
VERSION: Final = 1
#: No page has so many clips: a larger file is another one.
_LARGEST: Final = 50_000_000
_MERGED: Final = ("pick", "stars", "note")
_SAVED_BY: Final = "it is the file that “Send my picks” on the client's page saves"


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """A file of answers: whose, to which page, and what, by the handles of the clips."""

    report: str
    reviewer: str
    answers: Mapping[str, ReviewerAnswer]


def read(path: Path) -> AnswerFile:
    """Read a file of answers, or a text that was copied into one, with whatever a mail put around it.

    Raises:
        UsageError: it can't be read, is something else, or has a value that does not exist.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise _foreign(path, "it is too large")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} can't be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise _foreign(path, "it is no text") from None
    try:
        found = json.loads(text[text.index("{") : text.rindex("}") + 1])
    except (ValueError, RecursionError):
        raise _foreign(path, "it is no JSON, or a part of it is missing") from None
    return _checked(path, found)


def _checked(path: Path, found: Any) -> AnswerFile:  # noqa: ANN401 - any JSON
    if not isinstance(found, Mapping) or found.get("kind") != KIND:
        raise _foreign(path, "it is another JSON file")
    if found.get("schema_version") != VERSION:
        what = f"{path} has answers of schema version {found.get('schema_version')!r}; this batchgen reads {VERSION}"
        raise UsageError(what, tip="update batchgen")
    report, reviewer, answers = (found.get(name) for name in ("report", "reviewer", "answers"))
    if not isinstance(report, str) or not isinstance(reviewer, str) or not isinstance(answers, Mapping):
        raise _foreign(path, "`report`, `reviewer` or `answers` is missing")
    if not reviewer.strip():
        raise UsageError(f"{path} does not say whose answers it has", tip='write a name into it as "reviewer"')
    return AnswerFile(report, reviewer, {handle: _answer(path, reviewer, handle, answers) for handle in answers})


def _answer(path: Path, reviewer: str, handle: str, answers: Mapping[str, Any]) -> ReviewerAnswer:
    value = answers[handle]
    try:
        return answer_of({**value, "by": reviewer} if isinstance(value, Mapping) else value)
    except UsageError as error:
        raise UsageError(f"{path}: the answer about {handle!r}: {error}; nothing was imported") from None


def _foreign(path: Path, why: str) -> UsageError:
    return UsageError(f"{path} has no answers of a client: {why}", tip=_SAVED_BY)


# --- merging --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Imported:
    """What an import did.

    Attributes:
        reviewer: whose answers, under the name that the batch knows already.
        new: keys of clips about which something is new.
        chosen: of these, keys of clips whose own choice is changed.
        same: answers that were known.
        older: answers that this reviewer has changed since; left out.
        unknown: answers about clips that are not in the batch any more; left out.
    """

    reviewer: str
    new: list[str] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)
    same: int = 0
    older: int = 0
    unknown: int = 0


def merge(picks: Picks, file: AnswerFile, keys: Mapping[str, str], *, overwrite: bool = False) -> Imported:
    """Merge a file of answers into the choices; each is on disk when this returns, and a second time changes nothing.

    Args:
        picks: of the batch.
        file: the answers.
        keys: clip keys by handle.
        overwrite: an answer replaces the own choice, and that of another reviewer, too.

    Raises:
        OSError: the log can't be written; import again: what was written is known.
    """
    names = [answer.by for choice in picks.all().values() for answer in choice.answers]
    reviewer = next((name for name in names if name.casefold() == _name(file).casefold()), _name(file))
    done = Imported(reviewer)
    for handle, answer in file.answers.items():
        key = keys.get(handle)
        if key is None:
            done.unknown += 1
        else:
            _merge_one(picks, key, replace(answer, by=reviewer), done, overwrite=overwrite)
    return done


def _name(file: AnswerFile) -> str:
    return " ".join(file.reviewer.split())


def _merge_one(picks: Picks, key: str, answer: ReviewerAnswer, done: Imported, *, overwrite: bool) -> None:
    while True:
        rev, choice = picks.rev, picks[key]
        known = next((each for each in choice.answers if each.by == answer.by), None)
        if known is not None and known.at > answer.at:
            done.older += 1
            return
        changes = _changes(choice, answer, picks.history(key), overwrite=overwrite)
        if not changes:
            done.same += 1
            return
        try:
            picks.change(key, changes, base=rev, by=author(answer.by))
        except StaleError:
            continue  # somebody else chose in between: merge with that
        done.new.append(key)
        done.chosen += [key] if changes.keys() - {"answers"} else []
        return


def author(reviewer: str) -> str:
    """Give the name under which a reviewer's choices are in the log."""
    return f"client:{reviewer}"


def _changes(choice: Choice, answer: ReviewerAnswer, history: Sequence[Decision], *, overwrite: bool) -> dict[str, Any]:
    """Give what an answer changes: the reviewer's own entry, and the fields that nobody else has decided."""
    others = tuple(each for each in choice.answers if each.by != answer.by)
    changes: dict[str, Any] = {}
    if (answers := tuple(sorted((*others, answer), key=lambda each: each.by))) != choice.answers:
        changes["answers"] = to_json("answers", answers)
    deciders = {name: change.by for change in history for name in change.set}
    for name in _MERGED:
        now, wish, nothing = (getattr(each, name) for each in (choice, answer, UNDECIDED))
        free = now == nothing or deciders.get(name) == author(answer.by)
        if now != wish and (free or (overwrite and wish != nothing)):
            changes[name] = wish
    return changes


def conflict(choice: Choice) -> bool:
    """Return whether a reviewer differs from the own pick or stars, or two reviewers differ from each other."""
    for name in ("pick", "stars"):
        if len({value for each in (choice, *choice.answers) if (value := getattr(each, name))}) > 1:
            return True
    return False


def conflicts(choices: Mapping[str, Choice], keys: Iterable[str]) -> list[str]:
    """Give the keys, of those named, about whose clips somebody differs (see `conflict`)."""
    return [key for key in keys if conflict(choices.get(key, UNDECIDED))]
