"""One clip's text and parameters → what is sent, and what its key is made of. Each distinct set is checked once."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from batchgen.clip import OlderKey
from batchgen.manifest.audio import Audio, AudioError, check_url, inspect, is_url
from batchgen.manifest.faults import Position, did_you_mean, shown
from batchgen.manifest.keys import KeyFrame, canonical
from batchgen.providers.models import BUILT_IN, Catalogue, Media, Model, Parameter, ParameterError, find

#: The one parameter whose local file is uploaded.
UPLOADED = "audio"
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
    older: OlderKey | None = None


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

    def __init__(self, folder: Path, models: Catalogue = BUILT_IN, *, strict: bool = False) -> None:
        self._folder = folder
        self._models = models
        self._strict = strict
        self._seen: dict[str, ParameterSet] = {}
        self.audio: dict[
            tuple[str, Media | None], Audio | AudioError
        ] = {}  #: every file that a prompt names, and what it is

    def settings(self, model: str, values: Mapping[str, Any], extra: Mapping[str, Any]) -> ParameterSet:
        """Return the checked set of these parameters (without prompt and seed), with all of its problems."""
        same = repr((model, sorted(values.items()), extra))
        found = self._seen.get(same)
        if found is None:
            known = self._models.find(model)
            found = self._known(known, values) if known else _unknown(values)
            if extra:
                _add_extra(found, extra, tuple(known.parameters) if known else ())
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
        problems = _of_model(model)
        sent = dict(model.defaults)
        media: dict[str, Any] = {}
        for name, value in values.items():
            parameter = model.parameters.get(name)
            if parameter is None:
                problems.append(_unknown_parameter(name, model, strict=self._strict))
                sent[name] = value
                continue
            try:
                read = parameter.read(value)
            except ParameterError as error:
                problems.append(ParameterProblem(name, error.what, error.fix))
                continue
            (media if parameter.media else sent)[name] = read
        problems += _missing(model, values)
        asked = _asked(find(model.slug), model, values, sent)
        settings = ParameterSet(sent, asked, problems=[*problems, *_too_long(model, sent)])
        for name, text in media.items():
            if text:
                self._add_media(settings, model.parameters[name], text)
        return settings

    def _add_media(self, settings: ParameterSet, parameter: Parameter, given: str | list[str]) -> None:
        name = parameter.name
        links = [text.strip() for text in ([given] if isinstance(given, str) else given)]
        try:
            local = next((text for text in links if not is_url(text)), None)
            if local is not None and name == UPLOADED and not parameter.many:
                settings.audio = self._file(local, parameter)
                settings.asked[name] = f"sha256:{settings.audio.sha256}"
                settings.problems += _about_length(settings.audio, settings.sent.get("duration"))
                return
            if local is not None:
                raise _no_link(name)
            for text in links:
                check_url(text, name)
            settings.sent[name] = settings.asked[name] = links if parameter.many else links[0]
        except AudioError as error:
            settings.problems.append(ParameterProblem(name, error.what, error.fix))

    def _file(self, text: str, parameter: Parameter) -> Audio:
        file = text, parameter.media
        if file not in self.audio:
            try:
                self.audio[file] = inspect((self._folder / text).absolute(), parameter.media)
            except AudioError as error:
                self.audio[file] = error
        found = self.audio[file]
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


def _no_link(name: str) -> AudioError:
    return AudioError(f"{name} is no link, and this release uploads sound only", "write https://host/file")


def _unknown_parameter(name: str, model: Model, *, strict: bool) -> ParameterProblem:
    """Say that the model has no such parameter.

    One near a known name is a slip of the pen: the clip would be paid for without it. Any other is passed on with a
    warning, since the service may have learned it since the facts were collected; under `strict` it is an error.
    """
    fix = did_you_mean(name, model.parameters)
    near = fix.startswith("did you mean")
    if model.complete and (near or strict):
        return ParameterProblem(name, f"unknown parameter {name}", f"{fix} (or write it under extra:, unchecked)")
    known = "" if model.complete else ", of which not all parameters are known here"
    what = f"unknown parameter {name} of {model.slug}{known}: it is passed on unchecked"
    return ParameterProblem(name, what, fix, warning=not strict)


def _missing(model: Model, values: Mapping[str, Any]) -> list[ParameterProblem]:
    return [
        ParameterProblem(name, f"{name} is missing, and {model.slug} needs it", each.description)
        for name, each in model.parameters.items()
        if each.required and name != "prompt" and not values.get(name)
    ]


def _of_model(model: Model) -> list[ParameterProblem]:
    """Say what this release can't do with a model, and what takes of it are."""
    if model.kind != "video":
        what = f"{model.slug} makes pictures, and this release can't check and keep them"
        return [ParameterProblem("model", what, "choose a model that makes videos (batchgen models)")]
    if model.has_seed is False:
        what = f"{model.slug} has no seed: the one that is sent for each take has no effect"
        return [ParameterProblem("model", what, "two takes may differ, but no take can be made again", warning=True)]
    return []


def _about_length(audio: Audio, duration: object) -> list[ParameterProblem]:
    if audio.seconds is None:
        what = f"the length of {audio.path.name} is unknown"
        return [
            ParameterProblem("audio", what, "the service takes 3–30 s; save it as 16-bit wav to be sure", warning=True)
        ]
    if isinstance(duration, int) and audio.seconds > duration + 0.1:
        what = f"{audio.path.name} is {audio.seconds:.1f} s long, and the service cuts it at {duration} s"
        return [ParameterProblem("audio", what, "shorten it, or ask for a longer clip", warning=True)]
    return []


def _asked(keyed: Model | None, model: Model, values: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the key is made of, media left out: values as the built-in model reads them, without its defaults.

    A model that is not built in has its values as they are written, as if it were not known: neither a file of the
    user's nor the loss of one changes a key.
    """
    if keyed is model:
        return {name: value for name, value in sent.items() if value != model.defaults.get(name)}
    read = {name: value for name, value in values.items() if not _is_media(model, name)}
    if keyed is None:
        return read
    read = {name: _as_read(keyed.parameters.get(name), value) for name, value in read.items()}
    return {name: value for name, value in read.items() if value != keyed.defaults.get(name)}


def _is_media(model: Model, name: str) -> bool:
    return name in model.parameters and model.parameters[name].media is not None


def _as_read(parameter: Parameter | None, value: object) -> object:
    try:
        return value if parameter is None else parameter.read(value)
    except ParameterError:
        return value


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
