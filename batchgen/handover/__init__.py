"""Handing the chosen clips over: to an editor's program, to a folder, to a client.

Reading order: `chosen` (which clips, under which names), `film` (facts that are read from each file), `target` (a
folder or zip file that is whole or not there), `folder` (all of it written), `client` (a page to choose from),
`lists` (names, table, checksums, the README of the folder), `sheet` (contact sheet), `xmp` (the label in a copy),
then one module for each program's format: `otio`, `fcpxml`, `xmeml`, `edl`.
"""

from __future__ import annotations
