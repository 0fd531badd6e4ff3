"""The cart of the page as a manifest: further takes, edited prompts and final sizes of clips. Pure.

Nothing of it is submitted here: what comes out is text, for a run that a person starts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from batchgen.clip import Wanted
from batchgen.errors import UsageError
from batchgen.providers.models import find
from batchgen.review.overview import amount
from batchgen.views.text import one_line

#: So many takes of one line, and lines of one cart.
MOST_TAKES, MOST_LINES = 100, 200
#: What a line of each kind says besides its clip.
_KINDS: Final = {"takes": {"count"}, "edit": {"prompt", "count"}, "final": {"size", "count"}}
_BRACES: Final = re.compile(r"\{[{%#]")
_ENDING: Final = {"takes": "", "edit": "-edit", "final": "-final"}


@dataclass(frozen=True, slots=True)
class CartLine:
    """One line: so many further takes of a clip, with other words or in another size where it says so."""

    kind: str
    clip: str  #: the key of the clip that it follows up
    count: int
    prompt: str | None = None
    size: str | None = None


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What a line makes: an entry of the manifest."""

    line: CartLine
    source: Wanted  #: the clip that it follows up
    params: Mapping[str, Any]  #: as they will be sent, without a seed
    seeds: Sequence[int]

    @property
    def wanted(self) -> Wanted:
        """One of its clips, to be priced."""
        return Wanted("", self.source.prompt_id, 1, self.source.model, json.dumps(dict(self.params)), "")


def cart_lines(found: object) -> list[CartLine]:
    """Read the lines as the page sends them.

    Raises:
        UsageError: one is none.
    """
    if not isinstance(found, list) or len(found) > MOST_LINES:
        raise UsageError(f"`lines` must be a list of at most {MOST_LINES}")
    return [_line(each) for each in found]


def _line(found: object) -> CartLine:
    kind = found.get("kind") if isinstance(found, dict) else None
    if not isinstance(found, dict) or kind not in _KINDS or found.keys() - {"kind", "clip", "usd"} != _KINDS[kind]:
        kinds = "; ".join(f"{name} with {', '.join(sorted(fields))}" for name, fields in _KINDS.items())
        raise UsageError(f"a line has `kind` and `clip`, and is one of: {kinds}")
    count = found["count"]
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_TAKES:
        raise UsageError(f"`count` must be a whole number from 1 to {MOST_TAKES}, not {count!r}")
    texts = [found.get("clip"), found.get("prompt", "x"), found.get("size", "x")]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise UsageError("`clip`, `prompt` and `size` must be texts, and not empty")
    return CartLine(kind, found["clip"], count, found.get("prompt"), found.get("size"))


def sizes_of(model: str) -> list[str]:
    """Give the sizes that a model makes; none where it is unknown."""
    known = find(model)
    size = known.parameters.get("size") if known else None
    return sorted((size.values or ()) if size else (), key=area)


def area(size: str) -> int:
    """Give the pixels of a size such as "1280*720"."""
    width, _, height = size.partition("*")
    return int(width) * int(height)


def followed_up(
    lines: Iterable[CartLine], clips: Mapping[str, Wanted], seed: Callable[[], int]
) -> tuple[list[FollowUp], list[str]]:
    """Give what each line makes, and what is wrong with the others, in words.

    Args:
        lines: of the cart.
        clips: those of the ledger, by key.
        seed: gives a new one. Seeds are drawn, not derived: those of a further take of this prompt, or of another
            follow-up, would be the same, and what has the same seed is the same clip.
    """
    made: list[FollowUp] = []
    faults: list[str] = []
    for line in lines:
        source = clips.get(line.clip)
        if source is None:
            faults.append(f"no clip has the key {line.clip}")
            continue
        if line.size is not None and (sizes := sizes_of(source.model)) and line.size not in sizes:
            faults.append(f"{source.name}: size can't be {line.size}; it is one of {', '.join(sizes)}")
            continue
        params = {name: value for name, value in source.values.items() if name != "seed" and value is not None}
        params |= {"prompt": line.prompt} if line.prompt is not None else {}
        params |= {"size": line.size} if line.size is not None else {}
        params |= {"audio": source.audio_file} if source.audio_file else {}
        made.append(FollowUp(line, source, params, [seed() for _ in range(line.count)]))
    return made, faults


def manifest_text(entries: Sequence[FollowUp], *, of: str, kept: Mapping[str, Any], left: int | None) -> str:
    """Write the manifest; comments say from which clip each prompt comes.

    Args:
        entries: at least one.
        of: the name of the batch that it follows up.
        kept: further top-level parts that are taken over from its manifest: `prices`, `limits`.
        left: what its budget has left, in micro-dollars: the cap of the new batch; None: there is none.
    """
    head = [head_line(of)]
    if any(entry.line.kind == "final" for entry in entries):
        head.append(
            "# Another size is another film: a seed does not carry over. These are new takes of the same words."
        )
    top: dict[str, Any] = dict(kept)
    if left is not None:
        top["budget"] = {"max_usd": float(amount(left) or 0)}
    parts = [*head, *([_yaml(top).rstrip()] if top else []), "prompts:"]
    ids: set[str] = set()
    for entry in entries:
        parts.append(
            f"  # from {one_line(entry.source.name)} of {one_line(of)} ({entry.source.key}): {_words(entry.line)}"
        )
        parts += [f"  {line}" for line in _yaml([_entry(entry, ids)]).splitlines()]
    return "\n".join(parts) + "\n"


def head_line(of: str) -> str:
    """Give the first line of the manifest of a follow-up: it says of which batch."""
    return f"# Follows up {one_line(of)}: written by the review page. Check it, then run its plan."


def _words(line: CartLine) -> str:
    what = {"takes": "further takes", "edit": "an edited prompt", "final": f"at {line.size}"}[line.kind]
    return f"{line.count} × {what}"


def _entry(entry: FollowUp, ids: set[str]) -> dict[str, Any]:
    known = find(entry.source.model)
    params = {name: _literal(value) for name, value in entry.params.items()}
    beyond = {name: params.pop(name) for name in [*params] if known and name not in known.parameters}
    return {
        "id": _free(f"{entry.source.prompt_id}{_ENDING[entry.line.kind]}", ids),
        "model": entry.source.model,
        **params,
        **({"extra": beyond} if beyond else {}),
        "seeds": list(entry.seeds),
    }


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free.casefold() in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free.casefold())
    return free


def _literal(value: Any) -> Any:  # noqa: ANN401 - any value of a parameter
    """Write a text so that a manifest takes its braces as they are."""
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        return _BRACES.sub(lambda found: "{{ '" + found[0] + "' }}", value)
    return value


def _yaml(value: object) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110)
    return text
