"""`batchgen picks import`: what a client sent back is merged into the choices, and who differs is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchgen.cli import output
from batchgen.errors import BatchgenError, OutputError, UsageError

if TYPE_CHECKING:
    from batchgen.review.answers import AnswerFile, Imported
    from batchgen.review.choice import Choice
    from batchgen.review.client_reports import ClientReport

_SHOWN = 40


def import_answers(where: Path | None, files: Sequence[Path], *, overwrite: bool, as_json: bool) -> None:
    """Import files of answers and say what came of it; all are read and checked before the first is merged.

    Args:
        where: the batch folder; None: the one under jobs/ whose page a file answers.
        files: of answers.
        overwrite: answers replace choices that differ.
        as_json: print one object.

    Raises:
        UsageError: a file is none of these, or answers no page of the batch; nothing was imported.
    """
    from batchgen.review import answers

    read = [(path, answers.read(path)) for path in files]
    found = [(path, file, *_page_of(where, path, file)) for path, file in read]
    done = [_import(folder, file, report, path, overwrite=overwrite) for path, file, folder, report in found]
    obj = {"schema_version": 1, "imports": [each for each, _ in done]}
    output.answer(obj, lambda: "\n\n".join("\n".join(lines) for _, lines in done), as_json=as_json)


def _page_of(where: Path | None, path: Path, file: AnswerFile) -> tuple[Path, ClientReport]:
    """Find the page that a file answers, and its batch folder."""
    from batchgen.review.client_reports import REGISTRY, reports_of

    folders = [where] if where else sorted(each.parent for each in Path("jobs").glob(f"*/{REGISTRY}"))
    for folder in folders:
        report = next((each for each in reports_of(folder) if each.id == file.report), None)
        if report is not None:
            return folder, report
    if where:
        raise UsageError(
            f"{path} answers a page that was not made of {where.name}",
            tip="name the batch whose page was sent; nothing was imported",
        )
    raise UsageError(
        f"{path} answers a page of no batch under jobs/", tip="name the batch: batchgen picks NAME import FILE"
    )


def _import(
    folder: Path, file: AnswerFile, report: ClientReport, path: Path, *, overwrite: bool
) -> tuple[dict[str, Any], list[str]]:
    from batchgen.ledger import Reader
    from batchgen.review import answers
    from batchgen.review.client_reports import reports_of
    from batchgen.review.picks import Picks
    from batchgen.review.sidecars import write_choices

    with closing(Reader(folder)) as reader:
        names = {clip.key: clip.name for clip in reader.known()}
    keys = report.keys(names)
    if file.answers and not keys.keys() & file.answers.keys():
        raise UsageError(f"{path}: none of its clips is in {folder.name} any more; nothing was imported")
    try:
        with closing(Picks(folder)) as picks:
            done = answers.merge(picks, file, keys, overwrite=overwrite)
            choices = picks.all()
    except OSError as error:
        raise OutputError.of(folder, error) from error
    with suppress(OSError, BatchgenError):  # the log has every choice; the sidecars get them the next time
        write_choices(folder, {key: choices[key] for key in done.new})
    differing = answers.conflicts(choices, [keys[handle] for handle in file.answers if handle in keys])
    latest = reports_of(folder)[-1]
    obj = _object(folder, path, done, [_conflict(names[key], key, choices[key]) for key in differing])
    old = (
        [] if latest.id == report.id else [f"It answers the page of {report.at}; a later one was made at {latest.at}."]
    )
    return obj, [*_text(obj, done), *old]


def _conflict(name: str, key: str, choice: Choice) -> dict[str, Any]:
    voices = [{"by": each.by, "pick": each.pick, "stars": each.stars} for each in choice.answers]
    return {"clip": name, "key": key, "pick": choice.pick, "stars": choice.stars, "answers": voices}


def _object(folder: Path, path: Path, done: Imported, differing: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "file": str(path),
        "batch": folder.name,
        "reviewer": done.reviewer,
        "new": len(done.new),
        "chosen": len(done.chosen),
        "known": done.same,
        "older": done.older,
        "gone": done.unknown,
        "conflicts": differing,
    }


def _text(obj: Mapping[str, Any], done: Imported) -> list[str]:
    from batchgen.views.text import one_line, plural

    who = one_line(done.reviewer)
    lines = [
        f"{who}: {plural(len(done.new), 'new answer')} about {obj['batch']}; {plural(len(done.chosen), 'choice')} set."
    ]
    if done.same:
        lines.append(f"{plural(done.same, 'answer')} known already.")
    if done.older:
        lines.append(f"{plural(done.older, 'answer')} left out: {who} has sent a newer one since.")
    if done.unknown:
        lines.append(f"{plural(done.unknown, 'answer')} left out: these clips are not in the batch any more.")
    differing = obj["conflicts"]
    if differing:
        lines.append(f"{plural(len(differing), 'conflict')}; your choice stays, or that of who answered first:")
        lines += [f"  {one_line(each['clip'])}: {_voices(each)}" for each in differing[:_SHOWN]]
        lines += [f"  and {len(differing) - _SHOWN:,} more (--json lists all)"] if len(differing) > _SHOWN else []
        lines.append("Decide with `batchgen review`, or pass --overwrite to take these answers.")
    return lines


def _voices(each: Mapping[str, Any]) -> str:
    from batchgen.views.text import one_line

    said = [f"chosen: {_word(each)}", *(f"{one_line(voice['by'])}: {_word(voice)}" for voice in each["answers"])]
    return "; ".join(said)


def _word(voice: Mapping[str, Any]) -> str:
    stars = f" {'★' * voice['stars']}" if voice["stars"] else ""
    return {1: "picked", -1: "rejected", 0: "undecided"}[voice["pick"]] + stars
