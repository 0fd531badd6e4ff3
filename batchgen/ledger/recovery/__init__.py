"""A new ledger from what is left of a damaged one.

Reading order: `sources` (what is left), `replay` (events back to clips), `rebuild` (the new ledger).
"""
