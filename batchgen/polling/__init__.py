"""How far the requests in flight are.

Reading order: `distribution` (run times seen lately), `schedule` (when to poll, and how often a clip can be polled),
`wait` (one request in flight), `poller` (the one task that polls).
"""
