"""`batchgen report`: the night in numbers, the bill, and pages of both. Reads the ledger; submits nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from heapq import nlargest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import output
from batchgen.cli.batch import command_line, is_sandbox, ledger_folder
from batchgen.cli.options import folder_option, json_option, manifest_argument, sandbox_option, service_options
from batchgen.cli.report_pages import PageWish, client_page, night_page, page_options
from batchgen.clip import State

if TYPE_CHECKING:
    from batchgen.billing.audit import Audit
    from batchgen.billing.bill import Bill
    from batchgen.clip import Clip
    from batchgen.ledger.reader import Reader
    from batchgen.views.facts import Facts

#: How many of the slowest clips are named.
_SLOWEST = 3
_BY = ("clip", "prompt", "cell", "day", "model", "take")


@click.command("report")
@manifest_argument
@folder_option
@sandbox_option
@click.option("--bill", is_flag=True, help="Show the bill: charged, reserved, free, unknown.")
@click.option(
    "--by", type=click.Choice(_BY), metavar="FIELD", help="Group the bill by clip, prompt, cell, day, model or take."
)
@click.option("--audit", is_flag=True, help="Compare the bill with the account's request history.")
@service_options
@page_options
@json_option
def report(
    manifest: str,
    folder: Path | None,
    *,
    sandbox: bool,
    bill: bool,
    by: str | None,
    audit: bool,
    base_url: str | None,
    history_url: str | None,
    as_json: bool,
    **pages: Any,  # noqa: ANN401 - of `page_options`
) -> None:
    """Show how the night went: counts, money, failures by cause, open questions, and where the files are.

    With --bill: what it cost, every request to the last digit, grouped by clip, prompt, cell, day, model or take.
    With --audit: whether the account's own history agrees. With --html: the story of the night as one page. With
    --for-client: a folder for somebody else to watch and choose, whose answers `batchgen picks import` takes in.
    """
    from batchgen.ledger.reader import Reader

    wish = PageWish.of(pages, other="--bill, --by and --audit" if bill or by or audit else "")
    where = ledger_folder(manifest, folder, sandbox=sandbox)
    if wish.client is not None:
        client_page(where, wish, command_line("picks", manifest, folder, sandbox=sandbox), as_json=as_json)
        return
    reader = Reader(where)
    try:
        if bill or by or audit:
            asked = {"base_url": base_url, "history_url": history_url} if audit else None
            _bill(reader, by or "prompt", asked, manifest, as_json=as_json)
            return
        facts = _facts(reader, manifest, ("--dir", str(folder)) if folder else ())
        if wish.html is not None:
            night_page(reader, _numbers(reader, facts), wish, as_json=as_json)
        else:
            _morning(reader, facts, as_json=as_json)
    finally:
        reader.close()


def _bill(reader: Reader, by: str, asked: dict[str, Any] | None, arg: str, *, as_json: bool) -> None:
    from batchgen.views.bill import audit_lines, audit_object, bill_object, bill_text

    made = made_by(reader, by)
    about: dict[str, Any] = {
        "name": reader.meta("name") or reader.folder.name,
        "sandbox": is_sandbox(reader),
        "cap": reader.caps().usd,
    }
    audit = None if asked is None else _audited(reader, asked, arg)
    obj = bill_object(made, **about)
    if audit is not None:
        obj["audit"] = audit_object(audit)

    def text() -> str:
        lines = bill_text(made, output.width(), ascii=output.plain_ascii(), **about)
        return lines if audit is None else "\n\n".join([lines, "\n".join(audit_lines(audit, output.width()))])

    output.answer(obj, text, as_json=as_json)


def _audited(reader: Reader, asked: dict[str, Any], arg: str) -> Audit:
    """Compare every request with the history of its model; a batch that never submitted has nothing to compare."""
    from batchgen.billing.audit import Read, hold, period
    from batchgen.cli.history_session import read_history
    from batchgen.history import other_batches

    clips = [clip for clip, _ in reader.requests()]
    span = period(clips)
    if span is None:
        return hold([], Read(whole=True))
    read = read_history(reader, {clip.wanted.model for clip in clips}, span, asked)
    folders = {reader.folder.absolute().parent, Path(arg).absolute().parent}
    return hold(clips, read, other_batches.request_ids(reader.folder, folders) if read.rows else ())


def made_by(reader: Reader, by: str) -> Bill:
    """Add up every request of a ledger."""
    from batchgen.billing.bill import By, make_bill

    return make_bill((clip for clip, _ in reader.requests()), By(by))


def _facts(reader: Reader, arg: str, options: tuple[str, ...]) -> Facts:
    from batchgen.ledger.lock import holder
    from batchgen.views.facts import facts_of

    return facts_of(reader, arg, live=holder(reader.folder) is not None, caps=reader.caps(), options=options)


def _numbers(reader: Reader, facts: Facts) -> dict[str, Any]:
    """Give the object of `report --json`: status, the totals of the bill, what a pick has cost."""
    from batchgen.review.cost import cost_of_picks
    from batchgen.review.picks import choices_of
    from batchgen.views.bill import bill_object
    from batchgen.views.status import status_object

    money = bill_object(made_by(reader, "model"), name=facts.name, sandbox=facts.sandbox, cap=facts.caps.usd)
    picks = cost_of_picks(reader.known(), choices_of(reader.folder))
    status = status_object(facts, now=time.time())
    return {**status, "bill": money["total"], "picks": picks, "slowest": _slowest(reader.clips())}


def _slowest(clips: Iterable[Clip]) -> list[dict[str, Any]]:
    """Give the finished clips that took longest from submission to the end, the slowest first."""
    took = {
        clip.wanted.name: clip.request.completed_at - clip.request.submitted_at
        for clip in clips
        if clip.state is State.DONE and clip.request and clip.request.completed_at and clip.request.submitted_at
    }
    return [{"clip": name, "seconds": round(took[name], 1)} for name in nlargest(_SLOWEST, took, key=took.__getitem__)]


def _morning(reader: Reader, facts: Facts, *, as_json: bool) -> None:
    from batchgen.views.bill import summary_lines
    from batchgen.views.status import status_text
    from batchgen.views.text import one_line
    from batchgen.wording import duration

    numbers = _numbers(reader, facts)
    picks = numbers["picks"]

    def text() -> str:
        parts = [status_text(numbers, output.width(), ascii=output.plain_ascii())]
        if slowest := numbers["slowest"]:
            rows = [f"  {duration(each['seconds'])}  {one_line(each['clip'])}" for each in slowest]
            parts.append("\n".join(["The slowest, from submission to the end", *rows]))
        if numbers["bill"]["requests"]:
            lines = [*summary_lines(made_by(reader, "model").total, output.width() - 2)]
            lines.append(facts.command("report", "--bill"))
            parts.append("\n".join(["The bill", *(f"  {line}" for line in lines)]))
        if picks["picks"] or picks["rejects"]:
            parts.append("\n".join(["Picks", f"  {_picks_line(picks)}", f"  {facts.command('picks')}"]))
        return "\n\n".join(parts)

    output.answer(numbers, text, as_json=as_json)


def _picks_line(picks: Mapping[str, Any]) -> str:
    """Say what was chosen, and what a pick has cost: rejects and failures that were charged are part of it."""
    undecided = picks["clips"] - picks["picks"] - picks["rejects"]
    counts = f"{picks['picks']} picked, {picks['rejects']} rejected, {max(0, undecided)} undecided"
    return counts if picks["per_pick_usd"] is None else f"{counts}; ${picks['per_pick_usd']} a pick"
