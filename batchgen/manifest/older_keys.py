"""Keys by the rule of releases that did not know a clip's model: what they paid for is recognised, not paid for again.

A release that does not know a model hashes its parameters as they are written: the text "5" of a table, 5 and 5.0 are
three keys, a value that is a default today is part of the key, and a file is its path. Once the model is known, values
are read first, and all of these are one key. So each clip of such a model has both keys, and a clip of the ledger that
was ever submitted under the older one is this clip (`batchgen.ledger.wanted.with_known_keys`).

The rule covers, for an unchanged manifest: numbers, true and false written as text; 5.0 for 5; blanks around a value;
values that are defaults today; one link where a list is meant; a local file; parameters under `extra`. It also covers
names that older releases took for mere variables, since they did not know the model's parameters: axes of a matrix,
and columns of a table that the prompt's text uses. It does not cover a column that is now a parameter and that no
text uses, nor an axis `model` that now names models: what was never sent is sent now, so the clip is another one, and
`plan` shows the change.

Pure, and permanently fixed, as `batchgen.manifest.keys` is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from batchgen.clip import OlderKey
from batchgen.manifest.faults import TextError
from batchgen.manifest.keys import KeyFrame, key_of_text
from batchgen.providers.models import Catalogue, find

#: What is no parameter in an entry of `prompts:` or a row of a table.
NO_PARAMETERS = frozenset({"id", "prompt", "takes", "seed", "seeds", "priority", "model", "extra", "vars"})
#: Columns and axes that are parameters where the model is not known.
COMMON = frozenset({"prompt", "negative_prompt", "size", "duration", "seed", "audio"})
#: Models that every release has known: their keys follow one rule.
_ALWAYS_KNOWN = frozenset({"wan-2.5-t2v"})


class Written(NamedTuple):
    """Where the values of one prompt were written, before anything is filled in."""

    shared: Mapping[str, Any]  #: the manifest's defaults, and those of the model
    cell: Mapping[str, Any]  #: of the matrix
    entry: Mapping[str, Any]  #: next to the prompt
    row: Mapping[str, Any]  #: of a table


class OlderFrame(NamedTuple):
    """The older key of a prompt's clips, without text and seed."""

    frame: KeyFrame
    label: str | None  #: the clip of the ledger has to be of this cell; None: of any

    def key(self, model: str, text: str, seed: int) -> OlderKey:
        """Return the older key of one take."""
        return OlderKey(key_of_text(model, self.frame.text(text, seed)), self.label)


def parameters_then(model: str) -> frozenset[str]:
    """Return the names that a table and a matrix could give a model when it was not known."""
    known = find(model)
    return frozenset(known.parameters) if known and model in _ALWAYS_KNOWN else COMMON


class OlderKeys:
    """Makes the older keys of one manifest; remembers the sets of parameters that it has seen."""

    def __init__(self, fill: Callable[[str, Mapping[str, Any]], str], models: Catalogue) -> None:
        self._fill = fill
        self._models = models
        self._seen: dict[str, KeyFrame | None] = {}

    def of(
        self,
        model: str,
        written: Written,
        label: str,
        filled: Mapping[str, Any],
        extra: Mapping[str, Any],
        variables: Mapping[str, Any],
    ) -> OlderFrame | None:
        """Return the older key of a prompt; None: every release has known its model, or no release made this clip.

        Args:
            model: of the clip.
            written: its values, by where they stand.
            label: its cell of the matrix, in words.
            filled: its values as they are today, templates filled in.
            extra: what is passed on unchecked.
            variables: that fill a template in.
        """
        if model in _ALWAYS_KNOWN or self._models.find(model) is None:
            return None
        then = self._then(written, filled, variables)
        if then is None:
            return None
        values = {**{name: value for name, value in then.items() if name not in NO_PARAMETERS}, **extra}
        frame = self._frame(values)
        axes = any(name in filled and name not in COMMON for name in written.cell)
        return OlderFrame(frame, label if axes else None) if frame else None

    def _then(self, written: Written, filled: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the values that an older release read; None: it read no such prompt."""
        sources = {**written.shared, **{n: v for n, v in written.cell.items() if n in COMMON}, **written.entry}
        found = {}
        for name, value in filled.items():
            in_row = name in written.row and name not in NO_PARAMETERS and name not in COMMON
            if in_row and name not in sources:
                if not _used(name, sources, written.row):
                    return None
            elif in_row or name not in written.cell or name in COMMON or name in written.entry:
                found[name] = value
            elif written.shared.get(name) is not None:
                try:
                    found[name] = _filled(self._fill, written.shared[name], variables)
                except TextError:
                    return None
        return found

    def _frame(self, values: Mapping[str, Any]) -> KeyFrame | None:
        same = repr(sorted(values.items(), key=lambda item: item[0]))
        if same not in self._seen:
            try:
                self._seen[same] = KeyFrame(values)
            except (ValueError, TypeError, RecursionError):
                self._seen[same] = None
        return self._seen[same]


def _filled(fill: Callable[[str, Mapping[str, Any]], str], value: object, variables: Mapping[str, Any]) -> object:
    return fill(value, variables) if isinstance(value, str) else value


def _used(name: str, sources: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Say whether a prompt's text has the column as a variable."""
    text = row.get("prompt", sources.get("prompt"))
    return isinstance(text, str) and "{" in text and name in text
