"""What the account allows: how many calls a minute, whose call is next, and how many clips may be in flight.

Reading order: `base` (permits, and the protocol of a pacer), `limiter` (the pacer of one process, which every call
asks, and whose call is next), `adaptive_rate` (the rate that the account allows), `concurrency` (clips in flight), then
`memory` (what outlives a run: the calls of the last minute, and what the next night starts with), then `setup`, which
joins them for one run.
"""
