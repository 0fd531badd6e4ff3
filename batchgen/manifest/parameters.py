"""One clip's text and parameters → what is sent, and what its key is made of. Each distinct set is checked once."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from batchgen.manifest.audio import Audio, AudioError, check_url, inspect, is_url
from batchgen.manifest.faults import Position, did_you_mean, shown
from batchgen.manifest.keys import KeyFrame, canonical
from batchgen.providers.models import Model, find

#: What Unicode has ignored by default, or draws as nothing, besides blanks and format characters (Cf).
_BLANK = re.compile(
    "[\x00-\x1f\x7f-\x9f\u034f\u115f\u1160"
    "\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


@dataclass(frozen=True, slots=True)
class ParameterProblem:
    """Something wrong with one parameter; where it was written is known to the caller."""

    name: str
    what: str
    fix: str = ""
    warning: bool = False


@dataclass(slots=True)
class ParameterSet:
    """All parameters of a clip but its prompt and seed."""

    sent: dict[str, Any] = field(default_factory=dict)  #: every one, explicitly; local audio left out
    asked: dict[str, Any] = field(default_factory=dict)  #: built-in defaults left out; local audio by content
    audio: Audio | None = None
    problems: list[ParameterProblem] = field(default_factory=list)
    #: The canonical texts of `asked` and `sent`, without prompt and seed; only a set without errors has them.
    asked_text: KeyFrame = field(init=False)
    sent_text: KeyFrame = field(init=False)


class Take(NamedTuple):
    """One clip of a prompt."""

    number: int
    seed: int
    key: str
    params: str


@dataclass(slots=True)
class Prompt:
    """One prompt with its cell and row filled in; ids and names come later, when all are known."""

    place: Position
    text: str
    words: str  #: what its id is made of where none is given
    model: str
    settings: ParameterSet
    takes: list[Take]
    given_id: str  #: "" if it has to be made of the prompt
    cell_id: str
    label: str
    priority: int
    values: Mapping[str, Any]


class Parameters:
    """Checks sets of parameters; remembers those it has seen, and every audio file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, ParameterSet] = {}
        self.audio: dict[str, Audio | AudioError] = {}  #: every file that a prompt names, and what it is

    def settings(self, model: str, values: Mapping[str, Any], extra: Mapping[str, Any]) -> ParameterSet:
        """Return the checked set of these parameters (without prompt and seed), with all of its problems."""
        same = repr((model, sorted(values.items()), extra))
        found = self._seen.get(same)
        if found is None:
            known = find(model)
            found = self._known(known, values) if known else _unknown(values)
            if extra:
                _add_extra(found, extra, known.parameters if known else ())
            for name, value in found.sent.items():
                try:
                    canonical({name: value}).encode()
                except (ValueError, TypeError, RecursionError):
                    what = f"{name} can't be sent as JSON"
                    found.problems.append(ParameterProblem(name, what, "write a finite number or a text"))
            if all(problem.warning for problem in found.problems):
                found.asked_text, found.sent_text = KeyFrame(found.asked), KeyFrame(found.sent)
            self._seen[same] = found
        return found

    def _known(self, model: Model, values: Mapping[str, Any]) -> ParameterSet:
        problems: list[ParameterProblem] = []
        try:
            checked = model.schema.model_validate({**values, "prompt": "-"})
        except ValidationError as error:
            problems = [_problem(detail, model) for detail in error.errors(include_url=False)]
            values = {name: value for name, value in values.items() if name not in {each.name for each in problems}}
            checked = model.schema.model_validate({**values, "prompt": "-"})  # the rest may have faults of its own
        sent = checked.model_dump(exclude={"prompt", "seed", "audio"})
        asked = {name: value for name, value in sent.items() if value != model.defaults.get(name)}
        settings = ParameterSet(sent, asked, problems=[*problems, *_too_long(model, sent)])
        if values.get("audio"):
            self._add_audio(settings, values["audio"].strip())
        return settings

    def _add_audio(self, settings: ParameterSet, text: str) -> None:
        try:
            if is_url(text):
                check_url(text)
                settings.sent["audio"] = settings.asked["audio"] = text
            else:
                settings.audio = self._file(text)
                settings.asked["audio"] = f"sha256:{settings.audio.sha256}"
                settings.problems += _about_length(settings.audio, settings.sent["duration"])
        except AudioError as error:
            settings.problems.append(ParameterProblem("audio", error.what, error.fix))

    def _file(self, text: str) -> Audio:
        if text not in self.audio:
            try:
                self.audio[text] = inspect((self._folder / text).absolute())
            except AudioError as error:
                self.audio[text] = error
        found = self.audio[text]
        if isinstance(found, AudioError):
            raise AudioError(found.what, found.fix)
        return found


