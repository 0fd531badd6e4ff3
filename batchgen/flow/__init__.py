"""How a batch flows.

Reading order: `runner` (queue, dispatcher, ending), `carry` (one clip's life), then its steps `submit`,
`collect` and `fetch`; `tools` is what they share, `brake` and `inflight` are the limits.
"""
