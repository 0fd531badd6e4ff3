"""The account's own request history: how unconfirmed and lost clips are found again.

Reading order: `matching` (which row belongs to which clip), `report` (what a check saw), `reconcile` (reads the history
and draws conclusions), `other_batches` (which requests belong to other batches).
"""
