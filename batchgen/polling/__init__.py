"""How far the requests in flight are.

Reading order: `schedule` (when to poll, by the run times seen lately, and how often a clip can be polled), `poller`
(one request in flight, and the one task that polls).
"""
