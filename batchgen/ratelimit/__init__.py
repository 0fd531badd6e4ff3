"""The pace of the account: how many calls a minute it allows, who calls next, and how many clips may be in flight.

Reading order: `base` (permits, and the protocol of a pacer), `limiter` (the pacer of one process), `queue` (who is
next), `metronome` (when the next call may leave), `adaptive_rate` (what rate the account allows), `concurrency` (clips
in flight), then what outlives a run: `shared_window` (the calls of
the last minute) and `memory` (what the next night starts with), then `start` (where a run starts, for its plan, too)
and `setup`, which joins them for one run.
"""
