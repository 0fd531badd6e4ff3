"""The pace of the account: how many calls a minute it bears, who calls next, and how many clips may be in flight.

Reading order: `pacer` (the one limiter that every call asks), `line` (who is next), `rate` (what the account bears),
`queueing` (whose queue it is that they wait in), `places` (clips in flight), then what outlives a run: `pacebook` (the
calls of the last minute) and `lessons` (what the next night starts with), then `start` (where a run starts, for its
plan, too) and `pace`, which joins them for one run.
"""
