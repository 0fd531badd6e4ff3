"""Files on the user's disk.

Reading order: `durable` (folders that outlive a power cut), `mp4` and `fragments` (is a video whole?), `sidecar` (the
JSON next to each video), `media_checks` (one decode of a film: poster, strip, what to watch first), `findings` (what it
found, and where that is kept), `verify` (the files of done clips, checked against the ledger), `renames` (they go where
their names say), `output_file` (what a command writes where the user says).
"""
