"""What to type next: commands that change something, the most urgent first. Pure.

Never the cap that just stopped the run, never what was left out on purpose, never a run that would do nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batchgen.clip import State
from batchgen.views.doubts import IN_DOUBT
from batchgen.views.facts import Facts

_UNDER_WAY = (State.SUBMITTING, State.GENERATING, State.DOWNLOADING)
_NOTES = {
    "reconcile": "check the account history; free",
    "--resubmit-unconfirmed": "check once more, and resubmit what is not there",
    "--resubmit-lost": "generate them again; this is paid for again",
    "forget": "stop looking for one; it stays in the bill",
    "--new-seed": "try the blocked prompts with other seeds",
}


def next_commands(facts: Facts) -> list[str]:
    """Give the next commands, quoted for a shell; none while a run is in progress."""
    if facts.live:
        return []
    has = {state for state, count in facts.counts.items() if count}
    commands = [facts.command("run")] if run_helps(facts) else []
    if has & {*IN_DOUBT}:
        commands.append(facts.command("reconcile"))
    if State.UNCONFIRMED in has:
        commands.append(facts.command("run", "--resubmit-unconfirmed"))
    lost = [problem for problem in facts.problems if problem.state is State.LOST]
    if State.LOST in has and not (lost and all(problem.fetchable for problem in lost)):
        commands.append(facts.command("run", "--resubmit-lost"))
    doubtful = [problem.name for problem in facts.problems if problem.state in IN_DOUBT]
    if doubtful:
        commands.append(facts.command("forget", doubtful[0]))
    failed = [problem for problem in facts.problems if problem.state is State.FAILED and not problem.forgotten]
    plain = any(problem.transient and not problem.charged for problem in failed)
    if facts.counts.get(State.FAILED, 0) > sum(problem.forgotten for problem in facts.problems):
        commands.append(facts.command("retry", *(() if plain else ("--all",))))
    if State.BLOCKED in has:
        commands.append(facts.command("retry", "--blocked", "--new-seed"))
    return commands


def run_helps(facts: Facts) -> bool:
    """True when a run as the last one would submit or collect something."""
    if any(facts.counts.get(state) for state in _UNDER_WAY) or any(problem.fetchable for problem in facts.problems):
        return True
    last, pending = facts.last_run, facts.counts.get(State.PENDING, 0) - facts.skipped
    return pending > (last.left_out if last else 0) and not (last and last.needs_edit)


def next_lines(obj: Mapping[str, Any]) -> list[str]:
    """Write the next commands of a `status_object` that its failures do not show, with what they do where it helps."""
    lines: list[str] = []
    shown = {group["next"] for group in obj["failures"]}
    for text in (text for text in obj["next"] if text not in shown):
        note = next((note for word, note in _NOTES.items() if word in text.split()), "")
        lines.append(f"  {text}" + (f"\n      {note}" if note else ""))
    return ["Next", *lines] if lines else []


def needs_attention(state: Mapping[str, int]) -> Sequence[str]:
    """Name what waits for the user, most urgent first, of the `state` of a `status_object`: "2 unconfirmed"."""
    order = (State.UNCONFIRMED, State.LOST, State.FAILED, State.BLOCKED)
    return [f"{state[each]:,} {each}" for each in order if state[each]]
