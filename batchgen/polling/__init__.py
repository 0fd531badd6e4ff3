"""How far the requests in flight are: `poller` asks, `schedule` says when (by `belief` and `allowance`)."""