def text_problems(model: Model | None, name: str, text: object) -> list[ParameterProblem]:
    """Return what is wrong with a prompt: empty, no text, no Unicode, or so long that the service cuts it."""
    if not isinstance(text, str):
        return [
            ParameterProblem(
                name, f"{name} is {shown(text)}", "write a text, in quotes if it looks like something else"
            )
        ]
    if not visible(text):
        return [ParameterProblem(name, f"{name} is empty", "write what the video shows")]
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return [ParameterProblem(name, f"{name} contains half of a character", "type the text again")]
    return _too_long(model, {name: text}) if model else []


def is_template(text: object) -> bool:
    """Say whether a value is a text with something to fill in."""
    return isinstance(text, str) and ("{{" in text or "{%" in text)


def visible(text: str) -> bool:
    """Say whether a text shows anything: blanks and characters without a picture (U+200B, U+FEFF, U+3164) do not."""
    return any(not (char.isspace() or unicodedata.category(char) == "Cf" or _BLANK.match(char)) for char in text)


def _too_long(model: Model, values: Mapping[str, Any]) -> list[ParameterProblem]:
    return [
        ParameterProblem(
            name,
            f"{name} has {len(values[name])} characters, and the service cuts silently at {limit}",
            "shorten it",
            warning=True,
        )
        for name, limit in model.text_limits.items()
        if len(values.get(name) or "") > limit
    ]


def _problem(detail: ErrorDetails, model: Model) -> ParameterProblem:
    name = str(detail["loc"][0]) if detail["loc"] else "parameters"
    if detail["type"] == "extra_forbidden":
        fix = did_you_mean(name, model.parameters)
        return ParameterProblem(name, f"unknown parameter {name}", f"{fix} (or write it under extra:, unchecked)")
    if detail["type"] == "batchgen":
        context = detail["ctx"]
        return ParameterProblem(name, str(context["what"]), str(context["fix"]))
    return ParameterProblem(
        name, f"{name} is {shown(detail['input'])}", "write a text, in quotes if it looks like something else"
    )


def _about_length(audio: Audio, duration: int) -> list[ParameterProblem]:
    if audio.seconds is None:
        what = f"the length of {audio.path.name} is unknown"
        return [
            ParameterProblem("audio", what, "the service takes 3–30 s; save it as 16-bit wav to be sure", warning=True)
        ]
    if audio.seconds > duration + 0.1:
        what = f"{audio.path.name} is {audio.seconds:.1f} s long, and the service cuts it at {duration} s"
        return [ParameterProblem("audio", what, "shorten it, or ask for a longer clip", warning=True)]
    return []


def _unknown(values: Mapping[str, Any]) -> ParameterSet:
    """Take all parameters as they are: nothing is known of this model."""
    return ParameterSet(dict(values), dict(values))


def _add_extra(settings: ParameterSet, extra: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name, value in extra.items():
        if name in known or name in ("prompt", "seed"):
            settings.problems.append(
                ParameterProblem("extra", f"{name} can't be under extra", f"write {name}: next to extra:")
            )
            continue
        if known:
            what = f"{name} is passed on unchecked"
            settings.problems.append(
                ParameterProblem("extra", what, "the service may refuse or ignore it", warning=True)
            )
        settings.sent[name] = settings.asked[name] = value
