"""From what to what: the parameters of a changed clip, compared with the clip that it replaces. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from batchgen.clip import ClipSummary, Wanted
from batchgen.planning.model import Change, Edit

#: A side of an edit is cut to this many characters around where the two differ.
SHOWN = 36
#: Words that are kept on each side of the difference, so that one sees where it is.
_CONTEXT = 1
_NAMED = 3
_CUT = "…"


def edits(old: ClipSummary, new: Wanted) -> tuple[Edit, ...]:
    """Give every parameter that differs, by name; a derived seed changes with its prompt and is no edit of its own."""
    before = _values(old.model, old.params, old.audio_sha256)
    after = _values(new.model, new.params, new.audio_sha256)
    names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    if "prompt" in names and "seed" in names:
        names.remove("seed")
    return tuple(_edit(name, before, after) for name in names)


def grouped(changed: Iterable[tuple[str, tuple[Edit, ...]]]) -> list[Change]:
    """Put clips (name, edits) that were changed alike together, the most frequent change first.

    Clips whose texts were each rewritten differently count as one change of the same parameters, with the first of them
    as its example.
    """
    alike: dict[tuple[Edit, ...], list[str]] = {}
    for name, found in changed:
        alike.setdefault(found, []).append(name)
    single: dict[tuple[str, ...], list[tuple[tuple[Edit, ...], str]]] = {}
    changes = []
    for found, names in alike.items():
        if len(names) > 1:
            changes.append(Change(found, len(names), names[:_NAMED]))
        else:
            single.setdefault(tuple(edit.name for edit in found), []).append((found, names[0]))
    for others in single.values():
        names = [name for _, name in others[:_NAMED]]
        changes.append(Change(others[0][0], len(others), names, alike=len(others) == 1))
    return sorted(changes, key=lambda change: -change.count)


def _values(model: str, params: str, audio_sha256: str | None) -> dict[str, Any]:
    values: dict[str, Any] = {"model": model, **json.loads(params)}
    if audio_sha256:
        values["audio"] = f"a file, sha256 {audio_sha256[:12]}"
    return values


def _edit(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Edit:
    old, new = (_text(values[name]) if name in values else "" for values in (before, after))
    return Edit(name, *differing(old, new))


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def differing(old: str, new: str) -> tuple[str, str]:
    """Cut two texts to the words in which they differ, with one word on each side, and each to `SHOWN` characters."""
    if max(len(old), len(new)) <= SHOWN:
        return old, new
    a, b = old.split(), new.split()
    most = min(len(a), len(b))
    head = next((i for i in range(most) if a[i] != b[i]), most)
    tail = next((i for i in range(most - head) if a[-1 - i] != b[-1 - i]), most - head)
    return _cut(a, head, tail), _cut(b, head, tail)


def _cut(words: list[str], head: int, tail: int) -> str:
    start, end = max(0, head - _CONTEXT), min(len(words), len(words) - tail + _CONTEXT)
    text = " ".join(words[start:end])
    if len(text) > SHOWN:
        text, end = text[:SHOWN].rstrip(), 0
    return (f"{_CUT} " if start else "") + text + (f" {_CUT}" if end < len(words) else "")
