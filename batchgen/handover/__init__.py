"""Handing the chosen clips over: to an editor's program, to a folder, to a client.

Reading order: `chosen` (which clips, under which names), `film` (facts that are read from each file), `folder` (all of
it written, whole or not at all), `lists` (names, table, checksums, the README of the folder), `sheet` (contact sheet),
`xmp` (the label in a copy), then one module for each program's format: `otio`, `fcpxml`, `xmeml`, `edl`.
"""

from __future__ import annotations
