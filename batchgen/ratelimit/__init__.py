"""What the account allows: how many calls a minute, whose call is next, and how many clips may be in flight.

Reading order: `base` (permits, and the protocol of a pacer), `limiter` (the pacer of one process, which every call
asks), `queue` (whose call is next), `metronome` (when the next call may leave), `adaptive_rate` (the rate that the
account allows), `concurrency` (clips in flight), then what outlives a run: `shared_window` (the calls of the last
minute) and `memory` (what the next night starts with), then `setup`, which joins them for one run.
"""
