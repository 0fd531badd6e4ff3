"""A manifest's parts → its prompts, in one pass: files, matrix, templates, parameters, takes, keys.

Plain dicts are merged in layers (defaults, matrix cell, prompt, row of a file). The costly steps, compiling templates
and checking parameters, are done once for each distinct text and set of parameters.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchgen.manifest.audio import Audio
from batchgen.manifest.faults import (
    FaultList,
    Position,
    TextError,
    UnknownVariableError,
    did_you_mean,
    read_text,
    scan_secrets,
    shown,
)
from batchgen.manifest.keys import TakesError, key_of_text, seeds_of
from batchgen.manifest.model_names import meant, names_models
from batchgen.manifest.naming import clean_id, in_cell, prompt_words
from batchgen.manifest.older_keys import COMMON, OlderFrame, OlderKeys, Written, parameters_then
from batchgen.manifest.parameters import (
    ParameterProblem,
    Parameters,
    ParameterSet,
    Prompt,
    Take,
    is_template,
    text_problems,
)
from batchgen.manifest.prompt_source import Layer, PromptSource, source_of
from batchgen.manifest.schema import Cell, ManifestShape, MatrixShape, same
from batchgen.manifest.tables import MAX_BYTES, ROW_WORDS, Row, read_rows
from batchgen.manifest.yaml_loader import Document
from batchgen.providers.models import BUILT_IN, Catalogue, whole_number

if TYPE_CHECKING:
    from batchgen.manifest.templates import Templates

MAX_CLIPS = 1_000_000
#: Faulty prompts after which the expansion stops: more of them can only repeat the same mistake.
_MAX_FAULTY = 10_000
#: Comparisons of the matrix's cells with the lines of `exclude` and `include`.
_MAX_COMPARED = 5_000_000
_WORDS = ("id", "prompt", "takes", "seed", "seeds", "priority", "model", "extra")
_NOT_PARAMETERS = frozenset({"vars", "matrix", "file"})


class TooManyError(Exception):
    """The expansion passed its cap; the fault is noted."""


class Expander:
    """Expands one manifest; `prompts` yields, `files` and the faults fill up meanwhile."""

    def __init__(
        self, shape: ManifestShape, document: Document, folder: Path, faults: FaultList, models: Catalogue = BUILT_IN
    ) -> None:
        self.shape = shape
        self.document = document
        self.folder = folder
        self.faults = faults
        self._known = models
        self.params = Parameters(folder, models, strict=shape.strict)
        self.files: dict[str, str] = {}
        self._older = OlderKeys(self.fill, models)
        self.refused: list[tuple[str, Position]] = []  #: ids given to prompts that have faults of their own
        self._seen: dict[str, Position] = {}
        self._used: set[str] = set()
        self._clips = 0
        self._faulty = 0

    def prompts(self) -> Iterator[Prompt]:
        """Yield every prompt with at least one clip that no earlier one has; faults are noted, not raised.

        Raises:
            TooManyError: the expansion passed its cap, which is noted as a fault.
        """
        for index, raw in enumerate(self.document.data["prompts"]):
            if raw is None:
                continue  # its shape was wrong, and that is noted already
            entry = raw if isinstance(raw, dict) else {"prompt": raw}
            sources = self._sources(index, entry, at_text=not isinstance(raw, dict))
            if "file" in entry:
                yield from self._file(index, entry, sources)
            else:
                for source in sources:
                    yield from self._prompt(source, None)
        for model in self.shape.by_model.keys() - self._used:
            fix = did_you_mean(model, sorted(self._used))
            self.faults.error(
                self.document.place(("by_model", model), key=True), f"by_model: no clip is of {model}", fix
            )
        for audio in self.params.audio.values():
            if isinstance(audio, Audio):
                self.files[self._relative(audio.path)] = audio.sha256

    @cached_property
    def templates(self) -> Templates:
        """Fills texts in; Jinja2 is imported when the first text needs it."""
        from batchgen.manifest.templates import Templates

        return Templates()

    def fill(self, text: str, values: Mapping[str, Any]) -> str:
        """Return a text with its variables filled in.

        Raises:
            TextError: it can't be.
        """
        return self.templates.fill(text, values)

    # --- what rows have in common ------------------------------------------------------------------

    def _sources(self, index: int, entry: Mapping[str, Any], *, at_text: bool) -> list[PromptSource]:
        path: tuple[str | int, ...] = ("prompts", index)
        place = self.document.place(path)
        own = entry.get("matrix") is not None
        matrix_path: tuple[str | int, ...] = (*path, "matrix") if own else ("matrix",)
        shape = (getattr(self.shape.prompts[index], "matrix", None) if own else self.shape.matrix) or MatrixShape()
        values = {name: value for name, value in entry.items() if name not in _NOT_PARAMETERS}
        written = Layer(values, place=place) if at_text else Layer(values, path)
        given = entry.get("model")
        axis = given is None and names_models((shape.model_extra or {}).get("model"), self._known, self.shape.prices)
        found = []
        for cell in self._cells(shape, matrix_path):
            model = given or (cell["model"] if axis and "model" in cell else self.shape.model)
            self._used.add(model)
            names = self._parameters(model) | ({"model"} if axis else set())
            in_cell = Layer({name: value for name, value in cell.items() if name in names}, matrix_path)
            found.append(source_of(self.shape, model, cell, in_cell, written, place, entry.get("vars") or {}))
        return found

    def _cells(self, matrix: MatrixShape, path: Sequence[str | int]) -> list[Cell]:
        axes = matrix.model_extra or {}
        size = math.prod(map(len, axes.values())) if axes else 0
        if size > MAX_CLIPS:
            self._too_many(self.document.place(path))
        if size * (len(matrix.exclude) + len(matrix.include)) > _MAX_COMPARED:
            what = f"{size:,} cells are too many for this many lines of exclude and include"
            self.faults.error(self.document.place(path), what, "write the cells that you want into a CSV file")
            raise TooManyError
        for number, pattern in enumerate(matrix.exclude):
            for name, value in pattern.items():
                if not any(same(value, known) for known in axes.get(name, ())):
                    place = self.document.place((*path, "exclude", number, name))
                    self.faults.error(
                        place, f"exclude: no cell has {name}: {value!r}", "write a name and value of the matrix"
                    )
        cells = matrix.cells()
        if not cells:
            what = "exclude removes every cell of the matrix"
            self.faults.error(self.document.place(path), what, "remove a line of exclude")
        return cells or MatrixShape(**axes).cells()  # their faults are found in the same pass

    # --- prompt files ------------------------------------------------------------------------------

    def _file(self, index: int, entry: Mapping[str, Any], sources: list[PromptSource]) -> Iterator[Prompt]:
        place = self.document.place(("prompts", index, "file"))
        path = (self.folder / entry["file"]).absolute()
        file = str(Path(self.document.file).parent / entry["file"])
        found = read_text(path, file, self.faults, limit=MAX_BYTES, named_at=place)
        if found is None:
            self._without_rows(sources)
            return
        text, raw = found
        self.files[self._relative(path)] = hashlib.sha256(raw).hexdigest()
        scan_secrets(file, text, self.faults)
        known = frozenset().union(
            *(self._parameters(source.values["model"]) | source.values.keys() for source in sources)
        )
        rows, before = 0, len(self.faults.errors)
        for row in read_rows(path.name, file, text, known - {"model"}, self.faults, needs_prompt="prompt" not in entry):
            rows += 1
            for source in sources:
                yield from self._prompt(source, row)
        if not rows:
            if len(self.faults.errors) == before:
                self.faults.error(place, f"{entry['file']} has no prompts", "write one on each line")
            self._without_rows(sources)

    def _without_rows(self, sources: list[PromptSource]) -> None:
        """Check what is written next to a prompt file that can't be read; its variables are not known."""
        for source in sources:
            values = {name: value for name, value in source.values.items() if value is not None}
            plain = {name: value for name, value in values.items() if not is_template(value)}
            self._checked({**plain, "prompt": "-"}, source.layers, partial(self._note, source.layers, source.place))

    def _relative(self, path: Path) -> str:
        return Path(os.path.relpath(path, self.folder)).as_posix()

    # --- one prompt --------------------------------------------------------------------------------

    def _prompt(self, source: PromptSource, row: Row | None) -> Iterator[Prompt]:
        layers, values, variables = source.layers, source.values, source.variables
        if row:
            layers, values, variables = self._merge(source, row)
        place = row.place if row else source.place

        note = partial(self._note, layers, place)
        filled, whole = self._fill(values, variables, note)
        given: str | None = clean_id(str(filled["id"])) if "id" in filled else ""
        if "id" in filled and not given:
            what = f"the id {str(filled['id'])[:40]!r} has no character that a file name can have"
            note(ParameterProblem("id", what, "use letters"))
            given = None
        templated = is_template(values.get("id"))
        cell_id = "" if templated else source.cell_id
        prompt = self._checked(filled, layers, note)
        if prompt is None or not whole:
            if given:
                self.refused.append((in_cell(given, cell_id), place))
            self._faulty += 1
            if self._faulty > _MAX_FAULTY:
                self.faults.error(place, f"over {_MAX_FAULTY:,} prompts can't be used", "fix the errors above first")
                raise TooManyError
            return
        text, model, settings, seeds, priority = prompt
        older = self._older_frame(source, row, model, filled, layers, variables)
        takes = self._takes(model, text, settings, seeds, place, older)
        if takes and given is not None:
            # The rows of a table differ in nothing but their variables.
            words = prompt_words(text if row else str(values["prompt"]))
            yield Prompt(place, text, words, model, settings, takes, given, cell_id, source.label, priority, variables)

    def _merge(self, source: PromptSource, row: Row) -> tuple[tuple[Layer, ...], dict[str, Any], dict[str, Any]]:
        """Merge a row's cells into the values of its entry; columns that are no parameters are variables."""
        names = self._parameters(source.values["model"])
        # For an unknown model, whatever the manifest itself uses as a parameter is one.
        own = {
            n: v for n, v in row.values.items() if n in names or n in ROW_WORDS or (n in source.values and n != "model")
        }
        then = parameters_then(source.values["model"]) | source.values.keys() | {*ROW_WORDS}
        # What older releases took for a variable still is one: texts are what they were.
        free = {name: value for name, value in row.values.items() if name not in own or name not in then}
        inner = own.pop("vars", None)
        layers = (*source.layers, Layer(own, place=row.place))
        more = inner if isinstance(inner, dict) else {}
        if inner is not None and not isinstance(inner, dict):
            free["vars"] = inner
        return layers, {**source.values, **own}, {**source.variables, **free, **more}

    def _older_frame(
        self,
        source: PromptSource,
        row: Row | None,
        model: str,
        filled: Mapping[str, Any],
        layers: Sequence[Layer],
        variables: Mapping[str, Any],
    ) -> OlderFrame | None:
        _, defaults, by_model, _, entry = (layer.values for layer in source.layers)
        written = Written({**defaults, **by_model}, source.cell, entry, row.values if row else {})
        extra = self._extra(layers, lambda _: None)
        return self._older.of(model, written, source.label, filled, extra, variables)

    def _note(self, layers: Sequence[Layer], place: Position, problem: ParameterProblem) -> None:
        """Note a problem where the parameter was written, in the layer that won."""
        layer = next((layer for layer in reversed(layers) if problem.name in layer.values), None)
        at = place
        if layer:
            at = layer.place or self.document.place((*layer.path, problem.name))
        add = self.faults.warn if problem.warning else self.faults.error
        add(at, problem.what, problem.fix)

    def _fill(
        self, values: Mapping[str, Any], variables: Mapping[str, Any], note: Callable[[ParameterProblem], None]
    ) -> tuple[dict[str, Any], bool]:
        """Return the values with their templates filled in and the empty ones left out, and whether all could be.

        A value that can't be filled is left out (a prompt becomes a blank that passes): the others are still checked.
        """
        filled: dict[str, Any] = {}
        whole = True
        for name, value in values.items():
            if not (isinstance(value, str) and is_template(value)):
                if value is not None:
                    filled[name] = value
                continue
            try:
                filled[name] = self.fill(value, variables)
            except TextError as error:
                if self.document.variables_known or not isinstance(error, UnknownVariableError):
                    note(ParameterProblem(name, f"{name}: {error.what}", error.fix))
                whole = False
                if name in ("prompt", "model"):
                    filled[name] = "-"
        return filled, whole

    def _checked(
        self, values: dict[str, Any], layers: Sequence[Layer], note: Callable[[ParameterProblem], None]
    ) -> tuple[str, str, ParameterSet, list[int], int] | None:
        """Return the checked prompt, or None after noting everything that is wrong with it."""
        model, text = values["model"], values.get("prompt")
        model_meant, problems = meant(model, self._known, self.shape.prices)
        rest = {name: value for name, value in values.items() if name not in _WORDS}
        extra = self._extra(layers, note) if "extra" in values else {}
        settings = self.params.settings(model_meant, rest, extra)
        missing = ParameterProblem("prompt", "prompt is missing", "write prompt:, or a prompt column")
        of_text = [missing] if text is None else text_problems(self._known.find(model_meant), "prompt", text)
        problems += [*settings.problems, *of_text]
        priority = whole_number(values.get("priority", 0))
        if priority is None:
            what = f"priority can't be {shown(values['priority'])}"
            problems.append(ParameterProblem("priority", what, "write a whole number"))
        seeds: list[int] = []
        sound = text if isinstance(text, str) and all(problem.warning for problem in of_text) else "-"
        takes = {word: values.get(word) for word in ("takes", "seed", "seeds")}
        while not seeds:
            try:
                seeds = seeds_of(sound, **takes)
            except TakesError as error:
                problems.append(ParameterProblem(error.field, error.what, error.fix))
                takes[error.field] = None  # the others may be wrong, too
        for problem in problems:
            note(problem)
        return (str(text), model, settings, seeds, priority or 0) if all(p.warning for p in problems) else None

    def _extra(self, layers: Sequence[Layer], note: Callable[[ParameterProblem], None]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for layer in layers:
            extra = layer.values.get("extra")
            if isinstance(extra, dict):
                merged |= extra
            elif extra is not None:
                note(ParameterProblem("extra", "extra is not a mapping", "write extra: {name: value}"))
        return merged

    def _takes(
        self,
        model: str,
        text: str,
        settings: ParameterSet,
        seeds: Sequence[int],
        place: Position,
        older: OlderFrame | None,
    ) -> list[Take]:
        self._clips += len(seeds)
        if self._clips > MAX_CLIPS:
            self._too_many(place)
        takes = []
        for number, seed in enumerate(seeds, 1):
            key = key_of_text(model, settings.asked_text.text(text, seed))
            if other := self._seen.get(key):
                self._same(place, other)
                continue
            self._seen[key] = place
            once = older.key(model, text, seed) if older else None
            takes.append(Take(number, seed, key, settings.sent_text.text(text, seed), once))
        return takes

    def _parameters(self, model: str) -> frozenset[str]:
        known = self._known.find(model)
        return frozenset(known.parameters) if known else COMMON

    def _same(self, place: Position, other: Position) -> None:
        if other == place:
            what, fix = "several cells of the matrix make the same clip here", "use its variables in the text"
        else:
            what, fix = f"this is the same clip as {other}", "change the prompt or the seed for another"
        self.faults.warn(place, what, f"it is made once; {fix}")

    def _too_many(self, place: Position) -> None:
        self.faults.error(place, f"this makes over {MAX_CLIPS:,} clips", "split it into several manifests")
        raise TooManyError
