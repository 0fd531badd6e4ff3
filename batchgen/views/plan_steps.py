"""The steps of a plan as text: a sign, a count, the money and the reason for each kind of clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo

from batchgen.money import usd
from batchgen.planning import Action, Change, Edit, Plan, Reason, Step
from batchgen.views.text import ascii_only, bare_urls, clock, fit, one_line, plural, under, wrap

_CHANGES_SHOWN = 8
_CAUSES_SHOWN = 5
_MEANING = {
    Action.NEW: "will be generated and paid for",
    Action.CHANGED: "will be generated again; the old files are kept",
    Action.REROLL: "extra takes, as you asked",
    Action.AGAIN: "refused, failed or queued again before; will be tried again",
    Action.LATER: "not in this run: left out by --only or --limit",
    Action.SKIPPED: "not made: you picked another take of their prompt; the review page undoes it",
    Action.RESUBMIT: "unconfirmed or lost; resubmitted if the account history does not list them",
    Action.IN_FLIGHT: "paid for, in progress; a run downloads them",
    Action.DONE: "kept as they are",
    Action.FAILED: "skipped until you queue them again with retry",
    Action.BLOCKED: "skipped until you edit their prompts",
    Action.UNCONFIRMED: "may have been paid for; reconcile looks for them",
    Action.LOST: "may have been paid for, cannot be downloaded; reconcile looks for them",
    Action.REPLACED: "blocked or failed before; a take with a new seed has their place",
    Action.UNWANTED: "no longer in the manifest; their files are kept",
}
_WORDS = {Action.REROLL: "re-rolled", Action.IN_FLIGHT: "in flight", Action.UNWANTED: "unlisted"}
_SIGNS = {
    Action.CHANGED: "~",
    Action.LATER: "·",
    Action.SKIPPED: "·",
    Action.IN_FLIGHT: "▸",
    Action.DONE: "=",
    Action.FAILED: "✗",
    Action.BLOCKED: "✗",
    Action.RESUBMIT: "?",
    Action.UNCONFIRMED: "?",
    Action.LOST: "?",
    Action.REPLACED: "-",
    Action.UNWANTED: "-",
}
_ASCII = {"·": ".", "▸": ">", "✗": "x"}
_COLOURS = {"+": 32, "~": 33, "▸": 36, "?": 35, "✗": 31, "=": 2, "-": 2, "·": 2}


def step_lines(
    plan: Plan,
    width: int,
    *,
    ascii: bool,  # noqa: A002  # what it is called everywhere in the views
    colour: bool,
    now: float,
    tz: tzinfo | None,
) -> list[str]:
    """Write each kind of clips in lines of at most `width` columns (colours apart)."""
    steps = list(plan.steps)
    if not any(step.action.submits for step in steps):
        steps.insert(0, plan.step(Action.NEW))
    room = max(len(f"{step.count:,}") for step in steps)
    lines = []
    for step in steps:
        sign = _sign(step.action, ascii=ascii)
        label = f"  {sign} {step.count:>{room},} {_word(step.action):<11}  "
        first, *rest = under(label, _text(step, plan, now, tz), width)
        lines.append(_painted(first, label, step.action) if colour else first)
        inner = " " * (len(f"  {sign} ") + room + 1)
        lines += [*rest, *_details(step, plan, width, inner, ascii=ascii)]
    return lines


def clip_lines(plan: Plan, width: int, *, ascii: bool) -> list[str]:  # noqa: A002
    """List each clip with its sign, size, price and reason, where the plan has them."""
    ellipsis = "..." if ascii else "…"
    lines = []
    for clip in plan.clips:
        cells = [one_line(clip.name)]
        if clip.size or clip.duration is not None:
            cells.append(" ".join([clip.size, f"{clip.duration:g} s" if clip.duration is not None else ""]).strip())
        if clip.action.submits:
            cells.append(usd(clip.estimate))
        elif clip.spent:
            cells.append(f"{usd(clip.spent)} charged")
        if clip.why:
            cells.append(bare_urls(one_line(clip.why)))
        text = f"  {_sign(clip.action, ascii=ascii)} {'  '.join(cells)}"
        lines.append(fit(_spelled(text, ascii=ascii), width, ellipsis))
    return lines


def _word(action: Action) -> str:
    return _WORDS.get(action, str(action))


def _sign(action: Action, *, ascii: bool) -> str:  # noqa: A002
    sign = _SIGNS.get(action, "+")
    return _ASCII.get(sign, sign) if ascii else sign


def _painted(line: str, label: str, action: Action) -> str:
    """Colour the sign, the count and the word; never colour alone."""
    code = _COLOURS[_SIGNS.get(action, "+")]
    head = label.rstrip()
    return f"\x1b[{code}m{head}\x1b[0m{line[len(head) :]}"


def _text(step: Step, plan: Plan, now: float, tz: tzinfo | None) -> str:
    if not step.count:
        return "nothing to generate"
    meaning = _MEANING[step.action]
    if step.action is Action.IN_FLIGHT and plan.collect_until is not None:
        gone = plan.collect_until <= now
        meaning += ", as far as the service still has them" if gone else f" until {clock(plan.collect_until, now, tz)}"
    return "; ".join(part for part in (_money(step), meaning) if part)


def _money(step: Step) -> str:
    """Say what the clips of a step cost: known, estimated and unknown amounts apart."""
    if not step.count or step.action in {Action.LATER, Action.SKIPPED}:
        return ""
    parts = []
    if step.action.submits or step.action is Action.RESUBMIT:
        parts.append("price unknown" if step.estimate is None else f"{usd(step.estimate)} estimated")
        if step.unpriced and step.estimate is not None:
            parts[-1] += f" and {plural(step.unpriced, 'clip')} of unknown price"
    if step.spent:
        parts.append(f"{usd(step.spent)} charged")
    if step.reserved:
        parts.append(f"{usd(step.reserved)} reserved")
    if step.uncharged:
        parts.append(f"{plural(step.uncharged, 'request')} of unknown cost")
    if not parts and step.action in {Action.FAILED, Action.BLOCKED}:
        parts.append("free")
    return ", ".join(parts)


def _details(step: Step, plan: Plan, width: int, inner: str, *, ascii: bool) -> Iterator[str]:  # noqa: A002
    if step.action is Action.CHANGED:
        for change in plan.changes[:_CHANGES_SHOWN]:
            yield from wrap(_spelled(_change(change), ascii=ascii), width, inner + "  ")
        if len(plan.changes) > _CHANGES_SHOWN:
            yield f"{inner}  and {len(plan.changes) - _CHANGES_SHOWN:,} more kinds of change (--json lists all)"
    for cause in step.causes[:_CAUSES_SHOWN]:
        yield from wrap(_spelled(_cause(cause, step.action), ascii=ascii), width, inner + "  ")
    if len(step.causes) > _CAUSES_SHOWN:
        yield f"{inner}  and {len(step.causes) - _CAUSES_SHOWN:,} more causes (--json lists all)"


def _spelled(text: str, *, ascii: bool) -> str:  # noqa: A002
    """Write a text in ASCII where that is asked for, before it is broken into lines."""
    if not ascii:
        return text
    return ascii_only(text.replace("→", "->").replace("…", "...").replace("“", '"').replace("”", '"'))


def _change(change: Change) -> str:
    sides = ((edit.name, _side(edit, edit.before), _side(edit, edit.after)) for edit in change.edits)
    edits = ", ".join(f"{name} {before} → {after}" for name, before, after in sides)
    if change.alike:
        return f"{edits} in {plural(change.count, 'clip')}: {_names(change.clips, change.count)}"
    names = ", ".join(edit.name for edit in change.edits)
    return f"{names} in {plural(change.count, 'clip')}, each in its own way; {change.clips[0]}: {edits}"


def _side(edit: Edit, text: str) -> str:
    """Quote what is text, so that one sees where it ends; an empty value is "none"."""
    shown = one_line(text)
    return "none" if not shown else f"“{shown}”" if " " in shown or edit.name.endswith("prompt") else shown


def _cause(cause: Reason, action: Action) -> str:
    reason = bare_urls(one_line(cause.reason)) or "no reason was given"
    hint = ""
    if action is Action.FAILED:
        hint = "another try may help" if cause.transient else "will probably fail again without an edit"
    return f"{cause.count:,}: {reason}: {_names(cause.clips, cause.count)}" + (f" ({hint})" if hint else "")


def _names(clips: Sequence[str], count: int) -> str:
    more = count - len(clips)
    return ", ".join(map(one_line, clips)) + (f" and {more:,} more" if more else "")
