"""The annotated manifest that `batchgen init` writes."""

from __future__ import annotations

import json

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

# Clips are told by what they are: edit freely, only what is new is made and paid for.
output:
  name: "{{ id }}_{{ take }}"

budget:
  max_usd: 20             # spent and reserved never pass this; also max_usd_per_day, max_clips

# limits: {rpm: 50, in_flight: 32, downloads: 8}
"""


def starter(name: str) -> str:
    """Return a manifest's text that loads without faults or warnings."""
    return _TEXT.replace("@NAME@", json.dumps(name, ensure_ascii=False))
