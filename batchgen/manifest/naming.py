"""Prompts → wanted clips: an id for each prompt, a file name for each clip."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from batchgen.clip import Wanted
from batchgen.manifest.errors import FaultList, Position
from batchgen.manifest.expand import Prompt, Take
from batchgen.manifest.keys import canonical
from batchgen.manifest.safe_names import hash6, in_cell, prompt_words, safe_name, slug
from batchgen.manifest.schema import DEFAULT_NAME
from batchgen.manifest.templates import Templates, TextError, UnknownVariableError

_ENCODING = sys.getfilesystemencoding()
_LOCALE = "set LC_ALL=C.UTF-8, or give the prompt an id in plain letters"


def wanted_clips(
    prompts: Sequence[Prompt],
    template: str,
    place: Position,
    templates: Templates,
    faults: FaultList,
    refused: Sequence[tuple[str, Position]] = (),
) -> list[Wanted]:
    """Return every clip under its id and name, in order; ids and names that collide are noted.

    Args:
        prompts: all of them, since whether an id is the only one depends on the others.
        template: of the file name.
        place: of the template.
        templates: fills it in.
        faults: where collisions go.
        refused: the given ids of prompts that have faults of their own, and where these are.
    """
    before = len(faults.errors)
    ids = _ids(prompts, faults, refused)
    clash = len(faults.errors) > before  # names are made of ids: they would only collide again
    name_of = _plain_name if template == DEFAULT_NAME else _filler(template, place, templates, faults)
    if not prompts:
        _check_syntax(template, place, templates, faults)
    wanted: list[Wanted] = []
    taken: dict[str, tuple[Position, str]] = {}
    for prompt, prompt_id in zip(prompts, ids, strict=True):
        for take in prompt.takes:
            name = safe_name(name_of(prompt, prompt_id, take))
            other = taken.setdefault(name.casefold(), (prompt.place, take.key))
            if other[1] != take.key and not clash:
                what = f"the file name {name} is also that of {other[0]}"
                faults.error(prompt.place, what, "add {{ take }} or {{ id }} to output: name:")
            if not writable(name):
                faults.error(prompt.place, f"this machine can't write the file name {name} ({_ENCODING})", _LOCALE)
            wanted.append(_wanted(prompt, prompt_id, take, name, len(wanted)))
    return wanted


def writable(name: str) -> bool:
    """Say whether the encoding of file names, which the locale sets, has every character of a name."""
    try:
        name.encode(_ENCODING, sys.getfilesystemencodeerrors())
    except UnicodeEncodeError:
        return False
    return True


def names_of(
    prompts: Sequence[Prompt],
    template: str,
    place: Position,
    templates: Templates,
    faults: FaultList,
    more: Mapping[str, Sequence[Take]],
) -> dict[str, str]:
    """Return the names of further takes by their keys; `more` has them by the key of a take that the prompts have."""
    name_of = _filler(template, place, templates, faults)
    return {
        further.key: safe_name(name_of(prompt, prompt_id, further))
        for prompt, prompt_id in zip(prompts, _ids(prompts, faults), strict=True)
        for take in prompt.takes
        for further in more.get(take.key, ())
    }


def _wanted(prompt: Prompt, prompt_id: str, take: Take, name: str, order: int) -> Wanted:
    return Wanted(
        key=take.key,
        prompt_id=prompt_id,
        take=take.number,
        model=prompt.model,
        params=take.params,
        name=name,
        order=order,
        priority=prompt.priority,
        audio_file=str(prompt.audio.path) if prompt.audio else None,
        audio_sha256=prompt.audio.sha256 if prompt.audio else None,
        label=prompt.label,
        derived_id=not prompt.given_id,
    )


# --- ids ------------------------------------------------------------------------------------------------


def _ids(prompts: Sequence[Prompt], faults: FaultList, refused: Sequence[tuple[str, Position]] = ()) -> list[str]:
    """Return the prompts' ids: the given one, else the words of its template; then its cell of the matrix.

    Where several are the same, all of them get the words of their texts in place of the template's, and if need be a
    hash: an id never depends on the order.
    """
    ids = [_given(prompt) if prompt.given_id else _derived(prompt, prompt.words) for prompt in prompts]
    for longer in (_by_text, _with_text_hash, _with_params_hash):
        count = Counter(prompt_id.casefold() for prompt_id in ids)
        ids = [
            longer(prompt, prompt_id) if count[prompt_id.casefold()] > 1 and not prompt.given_id else prompt_id
            for prompt, prompt_id in zip(prompts, ids, strict=True)
        ]
    _note_duplicates(((prompt_id, prompt.place) for prompt, prompt_id in zip(prompts, ids, strict=True)), faults)
    if refused:
        given = [(_given(prompt), prompt.place) for prompt in prompts if prompt.given_id]
        _note_duplicates(sorted([*given, *refused], key=lambda each: each[1]), faults)
    return ids


def _given(prompt: Prompt) -> str:
    return in_cell(prompt.given_id, prompt.cell_id)


def _derived(prompt: Prompt, words: str) -> str:
    return "_".join(filter(None, (words, prompt.cell_id))) or slug(prompt.text) or "clip"


def _by_text(prompt: Prompt, _prompt_id: str) -> str:
    return _derived(prompt, prompt_words(prompt.text))


def _with_text_hash(prompt: Prompt, prompt_id: str) -> str:
    return f"{prompt_id}-{hash6(prompt.text)}"


def _with_params_hash(prompt: Prompt, prompt_id: str) -> str:
    asked = {"model": prompt.model, "asked": prompt.settings.asked, "seed": prompt.takes[0].seed}
    return f"{prompt_id}-{hash6(canonical(asked))}"


def _note_duplicates(named: Iterable[tuple[str, Position]], faults: FaultList) -> None:
    first: dict[str, Position] = {}
    for prompt_id, place in named:
        other = first.setdefault(prompt_id.casefold(), place)
        if other is not place:
            faults.error(place, f"the id {prompt_id} is also that of {other}", "give one of them another id")


# --- names ----------------------------------------------------------------------------------------------


def _plain_name(_prompt: Prompt, prompt_id: str, take: Take) -> str:
    """Fill in the default template without Jinja2, as most manifests have it."""
    return f"{prompt_id}_{take.number}"


def _filler(
    template: str, place: Position, templates: Templates, faults: FaultList
) -> Callable[[Prompt, str, Take], str]:
    def fill(prompt: Prompt, prompt_id: str, take: Take) -> str:
        try:
            return templates.fill(template, {**prompt.values, **dict(_facts(prompt, prompt_id, take))})
        except TextError as error:
            if templates.strict or not isinstance(error, UnknownVariableError):
                faults.error(place, f"output name: {error.what}", error.fix)
            # A unique name, so that one bad template is not reported as thousands of collisions.
            return take.key

    return fill


def _check_syntax(template: str, place: Position, templates: Templates, faults: FaultList) -> None:
    """Note what is wrong with a template whatever its variables are."""
    try:
        templates.fill(template, {})
    except UnknownVariableError:
        pass
    except TextError as error:
        faults.error(place, f"output name: {error.what}", error.fix)


def _facts(prompt: Prompt, prompt_id: str, take: Take) -> Iterator[tuple[str, Any]]:
    params = json.loads(take.params)
    yield "id", prompt_id
    yield "take", take.number
    yield "seed", take.seed
    yield "size", str(params.get("size", "")).replace("*", "x")
    yield "duration", params.get("duration", "")
    yield "model", prompt.model
    yield "key", take.key.partition("-")[2][:8]
