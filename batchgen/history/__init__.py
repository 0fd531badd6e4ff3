"""The account's own request history: the way out of doubt.

Reading order: `matching` (which row is which clip's), `looks` (what a look saw), `reconcile` (reads, and says what it
knows), `siblings` (which requests are other batches').
"""
