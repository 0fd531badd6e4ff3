"""What helps to write a manifest: its JSON Schema for editors, and the annotated one that `batchgen init` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from batchgen.manifest.schema import DEFAULT_MODEL, ENTRY_WORDS, ManifestShape, PromptShape
from batchgen.providers.models import BUILT_IN, Catalogue, Model


def json_schema(models: Catalogue = BUILT_IN) -> dict[str, object]:
    """Return the manifest's JSON Schema (draft-07), as `batchgen schema` prints it for editors.

    `models` are those whose parameters an editor completes and checks.
    """
    schema: dict[str, Any] = ManifestShape.model_json_schema()
    by_model = {model.slug: _parameters(model) for model in filter(None, map(models.find, models.names()))}
    words = _word_schemas(by_model[DEFAULT_MODEL])
    parameters = _of_any(by_model)
    for part in ("PromptShape", "FileShape"):
        properties = schema["$defs"][part]["properties"]
        properties |= {name: value for name, value in (parameters | words).items() if name != "prompt"}
    # A prompt file with a text for its rows fits both shapes.
    entries = schema["properties"]["prompts"]["items"]
    entries["anyOf"] = entries.pop("oneOf")
    defaults = {name: value for name, value in (parameters | words).items() if name != "prompt"}
    schema["properties"]["defaults"] |= {"properties": defaults}
    own = {slug: {"type": "object", "properties": found | words} for slug, found in by_model.items()}
    schema["properties"]["by_model"] |= {"properties": own}
    schema["properties"]["model"]["examples"] = list(by_model)
    schema["allOf"] = [
        _for_model(slug, found, {*words, "seed", "extra"}, models.find(slug)) for slug, found in by_model.items()
    ]
    draft7: dict[str, object] = {"$schema": "http://json-schema.org/draft-07/schema#"}
    draft7.update({key: _draft7(value) for key, value in schema.items() if key != "$defs"})
    draft7["definitions"] = _draft7(schema["$defs"])
    return draft7


def _word_schemas(parameters: dict[str, Any]) -> dict[str, Any]:
    seed = {key: value for key, value in parameters["seed"].items() if key not in ("default", "description")}
    texts = {name: PromptShape.model_fields[name].description for name in ("takes", "seeds", "priority")}
    return {
        "takes": {"type": ["integer", "string"], "minimum": 1, "maximum": 1000, "description": texts["takes"]},
        "seeds": {"type": ["array", "string"], "items": seed, "minItems": 1, "description": texts["seeds"]},
        "priority": {"type": ["integer", "string"], "description": texts["priority"]},
    }


def _parameters(model: Model) -> dict[str, Any]:
    return {name: parameter.json_schema() for name, parameter in model.parameters.items()}


def _of_any(by_model: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Give the parameters of all models, the default model's first: what an editor completes.

    Where models differ in one, any of their values passes here; `_for_model` has each one's own.
    """
    names = dict.fromkeys(name for slug in (DEFAULT_MODEL, *by_model) for name in by_model[slug])
    return {name: _joined([found[name] for found in by_model.values() if name in found]) for name in names}


def _joined(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    distinct = [schema for at, schema in enumerate(schemas) if schema not in schemas[:at]]
    return distinct[0] if len(distinct) == 1 else {**_hover(distinct[0]), "anyOf": distinct}


def _hover(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {word: schema[word] for word in ("title", "description")}


def _for_model(slug: str, parameters: Mapping[str, Any], words: set[str], known: Model | None) -> dict[str, Any]:
    """Let an editor flag what is no value of a known model and, if all of its parameters are known, no parameter.

    A prompt with a model of its own is left alone.
    """
    own = {name: value for name, value in parameters.items() if name != "prompt"}
    complete = known is not None and known.complete
    named = {"propertyNames": {"enum": sorted({*own, *words})}} if complete else {}
    entry = {"propertyNames": {"enum": sorted({*ENTRY_WORDS, *parameters})}} if complete else {}
    others = {"required": ["model"]} if slug != DEFAULT_MODEL else {}
    plain = {"type": "object", "not": {"required": ["model"]}}
    return {
        "if": {"properties": {"model": {"const": slug}}, **others},
        "then": {
            "properties": {
                "defaults": {"properties": own, **named},
                "prompts": {"items": {"if": plain, "then": {"properties": own, **entry}}},
            }
        },
    }


def _draft7(value: object) -> object:
    """Rename what draft 2020-12 renamed."""
    if isinstance(value, dict):
        return {
            key: (str(item).replace("#/$defs/", "#/definitions/") if key == "$ref" else _draft7(item))
            for key, item in value.items()
            if key != "discriminator"
        }
    return [_draft7(item) for item in value] if isinstance(value, list) else value


_TEXT = """\
# yaml-language-server: $schema=./batchgen.schema.json
# `batchgen plan` shows what this makes and costs; nothing is spent before `batchgen run`.
name: @NAME@
model: wan-2.5-t2v

# Parameters of every clip; each prompt can have its own.
defaults:
  size: 1280*720          # 832*480  480*832  1280*720  720*1280  1920*1080  1080*1920
  duration: 5             # seconds: 5 or 10
  negative_prompt: blurry, watermark
  enable_prompt_expansion: true

# Variables for {{ }} in any text.
vars:
  brand: Kestrel

# Every prompt once for each cell: here 2 cities by 2 times, less one.
matrix:
  city: [Tokyo, Lisbon]
  time: [dawn, night]
  exclude:
    - {city: Lisbon, time: night}

prompts:
  # After >- a text needs no quotes, whatever is in it.
  - >-
    A courier on a {{ brand }} bike crosses {{ city }} at {{ time }}: rain, neon, handheld camera.
  - id: singer
    prompt: >-
      A street singer looks up and says: “wan 2.5 is live!”
    takes: 2              # two variations; or seeds: [7, 8]
    size: 720*1280
    matrix: {}            # none: once, not for each cell
    # audio: audio/hook.mp3     a URL, or a wav or mp3 of 3–30 s that is uploaded
  # A list of prompts; columns are parameters or variables. CSV, TSV, JSONL or TXT.
  # - file: shots.csv

# Edit freely: only clips that are new or changed are made and paid for.
output:
  name: "{{ id }}_{{ take }}"

budget:
  max_usd: 20             # spent and reserved never pass this; also max_usd_per_day, max_clips

# limits: {rpm: 50, in_flight: 32, downloads: 8}
"""


def starter(name: str) -> str:
    """Return a manifest's text that loads without faults or warnings."""
    return _TEXT.replace("@NAME@", json.dumps(name, ensure_ascii=False))
