"""What the user asks for beyond the manifest: the clips that a name means, retries, and further takes. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from batchgen.clip import REPLACED, Clip, State, Wanted
from batchgen.errors import UsageError
from batchgen.manifest.rerolls import further
from batchgen.money import usd
from batchgen.retry import MAX_ATTEMPTS
from batchgen.selection import globs, matches


@dataclass(frozen=True, slots=True)
class Retake:
    """Which failures the user wants to try again."""

    all: bool = False  #: also those that need an edit
    forgotten: bool = False  #: also those that the user gave up, and that may have been paid for
    blocked: bool = False  #: also those that the content rules stopped
    max_attempts: int = MAX_ATTEMPTS
    charged: Mapping[str, int] = field(default_factory=dict)  #: what failures of a model were charged, micro-dollars


def named(clips: Iterable[Clip], words: Sequence[str], *, by_prompt: bool = False) -> list[Clip]:
    """Return the clips that names or globs mean, in the order of the words, each once; `a_1.mp4` is `a_1`.

    Args:
        clips: those of the batch.
        words: file names, globs, with commas between them.
        by_prompt: the ids of prompts are names, too.

    Raises:
        UsageError: a word means none of them; the message names the nearest.
    """
    found: dict[int, Clip] = {}
    every = list(clips)
    for word in _split(every, words):
        glob = word.removesuffix(".mp4")
        names = {clip.row: [clip.wanted.name, *([clip.wanted.prompt_id] * by_prompt)] for clip in every}
        fits = [clip for clip in every if glob in names[clip.row]]
        fits = fits or [clip for clip in every if matches(glob, *names[clip.row])]
        if not fits:
            known = sorted({name for of_clip in names.values() for name in of_clip})
            near = get_close_matches(glob, known, n=3)
            tip = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(known[:5])}"
            raise UsageError(f"no clip of this batch is called {word}", tip=tip)
        found |= {clip.row: clip for clip in fits}
    return list(found.values())


def one_of_each_prompt(clips: Iterable[Clip]) -> list[Clip]:
    """Return one clip of each prompt and cell: its takes differ in their seeds only, so one is enough to make more."""
    found: dict[tuple[str, str, str], Clip] = {}
    for clip in sorted(clips, key=lambda clip: (clip.unwanted, clip.wanted.take)):
        params = {name: value for name, value in json.loads(clip.wanted.params).items() if name != "seed"}
        found.setdefault((clip.wanted.prompt_id, clip.wanted.model, json.dumps(params, sort_keys=True)), clip)
    wanted = [clip for clip in found.values() if not clip.unwanted or REPLACED in clip.flags.split()]
    return wanted or list(found.values())


def _split(clips: Iterable[Clip], words: Sequence[str]) -> list[str]:
    """Split words at their commas, but for one that is a clip's very name."""
    names = {clip.wanted.name for clip in clips}
    return [part for word in words for part in ([word] if word.removesuffix(".mp4") in names else globs(word))]


def in_doubt(clips: Iterable[Clip], words: Sequence[str]) -> list[Clip]:
    """Return the unconfirmed and lost clips that names or globs mean; a glob leaves the others out.

    Raises:
        UsageError: a word means no clip, names one that is not in doubt, or fits none that is.
    """
    every = list(clips)
    found: dict[int, Clip] = {}
    for word in _split(every, words):
        fits = named(every, [word])
        doubtful = [clip for clip in fits if clip.state in (State.UNCONFIRMED, State.LOST)]
        if not doubtful:
            one = f"{word} is {fits[0].state}, not unconfirmed or lost"
            none = f"none of the {len(fits)} clips that match {word} is unconfirmed or lost"
            raise UsageError(f"{one if len(fits) == 1 else none}: nothing to forget")
        found |= {clip.row: clip for clip in doubtful}
    return list(found.values())


def why_not(clip: Clip, again: Retake, *, by_name: bool = False) -> str:
    """Say why a failed or blocked clip is not tried again; empty: it is."""
    if clip.state is State.BLOCKED and not again.blocked:
        return "blocked by the content rules: edit the prompt, or add --blocked"
    if clip.in_doubt and not again.forgotten:
        return "failed, may have been charged: `batchgen reconcile` asks the history; --forgotten may pay again"
    if clip.forgotten and not again.forgotten:
        return "forgotten, may have been paid for: --forgotten generates it again, and may pay again"
    if clip.attempts >= again.max_attempts:
        return f"{clip.attempts} paid attempts, the most allowed (--max-attempts)"
    if (charged := again.charged.get(clip.wanted.model)) and not (again.all or by_name):
        return f"failures of {clip.wanted.model} are charged: {usd(charged)} so far; --all or --only tries it anyway"
    if not (clip.transient or clip.forgotten or again.all or by_name or clip.state is State.BLOCKED):
        return "needs an edit, or --all to try it anyway"
    return ""


def rerolls(known: Iterable[Clip], chosen: Sequence[Clip], takes: int) -> list[Wanted]:
    """Return so many further takes of each chosen clip; numbers and seeds go on after those of its prompt and cell.

    Args:
        known: every clip of the ledger, those of the manifest and those that it no longer has.
        chosen: what is to be re-rolled; a re-roll of a re-roll belongs to the manifest's own clip.
        takes: how many of each.

    Raises:
        UsageError: one of them is no longer in the manifest, so a further take of it would not be wanted either.
    """
    families: dict[str, list[Wanted]] = {}
    for clip in known:
        families.setdefault(clip.wanted.prompt_id, []).append(clip.wanted)
    made: list[Wanted] = []
    for clip in chosen:
        if clip.unwanted and REPLACED not in clip.flags.split():
            raise UsageError(f"{clip.wanted.name} is no longer in the manifest: put it back, then re-roll it")
        family = families[clip.wanted.prompt_id]
        for _ in range(takes):
            more = _next(clip.wanted, family)
            family.append(more)
            made.append(more)
    return made


def _next(clip: Wanted, family: Sequence[Wanted]) -> Wanted:
    seeds = {json.loads(other.params).get("seed") for other in family}
    return further(clip, clip.reroll_of or clip.key, max(other.take for other in family) + 1, seeds)
