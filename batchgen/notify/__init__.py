"""Informing people while they sleep: when, whom, and how. Nothing here changes a run, its exit code or its ledger.

Reading order: `conditions` (what is worth a message), `addresses` (who gets it; secrets), `sender` (webhooks and
heartbeats).
"""
