"""Prompts → wanted clips: an id for each prompt, a file name for each clip, safe everywhere. Pure."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from batchgen.clip import Wanted
from batchgen.manifest.faults import FaultList, Position, TextError, UnknownVariableError
from batchgen.manifest.keys import canonical
from batchgen.manifest.parameters import Prompt, Take

DEFAULT_NAME = "{{ id }}_{{ take }}"
MAX_BYTES = 200
_FORBIDDEN = frozenset('/\\:*?"<>|')
#: Categories of control and format characters (right-to-left marks, joiners, tags), lone surrogates, line ends.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: A clip of such a name would have its sidecar where the note of another clip's `.part` is.
_NOTE = ".mp4.part"
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_ .-]{0,150}[A-Za-z0-9_-]")
#: Jinja2's expressions, statements and comments.
_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
#: Words of English that say least of what a film shows.
_SHORT = frozenset(
    ("a", "an", "the", "and", "or", "of", "in", "on", "at", "to", "by", "for", "with", "from", "into", "is", "are")
)
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?= *(?:\.|\Z))", re.IGNORECASE)
_ENCODING = sys.getfilesystemencoding()
_LOCALE = "set LC_ALL=C.UTF-8, or give the prompt an id in plain letters"
#: Fills the variables of a text in, or raises TextError (`Templates.fill`).
Fill: TypeAlias = Callable[[str, Mapping[str, Any]], str]


def wanted_clips(
    prompts: Sequence[Prompt],
    template: str,
    place: Position,
    fill: Fill,
    faults: FaultList,
    refused: Sequence[tuple[str, Position]] = (),
    *,
    variables_known: bool = True,
) -> list[Wanted]:
    """Return every clip under its id and name, in order; ids and names that collide are noted.

    Args:
        prompts: all of them, since whether an id is the only one depends on the others.
        template: of the file name.
        place: of the template.
        fill: fills it in.
        faults: where collisions go.
        refused: the given ids of prompts that have faults of their own, and where these are.
        variables_known: False: some of them could not be read, so that a variable that is not known may be no fault.
    """
    before = len(faults.errors)
    ids = _ids(prompts, faults, refused)
    clash = len(faults.errors) > before  # names are made of ids: they would only collide again
    name_of: Callable[[Prompt, str, Take], str] = _plain_name
    if template != DEFAULT_NAME:
        name_of = _filler(template, place, fill, faults, variables_known=variables_known)
    if not prompts:
        _check_syntax(template, place, fill, faults)
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


def _wanted(prompt: Prompt, prompt_id: str, take: Take, name: str, order: int) -> Wanted:
    audio = prompt.settings.audio
    return Wanted(
        key=take.key,
        prompt_id=prompt_id,
        take=take.number,
        model=prompt.model,
        params=take.params,
        name=name,
        order=order,
        priority=prompt.priority,
        audio_file=str(audio.path) if audio else None,
        audio_sha256=audio.sha256 if audio else None,
        label=prompt.label,
        derived_id=not prompt.given_id,
        older=take.older,
    )


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
    fill: Fill,
    faults: FaultList,
    more: Mapping[str, Sequence[Take]],
) -> dict[str, str]:
    """Return the names of further takes by their keys; `more` has them by the key of a take that the prompts have."""
    name_of = _filler(template, place, fill, faults)
    return {
        further.key: safe_name(name_of(prompt, prompt_id, further))
        for prompt, prompt_id in zip(prompts, _ids(prompts, faults), strict=True)
        for take in prompt.takes
        for key in (take.key, *([take.older.key] if take.older else []))
        for further in more.get(key, ())
    }


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
        if other := first.get(prompt_id.casefold()):
            faults.error(place, f"the id {prompt_id} is also that of {other}", "give one of them another id")
        first.setdefault(prompt_id.casefold(), place)


# --- names ----------------------------------------------------------------------------------------------


def _plain_name(_prompt: Prompt, prompt_id: str, take: Take) -> str:
    """Fill in the default template without Jinja2, as most manifests have it."""
    return f"{prompt_id}_{take.number}"


def _filler(
    template: str, place: Position, fill: Fill, faults: FaultList, *, variables_known: bool = True
) -> Callable[[Prompt, str, Take], str]:
    def name_of(prompt: Prompt, prompt_id: str, take: Take) -> str:
        try:
            return fill(template, {**prompt.values, **dict(_facts(prompt, prompt_id, take))})
        except TextError as error:
            if variables_known or not isinstance(error, UnknownVariableError):
                faults.error(place, f"output name: {error.what}", error.fix)
            # A unique name, so that one bad template is not reported as thousands of collisions.
            return take.key

    return name_of


def _check_syntax(template: str, place: Position, fill: Fill, faults: FaultList) -> None:
    """Note what is wrong with a template whatever its variables are."""
    try:
        fill(template, {})
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


# --- safe texts -----------------------------------------------------------------------------------------


def safe_name(text: str) -> str:
    """Return the text as one file or folder name that is legal on Linux, macOS and Windows, never empty.

    No separators, control or unseen characters, no dot first, no dot or space last, no device name, Unicode NFC,
    at most 200 bytes of UTF-8: what is longer is cut and ends in a hash of the whole.
    """
    name = text if _PLAIN.fullmatch(text) else _cleaned(text)
    if _RESERVED.match(name):
        name = f"_{name}"
    if name.casefold().endswith(_NOTE):
        name += "_"
    encoded = name.encode()
    if len(encoded) <= MAX_BYTES:
        return name
    tail = "~" + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return encoded[: MAX_BYTES - len(tail)].decode(errors="ignore").rstrip(". ") + tail


def slug(text: str, limit: int = 40) -> str:
    """Return the text's first words as part of an id: letters, digits, `.`, `_`, `-`; "" if it has none."""
    return _joined(_words(text, limit), limit)


def in_cell(given_id: str, cell_id: str) -> str:
    """Return the id of a prompt in a cell of its matrix."""
    return f"{given_id}-{cell_id}" if cell_id else given_id


def prompt_words(template: str, limit: int = 40) -> str:
    """Return what a prompt's template says, as the first part of an id: its variables and short words left out.

    "A courier on a {{ brand }} bike crosses {{ city }}" is "courier-bike-crosses". "" where nothing is left.
    """
    words = _words(_EXPRESSION.sub(" ", template), 2 * limit)
    return _joined([word for word in words if word not in _SHORT], limit) or _joined(words, limit)


def _words(text: str, limit: int) -> list[str]:
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFC", text[: 4 * limit]).lower())


def _joined(words: list[str], limit: int) -> str:
    kept = ""
    for word in words:
        longer = f"{kept}-{word}" if kept else word[:limit]
        if len(longer) > limit:
            break
        kept = longer
    return kept


def clean_id(text: str) -> str:
    """Return an id that was given with only letters, digits, `.`, `_`, `-` and spaces; "" if nothing is left."""
    plain = unicodedata.normalize("NFC", text.strip())
    return re.sub(r"[^\w. -]+", "-", plain).strip("- .")


def hash6(text: str) -> str:
    """Return six hex digits for a text: they differ where its first words are those of another."""
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _cleaned(text: str) -> str:
    known = unicodedata.normalize("NFC", text)
    plain = "".join("_" if char in _FORBIDDEN or unicodedata.category(char) in _UNSEEN else char for char in known)
    # A name that is nothing but dots would be a folder's own name, or its parent's.
    return plain.lstrip(". ").rstrip(". ") or "_"
