"""From the queue to the checked file: dispatcher, one clip's life, and how a run ends.

Reading order: `runner` (queue, dispatcher, ending), `carry` (one clip's life), then its steps `submit`,
`collect` and `fetch`; `tools` is what they share, `shutdown` and `inflight` are the limits.
"""
