"""How far the requests in flight are.

Reading order: `distribution` (run times seen lately), `schedule` (when to poll, and how often a clip can be polled),
`poller` (one request in flight, and the one task that polls).
"""
